"""Skarabee VoIP: tells the estate agents' CRM who calls whom while the call is being routed.

Source: infosheet "Techniek Skarabee VoIP"; voip.skarabee.net/documentation for the statuses.  The
infosheet mixes two examples: its printed hash belongs to timestamp 1556891830, while its URL shows
1556885889.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from callsign.http.messages import Answer, NoAnswer, Reply, Request
from callsign.log_text import vendor_words
from callsign.notification import Notification
from callsign.phone_numbers import as_vendor_wants
from callsign.record import Record
from callsign.settings.secret import Secret
from callsign.settings.sections import Numbers, Skarabee
from callsign.vendors.interface import Conversation, Probe, Probed
from callsign.vendors.signing import Explained, hmac_sha256_hex, values_of
from callsign.vendors.skarabee.vendor import ACCEPTED_SECONDS
from callsign.verdicts import Delivered, Outcome, Refused, TryLater

CLOCK_FAULT = "TIMESTAMP_MISMATCH"
KEY_FAULTS = {
    "HASH_MISMATCH": "check the key of this office in the settings",
    "NO_HASH_KEY_AVAILABLE": "check businessid, or ask Skarabee to set up the key of this office",
}
"""The refusals that its documentation names, besides CLOCK_FAULT -> where to mend them."""


SIGNED_NAMES = ("businessid", "phoneto", "phonefrom", "timestamp")


class Memory(Record, frozen=False):
    """Which reading of the clock the server took last, for `clock = "auto"`."""

    clock: str = "unix"


def text_to_sign(businessid: str, phoneto: str, phonefrom: str, timestamp: str) -> str:
    """The four values without separators, the called number before the caller's."""
    return businessid + phoneto + phonefrom + timestamp


def timestamp_text(at: float, clock: str, zone: str) -> str:
    """The moment `at` (epoch seconds) as the service counts it.

    "unix" is the epoch.  "local" is the wall clock of `zone` read as if it were UTC, which is how the
    infosheet's "epoch unix local time" and its examples can be understood.
    """
    if clock == "local":
        from zoneinfo import ZoneInfo  # few need it, and a plain script need not load it

        offset = datetime.fromtimestamp(at, ZoneInfo(zone)).utcoffset()
        at += offset.total_seconds() if offset else 0.0
    return str(int(at))


def key_of(section: Skarabee, businessid: str) -> Secret | None:
    """The key of the office with this id, None if the settings have no such office."""
    return next((o.key for o in section.offices if o.businessid == businessid), None)


def converse(section: Skarabee, numbers: Numbers, job: Notification, memory: Memory) -> Conversation[Outcome]:
    """One attempt: POST with everything in the query and an empty body; with "auto" both clocks if need be."""
    businessid = job.facts["businessid"]
    key = key_of(section, businessid)
    if key is None:
        return TryLater(f"no office with businessid {businessid} in [skarabee] or [[skarabee.office]]")
    phonefrom = as_vendor_wants(job.facts["phonefrom"], numbers.country, numbers.format)
    phoneto = job.facts["phoneto"]
    if not job.facts.get("mapped"):
        phoneto = as_vendor_wants(phoneto, numbers.country, numbers.format)

    def signed(clock: str) -> Request:
        values = businessid, phoneto, phonefrom, timestamp_text(job.created_at, clock, section.timezone)
        proof = hmac_sha256_hex(key, text_to_sign(*values))
        return Request("POST", section.url, query=(*zip(SIGNED_NAMES, values, strict=True), ("hash", proof)))

    clock = memory.clock if section.clock == "auto" else section.clock
    reply = yield signed(clock)
    if section.clock == "auto" and status_of(reply) == CLOCK_FAULT:
        clock = _other(clock)
        reply = yield signed(clock)
    outcome = judge(reply, section, job.created_at)
    if isinstance(outcome, Delivered):
        memory.clock = clock
    return outcome


def status_of(reply: Reply) -> str:
    """The service's `Status` in capitals, as its documents have it; empty where there is none."""
    return _word(reply, "status").upper() if isinstance(reply, Answer) else ""


def _word(answer: Answer, name: str) -> str:
    body = answer.json()
    if not isinstance(body, dict):
        return ""
    found = next((value for key, value in body.items() if key.lower() == name), "")
    return found if isinstance(found, str) else ""


def judge(reply: Reply, section: Skarabee, at: float) -> Outcome:
    """Success is 2xx and Status OK; the known refusals count with any HTTP status.  `at` is the call's time."""
    if isinstance(reply, NoAnswer):
        return TryLater(reply.reason)
    status = status_of(reply)
    if status == "OK" and 200 <= reply.status < 300:
        return Delivered()
    message = ": ".join(filter(None, (vendor_words(status, 40), vendor_words(_word(reply, "message")))))
    if status == CLOCK_FAULT:
        return Refused(f"{status}: {_clock_advice(reply, section, at)}")
    if status in KEY_FAULTS:
        return Refused(f"{message.removesuffix('.')}; {KEY_FAULTS[status]}")
    if status and status != "OK" and not reply.is_temporary():
        return Refused(message)
    what = message or "an answer without a Status; is [skarabee] url right?"
    return TryLater(f"HTTP {reply.status}: {what}", reply.retry_after_seconds())


def _clock_advice(answer: Answer, section: Skarabee, at: float) -> str:
    skew = answer.clock_skew_seconds()
    if skew is None:
        what = "check this machine's time (NTP), then [skarabee] clock"
        return f"the service sent no Date header to compare clocks with; {what}"
    side = "ahead of" if skew > 0 else "behind"
    seen = f"this clock is {abs(skew):.0f} s {side} the server's Date"
    late = answer.at - skew - at
    if abs(late) > ACCEPTED_SECONDS:  # too much also for a service that counts as we do
        return f"{seen} and the call's time {abs(late):.0f} s off it; set this machine's time (NTP)"
    if section.clock == "auto":
        return f"{seen} and neither reading was taken; check [skarabee] timezone"
    return f'{seen}, so the service counts otherwise: set [skarabee] clock = "{_other(section.clock)}" or "auto"'


def _other(clock: str) -> str:
    return "local" if clock == "unix" else "unix"


def explain(section: Skarabee, given: Mapping[str, str], now: float) -> Explained:
    """The signature over the values as given; the office and the clock fill in.  Raises ValueError."""
    clock = "unix" if section.clock == "auto" else section.clock
    filled = {"businessid": section.businessid, "timestamp": timestamp_text(now, clock, section.timezone)}
    values = {**filled, **values_of(given, SIGNED_NAMES, "skarabee")}
    missing = [name for name in SIGNED_NAMES if name not in values]
    if missing:
        raise ValueError(f"give {' and '.join(f'{name}=NUMBER' for name in missing)}")
    for name in SIGNED_NAMES:
        if not values[name] or (name == "timestamp" and not re.fullmatch(r"[0-9]{1,12}", values[name])):
            raise ValueError(f"{name}: wanted {'whole seconds' if name == 'timestamp' else 'a value'}")
    key = key_of(section, values["businessid"])
    if key is None:
        raise ValueError("the settings have no office with this businessid")
    text = text_to_sign(*(values[name] for name in SIGNED_NAMES))
    method = "HMAC-SHA256 with the office's key as text, in hex"
    return Explained(text, hmac_sha256_hex(key, text), {name: values[name] for name in SIGNED_NAMES}, method)


def probe(section: Skarabee, _memory: object) -> Probe:
    """A GET without parameters tells nobody of a call; that the service answers it, in whatever way, is all."""
    reply = yield Request("GET", section.url, is_safe=True)
    if isinstance(reply, NoAnswer):
        return TryLater(reply.reason)
    if reply.is_temporary():
        return TryLater(f"HTTP {reply.status}")
    return Probed(None, "it has no harmless call that checks businessid and key: the first notified call shows them")
