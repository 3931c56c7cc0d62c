"""The store's file: made if need be, carried over to this version's tables, never somebody else's."""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
import time
from functools import partial
from pathlib import Path

from callsign.outbox import schema as sql
from callsign.outbox.aside import SIDE_FILES, set_aside
from callsign.outbox.lock import FileLock, open_or_make
from callsign.outbox.values import StoreBroken
from callsign.outbox.watch import WAL_BYTES, StoreWatch

LOCK_SECONDS = 5.0
"""How long others may keep the store locked before it counts as broken."""

BUSY_PAUSE_SECONDS = 0.005  # between two tries for SQLite's own lock

TEXT = partial(str, encoding="utf-8", errors="replace")
"""A connection's `text_factory`: its own gives no row at all for one that is no UTF-8, but an error with its text."""

Identity = tuple[int, int, int]
NO_STORE: Identity = (0, 0, 0)

log = logging.getLogger("callsign.outbox")


def write_lock_of(store: Path) -> FileLock:
    """The lock around each opening, write, checkpoint and closing of the store, by whichever process."""
    return FileLock(store.with_name(store.name + ".lock"))


class StoreFile:
    """The writer's connection.  Every method is called with the write lock held, but `report`."""

    def __init__(self, path: Path, full: bool) -> None:
        self.path = path
        self.identity = NO_STORE
        """Which store this is: another one after the file was replaced by a new one."""
        self.openings = 0
        self._full = full
        self._on_disk = full
        self._db: sqlite3.Connection | None = None
        self._watch: StoreWatch | None = None
        self._reported = ""

    @property
    def is_open(self) -> bool:
        """Whether there is a connection, good or not."""
        return self._db is not None

    def opened(self, highest_id: int, on_disk: bool) -> sqlite3.Connection:
        """The connection; opens it first, with new ids above `highest_id`.  Raises sqlite3.Error, OSError.

        With `on_disk` the next commit of a store with durability "full" waits for the disk.
        """
        if self._db is None:
            self._db = self._connect(highest_id)
            self._on_disk = self._full
            self.openings += 1
        if self._full and on_disk is not self._on_disk:
            self._db.execute(f"PRAGMA synchronous = {'FULL' if on_disk else 'NORMAL'}")
            self._on_disk = on_disk
        return self._db

    def report(self, found: StoreBroken) -> None:
        """A reader has found the store broken; for any thread."""
        if self._watch is not None and self._watch.inode == found.inode:
            self._reported = str(found)

    def trouble(self) -> str:
        """Why what this connection commits would be lost, empty if it would not.  Raises OSError, sqlite3.Error."""
        if self._db is None or self._watch is None:
            return ""
        found = self._watch.trouble(self._db.total_changes)
        if found and self._watch.is_cut and not self._reported and is_whole(self.path):
            self.accept()  # by a checkpoint or VACUUM of somebody's shell
            return ""
        return found or self._reported  # what was done to it tells more than what is broken by that

    def checkpoint(self, empty: bool) -> None:
        """Puts the WAL into the database; `empty`: and cuts it to nothing, unless somebody reads.

        Raises sqlite3.Error.
        """
        if self._db is not None:
            self._db.execute(f"PRAGMA wal_checkpoint({'TRUNCATE' if empty else 'PASSIVE'})")
        if empty:
            self.accept()

    def accept(self) -> None:
        """Its files are in order, though shorter than they were."""
        if self._db is not None and self._watch is not None:
            self._watch.accept(self._db.total_changes)

    def give_up(self, trouble: str) -> None:
        """Puts the store's files out of the way, so that the next opening makes a new one.  Raises OSError."""
        try:
            set_aside(self.path, self._watch.condemned() if self._watch else ["", *SIDE_FILES], trouble)
        finally:
            self.close()

    def whose(self) -> str:
        """Which of its files another user has shut us out of: SQLite does not say.  Empty if none."""
        files = [self.path, *(self.path.with_name(self.path.name + ending) for ending in SIDE_FILES)]
        shut = [str(file) for file in files if os.access(file, os.F_OK) and not os.access(file, os.R_OK | os.W_OK)]
        return f": this user may not write to {', '.join(shut)}" if shut else ""

    def close(self) -> None:
        """Closes the connection, in whatever state it is, and with it any transaction under way."""
        db, self._db = self._db, None
        self._watch, self._reported = None, ""
        if db is not None:
            try:
                db.close()
            except sqlite3.Error as fault:
                log.debug("the store was not closed in order: %s", fault)

    def _connect(self, highest_id: int) -> sqlite3.Connection:
        if not self.path.exists():
            os.close(open_or_make(self.path))
        share_side_files(self.path)
        db = sqlite3.connect(self.path, timeout=LOCK_SECONDS, isolation_level=None, check_same_thread=False)
        db.text_factory = TEXT
        try:
            _carry_over(db)
            db.execute(f"PRAGMA synchronous = {'FULL' if self._full else 'NORMAL'}")
            db.execute("PRAGMA wal_autocheckpoint = 0")  # only the writer, at its leisure and under the lock
            db.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
            if highest_id:
                db.execute(sql.KEEP_IDS_RISING, (highest_id, highest_id))
            db.execute("PRAGMA busy_timeout = 0")  # from here on `begin` has the patience
            (number,) = db.execute("PRAGMA application_id").fetchone()
            self._watch = StoreWatch(self.path)
            self.identity = number, *self._watch.inode
        except BaseException:
            db.close()
            raise
        return db


def is_whole(store: Path) -> bool:
    """Whether all of the store can be read, over a new connection: an old one may remember what is there no more."""
    db = sqlite3.connect(store, timeout=LOCK_SECONDS)
    try:
        return bool(db.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
    except sqlite3.Error:
        return False
    finally:
        db.close()


def share_side_files(store: Path) -> None:
    """Makes -wal and -shm where SQLite would give them to this user's group instead of the folder's.

    A script that is killed leaves them behind, and the server could open the store no more.
    """
    folder = os.stat(store.parent)
    if folder.st_mode & stat.S_ISGID or folder.st_gid == os.getegid():
        return
    for ending in SIDE_FILES:
        path = store.with_name(store.name + ending)
        if not path.exists():  # for one that is there must not be opened and closed beside SQLite, which locks it
            os.close(open_or_make(path))


def begin(db: sqlite3.Connection, patience_seconds: float) -> None:
    """BEGIN IMMEDIATE.  Raises sqlite3.OperationalError when others keep SQLite's own lock too long.

    Only a program that knows nothing of the write lock has that one: a shell, a backup.  SQLite's own patience
    would have to be set again for each transaction, which takes as long as to write a job.
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
