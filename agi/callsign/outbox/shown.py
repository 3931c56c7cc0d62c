"""What is shown of a store: a job, what happened to it, and one vendor's jobs and questions summed up."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from callsign.record import Record, field

_NO_DIGITS = bytes(set(range(256)) - set(b"0123456789"))


class JobRow(Record):
    """One job as `callsign jobs` shows it; times are epoch seconds."""

    job: int
    system: str
    action: str
    call: str
    at: float
    attempts: int
    state: str
    ended: float | None
    next_try: float | None
    deadline: float | None  # of no use after that; None for what has ended
    reason: str
    facts: Mapping[str, str] = field(repr=False)  # numbers and names: shown to nobody who does not ask for them


class JobEvent(Record):
    """One thing that happened to a job."""

    at: float
    event: str
    milliseconds: float | None
    reason: str


class LastEvent(Record):
    """The last thing of its kind with one vendor: a success, or a trouble with the vendor's words."""

    at: float
    job: int
    reason: str


class Summary(Record, frozen=False):
    """One vendor's jobs; times are epoch seconds."""

    counts: dict[str, int]  # by state
    oldest_waiting_at: float | None = None
    next_try: float | None = None
    last_success: LastEvent | None = None
    last_trouble: LastEvent | None = None
    failed_last_hour: int = 0


class LastQuestion(Record):
    """The last question of its kind to one vendor."""

    at: float
    action: str
    status: str
    reason: str


class Questions(Record, frozen=False):
    """What became of the questions to one vendor."""

    of_last_hour: dict[str, int]  # by status
    last_answer: LastQuestion | None = None
    last_trouble: LastQuestion | None = None  # the vendor refused, or did not answer
    last_error: LastQuestion | None = None  # our side


def facts_of(text: object) -> dict[str, str]:
    """A job's facts as they lie in the store; none where they are damaged."""
    try:
        facts = json.loads(str(text))
    except (ValueError, RecursionError):
        return {}
    return {str(name): str(value) for name, value in facts.items()} if isinstance(facts, dict) else {}


def facts_filter(hint: str, fits: Callable[[Mapping[str, str]], bool] | None) -> Callable[[object], bool]:
    """The same for a job's facts as text; only those that have `hint` are read: see `OutboxReader.jobs`."""

    digits = hint.encode() if hint.isdigit() else b""

    def is_fit(text: object) -> bool:
        raw = text if isinstance(text, bytes) else str(text).encode()
        if fits is None or digits not in raw.translate(None, _NO_DIGITS):
            return False
        whole = raw.decode("utf-8", "replace")
        return (bool(digits) or hint in whole.casefold()) and fits(facts_of(whole))

    return is_fit
