"""The store's file: made if need be, carried over to this version's tables, never somebody else's."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from pathlib import Path

from callsign import outbox_schema as sql
from callsign.file_lock import FileLock, open_or_make

LOCK_SECONDS = 5.0
"""How long others may keep the store locked before it counts as broken."""

BUSY_PAUSE_SECONDS = 0.005

log = logging.getLogger("callsign.outbox")


def write_lock_of(store: Path) -> FileLock:
    """The lock that everybody holds who opens, writes, checkpoints or closes the store."""
    return FileLock(store.with_name(store.name + ".lock"))


class StoreFile:
    """The writer's connection.  Every method is called with the write lock held."""

    def __init__(self, path: Path, full: bool) -> None:
        self.path = path
        self.identity = 0
        """Which store this is: another number after the file was replaced by a new one."""
        self.openings = 0
        self._full = full
        self._on_disk = full
        self._db: sqlite3.Connection | None = None
        self._inode = (0, 0)

    @property
    def is_open(self) -> bool:
        """Whether there is a connection, good or not."""
        return self._db is not None

    def opened(self, highest_id: int, on_disk: bool) -> sqlite3.Connection:
        """The connection; opens it first, with new ids above `highest_id`.  Raises sqlite3.Error, OSError.

        With `on_disk` the next commit of a store with durability "full" waits for the disk.
        """
        if self._db is not None and self._was_replaced():
            log.error("the store %s was removed or replaced while in use; going on with the new one", self.path)
            self.close()
        if self._db is None:
            self._db = self._connect(highest_id)
            self._on_disk = self._full
            self.openings += 1
        if self._full and on_disk is not self._on_disk:
            self._db.execute(f"PRAGMA synchronous = {'FULL' if on_disk else 'NORMAL'}")
            self._on_disk = on_disk
        return self._db

    def close(self) -> None:
        """Closes the connection, in whatever state it is, and with it any transaction under way."""
        db, self._db = self._db, None
        if db is not None:
            try:
                db.close()
            except sqlite3.Error as fault:
                log.debug("the store was not closed in order: %s", fault)

    def _was_replaced(self) -> bool:
        """What is written to a file that has lost its name would be gone with this process."""
        try:
            return _inode_of(self.path) != self._inode
        except FileNotFoundError:
            return True

    def _connect(self, highest_id: int) -> sqlite3.Connection:
        if not self.path.exists():
            os.close(open_or_make(self.path))
        inode = _inode_of(self.path)
        db = sqlite3.connect(self.path, timeout=LOCK_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            _carry_over(db)
            db.execute(f"PRAGMA synchronous = {'FULL' if self._full else 'NORMAL'}")
            db.execute("PRAGMA wal_autocheckpoint = 0")  # only the writer, at its leisure and under the lock
            if highest_id:
                db.execute(sql.KEEP_IDS_RISING, (highest_id, highest_id))
            db.execute("PRAGMA busy_timeout = 0")  # from here on `begin` has the patience
            (self.identity,) = db.execute("PRAGMA application_id").fetchone()
        except BaseException:
            db.close()
            raise
        self._inode = inode
        return db


def begin(db: sqlite3.Connection, patience_seconds: float) -> None:
    """BEGIN IMMEDIATE.  Raises sqlite3.OperationalError when others keep SQLite's own lock too long.

    Only who knows nothing of the write lock has that one: a shell, a backup.  SQLite's own patience would have
    to be set anew for each transaction, which takes as long as to write a job.
    """
    end = time.monotonic() + patience_seconds
    while True:
        try:
            db.execute("BEGIN IMMEDIATE")
            return
        except sqlite3.OperationalError as fault:
            if "locked" not in str(fault) or time.monotonic() >= end:
                raise
        time.sleep(BUSY_PAUSE_SECONDS)


def _inode_of(path: Path) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_dev, found.st_ino


def _carry_over(db: sqlite3.Connection, steps: tuple[str, ...] = sql.STEPS) -> None:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > len(steps):
        raise sqlite3.DatabaseError(f"it was made by a later callsign (schema {version}, known {len(steps)})")
    if version == 0 and db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise sqlite3.DatabaseError("it is a database of something else, not a store of callsign")
    db.execute("PRAGMA journal_mode = WAL")
    if version == 0:
        db.execute(f"PRAGMA application_id = {int.from_bytes(os.urandom(4), 'big') >> 1}")
    for number, step in enumerate(steps[version:], version + 1):
        db.executescript(f"BEGIN IMMEDIATE; {step}; PRAGMA user_version = {number}; COMMIT;")
