"""What the database's answer about a job means for it."""

from __future__ import annotations

import logging
from typing import Any

from callsign.cluster import rows
from callsign.cluster.ledger import Entry
from callsign.cluster.life import Event
from callsign.notification import State
from callsign.record import replace
from callsign.settings.accounts import system_of
from callsign.vendors.registry import VENDORS

STATES = frozenset(state.value for state in State)
STOPPED = "a stop came before it was tried"

log = logging.getLogger("callsign.cluster")

Answer = tuple[Any, ...]
"""A row of `statements.ANSWERS` behind its key.

Home, state, owner, reason, call, action, whether it is behind another, later actions, earlier actions.
"""


def is_of(entry: Entry, answer: Answer) -> bool:
    """Whether the row is that job's: a store that was copied, put back or cut short gives a number to another one."""
    home, _, _, _, call, action, *_ = answer
    told = entry.job.notification
    return bool(home == entry.home and action == told.action and call in (told.call, f"{home}/{told.call}"))


def is_nobodys(answer: Answer | None) -> bool:
    """Whether it waits for whoever comes first."""
    return answer is not None and answer[1] == State.WAITING.value and answer[2] is None


def meaning(entry: Entry, answer: Answer | None, me: str, is_news: bool) -> tuple[Event, tuple[State, str]]:
    """Returns what happens to the job, and how it ends where it does.

    None is the answer where another job has told the vendor the same.  `is_news`: the others did not know of the job
    until now.
    """
    nothing = (State.DUPLICATE, "")
    if answer is None:
        known = State.DUPLICATE, "another host was told of this call, too, and before"
        return (Event.SILENCE, nothing) if entry.tried else (Event.KNOWN, known)
    home, state, owner, reason, _, _, is_behind, later_actions, earlier_actions = answer
    if not is_of(entry, answer):
        shown = entry.job.shown
        if home != entry.home:
            log.error("job=%s: %s has a store of the same name: is one a copy of the other?", shown, home)
        else:
            log.error("job=%s: the other hosts know another job by its number: was the store put back?", shown)
        return Event.SILENCE, nothing
    if state != State.WAITING.value and state in STATES and owner in (me, None):  # a later callsign may have others
        return Event.TAKEN, (State(state), reason)
    if is_nobodys(answer):
        return Event.OFFER, nothing
    if state != State.WAITING.value or owner != me:
        what = f"{owner or 'another host'} has it" + ("" if state == State.WAITING.value else f": {state}")
        return Event.TAKEN, (State.DUPLICATE, what)
    if entry.tried:
        return Event.FIRST, nothing
    notification = entry.job.notification
    undoes = VENDORS[system_of(notification.system)].undoes
    is_undone = any(undoes(replace(notification, action=action), notification) for action in later_actions)
    if is_undone and (is_news or not entry.job.recovered):  # else the later one waits for it
        return Event.UNDONE, (State.SUPERSEDED, STOPPED)
    if is_behind:
        return Event.SECOND, nothing
    knows_start = any(undoes(notification, replace(notification, action=action)) for action in earlier_actions)
    is_early = rows.may_undo(notification) and not knows_start and not entry.job.recovered
    return (Event.UNHEARD if is_early else Event.FIRST), nothing
