"""`callsign status`: whether it runs, and what the store holds; with --check as a Nagios plugin."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from callsign import clocks
from callsign.commands import common, questions
from callsign.commands.health import server, settings_troubles, status
from callsign.commands.moments import format_moment as moment
from callsign.log_text import own_fault
from callsign.notification import State
from callsign.outbox.owner import become_owner
from callsign.outbox.values import OutboxError
from callsign.settings.load import ConfigError, path_of, places
from callsign.settings.sections import Settings

WARN_AGE_SECONDS = 60.0
"""A vendor takes a job within a second; after a minute a caller's card or a recording's start is late anyway."""

CRIT_AGE_SECONDS = 300.0
"""Skarabee's jobs are given up after 14 minutes: there is time to mend it before the first is lost."""

EPILOG = """\
examples:
  callsign status
  callsign status --check --warn-age 30

exit status: 0 it runs and its store is well, 1 not so, 2 wrong usage or settings
with --check: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN (not for this user to read)"""


def arguments(parser: common.Parser) -> None:
    """What may stand on the command line."""
    common.settings_option(parser)
    form = parser.add_mutually_exclusive_group()
    common.json_option(form)
    form.add_argument("--check", action="store_true", help="one line and an exit status for Nagios")
    for level, age in (("WARNING", WARN_AGE_SECONDS), ("CRITICAL", CRIT_AGE_SECONDS)):
        text = f"with --check: {level} when a job waits for longer (default %(default)g)"
        option = f"--{level[:4].lower()}-age"
        parser.add_argument(option, type=common.seconds, default=age, metavar="SECONDS", help=text)


def run(options: common.Options) -> int:
    """Prints what is found."""
    if options.check:
        return _check(options)
    settings, faults = _settings_or_places(options)
    try:
        found = status(settings, faults)
    except OutboxError as fault:
        if not faults:
            raise
        found = {**server(settings)[0], "settings_faults": faults, "store_trouble": str(fault), "systems": {}}
    if options.json:
        common.print_json(found)
    else:
        common.print_lines(status_lines(found))
    if faults:
        return common.MISUSED
    return common.DONE if found["running"] and not found["store_trouble"] else common.FAILED


def _settings_or_places(options: common.Options) -> tuple[Settings, list[str]]:
    """The settings; of faulty ones what leads to server and store, and the faults: the server goes on without them."""
    try:
        return common.settings_and_store(options), []
    except ConfigError as fault:
        settings = places(path_of(options.config))
        become_owner(settings.outbox.path)
        return settings, fault.faults


def _check(options: common.Options) -> int:
    from callsign.commands import nagios

    is_readable = os.access(path_of(options.config), os.R_OK)
    try:
        settings, faults = _settings_or_places(options)
        if faults and not is_readable:
            verdict = nagios.Verdict(nagios.UNKNOWN, "; ".join(faults))
        else:
            verdict = nagios.check(settings, options.warn_age, options.crit_age, faults)
    except Exception as fault:  # a plugin that says nothing has its exit status taken for a warning
        verdict = nagios.Verdict(nagios.UNKNOWN, own_fault(fault))
    print(verdict.line)
    return verdict.code


def status_lines(found: Mapping[str, Any]) -> list[str]:
    """`status` for a person."""
    running = f"running, version {found['version']}" if found["running"] else f"NOT RUNNING: {found['trouble']}"
    lines = [f"server at {found['address']}: {running}"]
    lines += settings_troubles(found)
    lines += [found["store_trouble"]] if found["store_trouble"] else []
    for system, entry in found["systems"].items():
        shown = ["waiting", "delivered", "failed", *(state.value for state in State)]
        counts = ", ".join(f"{name} {entry[name]}" for name in dict.fromkeys(shown) if name in entry)
        asked = questions.lines(entry["questions"])
        only_asked = asked and not any(entry[name] for name in shown if name in entry)
        lines.append(f"{system}:" if only_asked else f"{system}: {counts}")
        if entry["waiting"]:
            soon = "now" if entry["next_try"] <= clocks.wall() else moment(entry["next_try"])
            lines.append(f"    oldest waiting {_age(entry['oldest_waiting_seconds'])}, next try {soon}")
        for name in ("last_success", "last_trouble"):
            if (last := entry[name]) is not None:
                head = f"    {name.replace('_', ' ')} {moment(last['at'])} job {last['job']}"
                lines.append(f"{head} {last['reason']}".rstrip())
        lines += asked
    if "cluster" in found:
        from callsign.commands import all_hosts

        lines += all_hosts.lines(found["cluster"])
    return lines


def _age(seconds: float) -> str:
    """43 s, 12 min, 3 h, 2 days."""
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / 86400:.0f} days"
