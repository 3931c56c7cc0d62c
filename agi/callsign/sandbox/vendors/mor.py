"""A stand-in for Kolmisoft MOR's XML API, from the page on hash construction and the
pages of the methods it plays (wiki.kolmisoft.com, MOR_API_…).

What a method hashes is held here method by method, as each page says it, and not as the one long list: a
misreading of that list shows up as "Incorrect hash".  Every user but "unknown" has the same balance, and every
caller ID that does not end in 0 belongs to user 2 and device 7, so that a dialplan can be tried with its own names.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from callsign.sandbox.vendors.messages import Answer, Request, Trouble, is_same

FORM = "application/x-www-form-urlencoded"
LEAST_KEY_CHARACTERS = 6
USER_UNKNOWN = "unknown"
BALANCES = {"": "12.3400", "USER": "12.3400", "EUR": "12.3400", "USD": "13.5740"}


@dataclass(frozen=True)
class Method:
    """What a method's page says of its parameters."""

    hashed: tuple[str, ...] = ()
    unhashed: tuple[str, ...] = ()
    required: tuple[str, ...] = ()


CALLS = ("s_user", "s_call_type", "s_device", "s_provider", "s_hgc", "s_did", "s_destination", "order_by", "order_desc")
METHODS = {
    "user_balance_get": Method(("username", "currency"), ("user_currency",), ("username",)),
    "cli_info_get": Method((), ("cli", "domain")),
    "system_version_get": Method(),
    "user_details_get": Method(("user_id", "username")),
    "user_calls_get": Method(("period_start", "period_end", *CALLS, "only_did")),
    "user_balance_update": Method(("user_id", "balance"), (), ("user_id", "balance")),
    "callback_init": Method(("device", "dst", "src"), ("cli_lega", "cli_legb", "server_id", "card_pin"), ("device",)),
}
"""callback_init's page has src before dst; sms_send's, whose printed hash verifies, proves the other order."""

NUMBERS = frozenset(("user_id", "device", "period_start", "period_end"))


class Mor:
    """Judges the methods above for one login.

    Args:
        account: `user`, the login name sent as u, and `key`, its API Secret Key; `get` = "yes" allows GET.
    """

    base_path = "/mor/billing/api"
    demo_account: ClassVar[dict[str, str]] = {"user": "admin", "key": "demo-mor-key"}
    demo_settings: ClassVar[str] = 'user = "admin"\nkey = "demo-mor-key"\n'

    def __init__(self, account: Mapping[str, str]) -> None:
        self._user = account["user"]
        self._key = account["key"]
        self._takes_get = account.get("get") == "yes"

    def judge(self, request: Request, trouble: Trouble) -> Answer:
        """The answer to one request; whatever is wrong comes under HTTP 200."""
        if request.method not in ("GET", "POST"):
            return _error("status", "Only POST and GET are described")
        if request.method == "GET" and not self._takes_get:
            return _error("status", "GET Requests are disabled")
        name = request.path.removeprefix("/")
        method = METHODS.get(name)
        if method is None:
            said = f"<error><type>Undefined method</type><name>{escape(name)}</name></error>"
            return _attachment("Undefined method", said)
        sent, fault = _parameters(request)
        if fault or (fault := _fault_in(sent, method)):
            return _error("status", fault)
        if sent["u"] != self._user:
            return _error("status", "Bad login")
        if len(self._key) < LEAST_KEY_CHARACTERS:
            return _error("status", "API must have Secret Key")
        hashed = {name: value for name, value in sent.items() if (name, value) != ("s_user", "all")}
        text = "".join(hashed.get(field, "") for field in method.hashed) + self._key
        wanted = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        if not is_same(wanted, sent["hash"]):
            return _error("status", "Incorrect hash")
        if trouble.refuse_status is not None:
            return _error("page", trouble.refuse_status)
        return _done(name, sent)


def _parameters(request: Request) -> tuple[dict[str, str], str]:
    """Query and form together, as the server merges them; and what is wrong with them."""
    pairs = list(request.pairs)
    if request.body:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != FORM:
            return {}, f"A body must be a form, Content-Type {FORM}"
        try:
            pairs += parse_qsl(request.body.decode("ascii"), keep_blank_values=True, strict_parsing=True)
        except ValueError:
            return {}, "The form cannot be read"
    sent = dict(pairs)
    if len(sent) != len(pairs):
        return {}, "A parameter is given more than once"
    return sent, ""


def _fault_in(sent: Mapping[str, str], method: Method) -> str:
    allowed = ("u", "hash", *method.hashed, *method.unhashed)
    for name, value in sent.items():
        if name not in allowed:
            return f"The page of this method knows no parameter {name}"
        if not value:
            return f"{name} is sent without a value"
        if name in NUMBERS and (not value.isdecimal() or str(int(value)) != value):
            return f"{name} is no number, and would be left out of the hash"
    for name in ("u", "hash", *method.required):
        if name not in sent:
            return f"{name} is missing"
    return ""


def _done(name: str, sent: Mapping[str, str]) -> Answer:
    if name == "user_balance_get":
        return _balance(sent)
    if name == "cli_info_get":
        return _owner(sent.get("cli", ""))
    if name == "system_version_get":
        return _attachment("OK", "<page><version>MOR X17</version></page>")
    if name == "user_details_get":
        details = f"<main_detail><user_id>{escape(sent.get('user_id', '2'))}</user_id></main_detail>"
        return _attachment("OK", f"<page><details>{details}</details></page>")
    if name == "user_calls_get":
        return _attachment("OK", "<page><calls_stat><total_calls>0</total_calls></calls_stat></page>")
    if name == "user_balance_update":
        user = f"<user><id>{escape(sent['user_id'])}</id><balance>{escape(sent['balance'])}</balance></user>"
        return _attachment("OK", f"<page><status>User balance updated</status>{user}</page>")
    return _attachment("OK", "<Status>Ok</Status>" if sent.get("src") else "<Status>No source</Status>")


def _balance(sent: Mapping[str, str]) -> Answer:
    if sent["username"] == USER_UNKNOWN:
        return _error("page", "User was not found")
    amount = BALANCES.get(sent.get("currency", ""))
    if amount is None:
        return _error("page", "Currency was not found")
    return _attachment("OK", f"<page><balance>{amount}</balance></page>")


def _owner(cli: str) -> Answer:
    """The page says: the XML is put in a file, and that file is gzipped and returned as the content."""
    if not cli:
        return _error("status", "CLI is empty")
    if cli.endswith("0"):
        return _error("status", "CLI not found")
    device = "<device><user_id>2</user_id><device_id>7</device_id></device>"
    packed = gzip.compress(_document(f"<page><cli>{device}</cli></page>"))
    return Answer("OK", packed, content_type="application/x-gzip", headers={"Content-Disposition": "attachment"})


def _error(around: str, words: str) -> Answer:
    return _attachment(words, f"<{around}><error>{escape(words)}</error></{around}>")


def _attachment(verdict: str, xml: str) -> Answer:
    """XML as MOR sends it unless told otherwise: called a page, and to be saved as a file."""
    headers = {"Content-Disposition": 'attachment; filename="mor_api_response.html"'}
    return Answer(verdict, _document(xml), content_type="text/html; charset=utf-8", headers=headers)


def _document(xml: str) -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{xml}\n'.encode()
