"""The `callsign` command: what may stand on its command line; `runs` does it.

0 done, 1 failed or refused, 2 wrong usage or settings; `status --check` has a Nagios plugin's instead.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING

from callsign import SYSTEMS, __version__
from callsign.commands import runs
from callsign.commands.runs import FAILED, MISUSED, MOST_SHOWN, UsageFault
from callsign.notification import State
from callsign.outbox.values import OutboxError
from callsign.settings.load import DEFAULT_PATH, ConfigError

if TYPE_CHECKING:
    import argparse

WARN_AGE_SECONDS = 60.0
"""A vendor takes a job within a second; after a minute a caller's card or a recording's start is late anyway."""

CRIT_AGE_SECONDS = 300.0
"""Skarabee's jobs are given up after 14 minutes: there is time to mend it before the first is lost."""


SERVE = SimpleNamespace(command="serve", config=None, run=runs.serve)
"""As systemd starts it: calls wait meanwhile, and need not wait for the parser, a tenth of the start."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; an expected fault is a line on stderr, any other the shell's."""
    words = list(sys.argv[1:] if argv is None else argv)
    options = SERVE if words == ["serve"] else _parse(words)
    try:
        status: int = options.run(options)
        return status
    except ConfigError as fault:
        for line in fault.faults:
            print(line, file=sys.stderr)
        return MISUSED
    except UsageFault as fault:
        print(f"callsign {options.command}: {fault}", file=sys.stderr)
        return MISUSED
    except OutboxError as fault:
        print(f"callsign {options.command}: {fault}", file=sys.stderr)
        return FAILED


def _parse(argv: list[str]) -> argparse.Namespace:
    """Options may stand before, between and behind the arguments, which argparse grants a command alone."""
    import argparse

    parser, commands = _parsers()
    if argv and argv[0] in commands:
        return commands[argv[0]].parse_intermixed_args(argv[1:], argparse.Namespace(command=argv[0]))
    return parser.parse_args(argv)


def _parsers() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    import argparse

    parser = argparse.ArgumentParser(prog="callsign", description="signs and fires vendor API calls from the dialplan")
    parser.add_argument("--version", action="version", version=f"callsign {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, run: object, text: str, prints_json: bool = True) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.add_argument("--config", metavar="FILE", help=f"settings, else $CALLSIGN_CONFIG, else {DEFAULT_PATH}")
        if prints_json:
            added.add_argument("--json", action="store_true", help="for a program to read")
        added.set_defaults(run=run)
        return added

    command("serve", runs.serve, "the FastAGI server and the delivery; the only thing that must run", prints_json=False)
    check = command("check", runs.check, "reads the settings and says what is wrong")
    check.add_argument("--online", action="store_true", help="also asks each vendor something harmless")
    call = command("call", runs.call, "runs one handler from the shell and prints the variables it would set")
    call.add_argument("path", metavar="PATH", help="as in the dialplan: skarabee, noojee/start?wait=2, …")
    call.add_argument("args", metavar="ARG", nargs="*")
    call.add_argument("--callerid", default="", metavar="NUMBER", help="who calls (none: unknown)")
    call.add_argument("--calleridname", default="", metavar="NAME", help="the caller's name")
    call.add_argument("--extension", default="s", metavar="EXTEN", help="what was dialled (%(default)s)")
    call.add_argument("--dnid", default="", metavar="NUMBER", help="the number that the trunk announced")
    call.add_argument("--uniqueid", default="", metavar="ID", help="the channel's id (a new one)")
    call.add_argument("--linkedid", default="", metavar="ID", help="the call it belongs to, as call=${CHANNEL(linkedid)}")
    call.add_argument("--account", default="", metavar="NAME", help="the account, as ?account=NAME")
    sign = command("sign", runs.sign, "the text to sign (secret masked) and the signature")
    sign.add_argument("system", metavar="SYSTEM")
    sign.add_argument("values", metavar="NAME=VALUE", nargs="*")
    mor = command("mor", runs.mor, "one method of the MOR API, its answer as JSON")
    mor.add_argument("method", metavar="METHOD", help="as MOR's documentation names it: user_balance_get, …")
    mor.add_argument("values", metavar="NAME=VALUE", nargs="*")
    mor.add_argument("--yes", action="store_true", help="for a method that moves money, sends or changes something")
    text = "is it running, what waits, what was last delivered and last failed"
    status = command("status", runs.status, text, prints_json=False)
    reader = status.add_mutually_exclusive_group()
    reader.add_argument("--json", action="store_true", help="for a program to read")
    plugin = "one line for Nagios; exit status 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN (settings or store unreadable)"
    reader.add_argument("--check", action="store_true", help=plugin)
    for level, seconds in (("WARNING", WARN_AGE_SECONDS), ("CRITICAL", CRIT_AGE_SECONDS)):
        text = f"with --check: {level} when a job waits for longer (default %(default)g)"
        status.add_argument(f"--{level[:4].lower()}-age", type=_seconds, default=seconds, metavar="SECONDS", help=text)
    jobs = command("jobs", runs.jobs, "the jobs and their history")
    jobs.add_argument("job", metavar="JOB", nargs="?", type=_job)
    jobs.add_argument(
        "--state", choices=[*(state.value for state in State), "failed"], help="failed: refused or expired"
    )
    jobs.add_argument("--system", choices=SYSTEMS)
    jobs.add_argument("--call", metavar="LINKEDID")
    jobs.add_argument("--number", metavar="NUMBER", help="caller or called, in any notation")
    jobs.add_argument("--since", metavar="WHEN", help="10:30, 2h, a date, or date and time")
    jobs.add_argument("--until", metavar="WHEN", help="the same; a date includes its day")
    jobs.add_argument("--limit", type=_limit, metavar="N", help=f"the newest N (default {MOST_SHOWN}; with --json all)")
    jobs.add_argument("--show-numbers", action="store_true", help="numbers of caller and called too")
    for name, run, text in (
        ("retry", runs.retry, "a failed job once more"),
        ("drop", runs.drop, "gives a waiting or failed job up"),
    ):
        edit = command(name, run, text)
        edit.add_argument("jobs", metavar="JOB", nargs="*", type=_job)
        edit.add_argument("--failed", action="store_true", help="instead of numbers: all that are refused or expired")
        edit.add_argument("--system", choices=SYSTEMS, help="with --failed: of this vendor")
        edit.add_argument("--since", metavar="WHEN", help="with --failed: 10:30, 2h, a date, or date and time")
    cdr = command("cdr", runs.cdr, "the call register of the KalliopePBX for a period", prints_json=False)
    cdr.add_argument("--from", dest="begin", required=True, metavar="DATE[ TIME]", help="on the PBX's clock")
    cdr.add_argument("--to", dest="end", metavar="DATE[ TIME]", help="a date includes its day (default: today)")
    cdr.add_argument("--style", choices=("summary", "detailed", "blues_out", "v3_compat"), default="summary")
    cdr.add_argument("--format", choices=("csv", "json", "xml"), default="csv", help="blues_out is text always")
    cdr.add_argument("--output", metavar="FILE", help="there only when whole; else standard output")
    cdr.add_argument("--url-form", action="store_true", help="asks by URL, whole days only")
    sandbox = command(
        "sandbox", runs.sandbox, "stand-ins of the vendors on loopback, to try a dialplan without an account"
    )
    topic = commands.add_parser("help", help="what README leaves out", description="without a topic: which there are")
    topic.add_argument("topic", metavar="TOPIC", nargs="?")
    topic.set_defaults(run=runs.help)
    what = "slow:3 (seconds), refuse, drop or an HTTP status: noojee=503; may be given several times"
    sandbox.add_argument("--fault", action="append", default=[], metavar="SYSTEM=FAULT", help=what)
    sandbox.add_argument("--show-numbers", action="store_true", help="phone numbers as they are, not masked")
    sandbox.add_argument("--port", type=_port, default=4592, help="on 127.0.0.1; 0: a free one (default %(default)s)")
    return parser, commands.choices


def _port(text: str) -> int:
    return _whole(text, "port", 65535)


def _job(text: str) -> int:
    return _whole(text, "job's number", 2**63 - 1)


def _limit(text: str) -> int:
    return _whole(text, "number of jobs", 2**63 - 1, least=1)


def _whole(text: str, what: str, most: int, least: int = 0) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most):
        from argparse import ArgumentTypeError

        raise ArgumentTypeError(f"{text} is no {what}, wanted {least} to {most}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        from argparse import ArgumentTypeError

        raise ArgumentTypeError(f"{text} is no number of seconds, wanted 0 or more")
    return number
