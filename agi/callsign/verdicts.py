"""What can come of telling a vendor something, and of asking one while a call waits."""

from __future__ import annotations

from collections.abc import Mapping

from callsign.record import Record, field


class Delivered(Record):
    """The vendor took it; `reason` is a warning it gave, mostly empty."""

    reason: str = ""


class Found(Record):
    """The vendor's answer as channel variables, empty where it knows nothing; `reason` is a remark, mostly empty."""

    variables: Mapping[str, str] = field(repr=False)
    reason: str = ""


class TryLater(Record):
    """No verdict yet; `after_seconds` is the vendor's own wish (Retry-After), else the schedule decides."""

    reason: str
    after_seconds: float | None = None
    may_be_done: bool = False  # it was sent, and the vendor may carry it out yet
    unreached: bool = field(default=False, compare=False)  # there was no connection to the vendor


class Refused(Record):
    """The vendor said no, in words that another attempt will not change."""

    reason: str


class Invalid(Record):
    """What the dialplan or the settings give cannot be asked so; the text says what is wanted."""

    reason: str


Outcome = Delivered | TryLater | Refused
"""Of a notification, which is stored and told again."""

Verdict = Found | Refused | TryLater | Invalid
"""On a question, which is asked while a call waits: never stored, and not repeated once it has been answered."""
