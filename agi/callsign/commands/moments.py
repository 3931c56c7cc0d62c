"""Moments as an administrator writes them: `10:30`, `2h` (ago), `2026-05-03`, `2026-05-03 10:30`; local time."""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta

from callsign.commands.common import UsageFault

_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_AGO = re.compile(r"([0-9]{1,5})(s|min|m|h|d)")
_CLOCK = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9]))?")
_DATE = re.compile(r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})")
WANTED = "wanted a time (10:30), how long ago (30m, 2h, 3d), a date (2026-05-03) or both ('2026-05-03 10:30')"


def since(text: str, now: float) -> float:
    """Epoch seconds from which on; a time of day is the last one that there was.  Raises UsageFault."""
    return _moment(text, now)[0]


def until(text: str, now: float, begin: float | None = None) -> float:
    """Epoch seconds before which; a date includes its day, a minute its seconds.

    A time of day is the first one after `begin`, without that the last one that there was.  Raises UsageFault.
    """
    first, end = _moment(text, now)
    is_a_day_later = begin is not None and _CLOCK.fullmatch(text.strip()) and first < begin
    return _days_later(end, 1) if is_a_day_later else end


def _moment(text: str, now: float) -> tuple[float, float]:
    """The beginning of what is named, and its end."""
    text = text.strip()
    if ago := _AGO.fullmatch(text):
        moment = now - int(ago[1]) * _UNITS[ago[2]]
        return moment, moment
    day, _, clock = text.replace("T", " ").partition(" ") if _DATE.match(text) else ("", "", text)
    named_day, named_clock = _DATE.fullmatch(day), _CLOCK.fullmatch(clock.strip())
    if (day and not named_day) or (clock and not named_clock) or not text:
        raise UsageFault(f"{text!r} is no moment, {WANTED}")
    try:
        year, month, date = map(int, named_day.groups()) if named_day else time.localtime(now)[:3]
        base = datetime(year, month, date)  # noqa: DTZ001
        if named_clock is None:
            return base.timestamp(), (base + timedelta(days=1)).timestamp()
        hour, minute, second = (int(part or 0) for part in named_clock.groups())
        local = base.replace(hour=hour, minute=minute, second=second)
        if not named_day and _shown(local)[0] > now:
            local -= timedelta(days=1)
        first, last = _shown(local)
    except (ValueError, OverflowError, OSError):
        raise UsageFault(f"{text!r} is on no calendar, {WANTED}") from None
    return first, last + (0 if named_clock[3] else _UNITS["m"])


def _shown(local: datetime) -> tuple[float, float]:
    """When the clock shows this first and last: twice where it is set back, around it where it is set forward."""
    moments = [local.replace(fold=fold).timestamp() for fold in (0, 1)]
    return min(moments), max(moments)


def _days_later(moment: float, days: int) -> float:
    """The same time of day, also over a change of the clocks."""
    return (datetime.fromtimestamp(moment) + timedelta(days=days)).timestamp()  # noqa: DTZ006


def format_moment(at: float | None) -> str:
    """Epoch seconds as local time; of a damaged row they may be on no calendar."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at)) if at else "-"
    except (OverflowError, ValueError, OSError):
        return "-"
