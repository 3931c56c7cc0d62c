"""`callsign retry` and `callsign drop`: jobs by their numbers, or all that have failed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from callsign.commands import common, jobs
from callsign.commands.job_names import JobName, host_option, job_name, refuse_hosts
from callsign.outbox.edits import Wish
from callsign.outbox.reader import OutboxReader
from callsign.record import asdict

MOST_NAMED = 20
"""Of the failed jobs that stay as they are; the others are counted."""


def arguments(parser: common.Parser) -> None:
    """What may stand on the command line."""
    common.settings_option(parser)
    common.json_option(parser)
    text = "its number in `callsign jobs`, as it stands there"
    parser.add_argument("jobs", metavar="JOB", nargs="*", type=job_name, help=text)
    text = "instead of numbers: all that are refused or expired"
    parser.add_argument("--failed", action="store_true", help=text)
    common.system_option(parser, "with --failed: ")
    host_option(parser, "with --failed, ")
    parser.add_argument("--since", metavar="WHEN", help="with --failed: 10:30, 2h, a date, or date and time")


def run(options: common.Options, wish: Wish) -> int:
    """Prints what became of each."""
    if options.failed == bool(options.jobs):
        raise common.UsageFault("wanted the numbers of jobs, or --failed")
    if not options.failed and (options.system or options.since or options.host):
        raise common.UsageFault("--system, --since and --host go with --failed")
    settings = common.settings_and_store(options)
    refuse_hosts(settings, options.host, *(name.host for name in options.jobs))
    store = settings.outbox.path
    edits: Sequence[Any]
    if settings.cluster is None:
        edits = wish(store, wanted(options, store))
    else:
        from callsign.commands import all_jobs

        since = period_of(options)
        names = options.jobs or all_jobs.failed(settings.cluster, store, options.system, since, options.host)
        edits = all_jobs.edit(settings.cluster, store, list(dict.fromkeys(names)), wish)
    if options.json:
        common.print_json([asdict(one) for one in edits])
    else:
        say(edits, options.failed)
    return common.DONE if all(one.done for one in edits) else common.FAILED


def wanted(options: Any, store: Path) -> list[int]:
    """The jobs meant, each once, the oldest first where all failed ones are.  Raises UsageFault, OutboxError."""
    if not options.failed:
        return list(dict.fromkeys(name.number for name in options.jobs))
    with closing(OutboxReader(store)) as reader:
        rows = reader.jobs(state="failed", system=options.system, since=period_of(options), most=-1)
    return sorted(row.job for row in rows)


def period_of(options: Any) -> float | None:
    """Since when.  Raises UsageFault."""
    return jobs.period(options.since).get("since")


def say(edits: Sequence[Any], failed: bool) -> None:
    """A line each for a person: on stderr what could not be done."""
    if not edits:
        print("no failed job matches", file=sys.stderr)
    kept = 0
    for one in edits:
        if not one.done:
            kept += 1
        if one.done or not failed or kept <= MOST_NAMED:
            name = JobName(getattr(one, "host", ""), one.job)
            print(f"job {name}: {one.words}", file=sys.stdout if one.done else sys.stderr)
    if failed and kept > MOST_NAMED:
        print(f"and {kept - MOST_NAMED} more stay as they are", file=sys.stderr)
