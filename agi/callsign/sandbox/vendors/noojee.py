"""A stand-in for Noojee's call recording API, from its authentication page.

The page gives the three steps (Time, hash, method), the 10 seconds, the hour and the limit of five; names and
meaning of the parameters and of Code are from the vendor's public pages (https://noojee.atlassian.net/wiki/x/jyVY,
https://wiki.noojee.com.au/Noojee_API). No table of codes is public, so every refusal here is -1.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

from callsign.sandbox.vendors.messages import Answer, Request, Trouble, as_json, is_same, nothing

TARGET = "extenOrUniqueId"
"""The one parameter that start and stop cannot do without; names are case-sensitive."""

METHODS = {
    "/CallManagementAPI/start": ("Recording started", (TARGET,), ("tag", "agentLoginName")),
    "/CallManagementAPI/stop": ("Recording stopped", (TARGET,), ("agentLoginName",)),
    "/CallManagementAPI/hangup": ("Channel Hungup", (TARGET,), ()),
    "/CallManagementAPI/dial": (
        "Dialing",
        ("number", TARGET),
        ("autoAnswer", "callerId", "phoneCaption", "monitored", "record", "tag"),
    ),
    "/CallManagementAPI/subscribe": ("OK", ("exten",), ("lastSequenceNumber", "timeOut", "instanceId")),
}
"""Path -> Message when done, parameters that it needs, further ones."""

MORE: dict[str, dict[str, object]] = {
    "/CallManagementAPI/dial": {"SessionID": "1"},
    "/CallManagementAPI/subscribe": {"seq": 1, "Data": {}},
}
"""What some answers have besides Message and Code."""

CREDENTIALS = {"hash": ("timeStamp", "hash"), "apikey": ("apiKey",)}
"""The older and the newer (4.9.0.10) way to prove knowledge of the key -> its parameters."""

FIRST_USE_SECONDS = 10
REUSE_SECONDS = 60 * 60
MOST_CONCURRENT_AUTHENTICATIONS = 5
"""The page leaves open what it counts. Here: Time requests in progress, and method requests in progress whose
pair of timestamp and hash has not been accepted and answered before."""

EXPIRED = "Expired TimeStamp"
WRONG_KEY = "Authentication failed"
TOO_MANY = "Too many concurrent authentication attempts"
"""Messages. The first is the vendor's (noojee.atlassian.net, page 5776612), the others are ours."""


class Noojee:
    """Judges the methods above and Time for one recorder.

    Args:
        account: `key`, the pre-shared API key, and `auth`, "hash" or "apikey".
    """

    base_path = "/noojee/servicemanager/rest"
    demo_account: ClassVar[dict[str, str]] = {"key": "demo-noojee-key", "auth": "hash"}
    demo_settings: ClassVar[str] = 'auth = "hash"\nkey = "demo-noojee-key"\n'

    def __init__(self, account: Mapping[str, str]) -> None:
        self._key = account["key"]
        self._auth = account["auth"]
        self._turnstile = _Turnstile()

    def judge(self, request: Request, trouble: Trouble) -> Answer:
        """The answer to one POST."""
        if request.path != "/Time" and request.path not in METHODS:
            return _no_api_call(404, "no such method")
        if request.method != "POST":
            return _no_api_call(405, "the API only accepts POST requests", {"Allow": "POST"})
        if request.body:
            return _answer(-1, f"The body must be empty, all goes into the query; it has {len(request.body)} bytes")
        if request.path == "/Time":
            return self._time(request)
        return self._method(request, trouble)

    def _time(self, request: Request) -> Answer:
        """Milliseconds in plain text, not JSON."""
        if fault := _fault_in_query(request, required=(), allowed=()):
            return _answer(-1, fault)
        stamp, done = self._turnstile.issue(request.at)
        if stamp is None:
            return _answer(-1, TOO_MANY)
        return Answer("OK", stamp.encode(), content_type="text/plain", when_answered=done)

    def _method(self, request: Request, trouble: Trouble) -> Answer:
        message, needed, further = METHODS[request.path]
        credentials = CREDENTIALS[self._auth]
        if fault := _fault_in_query(
            request, required=(*needed, *credentials), allowed=(*needed, *further, *credentials)
        ):
            return _answer(-1, fault)
        fault, done = self._authenticate(request)
        if fault or trouble.refuse_status is not None:
            answer = _answer(-1, fault or trouble.refuse_status or "")
        elif trouble.warning is not None:
            answer = _answer(1, trouble.warning)
        else:
            answer = _answer(0, message, MORE.get(request.path))
        return replace(answer, when_answered=done)

    def _authenticate(self, request: Request) -> tuple[str | None, Callable[[], None]]:
        """Why the request is turned away, None if it is let in; and what to do once it is answered."""
        sent = request.query
        if self._auth == "apikey":
            return (None if is_same(self._key, sent["apiKey"]) else WRONG_KEY), nothing
        wanted = hashlib.sha256(f"{self._key}:{sent['timeStamp']}".encode()).hexdigest()
        return self._turnstile.admit(sent["timeStamp"], is_same(wanted, sent["hash"]), request.at)


@dataclass
class _Issued:
    """A timestamp given out by Time."""

    at: float
    first_used_at: float | None = None
    proven: bool = False

    def expired(self, now: float) -> bool:
        """The hour counts from first use: the page says "once … has been used … it will remain valid"."""
        if self.first_used_at is None:
            return now - self.at > FIRST_USE_SECONDS
        return now - self.first_used_at > REUSE_SECONDS


class _Turnstile:
    """The timestamps given out, and the five places for those who authenticate."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._issued: dict[str, _Issued] = {}
        self._places_taken = 0

    def issue(self, now: float) -> tuple[str | None, Callable[[], None]]:
        """A new timestamp in milliseconds, None if all places are taken; and what gives the place back."""
        with self._lock:
            if self._places_taken >= MOST_CONCURRENT_AUTHENTICATIONS:
                return None, nothing
            self._places_taken += 1
            stamp = str(round(now * 1000))
            # Two requests in one millisecond share a timestamp; the second must not undo the first one's use.
            self._issued.setdefault(stamp, _Issued(at=now))
        return stamp, self._leave

    def admit(self, stamp: str, hash_is_right: bool, now: float) -> tuple[str | None, Callable[[], None]]:
        """Why this pair is turned away, None if it is let in; and what gives back the place it took."""
        with self._lock:
            issued = self._issued.get(stamp)
            proven = hash_is_right and issued is not None and issued.proven
            if not proven:
                if self._places_taken >= MOST_CONCURRENT_AUTHENTICATIONS:
                    return TOO_MANY, nothing
                self._places_taken += 1
            leave = nothing if proven else self._leave
            if not hash_is_right:
                return WRONG_KEY, leave
            if issued is None or issued.expired(now):
                return EXPIRED, leave
            if issued.first_used_at is None:
                issued.first_used_at = now
        return None, leave if proven else partial(self._leave, issued)

    def _leave(self, accepted: _Issued | None = None) -> None:
        with self._lock:
            self._places_taken -= 1
            if accepted is not None:
                accepted.proven = True  # only now: until it is answered nobody knows that the pair is good


def _fault_in_query(request: Request, required: tuple[str, ...], allowed: tuple[str, ...]) -> str | None:
    sent = request.query
    if repeated := request.repeated_names():
        return f"Parameter given more than once: {', '.join(repeated)}"
    if unknown := [name for name in sent if name not in allowed]:
        return f"Unknown parameter (names are case-sensitive): {', '.join(unknown)}"
    if missing := [name for name in required if not sent.get(name)]:
        return f"Missing parameter: {', '.join(missing)}"
    return None


def _answer(code: int, message: str, more: Mapping[str, object] | None = None) -> Answer:
    """Code 0: done, negative: an error, positive: done, with a warning."""
    return Answer("OK" if code == 0 else message, as_json({"Message": message, "Code": code, **(more or {})}))


def _no_api_call(status: int, why: str, headers: Mapping[str, str] | None = None) -> Answer:
    return replace(_answer(-1, why), verdict=f"HTTP {status}: {why}", status=status, headers=headers or {})
