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
from dataclasses import dataclass

from callsign.sandbox.vendors.messages import Request, is_same

SKEW_SECONDS = 60
MAX_HEADER_CHARACTERS = 4096
NEEDED = ("id", "ts", "nonce", "mac")
KNOWN = (*NEEDED, "hash", "ext")


@dataclass(frozen=True)
class Turned:
    """A request that is not let in: why, and the challenge to answer it with."""

    why: str
    challenge: str


class HawkServer:
    """Checks requests and signs answers; remembers each nonce, for none is taken twice."""

    def __init__(self, key_id: str, key: str) -> None:
        self._key_id = key_id
        self._key = key.encode()
        self._lock = threading.Lock()
        self._used: set[tuple[str, str]] = set()

    def admit(self, request: Request) -> dict[str, str] | Turned:
        """The attributes of a request that is let in."""
        sent = request.headers.get("authorization", "")
        if not sent:
            return Turned("no Authorization header", "Hawk")
        given = _attributes(sent)
        if given is None:
            return _turned("Bad header format")
        if missing := [name for name in NEEDED if not given.get(name)]:
            return _turned(f"Missing attributes: {', '.join(missing)}")
        if unknown := sorted(set(given) - set(KNOWN)):
            return _turned(f"Unknown attribute: {', '.join(unknown)}")
        if given["id"] != self._key_id:
            return _turned("Unknown credentials")
        if not is_same(self._mac("header", request, given, given.get("hash", ""), given.get("ext", "")), given["mac"]):
            return _turned("Bad mac")
        if "hash" in given and not is_same(_payload(request.body, request.headers), given["hash"]):
            return _turned("Bad payload hash")
        if request.body and "hash" not in given:
            return _turned("Missing required payload hash")
        return self._fresh(request, given)

    def _fresh(self, request: Request, given: dict[str, str]) -> dict[str, str] | Turned:
        with self._lock:
            if (given["nonce"], given["ts"]) in self._used:
                return _turned("Invalid nonce")
            self._used.add((given["nonce"], given["ts"]))
        now = int(request.at)
        if not re.fullmatch("[0-9]{1,12}", given["ts"]) or abs(int(given["ts"]) - request.at) > SKEW_SECONDS:
            tsm = self._sign(f"hawk.1.ts\n{now}\n")
            return Turned("Stale timestamp", f'Hawk ts="{now}", tsm="{tsm}", error="Stale timestamp"')
        return given

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


def _turned(why: str) -> Turned:
    return Turned(why, f'Hawk error="{why}"')
