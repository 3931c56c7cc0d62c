"""KalliopePBX's X-authenticate: a header that is good once, within five minutes of its time.

Source: "Introduzione alle API REST Kalliope", 1.2 and 1.3.  The password is known to the PBX as a digest with
the tenant's salt alone, so that digest is as good as the password.  Nothing of the request itself is signed.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from urllib.parse import quote

from callsign import clocks, nonces
from callsign.http.messages import Answer, NoAnswer, Reply, Request
from callsign.record import Record, field, replace
from callsign.settings.secret import Secret
from callsign.settings.sections import Kalliope
from callsign.vendors.interface import Conversation
from callsign.vendors.kalliope.vendor import ACCEPTED_SECONDS
from callsign.vendors.signing import MASK, Explained, sha256_hex, values_of
from callsign.verdicts import Refused, TryLater

AUTH_STATUSES = (401, 403)
"""Which one tells a failed authentication is documented nowhere."""

SIGNED_NAMES = ("nonce", "created", "salt")

_SALT = re.compile(r"[^\s{}<>\"]{1,128}")
_SALT_IN_XML = re.compile(r"<salt>\s*([^\s<]*)\s*</salt>")
_NONCE = re.compile(r"[0-9A-Fa-f]{8,128}")
_CREATED = re.compile(r"[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]Z")


class Signer(Record, frozen=False):
    """What signing needs beside the settings; a salt is kept until an authentication fails."""

    wall: Callable[[], float] = clocks.wall
    nonce: Callable[[], str] = nonces.new_nonce
    salts: dict[tuple[str, str], str] = field(default_factory=dict)  # by url and domain


def digest_password(password: Secret, salt: str) -> Secret:
    """SHA-256 in hex of the password and the salt in braces, which are part of the text."""
    return Secret(sha256_hex(f"{password.reveal()}{{{salt}}}"))


def text_to_sign(section: Kalliope, nonce: str, password: Secret, created: str) -> str:
    """The five values without separators; `password` is the digest, as hex text."""
    return nonce + password.reveal() + section.username + section.domain + created


def digest(text: str) -> str:
    """The binary SHA-256 in base64."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def created_text(at: float) -> str:
    """The moment `at` (epoch seconds) in UTC, to the second."""
    return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def header(section: Kalliope, salt: str, nonce: str, created: str) -> str:
    """The value of X-authenticate, on one line."""
    signature = digest(text_to_sign(section, nonce, digest_password(section.password, salt), created))
    return (
        f'RestApiUsernameToken Username="{section.username}", Domain="{section.domain}", '
        f'Digest="{signature}", Nonce="{nonce}", Created="{created}"'
    )


def base_url(section: Kalliope) -> str:
    """Up to /rest."""
    return f"{section.url.rstrip('/')}/rest"


def exchange(section: Kalliope, signer: Signer, request: Request) -> Conversation[Reply]:
    """The reply to `request` once it is signed; where a known salt fails, once more with a fresh one.

    A reply to the request for the salt that brings none is given in its place.
    """
    tenant = section.url, section.domain
    if known := signer.salts.get(tenant):
        reply = yield _signed(section, signer, known, request)
        if not (isinstance(reply, Answer) and reply.status in AUTH_STATUSES):
            return reply
    fresh = yield from _fetched_salt(section)
    if not isinstance(fresh, str):
        return fresh
    signer.salts[tenant] = fresh
    return (yield _signed(section, signer, fresh, request))


def _signed(section: Kalliope, signer: Signer, salt: str, request: Request) -> Request:
    value = header(section, salt, signer.nonce(), created_text(signer.wall()))
    return replace(request, headers={**request.headers, "X-authenticate": value}, verify=section.verify)


def _fetched_salt(section: Kalliope) -> Conversation[str | Reply]:
    """Anonymous: `{"salt":"…"}`, or XML whatever Accept says."""
    url = f"{base_url(section)}/salt/{quote(section.domain, safe='')}"
    headers = {"Accept": "application/json"}
    reply = yield Request("GET", url, headers=headers, verify=section.verify, is_safe=True)
    if isinstance(reply, NoAnswer):
        return reply
    body = reply.json()
    found = _SALT_IN_XML.search(reply.body[:4096].decode("utf-8", "replace"))
    text = body.get("salt") if isinstance(body, dict) else found and found[1]
    if reply.status == 200 and isinstance(text, str) and _SALT.fullmatch(text):
        return text
    if reply.status == 200:
        return NoAnswer("the PBX gave no salt; is [kalliope] url right?", sent=True)
    return reply


def trouble_with(reply: Reply) -> Refused | TryLater | None:
    """Why a reply is not what was asked for, and where to mend it; None for HTTP 200 and 204."""
    if isinstance(reply, NoAnswer):
        return TryLater(reply.reason)
    said = f"HTTP {reply.status}"
    if reply.status in (200, 204):
        return None
    if reply.status in AUTH_STATUSES:
        clock = clock_trouble(reply) or "that the clocks agree"
        return Refused(
            f"{said}: check [kalliope] username, password and domain, that the user may use the API, {clock}"
        )
    if reply.status == 404:
        return TryLater(f"{said}; is [kalliope] url the PBX's, without /rest, and domain its tenant?")
    if 300 <= reply.status < 400:
        return TryLater(f"{said}: the PBX sends elsewhere; give that address as [kalliope] url")
    if reply.status in (400, 405, 406, 415):
        return Refused(f"{said}: the PBX does not take such a request")
    return TryLater(said, reply.retry_after_seconds())


def clock_trouble(answer: Answer) -> str:
    """What is wrong between the two clocks, in words; empty where nothing is or the PBX gives no Date."""
    skew = answer.clock_skew_seconds()
    if skew is None or abs(skew) < ACCEPTED_SECONDS / 2:
        return ""
    return f"our clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the PBX's, which accepts 300"


def explain(section: Kalliope, given: Mapping[str, str], now: float) -> Explained:
    """The digest over nonce, time and salt as given; nonce and time are made up else.  Raises ValueError."""
    values = {"nonce": nonces.new_nonce(), "created": created_text(now), **values_of(given, SIGNED_NAMES, "kalliope")}
    if not _SALT.fullmatch(values.get("salt", "")):
        url = f"{base_url(section)}/salt/{quote(section.domain, safe='')}"
        raise ValueError(f"salt: give salt=…, which {url} tells anybody")
    if not _NONCE.fullmatch(values["nonce"]):
        raise ValueError("nonce: wanted 8 hex digits or more")
    if not _CREATED.fullmatch(values["created"]):
        raise ValueError("created: wanted a time in UTC such as 2016-04-29T15:48:26Z")
    nonce, created = values["nonce"], values["created"]
    text = text_to_sign(section, nonce, Secret(MASK), created)
    signature = digest(text_to_sign(section, nonce, digest_password(section.password, values["salt"]), created))
    parts = {"username": section.username, "domain": section.domain, **{name: values[name] for name in SIGNED_NAMES}}
    method = f"SHA-256 in base64; {MASK} is the SHA-256 in hex of password{{salt}}"
    return Explained(text, signature, parts, method)
