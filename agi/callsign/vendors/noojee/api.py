"""Any method of Noojee's CallManagementAPI, for `callsign api`.

Source: the recorder's call management pages; the recordings' look-ups stood there in older versions.
"""

from __future__ import annotations

from callsign.http.messages import Answer
from callsign.settings.sections import Noojee
from callsign.vendors.api import MOST_BYTES, Call, Result, failed, succeeded
from callsign.vendors.api_usage import method_of
from callsign.vendors.interface import Conversation
from callsign.vendors.noojee import conversation as noojee
from callsign.verdicts import Delivered, Refused, TryLater

NAMES = True

TIME = "Time"
"""Not one of CallManagementAPI's: it stands beside it, and wants no proof."""

READS = frozenset((TIME, "subscribe", "retrieveMetaData", "retrieveMetaDataByUniqueId", "retrieveMetaDataByHour"))
EFFECTS = {
    "start": "starts a recording",
    "stop": "stops a recording",
    "dial": "rings phones",
    "hangup": "ends a call",
    "answer": "answers a call",
}
"""Method -> what it does; one that stands in neither table is not known to be harmless."""

RESERVED = ("apiKey", "timeStamp", "hash")


def effect(_section: Noojee, call: Call) -> str:
    """What the method does besides answering, empty where it only reads.

    Raises ValueError for what cannot be asked.
    """
    method = method_of(call, "subscribe", "extenOrUniqueId", RESERVED)
    if method == TIME and call.given:
        raise ValueError("Time: takes no NAME=VALUE")
    return "" if method in READS else EFFECTS.get(method, "is not known to only read")


def converse(section: Noojee, call: Call, _memory: object) -> Conversation[Result]:
    """One request, in hash mode with a timestamp fetched for it."""
    method = call.words[0]
    if method == TIME:
        reply = yield noojee.time_request(section)
        if isinstance(reply, Answer) and noojee.timestamp_in(reply):
            return succeeded(reply)
        return failed(noojee.no_time(reply))
    what = "" if method in READS else method
    proof: tuple[tuple[str, str], ...] = (("apiKey", section.key.reveal()),)
    if section.auth == "hash":
        reply = yield noojee.time_request(section)
        timestamp = noojee.timestamp_in(reply)
        if not timestamp:
            return failed(noojee.no_time(reply))
        proof = noojee.proof(section.key, timestamp)
    given = tuple((name, value) for name, value in call.given.items() if value)
    reply = yield noojee.command(section, method, given + proof, MOST_BYTES, is_safe=not what)
    verdict = noojee.judge(reply, section.key)
    has_json = isinstance(reply, Answer) and 200 <= reply.status < 300 and reply.json() is not None
    if isinstance(reply, Answer) and (isinstance(verdict, Delivered) or (has_json and isinstance(verdict, TryLater))):
        result = succeeded(reply)
        return Result("OK", verdict.reason if isinstance(verdict, Delivered) else "", document=result.document)
    assert isinstance(verdict, Refused | TryLater)  # noqa: S101
    return failed(verdict, reply, what)
