"""A stand-in for KalliopePBX's call register, from its documents "API REST Kalliope" and "API REST CDR".

The documents give header, lifetimes, formats and filters; the path of the salt is that of the vendor's public wiki.
Which status tells what is documented nowhere: 401 for a header that is not taken, 400, 404 and 405 as usual.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import hmac
import json
import re
import threading
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import ClassVar
from zoneinfo import ZoneInfo

from callsign.sandbox.vendors.kalliope_register import COLUMNS, FORMS, BadPeriod, Period, of_body, of_url, register_body
from callsign.sandbox.vendors.messages import Answer, Request, Trouble

HEADER = re.compile(
    r'RestApiUsernameToken Username="(?P<username>[^"@]+)", Domain="(?P<domain>[^"]+)", '
    r'Digest="(?P<digest>[A-Za-z0-9+/]{43}=)", Nonce="(?P<nonce>[0-9a-fA-F]{8,})", '
    r'Created="(?P<created>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)"'
)
VALID_SECONDS = 5 * 60
DEFAULT_SALT = "b5a8fdcf2f8d5acdad33c4a072a97d7a"
STYLES = ("summary", "detailed", "blues_out", "v3_compat")

MADE_UP = ((26 * 60, "205", "056528999", "ANSWERED"), (120, "206", "056528999", "NO ANSWER"), (90, "", "206", "BUSY"))
"""The register of an account that brings none: minutes ago, extension (none: from outside), number, status."""


class Kalliope:
    """Judges requests to one tenant of a PBX.

    Args:
        account: `username`, `password`, `domain`, `timezone`; if wanted `salt`, `masked` ("yes": the user does not
            see the last digits of numbers), `calls`, the register as CSV lines of the summary, and `compares`
            ("first" or "second": moments, of an hour that its clock shows twice those of that one).

    Attributes:
        calls: the register, a mapping of COLUMNS each; a test may let it grow.
        salt: of the tenant; a test may change it.
    """

    base_path = "/kalliope"
    demo_account: ClassVar[dict[str, str]] = {
        "username": "admin",
        "password": "demo-kalliope-password",
        "domain": "default",
        "timezone": "Europe/Rome",
    }
    demo_settings: ClassVar[str] = 'username = "admin"\npassword = "demo-kalliope-password"\n'

    def __init__(self, account: Mapping[str, str]) -> None:
        self._account = account
        self._zone = ZoneInfo(account["timezone"])
        self.salt = account.get("salt", DEFAULT_SALT)
        self._lock = threading.Lock()
        self._nonces: dict[str, float] = {}
        self._moment = self._moment_of if account.get("compares") in ("first", "second") else None
        self.calls: list[Mapping[str, str]] | None = None
        if "calls" in account:
            lines = [line for line in csv.reader(account["calls"].splitlines()) if line and line[0][:1] != "#"]
            self.calls = [dict(zip(COLUMNS, line, strict=True)) for line in lines]

    def judge(self, request: Request, trouble: Trouble) -> Answer:
        """The answer to one request; only the salt is anonymous."""
        parts = request.path.strip("/").split("/")
        if parts[:2] == ["rest", "salt"] and len(parts) == 3:
            return self._salt_of(request, parts[2])
        is_register = parts[:2] == ["rest", "cdr"] and len(parts) > 2 and parts[2] in STYLES
        is_call = parts[:3] == ["rest", "phoneServices", "c2c"] and len(parts) == 5
        if not is_register and not is_call and parts != ["rest", "account"]:
            return _no(404, "no such resource")
        if fault := self._fault_in(request):
            return _no(401, fault)
        if trouble.refuse_status is not None:
            return _no(403, trouble.refuse_status)
        if not is_register:
            return self._other(request, is_call)
        try:
            if request.method == "GET" and not request.body:
                period = of_url(parts[3:], self._now(request))
            elif request.method == "POST":
                kind = request.headers.get("content-type", "")
                period = of_body(request.body, kind, self._now(request), self._moment)
            else:
                return _no(405 if request.method != "GET" else 400, "wanted GET without a body, or POST")
        except BadPeriod as fault:
            return _no(400, str(fault))
        return self._register(request, parts[2], period)

    def _other(self, request: Request, is_call: bool) -> Answer:
        """A click to call, and the extensions; of their answers no form is documented."""
        if request.method != "GET" or request.body:
            return _no(405, "wanted GET without a body")
        if is_call:
            return Answer("OK", b"")
        return Answer("OK", json.dumps([{"extension": extension} for extension in ("205", "206")]).encode())

    def _salt_of(self, request: Request, domain: str) -> Answer:
        if request.method != "GET":
            return _no(405, "wanted GET")
        if domain != self._account["domain"]:
            return _no(404, "no such tenant")
        if "json" in request.headers.get("accept", ""):
            return Answer("OK", json.dumps({"salt": self.salt}).encode())
        page = f'<?xml version="1.0"?>\n<response><salt>{self.salt}</salt></response>\n'
        return Answer("OK", page.encode(), content_type="application/xml")

    def _fault_in(self, request: Request) -> str:
        sent = request.headers.get("x-authenticate")
        if sent is None:
            return "no X-authenticate header"
        given = HEADER.fullmatch(sent)
        if given is None:
            return "the X-authenticate header has not the documented form"
        try:
            created = datetime.strptime(given["created"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
        except ValueError:
            return "Created is no time"
        if abs(created.timestamp() - request.at) > VALID_SECONDS:
            return "Created is more than 5 minutes off"
        if (given["username"], given["domain"]) != (self._account["username"], self._account["domain"]):
            return "no such user in this domain"
        password = hashlib.sha256(f"{self._account['password']}{{{self.salt}}}".encode()).hexdigest()
        signed = given["nonce"] + password + given["username"] + given["domain"] + given["created"]
        wanted = base64.b64encode(hashlib.sha256(signed.encode()).digest()).decode()
        if not hmac.compare_digest(wanted, given["digest"]):
            return "the Digest does not match"
        with self._lock:
            self._nonces = {nonce: at for nonce, at in self._nonces.items() if request.at - at < VALID_SECONDS}
            if given["nonce"] in self._nonces:
                return "the Nonce was used before"
            self._nonces[given["nonce"]] = request.at
        return ""

    def _moment_of(self, text: str) -> float:
        fold = int(self._account["compares"] == "second")
        return datetime.fromisoformat(text).replace(tzinfo=self._zone, fold=fold).timestamp()

    def _now(self, request: Request) -> datetime:
        return datetime.fromtimestamp(request.at, self._zone).replace(tzinfo=None)

    def _register(self, request: Request, style: str, period: Period) -> Answer:
        with self._lock:
            if self.calls is None:
                self.calls = [self._made_up(request, number, *call) for number, call in enumerate(MADE_UP)]
            found = [call for call in self.calls if period(call)]
        if self._account.get("masked") == "yes":
            hidden = ("caller", "called")
            found = [{**c, **{n: c[n][:-3] + "xxx" for n in hidden if len(c[n]) > 5}} for c in found]
        if style == "blues_out":
            return Answer("OK", register_body(found, style, "csv"), content_type="text/plain")
        form = next((form for form in FORMS if form in request.headers.get("accept", "")), "xml")
        return Answer("OK", register_body(found, style, form), content_type=FORMS[form])

    def _made_up(
        self, request: Request, number: int, ago: int, extension: str, called: str, status: str
    ) -> dict[str, str]:
        """A call of the register that an account without one has."""
        at = self._now(request) - timedelta(minutes=ago)
        begin, end = str(at.replace(microsecond=0)), str(at.replace(microsecond=0) + timedelta(seconds=20))
        answered = begin if status == "ANSWERED" else ""
        source, caller = ("local_exten", extension) if extension else ("gateway", "056528999")
        unique_id = f"{int(request.at) - 60 * ago}.{number}"
        values = (unique_id, source, begin, answered, end, extension, caller, "trunk", called, status)
        return dict(zip(COLUMNS, (*values, "", "20" if answered else "0", "20", ""), strict=True))


def _no(status: int, why: str) -> Answer:
    return Answer(f"HTTP {status}: {why}", json.dumps({"error": why}).encode(), status)
