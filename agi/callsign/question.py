"""What the dialplan wants to know of a vendor at once, and what can come of it.

A question is asked while a call waits: it is never stored, and not repeated once it has been answered.
`notification.Refused` (the vendor said no) and `TryLater` (no usable answer) are verdicts here too.
"""

from __future__ import annotations

from collections.abc import Mapping

from callsign.notification import Refused, TryLater
from callsign.record import Record, field


class Found(Record):
    """The vendor's answer as channel variables, empty where it knows nothing; `reason` is a remark, mostly empty."""

    variables: Mapping[str, str] = field(repr=False)
    reason: str = ""


class Invalid(Record):
    """What the dialplan or the settings give cannot be asked so; the text says what is wanted."""

    reason: str


Verdict = Found | Refused | TryLater | Invalid
