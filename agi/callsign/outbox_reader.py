"""Looking into the store without writing: for `jobs`, `status`, and whoever waits for another process."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from callsign import outbox_schema as sql
from callsign.notification import State
from callsign.outbox_file import LOCK_SECONDS, write_lock_of
from callsign.outbox_values import OutboxError

log = logging.getLogger("callsign.outbox")


@dataclass(frozen=True, slots=True)
class JobRow:
    """One job as `callsign jobs` shows it; times are epoch seconds.  Facts (numbers, names) are not read."""

    job: int
    system: str
    action: str
    call: str
    at: float
    attempts: int
    state: str
    ended: float | None
    next_try: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class LifeLine:
    """One thing that happened to a job."""

    at: float
    event: str
    milliseconds: float | None
    reason: str


class OutboxReader:
    """A read-only connection, for any thread.  Every method raises OutboxError if the store cannot be read.

    `patience_seconds` is how long a question may wait for somebody who keeps the store to himself.
    """

    def __init__(self, path: Path, patience_seconds: float = LOCK_SECONDS) -> None:
        self.path = path
        self._patience_seconds = patience_seconds
        self._guard = threading.Lock()
        self._db: sqlite3.Connection | None = None

    def state_of(self, job: int) -> tuple[State, str] | None:
        """Where the job stands and its reason; None if there is no such job (any more)."""
        rows = self._rows(sql.STATE_OF, {"id": job})
        return (State(rows[0][0]), str(rows[0][1])) if rows else None

    def jobs(
        self,
        job: int | None = None,
        state: str | None = None,
        system: str | None = None,
        call: str | None = None,
        most: int = 100,
    ) -> list[JobRow]:
        """The jobs that fit, the newest first."""
        values = {"id": job, "state": state, "system": system, "call": call, "most": most}
        return [JobRow(*row) for row in self._rows(sql.LIST_JOBS, values)]

    def life_of(self, job: int) -> list[LifeLine]:
        """What happened to a job, in order."""
        return [LifeLine(*row) for row in self._rows(sql.LIFE_OF, (job,))]

    def counts(self) -> list[tuple[str, str, int, float]]:
        """(system, state, how many, epoch seconds of the oldest)."""
        return [(str(s), str(t), int(n), float(a)) for s, t, n, a in self._rows(sql.COUNTS, ())]

    def last_of_each(self) -> list[tuple[str, bool, float, str]]:
        """(system, whether it is a success, epoch seconds, reason): last success and last trouble."""
        return [(str(s), bool(g), float(a), str(r)) for s, g, a, r in self._rows(sql.LAST_OF_STATE, ())]

    def newest_open(self) -> int:
        """The highest id among the jobs that wait, 0 if none does."""
        return int(self._rows(sql.NEWEST_OPEN, ())[0][0] or 0)

    def close(self) -> None:
        """Closes the connection; the next question opens one again."""
        with self._guard:
            self._close()

    def _close(self) -> None:
        """Under the lock, for closing the last connection of all is a checkpoint."""
        db, self._db = self._db, None
        if db is None:
            return
        lock = write_lock_of(self.path)
        try:
            with lock.held(self._patience_seconds):
                db.close()
        except (sqlite3.Error, OSError, TimeoutError) as fault:
            log.debug("the store was not closed in order: %s", fault)
            db.close()
        finally:
            lock.close()

    def _rows(self, statement: str, values: Mapping[str, object] | Sequence[object]) -> list[tuple[Any, ...]]:
        with self._guard:
            try:
                return self._opened().execute(statement, values).fetchall()
            except sqlite3.Error as fault:
                self._close()
                raise OutboxError(f"the store {self.path} cannot be read: {fault}") from fault

    def _opened(self) -> sqlite3.Connection:
        if self._db is None:
            try:
                os.stat(self.path)
            except FileNotFoundError as fault:
                raise OutboxError(f"there is no store at {self.path} yet: has callsign run?") from fault
            except OSError as fault:
                raise OutboxError(f"the store {self.path} cannot be read: {fault.strerror}") from fault
            address = f"file:{quote(str(self.path))}?mode=rw"
            self._db = sqlite3.connect(address, uri=True, timeout=self._patience_seconds, check_same_thread=False)
            self._db.execute("PRAGMA query_only = 1")
        return self._db
