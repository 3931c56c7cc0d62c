"""Between the commits: the WAL goes back into the main file, and what ended long ago is forgotten."""

from __future__ import annotations

import logging
import os
import sqlite3
import time

from callsign import clocks
from callsign.outbox import schema as sql
from callsign.outbox.access import StoreAccess
from callsign.outbox.watch import WAL_BYTES

CHECKPOINT_AFTER_WRITES = 4000
CHECKPOINT_SECONDS = 60.0
"""A checkpoint waits for the disk, and a call that comes meanwhile with it: so seldom, and when it is quiet."""

PRUNE_SECONDS = 60.0  # between two looks for what ended long ago
PRUNE_AGAIN_SECONDS = 1.0  # while there is more of it than PRUNE_AT_ONCE
PRUNE_AT_ONCE = 200
LEAST_ONCE_SECONDS = 86400.0
"""A call is known as notified for a day at least, also where `keep_days` is 0."""

ASKED_SECONDS = 3600.0
"""How far back questions are counted; of each kind the last one is kept for `keep_days`."""

log = logging.getLogger("callsign.outbox")


class Tidying:
    """The writer's housekeeping, in its thread."""

    def __init__(self, store: StoreAccess, keep_seconds: float) -> None:
        self.writes = 0  # since the last checkpoint
        self._store = store
        self._keep_seconds = keep_seconds
        self._checkpoint_at = 0.0
        self._prune_at = 0.0

    def do(self, quiet: bool, prune: bool) -> None:
        """What is due now; `quiet` says that there was nothing for a second."""
        now = time.monotonic()
        if self.writes >= CHECKPOINT_AFTER_WRITES or (quiet and self.writes and now >= self._checkpoint_at):
            self._checkpoint_at = now + CHECKPOINT_SECONDS
            self._checkpoint(quiet)
        if prune and now >= self._prune_at:
            self._prune()

    def _checkpoint(self, quiet: bool) -> None:
        """When it is quiet a WAL that a rush of calls has left long is cut: SQLite itself would only use it again."""
        self.writes = 0
        try:
            self._store.checkpoint(quiet and os.stat(f"{self._store.file.path}-wal").st_size > WAL_BYTES)
        except (sqlite3.Error, OSError, TimeoutError) as fault:
            log.warning("the store %s could not be tidied up: %s", self._store.file.path, fault)

    def _prune(self) -> None:
        """Forgets the oldest of what has ended; soon again while there is much of it."""
        now = clocks.wall()
        limit = now - self._keep_seconds
        old: list[tuple[int]] = []
        try:
            with self._store.transaction(False) as db:
                old = db.execute(sql.OLDEST_ENDED, (PRUNE_AT_ONCE, limit)).fetchall()
                for statement in sql.PRUNE:
                    db.executemany(statement, old)
                db.execute(sql.FORGET_ONCE, (PRUNE_AT_ONCE, min(limit, now - LEAST_ONCE_SECONDS)))
                hour = (now - ASKED_SECONDS) // 60
                db.execute(sql.FORGET_ASKED, {"limit": min(limit // 60, hour), "hour": hour})
        except (sqlite3.Error, OSError, TimeoutError) as fault:
            log.debug("old jobs could not be forgotten: %s", fault)
        self.writes += len(old)
        self._prune_at = time.monotonic() + (PRUNE_AGAIN_SECONDS if len(old) == PRUNE_AT_ONCE else PRUNE_SECONDS)
