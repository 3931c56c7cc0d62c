"""Whether the files that a connection has open are still those that bear their names, and as long as they were.

What is committed to a file that was removed is gone with this process, and nothing else would tell it.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from callsign.outbox.aside import SIDE_FILES

OTHERS_SECONDS = 0.25
"""The WAL is looked at before every commit, for one microsecond; the other two so often at most."""

WAL_BYTES = 4 * 1024 * 1024
"""What SQLite cuts a longer WAL to (`PRAGMA journal_size_limit`): so shorter than this it becomes by nobody's right."""

Inode = tuple[int, int]


def inode_of(path: str | Path) -> Inode:
    """Device and number.  Raises OSError."""
    found = os.stat(path)
    return found.st_dev, found.st_ino


class StoreWatch:
    """The database, its -wal and its -shm, as they were when the connection was opened."""

    def __init__(self, store: Path) -> None:
        """Raises OSError if one of them is not there."""
        self.inode = inode_of(store)
        self.is_cut = False
        """Behind a `trouble`: whether a file is only shorter, which a look into the store may find in order."""
        self._path = str(store)
        self._wal = self._path + "-wal"
        wal = os.stat(self._wal)
        self._wal_inode = wal.st_dev, wal.st_ino
        self._wal_bytes = wal.st_size
        self._changes = 0  # of the connection, when the WAL was found empty
        self._others = {path: os.stat(path) for path in (self._path, self._path + "-shm")}
        self._others_at = 0.0

    def trouble(self, changes: int) -> str:
        """What was done to the files, empty if nothing; `changes` is the connection's `total_changes`."""
        self.is_cut = False
        try:
            found = os.stat(self._wal)
        except FileNotFoundError:
            return f"{self._wal} was removed while in use"
        size = found.st_size
        if (found.st_dev, found.st_ino) != self._wal_inode:
            return f"{self._wal} was replaced while in use"
        if size < min(self._wal_bytes, WAL_BYTES) or (not size and changes > self._changes):
            self.is_cut = True
            return f"{self._wal} was cut short while in use"
        self._wal_bytes = size
        now = time.monotonic()
        return "" if now < self._others_at else self._trouble_of_others(now)

    def _trouble_of_others(self, now: float) -> str:
        self._others_at = now + OTHERS_SECONDS
        for path, known in self._others.items():
            found = _stat(path)
            if found is None:
                return f"{path} was removed while in use"
            if not os.path.samestat(found, known):
                return f"{path} was replaced while in use"
            if found.st_size < known.st_size:
                self.is_cut = bool(found.st_size)  # with an empty database SQLite throws the WAL away
                return f"{path} was cut short while in use"
            self._others[path] = found
        return ""

    def accept(self, changes: int) -> None:
        """The files are in order as they are: we have emptied the WAL ourselves, say."""
        self._wal_bytes, self._changes = 0, changes
        self._others = {path: _stat(path) or known for path, known in self._others.items()}

    def condemned(self) -> list[str]:
        """The endings of the files that belong to the lost store; another database is somebody's new store."""
        database = _stat(self._path)
        if database is None or (database.st_dev, database.st_ino) == self.inode:
            return ["", *SIDE_FILES]
        shm = self._others[self._path + "-shm"]
        ours = [self._wal_inode, (shm.st_dev, shm.st_ino)]
        side_files = [(ending, _stat(self._path + ending)) for ending in SIDE_FILES]
        return [ending for ending, found in side_files if found and (found.st_dev, found.st_ino) in ours]


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None
