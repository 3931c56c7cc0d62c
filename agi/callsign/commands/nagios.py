"""`callsign status --check`: one line and an exit status as Nagios, Icinga and their kin want them of a plugin.

What the line looks like: https://nagios-plugins.org/doc/guidelines.html.  A threshold is the last good value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from callsign.commands import health, questions
from callsign.log_text import printable
from callsign.outbox.values import OutboxError
from callsign.record import Record
from callsign.settings.sections import Settings

OK, WARNING, CRITICAL, UNKNOWN = 0, 1, 2, 3
WORDS = ("OK", "WARNING", "CRITICAL", "UNKNOWN")

MAX_CHARACTERS = 500  # of the words: monitoring systems cut longer lines


class Verdict(Record):
    """What the monitoring gets: the exit status, what it says, and the figures to draw."""

    code: int
    words: str
    figures: str = ""

    @property
    def line(self) -> str:
        """The one line; a | in the words would begin the figures."""
        words = printable(self.words.replace("|", "/"), MAX_CHARACTERS)
        return f"CALLSIGN {WORDS[self.code]} - {words}{'|' if self.figures else ''}{self.figures}"


def check(settings: Settings, warn_age: float, crit_age: float, faults: Sequence[str] = ()) -> Verdict:
    """Asks the server and the store, of settings that may have `faults`.  Ages are seconds."""
    if warn_age > crit_age:
        return Verdict(UNKNOWN, f"--warn-age {warn_age:g} is above --crit-age {crit_age:g}")
    try:
        found = health.status(settings, faults)
    except OutboxError as fault:  # broken, or only not for this user's eyes
        server, _ = health.server(settings)
        return Verdict(UNKNOWN, str(fault)) if server["running"] else Verdict(CRITICAL, f"{_down(server)}; {fault}")
    return judge(found, warn_age, crit_age)


def judge(found: Mapping[str, Any], warn_age: float, crit_age: float) -> Verdict:
    """What `health.status` found, as a verdict: the worst decides, and all that is not good is named."""
    troubles = [] if found["running"] else [(CRITICAL, _down(found))]
    if found["store_trouble"]:
        troubles.append((CRITICAL, found["store_trouble"]))
    if told := health.settings_troubles(found):
        troubles.append((WARNING, " ".join(map(str.strip, told))))
    ages = {name: entry["oldest_waiting_seconds"] or 0.0 for name, entry in found["systems"].items()}
    for name, entry in found["systems"].items():
        if ages[name] > warn_age:
            words = f"{name}: the oldest of {entry['waiting']} waiting jobs is {ages[name]:.0f} s old"
            troubles.append((CRITICAL if ages[name] > crit_age else WARNING, words + _why(entry)))
        if entry["failed_last_hour"]:
            troubles.append((WARNING, f"{name}: {entry['failed_last_hour']} failed in the last hour{_why(entry)}"))
        troubles += [(WARNING, f"{name}: {words}") for words in questions.troubles(entry["questions"])]
    if "cluster" in found:
        from callsign.commands import all_hosts

        troubles += [(WARNING, words) for words in all_hosts.troubles(found["cluster"])]
    troubles.sort(key=lambda trouble: -trouble[0])
    asked = [entry["questions"] for entry in found["systems"].values()]
    unanswered, errors = (sum(one[f"{what}_last_hour"] for one in asked) for what in ("unanswered", "errors"))
    oldest, failed = max(ages.values(), default=0.0), sum(e["failed_last_hour"] for e in found["systems"].values())
    good = f"version {found['version']}, {found['waiting']} waiting, none failed in the last hour"
    oldest_figure = f"'oldest'={oldest:.0f}s;{warn_age:g};{crit_age:g};0"
    return Verdict(
        troubles[0][0] if troubles else OK,
        "; ".join(words for _, words in troubles) or good,
        f"'waiting'={found['waiting']};;;0 {oldest_figure} 'failed'={failed};0;;0 'unanswered'={unanswered};;;0 "
        f"'errors'={errors};;;0",
    )


def _down(server: Mapping[str, Any]) -> str:
    return f"the server at {server['address']} does not run: {server['trouble']}"


def _why(entry: Mapping[str, Any]) -> str:
    """The vendor's words, as far as there are any."""
    last = entry["last_trouble"]
    return f", last: {last['reason']}" if last and last["reason"] else ""
