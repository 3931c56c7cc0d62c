"""A store that comes after a lost one gets what is known to be open, under its numbers, and the lost one's name."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection

from callsign import clocks
from callsign.outbox import schema as sql
from callsign.outbox.file import NO_STORE, StoreFile
from callsign.outbox.jobs import digest_of
from callsign.outbox.values import Job


class AfterLoss:
    """For the writer, in its turn."""

    def __init__(self, file: StoreFile) -> None:
        self._file = file
        self._complete = NO_STORE  # which store has all that is known to be open
        self._name = ""

    @property
    def is_due(self) -> bool:
        """Whether the store that is there now is another one than before, or the first."""
        return self._file.identity != self._complete

    def fill(self, db: sqlite3.Connection, jobs: Collection[Job]) -> int:
        """Writes the name, as the numbers go on, and the jobs.  How many of them were not there."""
        if self._name:
            db.execute(sql.KEEP_NAME, (self._name,))
        else:
            (self._name,) = db.execute(sql.STORE_NAME).fetchone()
        return _keep(db, jobs) if jobs else 0

    def is_over(self) -> bool:
        """Committed.  Whether there was a store before."""
        before, self._complete = self._complete, self._file.identity
        return before != NO_STORE


def _keep(db: sqlite3.Connection, jobs: Collection[Job]) -> int:
    """Left out is a job that is here already, and one whose number was given to another one meanwhile.

    That one lives in memory only.
    """
    boot_at = clocks.wall() - clocks.steady()
    kept = db.executemany(sql.KEEP_JOB, [_row_of(job, boot_at) for job in jobs]).rowcount
    known = [(job.id, digest_of(job.notification), job.notification.created_at) for job in jobs]
    db.executemany(sql.KEEP_ONCE, [row for row in known if row[1]])
    return kept


def _row_of(job: Job, boot_at: float) -> tuple[object, ...]:
    told = job.notification
    who = told.system, told.action, told.call, json.dumps(dict(told.facts))
    times = told.created_at, told.lifetime_seconds, clocks.boot_id(), job.steady_deadline
    next_try = boot_at + job.due if job.due else None
    return job.id, *who, *times, job.attempts, next_try, job.id
