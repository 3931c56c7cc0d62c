"""A stand-in for Skarabee's VoIP service, from its technical infosheet.

Where the infosheet is silent this stand-in takes the narrow reading: the parameters in the spelling of the
printed URL, each exactly once and filled in, nothing else, an empty body. HTTP statuses are documented
nowhere; the answers that the infosheet prints come with 200, what is no such request at all with 400, 404
or 405.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import ClassVar

from callsign.sandbox.vendors.messages import Answer, Request, Trouble, as_json, is_same

PARAMETERS = ("businessid", "phoneto", "phonefrom", "timestamp", "hash")
"""Order and spelling of the printed endpoint URL."""

LARGEST_DIFFERENCE_SECONDS = 15 * 60
"""Between the timestamp sent and the server's time."""

MESSAGES = {
    "OK": "",
    "TIMESTAMP_MISMATCH": "The timestamp difference is bigger than the maximum timestamp.",
    "HASH_MISMATCH": "The hash provided doesn't match the parameters.",
    "NO_HASH_KEY_AVAILABLE": "No hash key is available for this office.",
}
"""Status -> Message. The infosheet prints the two mismatches; the other two words are from the public
documentation (https://voip.skarabee.net/documentation), which prints no Message for them."""


class Skarabee:
    """Judges calls for a set of offices.

    Args:
        keys: businessid -> private key, as each office gets it on activation. The key is used as text
            although it looks like hexadecimal: only so does the infosheet's own hash come out.
    """

    base_path = "/skarabee/api/"
    demo_account: ClassVar[dict[str, str]] = {"8103": "demo-skarabee-key"}
    demo_settings: ClassVar[str] = 'businessid = "8103"\nkey = "demo-skarabee-key"\n'

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._keys = dict(keys)

    def judge(self, request: Request, trouble: Trouble) -> Answer:
        """The answer to one POST (the infosheet, "Opbouw & Feedback van de post request")."""
        if request.path != "/":
            return _not_a_call(404, "there is only one endpoint, /api/")
        if request.method != "POST":
            return _not_a_call(405, f"a {request.method} is not accepted, send a POST", {"Allow": "POST"})
        if fault := _fault_in_form(request):
            return _not_a_call(400, fault)
        status = self._status(request.query, request.at)
        if status == "OK" and trouble.refuse_status is not None:
            status = trouble.refuse_status
        message = MESSAGES.get(status, "Refused on purpose by the sandbox.")
        return Answer(verdict=status, body=as_json({"Message": message, "Status": status}))

    def _status(self, sent: Mapping[str, str], now: float) -> str:
        key = self._keys.get(sent["businessid"])
        if key is None:
            return "NO_HASH_KEY_AVAILABLE"
        if not _in_time(sent["timestamp"], now):
            return "TIMESTAMP_MISMATCH"
        signed = sent["businessid"] + sent["phoneto"] + sent["phonefrom"] + sent["timestamp"]
        wanted = hmac.new(key.encode(), signed.encode(), hashlib.sha256).hexdigest()
        return "OK" if is_same(wanted, sent["hash"]) else "HASH_MISMATCH"


def _in_time(timestamp: str, now: float) -> bool:
    # Whole epoch seconds; eleven digits would be after the year 5000, or milliseconds.
    if not re.fullmatch(r"[0-9]{1,11}", timestamp):
        return False
    return abs(int(timestamp) - now) <= LARGEST_DIFFERENCE_SECONDS


def _fault_in_form(request: Request) -> str | None:
    """What keeps a request from being the one in the infosheet; None if nothing does."""
    sent = request.query
    if repeated := request.repeated_names():
        return f"given more than once: {', '.join(repeated)}"
    if missing := [name for name in PARAMETERS if not sent.get(name)]:
        return f"missing or empty in the query: {', '.join(missing)}"
    if unknown := [name for name in sent if name not in PARAMETERS]:
        return f"not a parameter of this service (names are in lower case): {', '.join(unknown)}"
    if request.body:
        return f"the body must be empty, all goes into the query; it has {len(request.body)} bytes"
    return None


def _not_a_call(status: int, why: str, headers: Mapping[str, str] | None = None) -> Answer:
    document = {"Message": why, "Status": "BAD_REQUEST"}
    return Answer(verdict=f"HTTP {status}: {why}", body=as_json(document), status=status, headers=headers or {})
