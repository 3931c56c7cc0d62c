"""`callsign cdr`: the call register of a KalliopePBX for any period, or one call of it; whole or not at all."""

from __future__ import annotations

import math
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from tqdm import tqdm

from callsign import clocks
from callsign.commands import common
from callsign.commands.cdr_joining import BadPart, Joined
from callsign.commands.cdr_periods import Part, given, months
from callsign.commands.cdr_selecting import ELSEWHERE, NAME, within
from callsign.commands.interrupts import ended_by_signals
from callsign.delivery.conversation import run_conversation
from callsign.http.messages import Answer
from callsign.http.transport import HttpTransport
from callsign.settings.accounts import account_of, place_named
from callsign.settings.sections import Kalliope
from callsign.vendors.kalliope.last_call import by_period, register
from callsign.vendors.kalliope.pbx_clock import unmistakable
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
    target = Path(os.path.realpath(options.output)) if options.output else None
    form = "json" if options.json else options.format or "csv"
    account = account_of("kalliope", options.account)
    section = common.section_for(settings, "kalliope", options.account)
    parts = _parts(section.timezone, options)
    if target is not None and (what := _no_file(options.output, target.parent)):
        raise common.UsageFault(f"--output {options.output}: {what}")
    try:
        with ended_by_signals(), _written(target) as file:
            _download(account, section, parts, form, file, options)
    except OSError as fault:
        if target is None:
            raise
        raise common.CommandFailed(f"{options.output} cannot be written: {fault.strerror}") from None
    if options.json and target is not None:
        common.print_json({"ok": True, "output": options.output})
    return common.DONE


def _no_file(output: str, folder: Path) -> str:
    """Why there can be no file of that name; empty if there can."""
    if os.path.isdir(output):
        return "is a folder"
    if os.path.exists(output) and not os.path.isfile(output):  # a device, a pipe: a file would take its place
        return "is no file; without --output it goes to standard output"
    return "" if os.path.isdir(folder) else "its folder does not exist"


def _parts(zone: str, options: common.Options) -> list[Part]:
    """What is to be asked for.  Raises UsageFault."""
    is_text = options.style == "blues_out"
    if options.json and is_text:
        raise common.UsageFault("--json: --style blues_out is text always")
    parts = months(*given(options.begin, options.end, options.call, zone), zone)
    if is_text and any(unmistakable(*part, zone) != part for part in parts):
        raise common.UsageFault(f"--style blues_out: its calls have no {NAME} that can be read: {ELSEWHERE}")
    return parts


def _download(
    account: str, section: Kalliope, parts: list[Part], form: str, file: IO[bytes], options: common.Options
) -> None:
    """Raises CommandFailed, OSError."""
    joined = Joined("text" if options.style == "blues_out" else form)
    signer, transport = Signer(), HttpTransport()
    tqdm.set_lock(threading.RLock())  # its own is one between processes, of which Python 3.14 warns at our end
    bar: Iterable[Part] = tqdm(parts, unit="month", leave=False, disable=None)  # at a terminal alone
    for part in bar:
        month = f"{part.begin:%Y-%m}"
        asked = unmistakable(*part, section.timezone)
        begin, end = map(str, asked)
        request = by_period(section, options.style, ACCEPT[form], begin, end, MAX_BYTES, options.call or "")
        conversation = register(section, signer, request)
        reply = run_conversation(conversation, transport.send, clocks.steady, math.inf, MONTH_SECONDS)
        if not isinstance(reply, Answer):
            raise common.CommandFailed(f"{month}: {place_named(account, reply.reason)}")
        try:
            file.writelines(joined.part(reply.body if asked == part else within(reply.body, form, *part)))
        except BadPart as fault:
            raise common.CommandFailed(f"{month}: the answer cannot be used: {fault}") from None
    if options.call is not None and not joined.has_calls:
        period = f"from {parts[0].begin} to {parts[-1].end}"
        raise common.CommandFailed(
            f"the register has no call {options.call} {period}; a call is in it only after its end"
        )
    file.write(joined.end())


@contextmanager
def _written(target: Path | None) -> Iterator[IO[bytes]]:
    """A file that becomes `target`, or goes to standard output, once all is in it; else it is gone.

    It holds who called whom: nobody else may read it.
    """
    if target is None:
        with common.temporary_files():
            whole = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            with common.temporary_files():
                yield whole
                whole.seek(0)
            shutil.copyfileobj(whole, sys.stdout.buffer)
        finally:
            with suppress(OSError):  # what could not be written is tried once more
                whole.close()
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
