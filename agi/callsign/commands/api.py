"""`callsign api SYSTEM …`: any call of a vendor's API, signed, and its answer as JSON.

What is not known to only read wants the caller's word for it, and nothing is repeated once it may have had an effect.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any, Protocol

from callsign import clocks
from callsign.commands import common
from callsign.commands.interrupts import ended_by_signals
from callsign.delivery.conversation import run_conversation
from callsign.http.messages import Reply, Request
from callsign.http.transport import HttpTransport
from callsign.log_text import visible, visible_json
from callsign.record import fields, replace
from callsign.settings.accounts import account_of, place_named
from callsign.settings.secret import Secret
from callsign.vendors.api import MAYBE_DONE, Call, Result, secrets_in
from callsign.vendors.kalliope import api as kalliope
from callsign.vendors.mor import api as mor
from callsign.vendors.noojee import api as noojee
from callsign.vendors.registry import VENDORS
from callsign.vendors.sraps import api as sraps

EPILOG = """\
examples:
  callsign api mor user_balance_get username=bob
  callsign api noojee hangup extenOrUniqueId=1700000000.5 --account antwerp --yes
  callsign api kalliope GET /cdr/summary/2026/11/28
  callsign api sraps GET '/companies/{company}/endpoints/' --all
  callsign api sraps PUT '/companies/{company}/endpoints/000413aabbcc' --data @phone.json --yes

callsign help api says more.
exit status: 0 done, 1 the vendor refuses or does not answer, 2 wrong usage or settings"""

SECONDS = 60.0
"""For one answer: a list of calls takes the server its time."""

ALL_SECONDS = 3600.0
"""For all pages of a list, with the pauses that the vendor asks for."""

LEAST_HIDDEN = 8
"""Characters of a secret that is taken out of an answer: a shorter one would spoil words and numbers."""


class Api(Protocol):
    """What a vendor's module for this command has."""

    NAMES: bool  # METHOD NAME=VALUE…; else VERB PATH

    def effect(self, section: Any, call: Call, /) -> str: ...
    def converse(self, section: Any, call: Call, memory: Any, /) -> Generator[Request, Reply, Result]: ...


APIS: dict[str, Api] = {"mor": mor, "noojee": noojee, "kalliope": kalliope, "sraps": sraps}


def arguments(parser: common.Parser) -> None:
    """What may stand on the command line."""
    common.settings_option(parser)
    common.json_option(parser)
    common.account_option(parser)
    parser.add_argument("system", metavar="SYSTEM", choices=tuple(APIS), help=f"one of {', '.join(APIS)}")
    words = "mor, noojee: METHOD NAME=VALUE…; kalliope, sraps: VERB PATH"
    parser.add_argument("words", metavar="WORD", nargs="+", help=words)
    parser.add_argument("--data", metavar="JSON", default="", help="the body; @FILE: what is in the file")
    parser.add_argument("--accept", metavar="TYPE", default="", help="the form of the answer, such as text/csv")
    parser.add_argument("--all", action="store_true", help="every page of a list")
    parser.add_argument("--yes", action="store_true", help="for what is not known to only read")


def run(options: common.Options) -> int:
    """Asks once, and prints the answer."""
    api = APIS[options.system]
    given = common.given_values(options.words[1:]) if api.NAMES else {}
    words = tuple(options.words[:1] if api.NAMES else options.words)
    settings = common.read_settings(options)
    try:
        call = Call(words, given, _data(options.data), options.accept, options.all)
        section = common.section_for(settings, options.system, options.account)
        effect = api.effect(section, call)
        if effect and not options.yes:
            raise ValueError(f"{words[0]} {effect}: with --yes it is asked for")
        result, hidden = _asked(options.system, section, call)
        result = replace(result, reason=place_named(account_of(options.system, options.account), result.reason))
    except ValueError as fault:
        raise common.UsageFault(str(fault)) from None
    return _print(result, hidden | _secrets_of(section), options.json)


def _data(text: str) -> bytes:
    """Raises ValueError."""
    if not text.startswith("@"):
        return text.encode()  # a lone surrogate, a byte that is no UTF-8, is a ValueError too
    try:
        data = Path(text[1:]).read_bytes()
    except OSError as fault:
        raise ValueError(f"--data {text}: cannot be read: {fault.strerror}") from None
    if not data:
        raise ValueError(f"--data {text}: is empty")
    return data


def _asked(system: str, section: Any, call: Call) -> tuple[Result, set[str]]:
    """What came of it, and what proved who asked."""
    proofs: set[str] = set()
    transport = HttpTransport()
    may_be_done = False  # a request that changes something is under way

    def send(request: Request, seconds: float) -> Reply:
        nonlocal may_be_done
        proofs.update(secrets_in(request))
        may_be_done = not request.is_safe
        reply = transport.send(request, min(seconds, SECONDS))
        may_be_done = False
        return reply

    conversation = APIS[system].converse(section, call, VENDORS[system].new_memory())
    longest = ALL_SECONDS if call.every_page else SECONDS
    try:
        with ended_by_signals():
            result = run_conversation(conversation, send, clocks.steady, math.inf, longest)
    except KeyboardInterrupt:
        if may_be_done:
            common.complain("api", f"interrupted{MAYBE_DONE}")
        raise
    finally:
        transport.close()
    return (result if isinstance(result, Result) else Result("UNREACHABLE", result.reason)), proofs


def _secrets_of(section: Any) -> set[str]:
    values = (getattr(section, name) for name in fields(type(section)))
    return {value.reveal() for value in values if isinstance(value, Secret)}


def _print(result: Result, secrets: set[str], as_json: bool) -> int:
    """Prints it, and gives the exit status."""
    hidden = {secret for secret in secrets if len(secret) >= LEAST_HIDDEN and not secret.isdigit()}
    is_good = result.status == "OK"
    document = result.document if is_good else {"status": result.status, "reason": result.reason}
    if result.body:
        is_good = _print_body(result, hidden, as_json) and is_good
    elif document is not None and (as_json or is_good):
        common.print_json(document, None if as_json else 2, lambda text: _without(text, hidden))
    elif as_json:
        print("null")
    if result.reason:
        common.complain(
            "api", _without(visible(f"{result.status}: {result.reason}" if not is_good else result.reason), hidden)
        )
    return common.DONE if is_good else common.FAILED


def _print_body(result: Result, hidden: set[str], as_json: bool) -> bool:
    """Prints an answer that is no JSON: as it is into a file or a pipe.  Whether it could."""
    try:
        text = _without(result.body.decode("utf-8-sig"), hidden)
    except UnicodeDecodeError:
        if as_json or sys.stdout.isatty():
            kind = visible(result.content_type) or "an unnamed kind"
            words = f"the answer is {len(result.body)} bytes of {kind}: write it to a file, without --json"
            if as_json:
                common.print_json({"ok": False, "faults": [words]})
            common.complain("api", words)
            return False
        sys.stdout.flush()
        sys.stdout.buffer.write(result.body)
        return True
    if as_json:
        common.print_json(text)
        return True
    text += "" if text.endswith("\n") else "\n"
    if sys.stdout.isatty():
        print(visible(text), end="")
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode())
    return True


def _without(text: str, hidden: set[str]) -> str:
    for secret in sorted(hidden, key=len, reverse=True):
        for form in (secret, visible_json(secret)[1:-1]):
            text = text.replace(form, "…")
    return text
