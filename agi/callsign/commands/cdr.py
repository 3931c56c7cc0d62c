"""`callsign cdr`: the call register of a KalliopePBX for any period, month by month, whole or not at all."""

from __future__ import annotations

import math
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING
from zoneinfo import ZoneInfo

from callsign import clocks
from callsign.commands import common
from callsign.commands.cdr_joining import BadPart, Joined
from callsign.delivery.conversation import lead
from callsign.http.messages import Answer, Request
from callsign.http.transport import HttpTransport
from callsign.settings.sections import Kalliope
from callsign.vendors.kalliope.last_call import by_days, by_period, register
from callsign.vendors.kalliope.signing import Signer

if TYPE_CHECKING:
    import argparse

EPILOG = """\
examples:
  callsign cdr --from 2026-11-01 --to 2026-11-30 --output november.csv
  callsign cdr --from '2026-11-28 08:00' --format json

Times are those of the PBX's clock.
exit status: 0 done, 1 the register cannot be had or written, 2 wrong usage or settings"""

STYLES = ("summary", "detailed", "blues_out", "v3_compat")
ACCEPT = {"csv": "text/csv", "json": "application/json", "xml": "application/xml"}
MONTH_SECONDS = 300.0
"""How long the PBX may take for a month."""

MAX_BYTES = 1 << 30

_WHEN = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[ T]([0-9]{2}:[0-9]{2})(:[0-9]{2})?)?")

Part = tuple[datetime, datetime]


class Failed(Exception):
    """The register could not be had; the text says why."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """What may stand on the command line."""
    common.settings_option(parser)
    common.account_option(parser)
    parser.add_argument("--from", dest="begin", required=True, metavar="DATE[ TIME]", help="on the PBX's clock")
    parser.add_argument("--to", dest="end", metavar="DATE[ TIME]", help="a date includes its day (default: today)")
    parser.add_argument("--style", choices=STYLES, default="summary", help="which fields (default %(default)s)")
    text = "default %(default)s; blues_out is text always"
    parser.add_argument("--format", choices=tuple(ACCEPT), default="csv", help=text)
    parser.add_argument("--output", metavar="FILE", help="there only when whole; else standard output")
    parser.add_argument("--url-form", action="store_true", help="asks by URL, whole days only")


def run(options: argparse.Namespace) -> int:
    """Downloads and writes."""
    settings = common.read_settings(options)
    wanted = (options.begin, options.end, options.style, options.format, options.output, options.url_form)
    try:
        return _download(common.section_for(settings, "kalliope", options.account), *wanted)
    except ValueError as fault:
        raise common.UsageFault(str(fault)) from None


def begin_of(text: str) -> datetime:
    """`--from`: a date from its first second, or a time, on the PBX's clock.  Raises ValueError."""
    return _when(text, "00:00", ":00")


def end_of(text: str) -> datetime:
    """`--to`: a date to its last second, or a time, on the PBX's clock.  Raises ValueError."""
    return _when(text, "23:59", ":59")


def _when(text: str, time: str, seconds: str) -> datetime:
    found = _WHEN.fullmatch(text)
    if found is None:
        raise ValueError(f"{text}: wanted YYYY-MM-DD or YYYY-MM-DD HH:MM[:SS]")
    try:
        return datetime.fromisoformat(f"{found[1]} {found[2] or time}{found[3] or (':00' if found[2] else seconds)}")
    except ValueError:
        raise ValueError(f"{text}: there is no such date or time") from None


def months(begin: datetime, end: datetime) -> list[Part]:
    """The period in pieces that each lie in one month.  Raises ValueError where it is none."""
    if end < begin:
        raise ValueError("--to lies before --from")
    parts = []
    while begin <= end:
        following = (begin.replace(day=28) + timedelta(days=4)).replace(day=1, hour=0, minute=0, second=0)
        parts.append((begin, min(end, following - timedelta(seconds=1))))
        begin = following
    return parts


def days_of(part: Part) -> str:
    """The same as {years}/{months}/{days}, a range in the last field alone.  Raises ValueError for parts of days."""
    begin, end = part
    if begin != begin_of(str(begin.date())) or end != end_of(str(end.date())):
        raise ValueError("--url-form knows whole days only: give dates without times")
    days = f"{begin:%d}" if begin.date() == end.date() else f"{begin:%d}-{end:%d}"
    return f"{begin:%Y/%m}/{days}"


def _download(
    section: Kalliope, begin: str, end: str | None, style: str, form: str, output: str | None, by_url: bool
) -> int:
    """Downloads, and writes to `output` or standard output.  0, or 1 with a line on stderr; ValueError for misuse."""
    parts = months(begin_of(begin), end_of(end or str(datetime.now(ZoneInfo(section.timezone)).date())))
    requests = [_request(section, part, style, ACCEPT[form], by_url) for part in parts]
    target = Path(output) if output else None
    if target is not None and (target.is_dir() or not target.parent.is_dir()):
        raise ValueError(f"--output {output}: {'is a folder' if target.is_dir() else 'its folder does not exist'}")
    try:
        with _ended_by_signals(), _written(target) as file:
            joined = Joined("text" if style == "blues_out" else form)
            for request, (first, _) in zip(_with_progress(requests), parts, strict=True):
                try:
                    file.writelines(joined.part(_body(section, request)))
                except (Failed, BadPart) as fault:
                    what = "the answer cannot be used: " if isinstance(fault, BadPart) else ""
                    raise Failed(f"{first:%Y-%m}: {what}{fault}") from None
            file.write(joined.end())
    except Failed as fault:
        common.complain("cdr", str(fault))
        return common.FAILED
    except OSError as fault:
        if target is None:
            raise
        common.complain("cdr", f"{output} cannot be written: {fault.strerror}")
        return common.FAILED
    return common.DONE


def _request(section: Kalliope, part: Part, style: str, accept: str, by_url: bool) -> Request:
    if by_url:
        return by_days(section, style, accept, days_of(part), MAX_BYTES)
    return by_period(section, style, accept, str(part[0]), str(part[1]), MAX_BYTES)


_signer = Signer()
_transport = HttpTransport()


def _body(section: Kalliope, request: Request) -> bytes:
    reply = lead(register(section, _signer, request), _transport.send, clocks.steady, math.inf, MONTH_SECONDS)
    if not isinstance(reply, Answer):
        raise Failed(reply.reason)
    return reply.body


def _with_progress(requests: list[Request]) -> Iterable[Request]:
    """A bar on a terminal, a month a step."""
    if not sys.stderr.isatty():
        return requests
    from tqdm import tqdm

    bar: Iterable[Request] = tqdm(requests, unit="month", leave=False, file=sys.stderr)
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


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """^C, SIGTERM and a terminal that closes end it through what cleans up."""

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
