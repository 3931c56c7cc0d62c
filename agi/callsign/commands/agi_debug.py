"""The command `agi-debug`: plays Asterisk for one AGI session and shows it as `agi set debug on` does."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from callsign.commands import asterisk_conf, common
from callsign.commands.parser import CommandParser
from callsign.sandbox.asterisk.behaviour import Conduct, Session
from callsign.sandbox.asterisk.call import AgiUrl, Call, is_agi_url, unique_id
from callsign.sandbox.asterisk.play import run_fastagi, run_script

EPILOG = """\
examples:
  agi-debug agi://127.0.0.1:4591/skarabee --callerid 0475123456 --extension 201
  agi-debug callsign.agi ping

exit status: 0 the session ended well, 1 it did not, 2 wrong usage"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv` (default: the process's own) and return its exit status."""
    words = sys.argv[1:] if argv is None else argv
    options = parser(words).parse_intermixed_args(words)
    call = Call(
        callerid=options.callerid,
        calleridname=options.calleridname,
        extension=options.extension,
        dnid=options.dnid,
        uniqueid=options.uniqueid or unique_id(),
        variables=dict(options.var),
    )
    conduct = Conduct(timeout_seconds=options.timeout, hangup_after=options.hangup_after)
    show = None if options.json else partial(_show_line, call.channel)
    if is_agi_url(options.target):
        session = run_fastagi(options.target, call, options.args, conduct, show)
    else:
        session = run_script(_found(options.target), call, options.args, conduct, show)
    print(_as_json(session) if options.json else _summary(session))
    if session.trouble and not options.json:
        hint = _hint(options.target) if session.status == "NOTFOUND" else ""
        print(f"agi-debug: {_printable(session.trouble + hint)}", file=sys.stderr)
    return 0 if session.ended_well else 1


def parser(words: Sequence[str] = ()) -> argparse.ArgumentParser:
    """What may stand on the command line."""
    purpose = "Plays Asterisk for one AGI session: AGI(TARGET,ARG,…) without a call."
    parser = CommandParser(words, "agi-debug", purpose, EPILOG)
    parser.add_argument(
        "target",
        metavar="TARGET",
        type=_target,
        help="agi://host[:port]/path, or a script: a path, or its name in Asterisk's agi-bin",
    )
    parser.add_argument("args", metavar="ARG", nargs="*", default=[], help="arguments, sent as agi_arg_1 and so on")
    facts = parser.add_argument_group("the call")
    usual = Call()
    facts.add_argument("--callerid", metavar="NUMBER", default="", help="who calls (none: unknown)")
    facts.add_argument("--calleridname", metavar="NAME", default="", help="the caller's name")
    facts.add_argument("--extension", default=usual.extension, help="what was dialled (%(default)s)")
    facts.add_argument("--dnid", metavar="NUMBER", default="", help="the number that the trunk announced")
    facts.add_argument("--uniqueid", default="", help="the channel's id (a new one)")
    facts.add_argument(
        "--var", metavar="N=V", type=_assignment, action="append", default=[], help="a channel variable set before"
    )
    answers = partial(common.whole_number, what="number of answers", most=1000)
    facts.add_argument(
        "--hangup-after", metavar="N", type=answers, help="the caller hangs up after N answers (0: at once)"
    )
    parser.add_argument(
        "--timeout", metavar="S", type=common.seconds, default=30.0, help="give up after so many seconds (%(default)g)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the session")
    return parser


def _found(script: str) -> str:
    """The script that is meant: here, where `./install.sh --local` puts it, or in Asterisk's agi-bin."""
    folders = [] if "/" in script else [Path(sys.executable).parent, asterisk_conf.agi_bin()]
    there = [file for file in (Path(script), *(folder / script for folder in folders)) if file.is_file()]
    return str(there[0]) if there else script


def _hint(target: str) -> str:
    """What to do about a script that is not there; nothing where the target is no script."""
    if re.match(r"[\w.-]+:[0-9]+(/|$)", target):
        return f"; is agi://{target} meant?"
    if "/" in target or is_agi_url(target):
        return ""
    where = f"; nor is it in {asterisk_conf.agi_bin()}"
    return where if asterisk_conf.read() is not None else f"{where}; asterisk.conf may be for others to read: take sudo"


def _show_line(channel: str, direction: str, text: str) -> None:
    """Prints it at once, as res_agi does: agi_network lines come before the channel is known to it."""
    arrow = ">>" if direction == "Tx" else "<<"
    whose = "" if direction == "Tx" and text.startswith("agi_network") else f"<{channel}>"
    print(f"{whose}AGI {direction} {arrow} {_printable(text)}", flush=True)


def _summary(session: Session) -> str:
    lines = [f"{name}={value}" for name, value in session.variables.items()]
    lines += [f"AGISTATUS={session.status}", f"time: {session.seconds * 1000:.1f} ms"]
    return "\n".join(_printable(line) for line in lines)


def _as_json(session: Session) -> str:
    return json.dumps(
        {
            "agistatus": session.status,
            "variables": session.variables,
            "commands": session.commands,
            "milliseconds": round(session.seconds * 1000, 1),
            "ended_well": session.ended_well,
            "trouble": session.trouble,
        }
    )


def _printable(text: str) -> str:
    """`text` with stray bytes and control characters as escapes, fit for any terminal."""
    whole = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in whole)


def _target(text: str) -> str:
    if is_agi_url(text):
        try:
            AgiUrl.parse(text)
        except ValueError as wrong:
            raise argparse.ArgumentTypeError(str(wrong)) from wrong
    elif "://" in text:
        raise argparse.ArgumentTypeError(f"{text!r} is neither agi://host[:port]/path nor a script")
    return text


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value
