"""The `callsign` command: reads the command line, calls `admin` and friends, prints, and gives the exit status.

0 done, 1 failed or refused, 2 wrong usage or settings; `status --check` has a Nagios plugin's instead.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from callsign import __version__, config
from callsign.notification import State
from callsign.outbox_values import OutboxError
from callsign.settings import Settings

if TYPE_CHECKING:
    from callsign.online_check import Finding
    from callsign.outbox_edits import Edit

DONE, FAILED, MISUSED = 0, 1, 2
MOST_SHOWN = 100

WARN_AGE_SECONDS = 60.0
"""A vendor takes a job within a second; after a minute a caller's card or a recording's start is late anyway."""

CRIT_AGE_SECONDS = 300.0
"""Skarabee's jobs are given up after 14 minutes: there is time to mend it before the first is lost."""


class UsageFault(Exception):
    """The command line or the settings cannot be used; the text says what to give."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; every expected fault ends in a line on stderr, not in a traceback."""
    options = _parse(list(sys.argv[1:] if argv is None else argv))
    try:
        status: int = options.run(options)
        sys.stdout.flush()
        return status
    except config.ConfigError as fault:
        for line in fault.faults:
            print(line, file=sys.stderr)
        return MISUSED
    except UsageFault as fault:
        print(f"callsign {options.command}: {fault}", file=sys.stderr)
        return MISUSED
    except OutboxError as fault:
        print(f"callsign {options.command}: {fault}", file=sys.stderr)
        return FAILED
    except BrokenPipeError:  # `callsign jobs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return DONE
    except KeyboardInterrupt:
        return FAILED


def _parse(argv: list[str]) -> argparse.Namespace:
    """Options may stand before, between and behind the arguments, which argparse grants a command alone."""
    parser, commands = _parsers()
    if argv and argv[0] in commands:
        return commands[argv[0]].parse_intermixed_args(argv[1:], argparse.Namespace(command=argv[0]))
    return parser.parse_args(argv)


def _parsers() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    parser = argparse.ArgumentParser(prog="callsign", description="signs and fires vendor API calls from the dialplan")
    parser.add_argument("--version", action="version", version=f"callsign {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, run: object, text: str, prints_json: bool = True) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.add_argument(
            "--config", metavar="FILE", help=f"settings, else $CALLSIGN_CONFIG, else {config.DEFAULT_PATH}"
        )
        if prints_json:
            added.add_argument("--json", action="store_true", help="for a program to read")
        added.set_defaults(run=run)
        return added

    command("serve", _serve, "the FastAGI server and the delivery; the only thing that must run", prints_json=False)
    check = command("check", _check, "reads the settings and says what is wrong")
    check.add_argument("--online", action="store_true", help="also asks each vendor something harmless")
    call = command("call", _call, "runs one handler from the shell and prints the variables it would set")
    call.add_argument("path", metavar="PATH", help="as in the dialplan: skarabee, noojee/start?wait=2, …")
    call.add_argument("args", metavar="ARG", nargs="*")
    call.add_argument("--callerid", default="", metavar="NUMBER")
    call.add_argument("--extension", default="s", metavar="EXTEN")
    call.add_argument("--uniqueid", default="", metavar="ID")
    sign = command("sign", _sign, "the text to sign (secret masked) and the signature")
    sign.add_argument("system", metavar="SYSTEM")
    sign.add_argument("values", metavar="NAME=VALUE", nargs="*")
    mor = command("mor", _mor, "one method of the MOR API, its answer as JSON")
    mor.add_argument("method", metavar="METHOD", help="as MOR's documentation names it: user_balance_get, …")
    mor.add_argument("values", metavar="NAME=VALUE", nargs="*")
    mor.add_argument("--yes", action="store_true", help="for a method that moves money, sends or changes something")
    text = "is it running, what waits, what was last delivered and last failed"
    status = command("status", _status, text, prints_json=False)
    reader = status.add_mutually_exclusive_group()
    reader.add_argument("--json", action="store_true", help="for a program to read")
    plugin = "one line for Nagios; exit status 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN (settings or store unreadable)"
    reader.add_argument("--check", action="store_true", help=plugin)
    for level, seconds in (("WARNING", WARN_AGE_SECONDS), ("CRITICAL", CRIT_AGE_SECONDS)):
        text = f"with --check: {level} when a job waits for longer (default %(default)g)"
        status.add_argument(f"--{level[:4].lower()}-age", type=_seconds, default=seconds, metavar="SECONDS", help=text)
    jobs = command("jobs", _jobs, "the jobs and their history")
    jobs.add_argument("job", metavar="JOB", nargs="?", type=int)
    jobs.add_argument("--state", choices=[state.value for state in State])
    jobs.add_argument("--system")
    jobs.add_argument("--call", metavar="LINKEDID")
    for name, run, text in (("retry", _retry, "a failed job once more"), ("drop", _drop, "gives a waiting job up")):
        command(name, run, text).add_argument("jobs", metavar="JOB", nargs="+", type=int)
    cdr = command("cdr", _cdr, "the call register of the KalliopePBX for a period", prints_json=False)
    cdr.add_argument("--from", dest="begin", required=True, metavar="DATE[ TIME]", help="on the PBX's clock")
    cdr.add_argument("--to", dest="end", metavar="DATE[ TIME]", help="a date includes its day (default: today)")
    cdr.add_argument("--style", choices=("summary", "detailed", "blues_out", "v3_compat"), default="summary")
    cdr.add_argument("--format", choices=("csv", "json", "xml"), default="csv", help="blues_out is text always")
    cdr.add_argument("--output", metavar="FILE", help="there only when whole; else standard output")
    cdr.add_argument("--url-form", action="store_true", help="asks by URL, whole days only")
    sandbox = command("sandbox", _sandbox, "stand-ins of the vendors on loopback, to try a dialplan without an account")
    sandbox.add_argument("--port", type=_port, default=4592, help="on 127.0.0.1; 0: a free one (default %(default)s)")
    return parser, commands.choices


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is no port, wanted 0 to 65535")
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds, wanted 0 or more")
    return number


def _settings(options: argparse.Namespace, thorough: bool = False) -> tuple[Settings, list[str]]:
    return config.load(config.path_of(options.config), thorough)


def _print_lines(lines: Sequence[str]) -> None:
    for line in lines:
        print(line)


def _print_json(value: object) -> None:
    print(json.dumps(value, ensure_ascii=False))


def _serve(options: argparse.Namespace) -> int:
    from callsign.serving import serve

    return serve(config.path_of(options.config))


def _check(options: argparse.Namespace) -> int:
    from callsign import admin

    try:
        settings, warnings = _settings(options, thorough=True)
    except config.ConfigError as fault:
        if options.json:
            _print_json({"ok": False, "faults": fault.faults})
            return MISUSED
        raise
    found = admin.check(settings, warnings)
    online = _ask_online(settings, found.systems) if options.online else []
    good = all(vendor.good for vendor in online)
    if options.json:
        asked = {"online": [asdict(vendor) for vendor in online]} if options.online else {}
        _print_json({"ok": good, **asdict(found), **asked})
        return DONE if good else FAILED
    print(f"{found.settings}: good; vendors: {', '.join(found.systems) or 'none'}")
    for line in found.warnings:
        print(f"warning: {line}")
    for vendor in online:
        print(vendor.line())
    return DONE if good else FAILED


def _ask_online(settings: Settings, systems: Sequence[str]) -> Sequence[Finding]:
    from callsign.online_check import check_online

    return check_online(settings, systems)


def _call(options: argparse.Namespace) -> int:
    from callsign import admin
    from callsign.asterisk_side import Call
    from callsign.asterisk_side.call import unique_id

    settings, _ = _settings(options)
    made_up = Call(options.callerid, extension=options.extension, uniqueid=options.uniqueid or unique_id())
    lines = made_up.environment("callsign.agi", (), network=False)
    env = {name: value.strip() for name, _, value in (line.partition(":") for line in lines) if name}
    told = admin.call(options.path, options.args, env, settings)
    if options.json:
        _print_json(told)
    else:
        for name, value in told.items():
            print(f"{name}={value}")
    status = next(value for name, value in told.items() if name.endswith("STATUS"))
    return DONE if status in ("OK", "QUEUED", "SKIPPED") else FAILED


def _given(texts: Sequence[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or name in given:
            raise UsageFault(f"{name} is given twice" if equals else f"{text}: wanted NAME=VALUE")
        given[name] = value
    return given


def _sign(options: argparse.Namespace) -> int:
    from callsign import admin

    given = _given(options.values)
    settings, _ = _settings(options)
    try:
        found = admin.sign(options.system, given, settings)
    except ValueError as fault:
        raise UsageFault(str(fault)) from None
    if options.json:
        _print_json({"text": found.text, "signature": found.signature, "values": found.values, "method": found.method})
        return DONE
    for name, value in found.values.items():
        print(f"{name:<12} {value}")
    print(f"{'text':<12} {found.text}\n{'method':<12} {found.method}\n{'signature':<12} {found.signature}")
    return DONE


def _mor(options: argparse.Namespace) -> int:
    from callsign import mor_command

    given = _given(options.values)
    settings, _ = _settings(options)
    try:
        return mor_command.run(settings, options.method, given, options.yes, options.json)
    except ValueError as fault:
        raise UsageFault(str(fault)) from None


def _status(options: argparse.Namespace) -> int:
    from callsign import inspection

    if options.check:
        return _nagios(options)
    settings, _ = _settings(options)
    found = inspection.status(settings)
    if options.json:
        _print_json(found)
    else:
        _print_lines(inspection.status_lines(found))
    return DONE if found["running"] else FAILED


def _nagios(options: argparse.Namespace) -> int:
    from callsign import nagios_check

    try:
        settings, _ = _settings(options)
    except config.ConfigError as fault:
        verdict = nagios_check.Verdict(nagios_check.UNKNOWN, str(fault))
    else:
        verdict = nagios_check.check(settings, options.warn_age, options.crit_age)
    print(verdict.line)
    return verdict.code


def _jobs(options: argparse.Namespace) -> int:
    from callsign import inspection

    settings, _ = _settings(options)
    most = -1 if options.json else MOST_SHOWN  # a program gets all
    wanted = {"job": options.job, "state": options.state, "system": options.system, "call": options.call, "most": most}
    rows = inspection.jobs(settings.outbox.path, wanted)
    if options.json:
        _print_json(rows)
    else:
        for row in rows:
            _print_lines([inspection.job_line(row), *inspection.life_lines(row)])
        if len(rows) == MOST_SHOWN:
            print(f"(the newest {MOST_SHOWN}; --json gives all)", file=sys.stderr)
    if options.job is not None and not rows:
        print(f"callsign jobs: there is no job {options.job}", file=sys.stderr)
        return FAILED
    return DONE


def _retry(options: argparse.Namespace) -> int:
    from callsign import outbox_edits

    return _edit(options, outbox_edits.retry)


def _drop(options: argparse.Namespace) -> int:
    from callsign import outbox_edits

    return _edit(options, outbox_edits.drop)


def _edit(options: argparse.Namespace, edit: Callable[[Path, Sequence[int]], Sequence[Edit]]) -> int:
    settings, _ = _settings(options)
    edits = edit(settings.outbox.path, list(dict.fromkeys(options.jobs)))
    if options.json:
        _print_json([asdict(one) for one in edits])
    else:
        for one in edits:
            print(f"job {one.job}: {one.words}", file=sys.stdout if one.done else sys.stderr)
    return DONE if all(one.done for one in edits) else FAILED


def _cdr(options: argparse.Namespace) -> int:
    from callsign import cdr_command

    settings, _ = _settings(options)
    wanted = (options.begin, options.end, options.style, options.format, options.output, options.url_form)
    try:
        return cdr_command.run(settings, *wanted)
    except ValueError as fault:
        raise UsageFault(str(fault)) from None


def _sandbox(options: argparse.Namespace) -> int:
    from callsign.sandbox.command import DEMO_ACCOUNTS, accounts_of, run

    accounts = DEMO_ACCOUNTS
    if options.config:
        settings, _ = _settings(options)
        accounts = accounts_of(settings)
        if not accounts:
            raise UsageFault(f"{settings.source} has no account of a vendor that the sandbox plays")
    return run(options.port, accounts, options.json)
