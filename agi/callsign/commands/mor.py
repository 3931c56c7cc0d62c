"""`callsign mor METHOD name=value…`: one method of the MOR API from the shell, its answer as JSON.

A method that is not known to only read wants the caller's word for it, and none is asked twice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from callsign.commands import common
from callsign.http.messages import NoAnswer
from callsign.http.transport import HttpTransport
from callsign.log_text import visible_json
from callsign.notification import TryLater
from callsign.settings.sections import Mor
from callsign.vendors.mor import answer as mor_answer
from callsign.vendors.mor import vendor as mor
from callsign.vendors.mor.hash import misfit, unlisted
from callsign.vendors.mor.methods import effect_of
from callsign.vendors.mor.xml import Element

if TYPE_CHECKING:
    import argparse

EPILOG = """\
examples:
  callsign mor user_balance_get username=demo
  callsign mor --yes payment_create username=demo p_currency=EUR paymentid=1

exit status: 0 done, 1 MOR refuses or does not answer, 2 wrong usage or settings"""

SECONDS = 60.0
"""A list of calls takes the server its time."""

MOST_BYTES = 32 << 20
_METHOD = re.compile(r"[A-Za-z0-9_]{1,80}")
_PARAMETER = re.compile(r"[A-Za-z0-9_]{1,80}")


def arguments(parser: argparse.ArgumentParser) -> None:
    """What may stand on the command line."""
    common.settings_option(parser)
    common.json_option(parser)
    parser.add_argument("method", metavar="METHOD", help="as MOR's documentation names it: user_balance_get, …")
    parser.add_argument("values", metavar="NAME=VALUE", nargs="*", help="the method's parameters")
    common.account_option(parser)
    parser.add_argument("--yes", action="store_true", help="for a method that moves money, sends or changes something")


def run(options: argparse.Namespace) -> int:
    """Asks, and prints the answer."""
    given = common.given_values(options.values)
    settings = common.read_settings(options)
    try:
        section = common.section_for(settings, "mor", options.account)
        return _ask(section, options.method, given, options.yes, options.json)
    except ValueError as fault:
        raise common.UsageFault(str(fault)) from None


def _ask(section: Mor, method: str, given: Mapping[str, str], is_confirmed: bool, as_json: bool) -> int:
    """Asks once and prints.  0 done, 1 refused or no answer; raises ValueError for what cannot be asked."""
    _check(method, given)
    effect = effect_of(method)
    if effect and not is_confirmed:
        raise ValueError(f"{method} {effect}: with --yes it is asked for")
    if names := unlisted(method, given):
        common.complain("mor", f"sent and not hashed, as MOR's list has no {', '.join(names)}")
    transport = HttpTransport()
    try:
        reply = transport.send(mor.request(section, method, given, MOST_BYTES), SECONDS)
    finally:
        transport.close()
    answer = mor_answer.read(reply, section.key, MOST_BYTES)
    if isinstance(answer, Element):
        print(visible_json(answer.as_json(), None if as_json else 2))
        return common.DONE
    status = "UNREACHABLE" if isinstance(answer, TryLater) else "REFUSED"
    reason = answer.reason
    if effect and status == "UNREACHABLE" and not (isinstance(reply, NoAnswer) and not reply.sent):
        reason += "; it may have been done: look in MOR before you repeat it"
    if as_json:
        common.print_json({"status": status, "reason": reason})
    common.complain("mor", f"{status}: {reason}")
    return common.FAILED


def _check(method: str, given: Mapping[str, str]) -> None:
    if not _METHOD.fullmatch(method):
        raise ValueError("METHOD: wanted a name such as user_balance_get")
    for name, value in given.items():
        if name in mor.OUTSIDE:
            raise ValueError(f"{name}: comes from the settings")
        if not _PARAMETER.fullmatch(name):
            raise ValueError("wanted NAME=VALUE with a name of MOR's, such as user_id")
        if re.search(r"[\x00\ud800-\udfff]", value):  # the shell's bytes that are no UTF-8 are lone surrogates
            raise ValueError(f"{name}: wanted a text in UTF-8")
    if fault := misfit(method, given):
        raise ValueError(fault)
