"""Hawk as a server checks it, from Hawk's own API.md (github.com/mozilla/hawk): one key, SHA-256.

The order of the checks is that of the document: attributes, MAC, payload, nonce, time.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import threading
from collections.abc import Mapping

from callsign.sandbox.vendors.messages import Request, is_same

SKEW_SECONDS = 60
MAX_HEADER_CHARACTERS = 4096
NEEDED = ("id", "ts", "nonce", "mac")
KNOWN = (*NEEDED, "hash", "ext")


class TurnedAway(Exception):
    """A request is not let in; the text says why, and the challenge goes with the answer."""

    def __init__(self, why: str, challenge: str = "") -> None:
        super().__init__(why)
        self.challenge = challenge or f'Hawk error="{why}"'


class HawkServer:
    """Checks requests and signs answers; remembers each nonce, for none is taken twice."""

    def __init__(self, key_id: str, key: str) -> None:
        self._key_id = key_id
        self._key = key.encode()
        self._lock = threading.Lock()
        self._used: set[tuple[str, str]] = set()

    def admit(self, request: Request) -> dict[str, str]:
        """The attributes of a request that is let in.  Raises TurnedAway."""
        sent = request.headers.get("authorization", "")
        if not sent:
            raise TurnedAway("no Authorization header", "Hawk")
        given = _attributes(sent)
        if given is None:
            raise TurnedAway("Bad header format")
        if missing := [name for name in NEEDED if not given.get(name)]:
            raise TurnedAway(f"Missing attributes: {', '.join(missing)}")
        if unknown := sorted(set(given) - set(KNOWN)):
            raise TurnedAway(f"Unknown attribute: {', '.join(unknown)}")
        if given["id"] != self._key_id:
            raise TurnedAway("Unknown credentials")
        if not is_same(self._mac("header", request, given, given.get("hash", ""), given.get("ext", "")), given["mac"]):
            raise TurnedAway("Bad mac")
        if "hash" in given and not is_same(_payload(request.body, request.headers), given["hash"]):
            raise TurnedAway("Bad payload hash")
        if request.body and "hash" not in given:
            raise TurnedAway("Missing required payload hash")
        self._check_freshness(request, given)
        return given

    def _check_freshness(self, request: Request, given: Mapping[str, str]) -> None:
        with self._lock:
            if (given["nonce"], given["ts"]) in self._used:
                raise TurnedAway("Invalid nonce")
            self._used.add((given["nonce"], given["ts"]))
        now = int(request.at)
        if not re.fullmatch("[0-9]{1,12}", given["ts"]) or abs(int(given["ts"]) - request.at) > SKEW_SECONDS:
            tsm = self._sign(f"hawk.1.ts\n{now}\n")
            raise TurnedAway("Stale timestamp", f'Hawk ts="{now}", tsm="{tsm}", error="Stale timestamp"')

    def signed_answer(self, request: Request, given: Mapping[str, str], body: bytes, content_type: str) -> str:
        """The Server-Authorization of an answer to a request that was let in."""
        payload = _payload(body, {"content-type": content_type})
        return f'Hawk mac="{self._mac("response", request, given, payload, "")}", hash="{payload}"'

    def _mac(self, kind: str, request: Request, given: Mapping[str, str], payload: str, ext: str) -> str:
        host, _, port = request.headers.get("host", "").rpartition(":")
        if not port.isdigit():
            host, port = request.headers.get("host", ""), "80"
        return self._sign(
            f"hawk.1.{kind}\n{given['ts']}\n{given['nonce']}\n{request.method}\n{request.target}\n"
            f"{host.strip('[]').lower()}\n{port}\n{payload}\n{ext}\n"
        )

    def _sign(self, text: str) -> str:
        return base64.b64encode(hmac.new(self._key, text.encode(), hashlib.sha256).digest()).decode()


def _attributes(header: str) -> dict[str, str] | None:
    """Names and values, each once; None unless the header is nothing but these."""
    if not header.startswith("Hawk ") or len(header) > MAX_HEADER_CHARACTERS:
        return None
    found: dict[str, str] = {}
    for part in header.removeprefix("Hawk ").split(", "):
        match = re.fullmatch(r'([a-z]+)="([^"\\]+)"', part)
        if match is None or match[1] in found:
            return None
        found[match[1]] = match[2]
    return found


def _payload(body: bytes, headers: Mapping[str, str]) -> str:
    kind = headers.get("content-type", "").split(";")[0].strip().lower()
    return base64.b64encode(
        hashlib.sha256(b"hawk.1.payload\n" + kind.encode() + b"\n" + body + b"\n").digest()
    ).decode()
