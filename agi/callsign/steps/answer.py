"""From a step to the channel variables it gets: the door at which every fault ends in a status."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from callsign.log_text import own_fault, printable
from callsign.notification import State
from callsign.outbox.outbox import ADD_SECONDS, COMMIT_SECONDS, Outbox, OutboxError
from callsign.record import Record
from callsign.settings.sections import Settings
from callsign.steps.handlers import HANDLERS, PING, TOLD, Direct, Notify, Skipped, account_in, facts_to_ask, system_of
from callsign.steps.step import Step, StepFault, for_message
from callsign.vendors.interface import Ask
from callsign.verdicts import Found, Invalid, Refused, TryLater, Verdict

MAX_REASON_CHARACTERS = 240  # a channel variable is for a line of the log, or a screen
MAX_CALL_CHARACTERS = 80  # of a call's id in the log

STATUS_OF = {
    State.DELIVERED: "OK",
    State.REFUSED: "REFUSED",
    State.EXPIRED: "UNREACHABLE",
    State.SUPERSEDED: "SKIPPED",
    State.DROPPED: "SKIPPED",
    State.DUPLICATE: "SKIPPED",
    State.RETRIED: "QUEUED",
}

STATUS_OF_VERDICT = {Found: "OK", Refused: "REFUSED", TryLater: "UNREACHABLE", Invalid: "ERROR"}

MEANT = {
    **dict.fromkeys(("noojee/begin", "noojee/record", "noojee/on", "noojee/resume", "noojee"), "noojee/start"),
    **dict.fromkeys(("noojee/end", "noojee/off", "noojee/pause"), "noojee/stop"),
}
"""Words for a path that are spelt otherwise than its own."""

WITH_SETTINGS = "ping/settings"
"""What `callsign status` asks, and no dialplan: a ping, of what state of the files the settings are, whether this host
shares the work of others, and whether the store cannot be written."""

log = logging.getLogger("callsign.step")


class Services(Record):
    """What answering a step needs of its process."""

    settings: Callable[[], Settings]
    outbox: Outbox
    wait_for: Callable[[int, float], tuple[State, str] | None]  # a job's end, None if that takes more seconds
    ask: Callable[[str, str, Mapping[str, str], float], Verdict]  # account, path, facts, seconds
    lease_left: Callable[[], float] | None = None  # seconds; 0 where this host goes on alone; None without a cluster


def note_question(step: Step, variables: Mapping[str, str], services: Services) -> None:
    """Counts a question and what became of it; for when the dialplan has gone on."""
    if isinstance(HANDLERS.get(step.path), Ask) and (status := value_of(variables, "STATUS") or "-") != "SKIPPED":
        services.outbox.note_question(
            _asked_account(step, services.settings()), step.path, status, value_of(variables, "REASON")
        )


def _asked_account(step: Step, settings: Settings) -> str:
    """The account that was asked; the vendor where the settings have no such account, which anybody can make up."""
    try:
        return account_in(step, settings)
    except StepFault:
        return system_of(step.path)


def answer(step: Step, services: Services) -> dict[str, str]:
    """The variables for the channel.  Never raises: whatever is wrong, the dialplan gets its status."""
    began = time.monotonic()
    path = step.path
    job = ""
    try:
        if step.fault:
            raise StepFault(step.fault)
        handler = HANDLERS.get(path)
        if path == WITH_SETTINGS:
            lease = {} if services.lease_left is None else {"CALLSIGNLEASE": f"{services.lease_left():.1f}"}
            stuck = {"CALLSIGNSTORE": "stuck"} if services.outbox.is_stuck else {}
            return {**PING.variables(), "CALLSIGNSETTINGS": services.settings().stamp, **lease, **stuck}
        if handler is None:
            raise StepFault(_unknown(path))
        given = _given(step, handler)
        if isinstance(handler, Direct):
            step.wait_seconds(0)
            if step.account:
                raise StepFault(f"option account: {path} is no vendor's")
            return handler.variables()
        wait_seconds = step.wait_seconds(handler.wait_seconds)
        if isinstance(handler, Ask):
            return _asked(step, handler, given, wait_seconds, services)
        notification = handler.notification(step, given, services.settings())
        if isinstance(notification, Skipped):
            return status_variables(path, "SKIPPED", notification.reason)
        added = services.outbox.add(notification)
        job = str(added.job)
        if added.duplicate:
            return status_variables(path, "SKIPPED", "this call was notified already", job)
        status, reason = _outcome(added.job, wait_seconds - (time.monotonic() - began), services)
        return status_variables(path, status, reason, job)
    except (StepFault, OutboxError) as fault:
        return status_variables(path, "ERROR", str(fault))
    except Exception as fault:  # the one place: our own fault must not hurt a call
        log.error("%s path=%s: %s", ids_of(step), for_message(path), own_fault(fault))
        return status_variables(path, "QUEUED" if job else "ERROR", "a fault in callsign itself, see its log", job)


def _given(step: Step, handler: Notify | Direct | Ask) -> dict[str, str]:
    """The arguments by name; a question takes `call` too, for the log.  Raises StepFault."""
    return step.arguments(handler.names, ("call",) if isinstance(handler, Ask) else ())


def longest_seconds(step: Step) -> float:
    """How long `answer` may take: the step's wait, and what the store may take at most."""
    handler = HANDLERS.get(step.path)
    default = 0.0 if handler is None or isinstance(handler, Direct) else handler.wait_seconds
    try:
        return step.wait_seconds(default) + ADD_SECONDS + COMMIT_SECONDS
    except StepFault:  # `answer` says so
        return ADD_SECONDS + COMMIT_SECONDS


def _outcome(job: int, seconds: float, services: Services) -> tuple[str, str]:
    """Status and reason of a stored job, as far as they are known within `seconds`."""
    if seconds <= 0:
        return "QUEUED", ""
    ended = services.wait_for(job, seconds)
    return ("QUEUED", "") if ended is None else (STATUS_OF[ended[0]], ended[1])


def _asked(step: Step, ask: Ask, given: dict[str, str], seconds: float, services: Services) -> dict[str, str]:
    """The answer of a vendor that is asked while the call waits."""
    account = account_in(step, services.settings())
    given.pop("call", "")
    facts = facts_to_ask(ask, step, given)
    if isinstance(facts, Skipped):
        return status_variables(step.path, "SKIPPED", facts.reason)
    verdict = services.ask(account, step.path, facts, seconds)
    found = status_variables(step.path, STATUS_OF_VERDICT[type(verdict)], verdict.reason)
    if isinstance(verdict, Found):
        found |= {name: printable(verdict.variables.get(name, ""), MAX_REASON_CHARACTERS) for name in ask.variables}
    return found


def status_variables(path: str, status: str, reason: str, job: str = "") -> dict[str, str]:
    """The variables that every path of a system sets, and empty those that a question of this path fills."""
    name = system_of(path).upper()
    found = {f"{name}STATUS": status, f"{name}REASON": printable(reason, MAX_REASON_CHARACTERS)}
    if name != "CALLSIGN":
        found[f"{name}JOB"] = job
    handler = HANDLERS.get(path)
    return found | dict.fromkeys(handler.variables if isinstance(handler, Ask) else (), "")


def _unknown(path: str) -> str:
    seen = f'path "{for_message(path)}" is unknown' if path else "no path given"
    from difflib import get_close_matches

    lowered = path.lower()[:MAX_REASON_CHARACTERS]
    close = [MEANT[lowered]] if lowered in MEANT else get_close_matches(lowered, HANDLERS, n=1)
    hint = f", did you mean {close[0]}?" if close else ";"
    return f"{seen}{hint} known are {', '.join(HANDLERS)}"


def value_of(variables: Mapping[str, str], what: str) -> str:
    """STATUS, REASON or JOB among the variables for the channel, empty where there is none."""
    return next((value for name, value in variables.items() if name.endswith(what)), "")


def ids_of(step: Step) -> str:
    """What each line of the log about a step begins with: the call, as the dialplan names it, and the channel."""
    channel = printable(step.env.get("agi_uniqueid", "") or "-", MAX_CALL_CHARACTERS)
    handler = HANDLERS.get(step.path)
    call = step.linkedid
    if handler is not None and not step.fault:
        with suppress(StepFault):
            call = _given(step, handler).get("call", "").partition(TOLD)[0]
    return f"call={printable(call, MAX_CALL_CHARACTERS) or channel} channel={channel}"


def log_step(step: Step, variables: dict[str, str], milliseconds: float) -> None:
    """One line per call, without numbers."""
    status, reason, job = (value_of(variables, what) for what in ("STATUS", "REASON", "JOB"))
    level = logging.WARNING if status in ("ERROR", "REFUSED", "UNREACHABLE") else logging.INFO
    words = f": {reason}" if reason else ""
    path = for_message(step.path) or "-"
    account = f" account={for_message(step.account)}" if step.account else ""
    line = "%s path=%s%s job=%s %s ms=%.1f%s"
    log.log(level, line, ids_of(step), path, account, job or "-", status or "-", milliseconds, words)
