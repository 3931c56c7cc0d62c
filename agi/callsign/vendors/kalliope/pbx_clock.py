"""What a KalliopePBX's clock shows, in moments; and what it shows twice, or not at all, when it is set."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

_EPOCH = re.compile(r"(?:[^\s/]+-)?([0-9]{9,11})\.[0-9]+")


def moment(time: str, call_id: str, zone: str) -> float | None:
    """A time of the register in epoch seconds; None if it is none.

    The hour that a clock set back shows twice is told apart by the call's id, which begins with the epoch.
    """
    try:
        local = datetime.fromisoformat(time)
        first = local.replace(tzinfo=ZoneInfo(zone), fold=0).timestamp()
        second = local.replace(tzinfo=ZoneInfo(zone), fold=1).timestamp()
    except (ValueError, OverflowError):
        return None
    began = epoch_of(call_id)
    if first == second or began is None:
        return first
    return min(first, second, key=lambda at: abs(at - began))


def epoch_of(call_id: str) -> float | None:
    """When the call with this id began, in epoch seconds; None if the id does not tell."""
    found = _EPOCH.fullmatch(call_id.strip())
    return float(found[1]) if found else None


def local_period(begin: float, end: float, zone: str) -> tuple[str, str]:
    """The period (epoch seconds) as the PBX's clock shows it, and never less of it."""
    first = datetime.fromtimestamp(begin, ZoneInfo(zone)).replace(tzinfo=None)
    last = datetime.fromtimestamp(end, ZoneInfo(zone)).replace(tzinfo=None) + timedelta(seconds=1)
    first, last = unmistakable(first, last, zone)
    return first.strftime("%Y-%m-%d %H:%M:%S"), last.strftime("%Y-%m-%d %H:%M:%S")


def unmistakable(begin: datetime, end: datetime, zone: str) -> tuple[datetime, datetime]:
    """The same period or more of it, with ends that the PBX's clock shows once.

    In the hour that is there twice an end means both: which of them the PBX takes it for is unknown, and what is
    between two such ends may be shown outside of them.
    """
    while is_twice_or_never(begin, zone):
        begin -= timedelta(hours=1)
    while is_twice_or_never(end, zone):
        end += timedelta(hours=1)
    return begin, end


def is_twice_or_never(local: datetime, zone: str) -> bool:
    """Whether clocks that are set back or forward show this time twice, or not at all."""
    readings = (local.replace(tzinfo=ZoneInfo(zone), fold=fold).utcoffset() for fold in (0, 1))
    return len(set(readings)) > 1
