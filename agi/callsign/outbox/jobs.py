"""Notifications as rows of the store, and rows as jobs."""

from __future__ import annotations

import json
import logging
import sqlite3
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from callsign import clocks
from callsign.notification import Notification
from callsign.outbox import schema as sql
from callsign.outbox.digest import sha256_hex
from callsign.outbox.values import Added, Job, NewJob

FRESH_SECONDS = 10.0
"""A job stored so shortly before somebody began to listen, and never tried, goes before the rest of the backlog.

A call may wait for it: it came between the opening of the store and the listening, or while another process ended.
"""

LONGEST_PAUSE_SECONDS = 37.5
"""Between two attempts there is none longer: the longest of `delivery.retry`, with its spread."""

log = logging.getLogger("callsign.outbox")


def read_facts(text: str) -> dict[str, str]:
    """A notification's facts as they lie in the store.

    Raises ValueError, RecursionError, TypeError or AttributeError if they are damaged.
    """
    if "\ufffd" in text:  # not what `json.dumps` writes: it is no UTF-8 any more
        raise ValueError
    return {sys.intern(name): value for name, value in json.loads(text).items()}


def new_job_of(notification: Notification) -> NewJob:
    """Ready to be written: what can be done in the caller's thread is done there, the writer is only one."""
    deadline = clocks.steady() - (clocks.wall() - notification.created_at) + notification.lifetime_seconds
    facts = json.dumps(dict(notification.facts))
    who = notification.system, notification.action, notification.call
    row = (*who, facts, notification.created_at, notification.lifetime_seconds, clocks.boot_id(), deadline)
    return NewJob(notification, row, deadline, digest_of(notification))


def insert(db: sqlite3.Connection, new: NewJob, jobs: list[Job]) -> Added:
    """Writes it, unless its `dedupe_key` is known; a new job joins `jobs`."""
    if new.dedupe_key:
        earlier = db.execute(sql.FIND_ONCE, (new.dedupe_key,)).fetchone()
        if earlier:
            return Added(earlier[0], duplicate=True)
    id_ = db.execute(sql.INSERT_JOB, new.row).lastrowid
    assert id_ is not None  # noqa: S101
    if new.dedupe_key:
        db.execute(sql.INSERT_ONCE, (id_, new.dedupe_key, new.notification.created_at))
    jobs.append(Job(id_, new.notification, new.steady_deadline))
    return Added(id_, duplicate=False)


def jobs_of(rows: Iterable[tuple[Any, ...]], recovered: bool) -> tuple[list[Job], int]:
    """Rows of OPEN_JOBS as jobs, and the last id; a damaged row is told and left alone."""
    jobs, last = [], 0
    for row in rows:
        last = row[0]
        try:
            jobs.append(_job_of(row, recovered))
        except Exception:  # whatever it is, the others are read
            log.error("job=%d: its row in the store is damaged and left alone", last)
    return jobs, last


def notification_of(said: Sequence[Any]) -> Notification:
    """Raises as `read_facts` where it is damaged."""
    system, action, call, facts, at, lifetime = said
    return Notification(sys.intern(system), sys.intern(action), call, read_facts(facts), float(at), float(lifetime))


def _job_of(row: tuple[Any, ...], recovered: bool) -> Job:
    id_, *said, boot, steady_deadline, attempts, next_try = row
    notification = notification_of(said)
    at, lifetime = notification.created_at, notification.lifetime_seconds
    left = min(clocks.remaining_seconds(at + lifetime, boot, steady_deadline), lifetime)
    pause = max(0.0, (next_try or 0.0) - clocks.wall())
    if pause > LONGEST_PAUSE_SECONDS:  # the clock was set back, or the vendor wished for so long
        pause = 0.0
    now = clocks.steady()
    is_fresh = not attempts and 0 <= clocks.wall() - at < FRESH_SECONDS
    due = 0.0 if is_fresh else now + pause
    return Job(id_, notification, now + left, attempts, due, recovered)


def digest_of(notification: Notification) -> str:
    """Of its `dedupe_key`, as the store keeps it; empty where there is none."""
    key = notification.dedupe_key
    return sha256_hex(key)[:32] if key else ""
