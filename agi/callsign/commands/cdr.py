"""`callsign cdr`: the call register of a KalliopePBX for any period, or one call of it; whole or not at all."""

from __future__ import annotations

import math
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from callsign import clocks
from callsign.commands import common
from callsign.commands.cdr_joining import BadPart, Joined
from callsign.commands.cdr_periods import Part, given, months, unmistakable
from callsign.commands.cdr_selecting import ELSEWHERE, NAME, within
from callsign.commands.interrupts import ended_by_signals
from callsign.delivery.conversation import run_conversation
from callsign.http.messages import Answer, Request
from callsign.http.transport import HttpTransport
from callsign.settings.accounts import account_of, place_named
from callsign.settings.sections import Kalliope
from callsign.vendors.kalliope.last_call import by_period, register
from callsign.vendors.kalliope.signing import Signer

EPILOG = """\
examples:
  callsign cdr --from 2026-11-01 --to 2026-11-30 --output november.csv
  callsign cdr --from '2026-11-28 08:00' --format json
  callsign cdr --call 1463997154.0 --style detailed --json

Times are those of the PBX's clock; one in the hour that it shows twice, when summer time ends,
means both.
exit status: 0 done, 1 the register cannot be had or written, 2 wrong usage or settings"""

STYLES = ("summary", "detailed", "blues_out", "v3_compat")
ACCEPT = {"csv": "text/csv", "json": "application/json", "xml": "application/xml"}
MONTH_SECONDS = 300.0
"""How long the PBX may take for a month."""

MAX_BYTES = 1 << 30


class Failed(Exception):
    """The register could not be had; the text says why."""


def arguments(parser: common.Parser) -> None:
    """What may stand on the command line."""
    common.settings_option(parser)
    common.account_option(parser)
    text = "on the PBX's clock (with --call: the days around the call)"
    parser.add_argument("--from", dest="begin", metavar="DATE[ TIME]", help=text)
    parser.add_argument("--to", dest="end", metavar="DATE[ TIME]", help="a date includes its day (default: today)")
    parser.add_argument("--call", metavar="UNIQUEID", help="one call alone, by its id")
    parser.add_argument("--style", choices=STYLES, default="summary", help="which fields (default %(default)s)")
    text = "default csv; blues_out is text always"
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--format", choices=tuple(ACCEPT), help=text)
    text = "--format json, and what is wrong comes as JSON on standard output too"
    form.add_argument("--json", action="store_true", help=text)
    parser.add_argument("--output", metavar="FILE", help="there only when whole; else standard output")


def run(options: common.Options) -> int:
    """Downloads, and writes to --output or standard output."""
    settings = common.read_settings(options)
    target = Path(options.output) if options.output else None
    form = "json" if options.json else options.format or "csv"
    try:
        section = common.section_for(settings, "kalliope", options.account)
        pieces = _pieces(section, form, options)
        if target is not None and (target.is_dir() or not target.parent.is_dir()):
            what = "is a folder" if target.is_dir() else "its folder does not exist"
            raise ValueError(f"--output {options.output}: {what}")
    except ValueError as fault:
        raise common.UsageFault(str(fault)) from None
    try:
        with ended_by_signals(), _written(target) as file:
            _download(section, pieces, "text" if options.style == "blues_out" else form, file, options.call)
    except Failed as fault:
        return _failed(options, place_named(account_of("kalliope", options.account), str(fault)))
    except OSError as fault:
        if target is None:
            raise
        return _failed(options, f"{options.output} cannot be written: {fault.strerror}")
    if options.json and target is not None:
        common.print_json({"ok": True, "output": options.output})
    return common.DONE


def _failed(options: common.Options, words: str) -> int:
    if options.json:
        common.print_json({"ok": False, "faults": [words]})
    else:
        common.complain("cdr", words)
    return common.FAILED


class Piece(NamedTuple):
    """A part of the period, and the request for it."""

    part: Part
    request: Request
    holds_more: bool  # than the part


def _pieces(section: Kalliope, form: str, options: common.Options) -> list[Piece]:
    """What is to be asked for.  Raises ValueError."""
    accept, zone = ACCEPT[form], section.timezone
    if options.json and options.style == "blues_out":
        raise ValueError("--json: --style blues_out is text always")
    period = given(options.begin, options.end, options.call, zone)
    pieces = []
    for part in months(*period, zone):
        asked = unmistakable(part, zone)
        if asked != part and options.style == "blues_out":
            raise ValueError(f"--style blues_out: its calls have no {NAME} that can be read: {ELSEWHERE}")
        begin, end = map(str, asked)
        request = by_period(section, options.style, accept, begin, end, MAX_BYTES, options.call or "")
        pieces.append(Piece(part, request, asked != part))
    return pieces


def _download(section: Kalliope, pieces: list[Piece], form: str, file: IO[bytes], call: str | None) -> None:
    joined = Joined(form)
    for piece in _with_progress(pieces):
        try:
            body = _body(section, piece.request)
            file.writelines(joined.part(within(body, form, *piece.part) if piece.holds_more else body))
        except (Failed, BadPart) as fault:
            what = "the answer cannot be used: " if isinstance(fault, BadPart) else ""
            raise Failed(f"{piece.part.begin:%Y-%m}: {what}{fault}") from None
    if call is not None and not joined.has_calls:
        period = f"from {pieces[0].part.begin} to {pieces[-1].part.end}"
        raise Failed(f"the register has no call {call} {period}; a call is in it only after its end")
    file.write(joined.end())


_signer = Signer()
_transport = HttpTransport()


def _body(section: Kalliope, request: Request) -> bytes:
    conversation = register(section, _signer, request)
    reply = run_conversation(conversation, _transport.send, clocks.steady, math.inf, MONTH_SECONDS)
    if not isinstance(reply, Answer):
        raise Failed(reply.reason)
    return reply.body


def _with_progress(pieces: list[Piece]) -> Iterable[Piece]:
    """A bar on a terminal, a month a step."""
    if not sys.stderr.isatty():
        return pieces
    from tqdm import tqdm

    bar: Iterable[Piece] = tqdm(pieces, unit="month", leave=False, file=sys.stderr)
    return bar


@contextmanager
def _written(target: Path | None) -> Iterator[IO[bytes]]:
    """A file that becomes `target`, or goes to standard output, once all is in it; else it is gone.

    It holds who called whom: nobody else may read it.
    """
    if target is None:
        with tempfile.TemporaryFile() as file:
            yield file
            file.seek(0)
            shutil.copyfileobj(file, sys.stdout.buffer)
        return
    number, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    try:
        with open(number, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise
