"""A stand-in for snom's SRAPS, from its REST API page and Hawk's API.md.

The page gives authentication and the table of statuses; paths, links, fields and paging are those that public
clients of the service use, for its reference lies behind the portal's login.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import urlencode

from callsign.sandbox.vendors.hawk import HawkServer, TurnedAway
from callsign.sandbox.vendors.messages import Answer, Request, Trouble

DEFAULT_PAGE = 20
LARGEST_BODY_BYTES = 10_000_000
FIELDS = {
    "mac": str,
    "autoprovisioning_enabled": bool,
    "name": str,
    "provisioning_profile": str,
    "settings_manager": dict,
}
"""Of a phone; a PUT brings all of them and nothing else."""

PHONES = "000413aabbcc|Reception|Default\n000413ddeeff|Meeting room|Default"
PROFILES = "Default\nHot desk\nReception"
"""Of the account, where it does not say its own."""


def _id(what: str) -> str:
    """32 hex digits that are the same in every run."""
    return hashlib.sha256(what.encode()).hexdigest()[:32]


COMPANY = _id("company")


class Sraps:
    """Judges requests to one company of SRAPS.

    Args:
        account: `key_id` and `key_secret`; lines of `profiles` (a name each, which may occur twice) and of
            `phones` (MAC|name|profile); `largest_page`, by default 1000.
    """

    base_path = "/sraps/api/v1"
    demo_account: ClassVar[dict[str, str]] = {"key_id": "demo-key", "key_secret": "demo-sraps-secret"}
    demo_settings: ClassVar[str] = 'key_id = "demo-key"\nkey_secret = "demo-sraps-secret"\n'

    def __init__(self, account: Mapping[str, str]) -> None:
        self._key_id = account["key_id"]
        self._hawk = HawkServer(self._key_id, account["key_secret"])
        self._largest_page = int(account.get("largest_page", "1000"))
        names = account.get("profiles", PROFILES).split("\n")
        self._profiles = [{"uuid": _id(f"profile {n}"), "name": name} for n, name in enumerate(names)]
        self._phones: dict[str, dict[str, object]] = {}
        self._lock = threading.Lock()
        for line in filter(None, account.get("phones", PHONES).split("\n")):
            mac, name, profile = line.split("|")
            self._phones[mac] = {
                "mac": mac,
                "autoprovisioning_enabled": True,
                "name": name,
                "provisioning_profile": self._profiles[names.index(profile)]["uuid"],
                "settings_manager": {_id("setting_server"): {"value": "", "attrs": {"perm": "RW"}}},
            }

    def judge(self, request: Request, trouble: Trouble) -> Answer:
        """The answer to one request: authentication first, then what is asked for."""
        try:
            given = self._hawk.admit(request)
        except TurnedAway as fault:
            return _no(401, str(fault), {"WWW-Authenticate": fault.challenge})
        answer = self._answered(request, trouble)
        kind = "" if answer.status == 204 else answer.content_type  # a body that is none has no type
        proof = self._hawk.signed_answer(request, given, answer.body, kind)
        return Answer(
            answer.verdict, answer.body, answer.status, headers={**answer.headers, "Server-Authorization": proof}
        )

    def _answered(self, request: Request, trouble: Trouble) -> Answer:
        accept = [part.strip() for part in request.headers.get("accept", "").split(";")]
        if accept[0] != "application/json" or "version=v1" not in accept[1:]:
            return _no(406, "the Accept header names no version: application/json; version=v1")
        if len(request.body) > LARGEST_BODY_BYTES:
            return _no(413, "over 10 MB")
        company = f"/companies/{COMPANY}"
        phones, profiles = f"{company}/endpoints/", f"{company}/provisioning-profiles/"
        links = {"endpoints": self.base_path + phones, "provisioning-profiles": self.base_path + profiles}
        documents: dict[str, dict[str, object]] = {
            f"/tokens/{self._key_id}": {"access_key_id": self._key_id, "links": {"company": self.base_path + company}},
            company: {"uuid": COMPANY, "name": "Example", "links": links},
        }
        phone = re.fullmatch(rf"{phones}([^/]+)", request.path)
        if not phone and request.path not in (*documents, phones, profiles):
            return _no(404, "not found")
        verbs = ["GET", "PUT", "DELETE"] if phone else ["GET"]
        verbs += ["POST"] if request.path == phones else []
        if request.method not in verbs:
            return _no(405, f"a {request.method} is not for this", {"Allow": ", ".join(verbs)})
        if request.method in ("GET", "DELETE") and request.body:
            return _no(400, f"a {request.method} has no body")
        if phone:
            return self._phone(request, trouble, phone[1])
        if trouble.refuse_status is not None:
            return _no(403, trouble.refuse_status)
        if request.path in documents:
            return _yes(documents[request.path])
        if request.method == "POST":
            return self._new_phone(request)
        return self._page(request, self._profiles if request.path == profiles else list(self._phones.values()))

    def _page(self, request: Request, entries: list[dict[str, object]] | list[dict[str, str]]) -> Answer:
        """One page of a list, the next one in the Link header."""
        sent = request.query
        if unknown := sorted(set(sent) - {"page", "page_size"}):
            return _no(400, f"unknown parameter: {', '.join(unknown)}")
        if not all(re.fullmatch("[1-9][0-9]{0,5}", value) for value in sent.values()):
            return _no(400, "page and page_size are numbers from 1")
        size = min(int(sent.get("page_size", DEFAULT_PAGE)), self._largest_page)
        page = int(sent.get("page", 1))
        shown = entries[(page - 1) * size : page * size]
        if page > 1 and not shown:
            return _no(404, "there is no such page")
        headers = {}
        if page * size < len(entries):
            query = urlencode({**sent, "page": page + 1})
            headers["Link"] = f'<{self.base_path}{request.path}?{query}>; rel="next"'
        return Answer("OK", json.dumps(shown).encode(), headers=headers)

    def _phone(self, request: Request, trouble: Trouble, mac: str) -> Answer:
        with self._lock:
            if mac not in self._phones:
                return _no(404, "endpoint not found")
            if request.method == "GET":
                links = {"company": f"{self.base_path}/companies/{COMPANY}"}
                return _yes({**self._phones[mac], "links": links})
            if request.method == "PUT":
                phone, fault = _phone_in(request)
                if fault := fault or self._fault_of(phone, mac):
                    return _no(400, fault)
            if trouble.refuse_status is not None:
                return _no(403, trouble.refuse_status)
            if request.method == "DELETE":
                del self._phones[mac]
                return Answer("OK", b"", 204)
            self._phones[mac] = phone
        return _yes({"message": trouble.warning}, 202) if trouble.warning is not None else _yes(phone)

    def _new_phone(self, request: Request) -> Answer:
        """201 with Location, and the phone in the body."""
        phone, fault = _phone_in(request)
        mac = str(phone.get("mac"))
        if fault := fault or self._fault_of(phone, mac):
            return _no(400, fault)
        with self._lock:
            if mac in self._phones or not re.fullmatch("[0-9a-f]{12}", mac):
                return _no(403, "taken_mac_or_forbidden")
            self._phones[mac] = phone
        location = f"{self.base_path}/companies/{COMPANY}/endpoints/{mac}"
        return Answer("OK", json.dumps(phone).encode(), 201, headers={"Location": location})

    def _fault_of(self, phone: Mapping[str, Any], mac: str) -> str:
        if set(phone) != set(FIELDS):
            return f"fields missing or unknown: {', '.join(sorted(set(phone) ^ set(FIELDS)))}"
        if wrong := [name for name, kind in FIELDS.items() if not isinstance(phone[name], kind)]:
            return f"of the wrong type: {', '.join(wrong)}"
        if phone["mac"] != mac:
            return "the mac is another phone's"
        if phone["provisioning_profile"] not in [profile["uuid"] for profile in self._profiles]:
            return "there is no such provisioning_profile"
        return ""


def _phone_in(request: Request) -> tuple[dict[str, Any], str]:
    """What a body describes, and what is wrong with it."""
    if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
        return {}, "the body is no application/json"
    try:
        phone = json.loads(request.body)
    except ValueError:
        return {}, "the body is no JSON"
    return (phone, "") if isinstance(phone, dict) else ({}, "a phone is an object")


def _yes(document: Mapping[str, object], status: int = 200) -> Answer:
    return Answer("OK", json.dumps(document).encode(), status)


def _no(status: int, why: str, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(f"HTTP {status}: {why}", json.dumps({"message": why}).encode(), status, headers=headers or {})
