"""Periods on the PBX's clock for `callsign cdr`: as they are given, month by month, and around one call.

A time is what the clock shows.  In the hour that it shows twice, when summer time ends, a time means both: which of
them the PBX takes it for is unknown, so it is asked for more, and the calls outside are left out by their start_time.
"""

from __future__ import annotations

import re
from datetime import MAXYEAR, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from callsign.commands.common import UsageFault
from callsign.vendors.kalliope.pbx_clock import epoch_of, is_twice_or_never

FIRST, LAST = "00:00:00", "23:59:59"  # time of a day

_WHEN = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[ T]([0-9]{2}:[0-9]{2}(?::[0-9]{2})?))?")
_CALL = re.compile(r"[A-Za-z0-9._:@-]{1,128}")
_SECOND, _HOUR, _DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)


class Part(NamedTuple):
    """A period; both ends belong to it."""

    begin: datetime
    end: datetime


def _when(text: str, clock: str) -> datetime:
    """A time on the PBX's clock, or of a date that time of `clock`.  Raises UsageFault."""
    found = _WHEN.fullmatch(text)
    if found is None:
        raise UsageFault(f"{text}: wanted YYYY-MM-DD or YYYY-MM-DD HH:MM[:SS]")
    try:
        return datetime.fromisoformat(f"{found[1]} {found[2] or clock}")
    except ValueError:
        raise UsageFault(f"{text}: there is no such date or time") from None


def given(begin: str | None, end: str | None, call: str | None, zone: str) -> Part:
    """The period that the command line names: without one that of a call.  Raises UsageFault."""
    if call is not None and not _CALL.fullmatch(call):
        raise UsageFault("--call: wanted a call's id, such as 1463997154.0")
    if begin is not None:
        return Part(_when(begin, FIRST), _when(end or str(datetime.now(ZoneInfo(zone)).date()), LAST))
    if call is None or end is not None:
        raise UsageFault("wanted --from, or --call alone")
    at = epoch_of(call)
    if at is None:
        raise UsageFault(f"--call {call}: the id does not say when the call was: give --from too")
    day = datetime.fromtimestamp(at, ZoneInfo(zone)).date()
    return Part(_when(str(day - _DAY), FIRST), _when(str(day + _DAY), LAST))


def months(begin: datetime, end: datetime, zone: str) -> list[Part]:
    """The period in pieces of a month each.  Raises UsageFault where it is none.

    Where the clock is set back around the first of a month, a piece ends some hours later.
    """
    if end < begin:
        raise UsageFault("--to lies before --from")
    if end.year == MAXYEAR:
        raise UsageFault(f"{end.date()}: there is no such date in a register")
    parts = []
    while begin <= end:
        following = (begin.replace(day=28) + timedelta(days=4)).replace(day=1, hour=0, minute=0, second=0)
        while is_twice_or_never(following, zone) or is_twice_or_never(following - _SECOND, zone):
            following += _HOUR
        parts.append(Part(begin, min(end, following - _SECOND)))
        begin = following
    return parts
