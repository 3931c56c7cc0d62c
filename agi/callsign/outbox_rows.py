"""Notifications as rows of the store, and rows as jobs."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from typing import Any

from callsign import clocks
from callsign import outbox_schema as sql
from callsign.notification import Notification
from callsign.outbox_values import Added, Job, Put
from callsign.retry_schedule import LONGEST_SECONDS


def put_of(told: Notification) -> Put:
    """Ready to be written: what can be done in the caller's thread is done there, the writer is only one."""
    deadline = clocks.steady() - (clocks.wall() - told.at) + told.lifetime_seconds
    facts = json.dumps(dict(told.facts))
    row = (told.system, told.action, told.call, facts, told.at, told.lifetime_seconds, clocks.boot_id(), deadline)
    once = hashlib.sha256(told.once.encode()).hexdigest()[:32] if told.once else ""
    return Put(told, row, deadline, once)


def insert(db: sqlite3.Connection, put: Put, jobs: list[Job]) -> Added:
    """Writes it, unless its `once` is known; a new job joins `jobs`."""
    if put.once:
        earlier = db.execute(sql.FIND_ONCE, (put.once,)).fetchone()
        if earlier:
            return Added(earlier[0], duplicate=True)
    id_ = db.execute(sql.INSERT_JOB, put.row).lastrowid
    assert id_ is not None  # noqa: S101
    if put.once:
        db.execute(sql.INSERT_ONCE, (id_, put.once, put.notification.at))
    jobs.append(Job(id_, put.notification, put.steady_deadline))
    return Added(id_, duplicate=False)


def job_of(row: tuple[Any, ...], recovered: bool) -> Job:
    """A row of OPEN_JOBS_ABOVE as a job.  Raises ValueError, TypeError or AttributeError for a damaged one."""
    id_, system, action, call, facts, at, lifetime, boot, steady_deadline, attempts, next_try = row
    told = Notification(system, action, call, dict(json.loads(facts).items()), at, lifetime)
    left = min(clocks.remaining_seconds(at + lifetime, boot, steady_deadline), lifetime)
    pause = min(max(0.0, (next_try or 0.0) - clocks.wall()), LONGEST_SECONDS)
    now = clocks.steady()
    return Job(id_, told, now + left, attempts, now + pause, recovered)
