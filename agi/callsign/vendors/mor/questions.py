"""Kolmisoft MOR: the billing system, asked for a user's balance and for the owner of a caller ID.

Source: "MOR API hash construction" and the method pages of wiki.kolmisoft.com.  The hash has no time and no
nonce: only TLS keeps a request from being repeated by whoever saw it.  What is hashed is in `hash`, what
MOR says in `answer`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote, urlencode

from callsign.http.messages import MAX_ANSWER_BYTES, Request
from callsign.log_text import vendor_words
from callsign.phone_numbers import as_vendor_wants
from callsign.settings.secret import Secret
from callsign.settings.sections import Mor, Numbers
from callsign.vendors.interface import Conversation, Probe, Probed
from callsign.vendors.mor import answer as mor_answer
from callsign.vendors.mor.hash import hashed, invalid_value, names_of, text_to_sign, unlisted
from callsign.vendors.mor.methods import READS
from callsign.vendors.mor.xml import Element
from callsign.vendors.signing import MASK, Explained, sha1_hex
from callsign.verdicts import Found, Invalid, Refused, TryLater, Verdict

ASK_BYTES = 1 << 16
"""An answer to the dialplan is a line or two; what unpacks to more is none."""

OUTSIDE = ("u", "hash")
"""Parameters that are not hashed; they come from the settings and from the rest."""

CLI_UNKNOWN = "CLI not found"

_AMOUNT = re.compile(r"([+-]?)([0-9]{1,15})(?:[.,]([0-9]{1,15}))?")
_SMALL = re.compile(r"[+-]?[0-9](?:\.[0-9]{1,17})?e-[0-9]{1,3}")
"""How Ruby writes what is less than 0.0001: a balance of nothing."""

_ID = re.compile(r"[0-9]{1,18}")


def request(section: Mor, method: str, given: Mapping[str, str], most_bytes: int = MAX_ANSWER_BYTES) -> Request:
    """The POST of one method; empty values are not sent."""
    filled = {name: value for name, value in given.items() if value}
    proof = sha1_hex(text_to_sign(hashed(method, filled), section.key))
    pairs = (("u", section.user), *filled.items(), ("hash", proof))
    url = f"{section.url.rstrip('/')}/{method}"
    in_query = section.params_in == "query"
    return Request(
        "POST",
        url,
        query=pairs if in_query else (),
        headers={} if in_query else {"Content-Type": "application/x-www-form-urlencoded"},
        body=b"" if in_query else urlencode(pairs, quote_via=quote, safe="").encode(),
        verify=section.verify,
        max_bytes=most_bytes,
        is_safe=method in READS,
    )


def ask(section: Mor, method: str, given: Mapping[str, str]) -> Conversation[Element | Refused | TryLater | Invalid]:
    """What one method answers; Invalid where the server would hash something else than we do."""
    fault = invalid_value(method, given)
    if fault:
        return Invalid(fault)
    reply = yield request(section, method, given, ASK_BYTES)
    return mor_answer.read(reply, section.key, ASK_BYTES)


def balance(section: Mor, _numbers: Numbers, facts: Mapping[str, str], _memory: object) -> Conversation[Verdict]:
    """The balance of the user `username`, in the system's currency unless `currency` names one or says USER."""
    answer = yield from ask(section, "user_balance_get", facts)
    if not isinstance(answer, Element):
        return answer
    found = _amount(answer.findtext("page/balance") or answer.text or "")  # old versions answer the number alone
    return Found({"MORBALANCE": found}) if found else _unreadable("balance")


def _amount(text: str) -> str:
    """An amount with a point or without, such as -349282.18; empty if `text` is none."""
    if _SMALL.fullmatch(text):
        return "0.00"
    found = _AMOUNT.fullmatch(text)
    if not found:
        return ""
    sign, whole, fraction = found.groups()
    return f"{'-' * (sign == '-')}{whole}{'.' if fraction else ''}{fraction or ''}"


def caller(section: Mor, numbers: Numbers, facts: Mapping[str, str], _memory: object) -> Conversation[Verdict]:
    """Which user and device own the caller ID `cli`; nobody is an answer too."""
    number = as_vendor_wants(facts["cli"], numbers.country, numbers.format)
    answer = yield from ask(section, "cli_info_get", {"cli": number})
    if isinstance(answer, Refused) and answer.reason.startswith(CLI_UNKNOWN):
        return Found({}, answer.reason)
    if not isinstance(answer, Element):
        return answer
    devices = answer.findall("page/cli/device")
    ids = [(device.findtext("user_id", ""), device.findtext("device_id", "")) for device in devices]
    if not ids or not all(_ID.fullmatch(user) and _ID.fullmatch(device) for user, device in ids):
        return _unreadable("device")
    remark = f"{len(ids)} devices have this number: this is the first" if len(ids) > 1 else ""
    return Found(dict(zip(("MORUSERID", "MORDEVICEID"), ids[0], strict=True)), remark)


def _unreadable(missing: str) -> TryLater:
    return TryLater(f"an answer of MOR's without a {missing} that can be read")


def explain(section: Mor, given: Mapping[str, str], _now: float) -> Explained:
    """The hash over the values as given, in the server's order; `method` for one with a list of its own.

    Raises ValueError.
    """
    method = given.get("method", "")
    values = {name: value for name, value in given.items() if name != "method"}
    for name in unlisted(method, values):
        raise ValueError(f"{name}: is not hashed by MOR{'' if name in OUTSIDE else _close_to(name, method)}")
    fault = invalid_value(method, values)
    if fault:
        raise ValueError(fault)
    signed = hashed(method, values)
    signature = sha1_hex(text_to_sign(signed, section.key))
    words = "SHA-1 of the values in MOR's own order and the key, in hex"
    return Explained(text_to_sign(signed, Secret(MASK)), signature, signed, words)


def _close_to(name: str, method: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, names_of(method), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def probe(section: Mor, _memory: object) -> Probe:
    """The version is told to whoever has user and key."""
    answer = yield from ask(section, "system_version_get", {})
    if not isinstance(answer, Element):
        return answer
    version = vendor_words(answer.findtext("page/version"), 40)
    return Probed(True, f"version {version}") if version else _unreadable("version")


def new_memory() -> None:
    """Nothing is remembered between two questions."""
