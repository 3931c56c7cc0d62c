"""What is asked of snom SRAPS: which provisioning profile a phone has, and giving it another one.

Source: as of `client`; the fields of a phone (name, provisioning_profile) are those of public clients.
The vendor prints no example of a signature: Hawk's own stand in for it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import quote, urljoin

from callsign import nonces
from callsign.http.messages import Answer, Reply
from callsign.log_text import vendor_words
from callsign.settings.sections import Numbers, Sraps
from callsign.vendors.api import may_be_done
from callsign.vendors.interface import Conversation, Probe, Probed
from callsign.vendors.signing import Explained, values_of
from callsign.vendors.sraps import hawk
from callsign.vendors.sraps.answers import CHECK_URL, text_of
from callsign.vendors.sraps.client import JSON, Ended, Service, base_url
from callsign.vendors.sraps.memory import Memory
from callsign.verdicts import Found, Invalid, Refused, TryLater, Verdict

MOST_NAMED = 3  # profiles in a reason, which is one short line

_GROUPS = ((12,), (6, 6), (4, 4, 4), (2, 2, 2, 2, 2, 2))
_ID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def mac_of(text: str) -> str | None:
    """12 lower-case hex digits, from any usual notation of a MAC address; None from anything else."""
    groups = re.split(r"[:.\-\s]", text.strip().lower())
    digits = "".join(groups)
    return digits if tuple(map(len, groups)) in _GROUPS and re.fullmatch("[0-9a-f]+", digits) else None


def choose(wanted: str, profiles: Mapping[str, str]) -> tuple[str, str] | Invalid:
    """The one profile (id, name) with this id or name, else why there is not one; case counts where it must."""
    small = wanted.casefold()
    if _ID.fullmatch(small):
        for uuid, name in profiles.items():
            if uuid.casefold().replace("-", "") == small.replace("-", ""):
                return uuid, name
    same = [uuid for uuid, name in profiles.items() if name == wanted]
    same = same or [uuid for uuid, name in profiles.items() if name.casefold() == small]
    if len(same) == 1:
        return same[0], profiles[same[0]]
    shown = f'profile "{vendor_words(wanted, 40)}"'
    if same:
        names = sorted({profiles[uuid] for uuid in same})
        if len(names) == len(same):
            return Invalid(f"{shown}: in which case? There are {_few(names)}")
        return Invalid(f"{shown}: {len(same)} are called so; give the id of one: {_few(sorted(same))}")
    from difflib import get_close_matches  # only where something is misspelt

    named = {name.casefold(): name for name in profiles.values() if name}
    close = [named[match] for match in get_close_matches(small, named, n=MOST_NAMED)]
    if close:
        return Invalid(f"{shown}: there is none, did you mean {_few(close)}?")
    return Invalid(f"{shown}: there is none among {len(profiles)}: {_few(sorted(named.values()))}")


def _few(names: list[str]) -> str:
    shown = [name if _ID.fullmatch(name.casefold()) else vendor_words(name, 30) for name in names[:MOST_NAMED]]
    return ", ".join(shown) + (", …" if len(names) > MOST_NAMED else "")


def _name_of(uuid: str, profiles: Mapping[str, str]) -> str | Invalid:
    return profiles.get(uuid, Invalid("the phone's profile is none that this API key sees"))


def _phone(service: Service, given: str) -> Conversation[tuple[str, str, dict[str, Any]]]:
    """URL, MAC and document of the phone with the MAC that the dialplan gives."""
    mac = mac_of(given)
    if mac is None:
        found = vendor_words(given, 40)
        raise Ended(Invalid(f'mac: wanted 12 hex digits such as 00:04:13:aa:bb:cc, found "{found}"'))
    url, reply = yield from service.at("endpoints", mac)
    if isinstance(reply, Answer) and reply.status == 404:
        raise Ended(_no_phone(mac))
    phone = service.document(reply)
    if not isinstance(phone, dict):
        raise Ended(TryLater(f"HTTP 200: what came is no phone{CHECK_URL}"))
    return url, mac, phone


def _no_phone(mac: str) -> Refused:
    return Refused(f"HTTP 404: no such phone {mac} among those that this API key sees")


def ask_endpoint(section: Sraps, _numbers: Numbers, facts: Mapping[str, str], memory: Memory) -> Conversation[Verdict]:
    """The phone's name, and the name of its profile."""
    service = Service(section, memory)
    try:
        _, _, phone = yield from _phone(service, facts["mac"])
        uuid = text_of(phone.get("provisioning_profile"))
        profile = (yield from service.among_profiles(partial(_name_of, uuid))) if uuid else ""
    except Ended as end:
        return end.verdict
    name = text_of(phone.get("name"))
    if isinstance(profile, Invalid):
        return Found({"SRAPSNAME": name}, profile.reason)
    return Found({"SRAPSNAME": name, "SRAPSPROFILE": profile})


def ask_assign(section: Sraps, _numbers: Numbers, facts: Mapping[str, str], memory: Memory) -> Conversation[Verdict]:
    """Gives the phone the profile, unless it has it: one PUT of all that the service says of the phone, so changed."""
    service = Service(section, memory)
    try:
        url, mac, phone = yield from _phone(service, facts["mac"])
        chosen = yield from service.among_profiles(partial(choose, facts["profile"]))
    except Ended as end:
        return end.verdict
    if isinstance(chosen, Invalid):
        return chosen
    uuid, profile = chosen
    found = {"SRAPSNAME": text_of(phone.get("name")), "SRAPSPROFILE": profile}
    if phone.get("provisioning_profile") == uuid:
        return Found(found)
    changed = {**phone, "provisioning_profile": uuid}
    changed.pop("links", None)  # where things are, no property of the phone
    reply = yield from service.send("PUT", url, json.dumps(changed, separators=(",", ":")).encode())
    return _judge_put(service, reply, mac, found)


def _judge_put(service: Service, reply: Reply, mac: str, found: Mapping[str, str]) -> Verdict:
    if isinstance(reply, Answer):
        if reply.status in (200, 201, 204):
            return Found(found)
        if reply.status == 202:
            return Found(found, "accepted, not done yet")
        if reply.status == 404:
            return _no_phone(mac)
    verdict = service.no(reply)
    return TryLater(f"{verdict.reason}; it may have been done") if may_be_done(reply) else verdict


SIGNED_NAMES = ("method", "url", "timestamp", "nonce", "ext", "body")


def explain(section: Sraps, given: Mapping[str, str], now: float) -> Explained:
    """The MAC of a request, by default the one that asks for the API key's own record.  Raises ValueError."""
    found = values_of(given, SIGNED_NAMES, "sraps")
    timestamp = found.get("timestamp", str(int(now)))
    if not re.fullmatch("[0-9]{1,12}", timestamp):
        raise ValueError("timestamp: wanted the digits of epoch seconds")
    url = urljoin(base_url(section), found.get("url", f"tokens/{quote(section.key_id, safe='')}"))
    body = found.get("body", "")
    payload = hawk.payload_hash(body.encode(), JSON) if body else ""
    nonce = found.get("nonce", "") or nonces.new_nonce()
    what = hawk.signed(found.get("method", "GET"), url, int(timestamp), nonce, payload, found.get("ext", ""))
    values = {"method": what.method, "url": url, "timestamp": what.ts, "nonce": nonce, "ext": what.ext, "body": body}
    method = "Hawk: HMAC-SHA256 of the text with key_secret, as base64; a body's hash is SHA-256 as application/json"
    return Explained(what.text(), hawk.mac(section.key_secret, what.text()), {**values, "hash": payload}, method)


def probe(section: Sraps, memory: Memory) -> Probe:
    """The API key's own record."""
    service = Service(section, memory)
    try:
        yield from service.token()
    except Ended as end:
        return end.verdict
    offset = service.known.clock_offset_seconds
    clock = f"; its clock is {offset:+.0f} s from this machine's, which is allowed for" if offset else ""
    return Probed(True, f"the API key is accepted{clock}")
