"""What became of the questions to one vendor, for `status`: as values for a program, as lines, as a trouble."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from callsign.commands.moments import format_moment as moment
from callsign.outbox.shown import Questions
from callsign.record import asdict

WORRYING_SHARE = 0.1
"""Of the last hour's questions, that may stay without an answer before somebody is to look, while others get one."""

LAST = ("last_answer", "last_trouble", "last_error")


def values(found: Questions | None) -> dict[str, Any]:
    """How many there were in the last hour, how many had no answer, by the vendor or by us, the last of each kind."""
    known = found or Questions({})
    counts = known.of_last_hour
    last = {name: getattr(known, name) for name in LAST}
    return {
        "last_hour": sum(counts.values()),
        "unanswered_last_hour": sum(count for status, count in counts.items() if status not in ("OK", "ERROR")),
        "errors_last_hour": counts.get("ERROR", 0),
        "by_status_last_hour": counts,
        **{name: None if one is None else asdict(one) for name, one in last.items()},
    }


def lines(asked: Mapping[str, Any]) -> list[str]:
    """The same for a person; none where nothing was asked."""
    last = [(name, asked[name]) for name in LAST if asked[name] is not None]
    if not last:
        return []
    some = asked["by_status_last_hour"]
    how = ", ".join(f"{status} {some[status]}" for status in sorted(some, key=lambda status: (status != "OK", status)))
    lines = [f"    questions of the last hour: {how or 'none'}"]
    for name, one in last:
        status = "" if name == "last_answer" else f" {one['status']}"
        head = f"    {name.replace('_', ' ')} {moment(one['at'])} {one['action']}{status}"
        lines.append(f"{head} {one['reason']}".rstrip())
    return lines


def troubles(asked: Mapping[str, Any]) -> list[str]:
    """What the monitoring is to hear: of each kind, if the last question was one or many of the last hour were."""
    told, good = [], asked["last_answer"]
    for failed, last, what in (
        (asked["unanswered_last_hour"], asked["last_trouble"], "had no answer"),
        (asked["errors_last_hour"], asked["last_error"], "could not be asked"),
    ):
        is_last = bool(failed) and (good is None or good["at"] < last["at"])
        if is_last or (failed > 0 and failed >= WORRYING_SHARE * asked["last_hour"]):
            words = f"{failed} of {asked['last_hour']} questions in the last hour {what}"
            told.append(f"{words}, last: {last['status']} {last['reason']}".rstrip())
    return told
