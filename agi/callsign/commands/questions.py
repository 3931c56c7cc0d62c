"""What became of the questions to one vendor, for `status`: as values for a program, as lines, as a trouble."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from callsign.commands.moments import shown as moment
from callsign.outbox.reader import Questions
from callsign.record import asdict

WORRYING_SHARE = 0.1
"""Of the last hour's questions, that may stay without an answer before somebody is to look, while others get one."""


def values(found: Questions | None) -> dict[str, Any]:
    """How many there were in the last hour, how many stayed without an answer, and the last of each kind."""
    known = found or Questions({})
    counts = known.of_last_hour
    return {
        "last_hour": sum(counts.values()),
        "unanswered_last_hour": sum(count for status, count in counts.items() if status != "OK"),
        "by_status_last_hour": counts,
        "last_answer": None if known.last_answer is None else asdict(known.last_answer),
        "last_trouble": None if known.last_trouble is None else asdict(known.last_trouble),
    }


def lines(asked: Mapping[str, Any]) -> list[str]:
    """The same for a person; none where nothing was asked."""
    last = [(name, asked[name]) for name in ("last_answer", "last_trouble") if asked[name] is not None]
    if not last:
        return []
    some = asked["by_status_last_hour"]
    how = ", ".join(f"{status} {some[status]}" for status in sorted(some, key=lambda status: (status != "OK", status)))
    told = [f"    questions of the last hour: {how or 'none'}"]
    for name, one in last:
        status = "" if name == "last_answer" else f" {one['status']}"
        head = f"    {name.replace('_', ' ')} {moment(one['at'])} {one['action']}{status}"
        told.append(f"{head} {one['reason']}".rstrip())
    return told


def trouble(asked: Mapping[str, Any]) -> str:
    """What the monitoring is to hear: the last question had no answer, or many of the last hour; else empty."""
    failed, last, good = asked["unanswered_last_hour"], asked["last_trouble"], asked["last_answer"]
    if not failed:
        return ""
    is_last = good is None or good["at"] < last["at"]
    if not is_last and failed < WORRYING_SHARE * asked["last_hour"]:
        return ""
    words = f"{failed} of {asked['last_hour']} questions in the last hour had no answer"
    return f"{words}, last: {last['status']} {last['reason']}".rstrip()
