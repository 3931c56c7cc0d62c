"""What somebody at the shell changes in the store: a failed job once more, a waiting one given up."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from callsign import clocks
from callsign.notification import State
from callsign.outbox import schema as sql
from callsign.outbox.doorbell import ring
from callsign.outbox.file import LOCK_SECONDS, StoreFile, begin, write_lock_of
from callsign.outbox.lock import LONGEST_PAUSE_SECONDS
from callsign.outbox.reader import must_exist
from callsign.outbox.values import OutboxError
from callsign.record import Record

AT_ONCE = 200  # jobs, for a few milliseconds
REST_SECONDS = 2 * LONGEST_PAUSE_SECONDS
"""Between two helpings: whoever waits for the lock has it by then."""

WAITS = "it waits for its next attempt already"
MAY_BE_RETRIED = frozenset(state.value for state in (State.REFUSED, State.EXPIRED, State.DROPPED))


class Edit(Record):
    """What became of the wish for one job."""

    job: int
    done: bool
    words: str
    retried_as: int | None = None


Wish = Callable[[Path, Sequence[int]], list[Edit]]
"""`retry` or `drop`."""


def retry(store: Path, jobs: Sequence[int]) -> list[Edit]:
    """Each of `jobs` that failed goes out once more, as a new job behind all others.

    It is the same notification with the same end of its life: one whose time is over stays where it is,
    because a late action would hit another call.  Raises OutboxError if the store cannot be used.
    """
    edits = _each(store, jobs, _retry)
    ring(store)
    return edits


def drop(store: Path, jobs: Sequence[int]) -> list[Edit]:
    """Gives each of `jobs` up that waits or has failed.  Raises OutboxError.

    Whoever delivers looks before the next attempt.  What has failed counts as failed no more.
    """
    return _each(store, jobs, _drop)


def why_not(state: str, reason: str, deadline: float) -> str:
    """Why a job that has ended cannot go out once more, empty if it can; `deadline` is in epoch seconds."""
    if state not in MAY_BE_RETRIED:
        return f"it did not fail: {state} {reason}".rstrip()
    if deadline > clocks.wall():
        return ""
    over = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(deadline))
    return f"its time was over at {over}: the vendor could do nothing, or harm, with it now"


def _each(store: Path, jobs: Sequence[int], edit: Callable[[sqlite3.Connection, int], Edit]) -> list[Edit]:
    """Some at a time: a call waits for the lock meanwhile, and would give up on the store."""
    edits: list[Edit] = []
    for first in range(0, len(jobs), AT_ONCE):
        if first:
            time.sleep(REST_SECONDS)
        with _transaction(store) as db:
            edits += [edit(db, job) for job in jobs[first : first + AT_ONCE]]
    return edits


def _retry(db: sqlite3.Connection, job: int) -> Edit:
    row = db.execute(sql.FIND_ENDED, (job,)).fetchone()
    if row is None:
        waits = db.execute(sql.FIND_OPEN, (job,)).fetchone() is not None
        return Edit(job, False, WAITS if waits else "there is no such job")
    system, action, call, facts, at, lifetime, state, reason = row
    if words := why_not(state, reason, at + lifetime):
        return Edit(job, False, words)
    now = clocks.wall()
    deadline = clocks.steady() + at + lifetime - now
    values = (system, action, call, facts, at, lifetime, clocks.boot_id(), deadline)
    again = db.execute(sql.INSERT_JOB, values).lastrowid
    db.execute(sql.END_OTHERWISE, (State.RETRIED.value, f"as job {again}", job))
    _add_event(db, job, now, "retried", f"as job {again}")
    _add_event(db, again, now, "retry", f"of job {job}")
    return Edit(job, True, f"goes out once more as job {again}", again)


def _drop(db: sqlite3.Connection, job: int) -> Edit:
    row = db.execute(sql.FIND_OPEN, (job,)).fetchone()
    now = clocks.wall()
    if row is None:
        return _drop_ended(db, job, now)
    attempts, at = row
    _add_event(db, job, now, State.DROPPED.value, "")
    db.execute(sql.END_JOB, (attempts, State.DROPPED.value, now, "given up by the administrator", job, at))
    db.execute(sql.DELETE_JOB, (job, at))
    return Edit(job, True, "given up; an attempt under way may still reach the vendor")


def _drop_ended(db: sqlite3.Connection, job: int, now: float) -> Edit:
    ended = db.execute(sql.FIND_ENDED, (job,)).fetchone()
    if ended is None:
        return Edit(job, False, "there is no such job")
    state, reason = ended[6:]
    if state not in (State.REFUSED.value, State.EXPIRED.value):
        return Edit(job, False, f"it has ended already: {state}")
    db.execute(sql.END_OTHERWISE, (State.DROPPED.value, f"given up by the administrator; {state}: {reason}", job))
    _add_event(db, job, now, State.DROPPED.value, "")
    return Edit(job, True, f"given up: it was {state}")


def _add_event(db: sqlite3.Connection, job: int | None, at: float, event: str, reason: str) -> None:
    db.execute(sql.ADD_ANY_EVENT, {"job": job, "at": at, "event": event, "reason": reason})


@contextmanager
def _transaction(store: Path) -> Iterator[sqlite3.Connection]:
    """All or nothing, on disk, and closed in order.  Raises OutboxError."""
    must_exist(store)
    lock, file = write_lock_of(store), StoreFile(store, full=True)
    try:
        with lock.held(LOCK_SECONDS):
            try:
                db = file.opened(0, on_disk=True)
                begin(db, LOCK_SECONDS)
                yield db
                db.execute("COMMIT")
            finally:
                file.close()
    except (sqlite3.Error, OSError, TimeoutError) as fault:
        raise OutboxError(f"the store {store} cannot be written: {fault}") from fault
    finally:
        lock.close()
