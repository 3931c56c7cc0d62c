"""Looking into the store without writing: for `jobs`, `status`, and whoever waits for another process."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from callsign import clocks
from callsign.notification import Notification, State
from callsign.outbox import schema as sql
from callsign.outbox.aside import is_broken
from callsign.outbox.file import LOCK_SECONDS, TEXT, share_side_files, write_lock_of
from callsign.outbox.jobs import jobs_of, notification_of
from callsign.outbox.shown import (
    JobEvent,
    JobRow,
    LastEvent,
    LastQuestion,
    Questions,
    Summary,
    facts_filter,
    facts_of,
)
from callsign.outbox.values import Job, OutboxError, StoreBroken
from callsign.outbox.watch import Inode, inode_of

T = TypeVar("T")

log = logging.getLogger("callsign.outbox")


def must_exist(store: Path) -> Inode:
    """Which file it is.  Raises OutboxError if there is no store or this user may not look."""
    try:
        return inode_of(store)
    except FileNotFoundError as fault:
        raise OutboxError(f"there is no store at {store} yet: has callsign run?") from fault
    except OSError as fault:
        raise OutboxError(f"the store {store} cannot be read: {fault.strerror}") from fault


class OutboxReader:
    """A read-only connection, for any thread.  Every method raises OutboxError if the store cannot be read.

    `patience_seconds` is how long a question may wait while another process has the store locked.
    """

    def __init__(self, path: Path, patience_seconds: float = LOCK_SECONDS) -> None:
        self.path = path
        self._patience_seconds = patience_seconds
        self._guard = threading.Lock()
        self._db: sqlite3.Connection | None = None
        self._inode: Inode = (0, 0)

    def state_of(self, job: int, at: float | None = None) -> tuple[State, str] | None:
        """The state of the job (created at `at`, if that is given), and its reason; None if there is no such job."""
        rows = self._rows(sql.STATE_OF, {"id": job, "at": at})
        return (State(rows[0][0]), str(rows[0][1])) if rows else None

    def jobs(
        self,
        job: int | None = None,
        state: str | None = None,
        system: str | None = None,
        call: str | None = None,
        since: float | None = None,
        until: float | None = None,
        hint: str = "",
        fits: Callable[[Mapping[str, str]], bool] | None = None,
        most: int = 100,
    ) -> list[JobRow]:
        """The jobs that fit, the newest first.

        `fits` looks at a job's facts; only at those whose text has `hint`: digits, whatever stands between them, or
        any other text in lower case.  That is quick.
        """
        values = {"id": job, "state": state, "system": system, "call": call, "since": since, "until": until}
        values |= {"most": most, "sought": None if fits is None else 1}
        rows = self._rows(sql.LIST_JOBS, values, facts_filter(hint, fits))
        return [JobRow(*(*row[:-1], facts_of(row[-1]))) for row in rows]

    def failed(self, system: str | None = None, since: float | None = None) -> list[int]:
        """The numbers alone of what has failed, the oldest first: after a long outage there may be a million."""
        values = {"id": None, "state": "failed", "system": system, "call": None, "since": since, "until": None}
        values |= {"most": -1, "sought": None}
        return sorted(job for (job,) in self._rows(sql.NUMBERS_OF_ENDED, values, facts_filter("", None)))

    def history_of(self, job: int) -> list[JobEvent]:
        """What happened to a job, in order."""
        return [JobEvent(*row) for row in self._rows(sql.EVENTS_OF, (job,))]

    def summaries(self) -> dict[str, Summary]:
        """By system, of those that have jobs."""
        found: defaultdict[str, Summary] = defaultdict(lambda: Summary({}))  # its first job may come in between
        for system, count, oldest, next_try in self._rows(sql.WAITING, ()):
            found[system].counts["waiting"] = count
            found[system].oldest_waiting_at, found[system].next_try = oldest, next_try
        for (system, state), count in self.ended_counts().items():
            found[system].counts[state] = count
        now = clocks.wall()
        for system, success, *happening in self._rows(sql.LAST_OF_STATE, (now,)):
            setattr(found[system], "last_success" if success else "last_trouble", LastEvent(*happening))
        for system, *happening in self._rows(sql.LAST_ATTEMPT, (now,)):
            attempt, known = LastEvent(*happening), found[system].last_trouble
            if known is None or known.at < attempt.at:
                found[system].last_trouble = attempt
        return dict(found)

    def waiting(self) -> dict[str, tuple[int, float]]:
        """By system, of those that have any: how many jobs wait, and since when the oldest does.  Quick."""
        return {system: (count, at) for system, count, at, _ in self._rows(sql.WAITING, ())}

    def ended_counts(self) -> dict[tuple[str, str], int]:
        """By system and state.  Reads all that has ended: a second for a million jobs."""
        return {(system, state): count for system, state, count in self._rows(sql.ENDED_COUNTS, ())}

    def failed_since(self, moment: float) -> dict[str, int]:
        """By system, of those that have any: how many have failed since then, and were not retried.

        A start that a stop overtook has failed too: that call was not recorded.
        """
        return dict(self._rows(sql.FAILED_SINCE, (moment, clocks.wall())))

    def questions(self, hour_ago: float) -> dict[str, Questions]:
        """By account, of those that were asked something; `hour_ago` is in epoch seconds."""
        found: defaultdict[str, Questions] = defaultdict(lambda: Questions({}))
        if not self._rows(sql.HAS_ASKED, ()):  # a store that the server of an earlier callsign still runs on
            return {}
        now = clocks.wall()
        for account, *last, kind in self._rows(sql.LAST_ASKED, (now,)):
            setattr(found[account], kind, LastQuestion(*last))
        for account, status, count in self._rows(sql.ASKED_SINCE, (int(hour_ago // 60) + 1, now // 60)):
            found[account].of_last_hour[status] = count
        return dict(found)

    def expired_lately(self, moment: float, most: int) -> list[Notification]:
        """The jobs that were tried and expired, stored since then and among the `most` latest jobs, which is quick."""
        found = []
        for row in self._rows(sql.EXPIRED_LATELY, (most, moment)):
            with suppress(Exception):  # whatever a damaged row holds, the others are read
                found.append(notification_of(row))
        return found

    def open_jobs(self, above: int, up_to: int, most: int) -> tuple[list[Job], int]:
        """The oldest of the jobs that wait with an id above `above`, and the id up to which there are no others."""
        rows = self._rows(sql.OPEN_JOBS, (above, up_to, most))
        jobs, last = jobs_of(rows, recovered=True)
        return jobs, last if len(rows) == most else up_to

    def newest_open(self) -> int:
        """The highest id among the jobs that wait, 0 if none does."""
        return int(self._rows(sql.NEWEST_OPEN, ())[0][0] or 0)

    def digest_of(self, job: int) -> str:
        """Of the `dedupe_key` that it was told with; empty where there was none."""
        rows = self._rows(sql.DIGEST_OF, (job,))
        return str(rows[0][0]) if rows else ""

    def store_id(self) -> str:
        """Its name among those of several hosts; empty where an earlier callsign's server still runs on it."""
        return str(self._rows(sql.STORE_NAME, ())[0][0]) if self._rows(sql.HAS_NAME, ()) else ""

    def known(self) -> tuple[int, int | None]:
        """The last job's number, and up to which number the other hosts may know of them; None: of all."""
        newest, known = self._rows(sql.KNOWN, ())[0]
        return int(newest), known

    def is_of_later_callsign(self) -> bool:
        """Whether this one can read it, perhaps, but not write to it."""
        return bool(self._rows("PRAGMA user_version", ())[0][0] > len(sql.STEPS))

    def check(self) -> None:
        """Raises StoreBroken if what lies in the store makes no sense.  Reads all of it."""
        ((words,),) = self._rows("PRAGMA quick_check(1)", ())
        if words != "ok":
            raise StoreBroken(f"the store {self.path} is broken: {' '.join(words.split())}", self._inode)

    def copy_to(self, path: Path) -> None:
        """Writes the store, as it is at one moment, to a new file: whole, without side files."""
        with closing(sqlite3.connect(path)) as copy:
            try:
                self._do(lambda db: db.backup(copy))
            except OutboxError as fault:
                words = f"the store {self.path} cannot be copied to {path.parent}: {fault.__cause__}"
                raise OutboxError(words) from fault

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

    def _rows(
        self,
        statement: str,
        values: Mapping[str, object] | Sequence[object],
        fits: Callable[[object], bool] | None = None,
    ) -> list[tuple[Any, ...]]:
        """What the store says; `fits` is the statement's function of that name."""

        def ask(db: sqlite3.Connection) -> list[tuple[Any, ...]]:
            if fits is not None:
                db.create_function("fits", 1, fits)
            return db.execute(statement, values).fetchall()

        return self._do(ask)

    def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._guard:
            try:
                return work(self._opened())
            except (sqlite3.Error, OSError) as fault:
                self._close()
                words = f"the store {self.path} cannot be read: {fault}"
                raise (StoreBroken(words, self._inode) if is_broken(fault) else OutboxError(words)) from fault

    def _opened(self) -> sqlite3.Connection:
        inode = must_exist(self.path)
        if inode != self._inode:
            self._close()  # that one is a lost store by now
            self._inode = inode
        if self._db is None:
            share_side_files(self.path)
            address = f"file:{quote(str(self.path))}?mode=rw"
            self._db = sqlite3.connect(address, uri=True, timeout=self._patience_seconds, check_same_thread=False)
            self._db.text_factory = TEXT
            self._db.execute("PRAGMA query_only = 1")
        return self._db
