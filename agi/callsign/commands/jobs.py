"""`callsign jobs`: which jobs there are, found by number, time, state, vendor or call; and one job's life."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from callsign import clocks
from callsign.commands import common, moments
from callsign.commands.job_names import host_option, job_name, refuse_hosts
from callsign.commands.job_rows import NUMBERS, life_of, lines, values_of
from callsign.notification import State
from callsign.outbox.reader import OutboxReader
from callsign.phone_numbers import as_vendor_wants, bare_number, may_be_same

MOST_SHOWN = 100
"""Jobs, where a person sets no --limit; a program gets all."""

EPILOG = """\
examples:
  callsign jobs --state failed --system noojee --since 2h
  callsign jobs --number 0475123456 --show-numbers
  callsign jobs 17
  callsign jobs pbx2:17

pbx2:17 is a job of another host, where the settings have a [cluster].
exit status: 0 done, 1 there is no such JOB, 2 wrong usage or settings"""


def arguments(parser: common.Parser) -> None:
    """What may stand on the command line."""
    common.settings_option(parser)
    common.json_option(parser)
    parser.add_argument("job", metavar="JOB", nargs="?", type=job_name, help="this one, with its life")
    states = [*(state.value for state in State), "failed"]
    parser.add_argument("--state", choices=states, help="failed: refused or expired")
    common.system_option(parser, "")
    parser.add_argument("--call", metavar="LINKEDID", help="of this call")
    parser.add_argument("--number", metavar="NUMBER", help="caller or called, in any notation")
    parser.add_argument("--since", metavar="WHEN", help="10:30, 2h, a date, or date and time")
    parser.add_argument("--until", metavar="WHEN", help="the same; a date includes its day")
    text = f"the newest N (default {MOST_SHOWN}; with --json all)"
    host_option(parser, "")
    limit = partial(common.whole_number, what="number of jobs", most=2**63 - 1, least=1)
    parser.add_argument("--limit", type=limit, metavar="N", help=text)
    parser.add_argument("--show-numbers", action="store_true", help="numbers of caller and called too")


def run(options: common.Options) -> int:
    """Prints them, the newest first."""
    settings = common.settings_and_store(options)
    refuse_hosts(settings, options.job and options.job.host, options.host)
    if options.limit is None and not options.json:
        options.limit = MOST_SHOWN
    query = wanted(options, settings.numbers.country)
    trouble = ""
    if settings.cluster is None:
        rows = found(settings.outbox.path, query, options.show_numbers)
    else:
        from callsign.commands import all_jobs

        rows, trouble = all_jobs.found(settings.cluster, settings.outbox.path, query, options)
    if options.json:
        common.print_json(rows)
    elif rows:
        common.print_lines(lines(rows))
    if trouble:
        common.complain("jobs", trouble)
    return common.DONE if say_what_is_missing(rows, options) else common.FAILED


def wanted(options: Any, country: str) -> dict[str, Any]:
    """What the command line asks of the store.  Raises UsageFault for a moment or a number that is none."""
    found = {name: getattr(options, name) for name in ("state", "system", "call")}
    found |= {"job": options.job and options.job.number, "most": options.limit or -1}
    if options.number is not None:
        found |= {"hint": _hint(options.number), "fits": _has_number(options.number, country)}
    now = clocks.wall()
    if options.since is not None:
        found["since"] = moments.since(options.since, now)
    if options.until is not None:
        found["until"] = moments.until(options.until, now, found.get("since"))
    return found


def _hint(number: str) -> str:
    """What every notation of the number ends with, but for what stands between the digits; else an account's text."""
    digits = "".join(c for c in bare_number(number) if c in "0123456789")
    return digits.lstrip("0")[-6:] or json.dumps(bare_number(number))[1:-1].casefold()


def _has_number(number: str, country: str) -> Callable[[Mapping[str, str]], bool]:
    """Whether a job's facts have the number, in whatever notation."""
    sought = bare_number(number)
    if not sought:
        raise common.UsageFault("--number: no number was given")
    sought_e164 = as_vendor_wants(sought, country, "e164")

    def fits(facts: Mapping[str, str]) -> bool:
        return any(is_it(bare_number(facts[name])) for name in NUMBERS if facts.get(name))

    @lru_cache(maxsize=65536)
    def is_it(other: str) -> bool:
        if other.casefold() == sought.casefold():
            return True
        if not may_be_same(other, sought):
            return False
        e164 = as_vendor_wants(other, country, "e164")
        return e164 == sought_e164 or not (e164.startswith("+") and sought_e164.startswith("+"))

    return fits


def found(store: Path, wanted: Mapping[str, Any], show_numbers: bool = False) -> list[dict[str, Any]]:
    """The jobs that fit, each with its life if one is asked for by id.  Raises OutboxError."""
    with closing(OutboxReader(store)) as reader:
        jobs = [values_of(row, show_numbers) for row in reader.jobs(**wanted)]
        if wanted.get("job") is not None:
            for row in jobs:
                row["life"] = life_of(reader, row["job"])
        return jobs


def say_what_is_missing(jobs: Sequence[object], options: Any) -> bool:
    """On stderr: that nothing fits, or that there may be more.  False where the one job asked for is not there."""
    if options.job is not None and not jobs:
        filters = ("state", "system", "call", "number", "since", "until", "host")
        fits = " that matches" if any(getattr(options, name) is not None for name in filters) else ""
        common.complain("jobs", f"there is no job {options.job}{fits}")
        return False
    if not jobs:
        print("no job matches", file=sys.stderr)
    elif not options.json and len(jobs) == options.limit:
        print(f"(the newest {len(jobs)}; --limit N shows more)", file=sys.stderr)
    return True
