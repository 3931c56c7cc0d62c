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
        self._ended = _Oldest(sql.OLDEST_ENDED)
        self._once = _Oldest(sql.OLDEST_ONCE)

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
        try:
            with self._store.transaction(False) as db:
                self.writes += self._ended.forget(db, sql.PRUNE, limit, now)
                self.writes += self._once.forget(db, sql.FORGET_ONCE, min(limit, now - LEAST_ONCE_SECONDS), now)
                hour = (now - ASKED_SECONDS) // 60
                db.execute(sql.FORGET_ASKED, {"limit": min(limit // 60, hour), "hour": hour, "now": now // 60})
        except (sqlite3.Error, OSError, TimeoutError) as fault:
            log.debug("old jobs could not be forgotten: %s", fault)
        is_through = self._ended.is_through and self._once.is_through
        self._prune_at = time.monotonic() + (PRUNE_SECONDS if is_through else PRUNE_AGAIN_SECONDS)


class _Oldest:
    """One table's rows from the first number on, a helping at a time.

    The times rise with the numbers, but for those of a clock that was set wrong: these are passed over.
    """

    def __init__(self, statement: str) -> None:
        self._statement = statement
        self._above = 0

    @property
    def is_through(self) -> bool:
        """Whether nothing old can lie behind the last helping."""
        return not self._above

    def forget(self, db: sqlite3.Connection, statements: tuple[str, ...], limit: float, now: float) -> int:
        """Deletes what is older than `limit`; how many rows that were."""
        values = {"above": self._above, "most": PRUNE_AT_ONCE, "limit": limit, "now": now}
        rows = db.execute(self._statement, values).fetchall()
        old = [(number,) for number, is_old, _ in rows if is_old]
        for statement in statements:
            db.executemany(statement, old)
        may_go_on = len(rows) == PRUNE_AT_ONCE and (old or not any(is_young for *_, is_young in rows))
        self._above = rows[-1][0] if may_go_on else 0
        return len(old)
