"""`callsign retry` and `callsign drop`: jobs by their numbers, or all that have failed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from callsign import clocks
from callsign.commands import common, moments
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
    since = None if options.since is None else moments.since(options.since, clocks.wall())
    edits: Sequence[Any]
    if settings.cluster is None:
        numbers = [name.number for name in options.jobs] or failed(store, options.system, since)
        edits = wish(store, list(dict.fromkeys(numbers)))
    else:
        from callsign.commands import all_jobs

        names = options.jobs or all_jobs.failed(settings.cluster, store, options.system, since, options.host)
        edits = all_jobs.edit(settings.cluster, store, list(dict.fromkeys(names)), wish)
    if options.json:
        common.print_json([asdict(one) for one in edits])
    else:
        say(edits, options.failed)
    return common.DONE if all(one.done for one in edits) else common.FAILED


def failed(store: Path, system: str | None, since: float | None) -> list[int]:
    """All that have failed, the oldest first.  Raises OutboxError."""
    with closing(OutboxReader(store)) as reader:
        return reader.failed(system, since)


def say(edits: Sequence[Any], are_all: bool) -> None:
    """A line each for a person: on stderr what could not be done; of `are_all` that failed the first few."""
    if not edits:
        print("no failed job matches", file=sys.stderr)
    kept = 0
    for one in edits:
        if not one.done:
            kept += 1
        if one.done or not are_all or kept <= MOST_NAMED:
            name = JobName(getattr(one, "host", ""), one.job)
            print(f"job {name}: {one.words}", file=sys.stdout if one.done else sys.stderr)
    if are_all and kept > MOST_NAMED:
        print(f"and {kept - MOST_NAMED} more stay as they are", file=sys.stderr)
