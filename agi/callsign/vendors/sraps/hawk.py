"""Hawk with SHA-256: proves that a request comes from who holds the key, and its answer from the server.

Source: Hawk 1.1's API.md and README (github.com/mozilla/hawk).  Strings to sign are lines, the last one
ended too; every digest is base64; the key is text even where it looks like hex.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from urllib.parse import urlsplit

from callsign.record import Record, field
from callsign.settings.secret import Secret

SKEW_SECONDS = 60
"""How far a timestamp may be off by default."""

MAX_HEADER_CHARACTERS = 4096

_VALUE = re.compile(r"[ !#-\[\]-~]*")  # printable ASCII but quote and backslash: so nothing is ever escaped
_ATTRIBUTE = re.compile(r'\s*([A-Za-z]+)="([^"\\]*)"\s*(?:,|$)')
_PORTS = {"http": 80, "https": 443}


class Signed(Record):
    """All that the MAC of one request covers, as it goes out; scheme, headers and status are not covered."""

    ts: str  # epoch seconds
    nonce: str = field(repr=False)
    method: str
    target: str = field(repr=False)  # path and query exactly as sent
    host: str
    port: int
    payload: str = field(default="", repr=False)  # hash of the body, empty without one
    ext: str = field(default="", repr=False)

    def text(self, kind: str = "header", payload: str | None = None, ext: str | None = None) -> str:
        """The string to sign; of a "response" with the response's own payload hash and ext."""
        lines = [f"hawk.1.{kind}", self.ts, self.nonce, self.method, self.target, self.host, str(self.port)]
        lines += [self.payload if payload is None else payload, self.ext if ext is None else ext]
        return "".join(f"{line}\n" for line in lines)


def signed(method: str, url: str, ts: int, nonce: str, payload: str = "", ext: str = "") -> Signed:
    """What is to be signed of a request to `url`.  Raises ValueError for what no header can carry."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError("url: wanted an address such as https://host/path")
    if not (nonce and _VALUE.fullmatch(nonce) and _VALUE.fullmatch(ext)):
        raise ValueError('nonce and ext: wanted plain ASCII without " and \\, and a nonce that is not empty')
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    port = parts.port or _PORTS[parts.scheme]
    return Signed(str(ts), nonce, method.upper(), target, parts.hostname, port, payload, ext)


def payload_hash(body: bytes, content_type: str) -> str:
    """Of a body and its media type, parameters such as charset left out."""
    kind = content_type.partition(";")[0].strip().lower()
    return _base64(hashlib.sha256(b"hawk.1.payload\n%b\n%b\n" % (kind.encode(), body)).digest())


def mac(key: Secret, text: str) -> str:
    """HMAC-SHA256 of a string to sign."""
    return _base64(hmac.new(key.reveal().encode(), text.encode(), hashlib.sha256).digest())


def authorization(key_id: str, key: Secret, what: Signed) -> str:
    """The Authorization header of a request."""
    values = {"mac": mac(key, what.text()), "hash": what.payload, "id": key_id, "ts": what.ts, "nonce": what.nonce}
    values["ext"] = what.ext
    return "Hawk " + ", ".join(f'{name}="{value}"' for name, value in values.items() if value)


def fault_of_response(key: Secret, what: Signed, header: str, body: bytes, content_type: str) -> str:
    """What is wrong with the Server-Authorization of the answer to `what`; empty if nothing is."""
    found = attributes(header)
    if found is None or "mac" not in found:
        return "it cannot be read"
    payload = found.get("hash", "")
    if not _is_same(mac(key, what.text("response", payload, found.get("ext", ""))), found["mac"]):
        return "its MAC does not fit our key and request"
    if payload and not _is_same(payload_hash(body, content_type), payload):
        return "its hash does not fit the body"
    return ""


def server_time(key: Secret, header: str) -> int | None:
    """The server's clock (epoch seconds) in a WWW-Authenticate, None unless it is signed with our key."""
    found = attributes(header) or {}
    ts, tsm = found.get("ts", ""), found.get("tsm", "")
    if not (re.fullmatch("[0-9]{1,12}", ts) and _is_same(mac(key, f"hawk.1.ts\n{ts}\n"), tsm)):
        return None
    return int(ts)


def attributes(header: str) -> dict[str, str] | None:
    """The values of a header that begins with Hawk; None if it is none, or says a thing twice."""
    scheme, _, rest = header.strip().partition(" ")
    if scheme.lower() != "hawk" or len(header) > MAX_HEADER_CHARACTERS:
        return None
    found: dict[str, str] = {}
    at = 0
    while at < len(rest):
        match = _ATTRIBUTE.match(rest, at)
        if match is None or match[1] in found:
            return None
        found[match[1]] = match[2]
        at = match.end()
    return found


def _is_same(wanted: str, given: str) -> bool:
    return hmac.compare_digest(wanted.encode(), given.encode("utf-8", "replace"))


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
