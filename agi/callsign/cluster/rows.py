"""Jobs as the rows that the hosts share, and rows as jobs of this host."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from callsign import clocks
from callsign.cluster.ledger import Entry, Key, Note
from callsign.notification import Notification, State
from callsign.outbox.jobs import read_facts
from callsign.outbox.outbox import Job
from callsign.settings.accounts import system_of
from callsign.vendors.registry import VENDORS

NO_SYSTEM_NAME = re.compile(r"[0-9]+\.[0-9]+")
"""A unique id of an Asterisk without `systemname`, which two machines may make."""

_ids = itertools.count(-1, -1)


def call_of(notification: Notification, home: str) -> str:
    """The call's name among all hosts."""
    call = notification.call
    return f"{home}/{call}" if NO_SYSTEM_NAME.fullmatch(call) else call


def is_in_order(notification: Notification) -> bool:
    """Whether its vendor wants a call's commands in order."""
    return VENDORS[system_of(notification.system)].in_order


def may_undo(notification: Notification) -> bool:
    """Whether it is a command that undoes an earlier one of its call."""
    return notification.action in VENDORS[system_of(notification.system)].undoing


def key_of(notification: Notification) -> str | None:
    """A digest of what an action and the one that undoes it share; None where there is no order."""
    vendor = VENDORS[system_of(notification.system)]
    return digest(vendor.keys_of(notification)[-1]) if vendor.in_order else None


def digest(*words: str) -> str:
    """Short, and nobody reads a number from it."""
    return hashlib.sha256("|".join(words).encode()).hexdigest()[:32]


def lock_of(*words: str) -> int:
    """A number to lock in the database."""
    return int.from_bytes(hashlib.blake2b("|".join(words).encode(), digest_size=8).digest(), "big", signed=True)


def publication(
    entries: Iterable[Entry],
    once_of: Callable[[Entry], str | None],
    owner_of: Callable[[Entry], str | None],
    me: str,
) -> dict[str, Any]:
    """Values for LOCK_KEYS, PUBLISH, ANSWERS."""
    now = clocks.steady()
    rows, locks = [], set()
    for entry in entries:
        job, notification = entry.job, entry.job.notification
        call = call_of(notification, entry.home)
        once = once_of(entry)
        if once and call != notification.call:
            once = digest(call, once)
        if once:
            locks.add(lock_of("once", once))
        if is_in_order(notification):
            locks.add(lock_of("order", notification.system, call))
        left = job.steady_deadline - now
        state, reason = entry.end or (None, "")
        rows.append(
            {
                "store": entry.key[0],
                "n": entry.key[1],
                "system": notification.system,
                "action": notification.action,
                "call": call,
                "key": key_of(notification),
                "facts": "{}" if state else json.dumps(dict(notification.facts)),
                "once": once,
                "age": notification.lifetime_seconds - left,
                "time_left": left,
                "home": entry.home,
                "owner": owner_of(entry),
                "state": state.value if state else "waiting",
                "attempts": job.attempts,
                "ended_ago": now - entry.ended_at if state else None,
                "reason": reason,
            }
        )
    return {"jobs": json.dumps(rows), "keys": json.dumps(sorted(locks)), "me": me}


def names(keys: Iterable[Key]) -> str:
    """Which jobs, as a statement gets them."""
    return json.dumps([{"store": store, "n": n} for store, n in keys])


def adopted(row: tuple[Any, ...], me: str, patience_ends: float) -> Entry:
    """A row of ADOPT or HELD as a job of ours, held until it is known what stands before it.

    Raises as `read_facts` where its facts are damaged.
    """
    store, n, system, action, call, facts, age, left, home, attempts, doubt, pause, was_anothers = row
    if home == me:
        call = call.removeprefix(f"{home}/")
    now = clocks.steady()
    told = Notification(system, action, call, read_facts(facts), clocks.wall() - age, age + left)
    job = Job(
        next(_ids),
        told,
        now + left,
        attempts,
        due=now + pause,
        recovered=was_anothers,
        in_doubt=doubt,  # what was under way when its host died is over by now
        home=f"{home}:{n}",
        held=True,
    )
    return Entry(job, (store, n), home, patience_ends, is_published=True)


def attempts(notes: list[Note], me: str) -> dict[str, Any]:
    """Values for NOTE_ATTEMPTS."""
    now = clocks.steady()
    jobs = [{**_tries(note.entry), "reason": note.reason, "pause": note.due - now} for note in notes]
    return {"jobs": json.dumps(jobs), "me": me}


def handing(entries: list[Entry], owner: str | None, new_owner: str | None) -> dict[str, Any]:
    """Values for HAND_OVER."""
    now = clocks.steady()
    jobs = [{**_tries(entry), "pause": entry.job.due - now if entry.job.due > now else None} for entry in entries]
    return {"jobs": json.dumps(jobs), "owner": owner, "new_owner": new_owner}


def _tries(entry: Entry) -> dict[str, Any]:
    store, n = entry.key
    return {"store": store, "n": n, "attempts": entry.job.attempts, "doubt": entry.job.in_doubt}


def ends(entries: list[Entry], me: str) -> dict[str, Any]:
    """Values for END."""
    jobs = []
    for entry in entries:
        state, reason = entry.end or (State.DROPPED, "")
        jobs.append({**_tries(entry), "state": state.value, "reason": reason})
    return {"jobs": json.dumps(jobs), "me": me}
