"""The store behind its lock, for the writer: opened, looked at before each use, given up and made again.

The lock excludes every other process's writes and checkpoints: SQLite before 3.51.3 can lose a commit
that races another connection's checkpoint (sqlite.org/wal.html#walresetbug).
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from callsign.outbox.aside import is_broken
from callsign.outbox.file import LOCK_SECONDS, StoreFile, begin, write_lock_of
from callsign.outbox.folder import StoreFolder

log = logging.getLogger("callsign.outbox")


class StoreAccess:
    """One writer's; the other processes have theirs."""

    def __init__(self, path: Path, full: bool) -> None:
        self.file = StoreFile(path, full)
        self.highest_id = 0
        """A new store gives higher ones."""
        self._folder = StoreFolder(path.parent)
        self._lock = write_lock_of(path)

    @contextmanager
    def transaction(self, on_disk: bool, patient: bool = True) -> Iterator[sqlite3.Connection]:
        """Not `patient`: where another process holds a lock, TimeoutError or sqlite3.OperationalError at once."""
        with self._opened(on_disk, patient) as db:
            begin(db, LOCK_SECONDS if patient else 0)
            yield db
            db.execute("COMMIT")

    def checkpoint(self, empty: bool) -> None:
        """Puts the WAL into the database; `empty`: and cuts it to nothing.  Raises sqlite3.Error, OSError."""
        with self._opened(True):
            self.file.checkpoint(empty)

    def is_mended(self, fault: sqlite3.Error | OSError) -> bool:
        """Whether another try is worth it: a broken store is out of the way by now, a folder can be made again."""
        if not isinstance(fault, FileNotFoundError):
            return is_broken(fault)
        self._folder.make()
        return True

    def close(self) -> None:
        """Closes the store; never raises."""
        try:
            with self._lock.held(LOCK_SECONDS):  # closing the last connection is a checkpoint too
                self.file.close()
        except (OSError, TimeoutError) as fault:
            log.warning("the store %s was not closed in order: %s", self.file.path, fault)
        finally:
            self._lock.close()

    @contextmanager
    def _opened(self, on_disk: bool, patient: bool = True) -> Iterator[sqlite3.Connection]:
        if not self.file.is_open:
            self._folder.make()
        with self._lock.held(LOCK_SECONDS if patient else 0):
            if trouble := self.file.trouble():
                if not patient:
                    raise TimeoutError(trouble)  # the thread has the time
                self.file.give_up(trouble)
            try:
                if not self.file.is_open:
                    self._folder.note_owner()
                yield self.file.opened(self.highest_id, on_disk)
            except BaseException as fault:
                if is_broken(fault):
                    self.file.give_up(str(fault))
                self.file.close()
                raise
