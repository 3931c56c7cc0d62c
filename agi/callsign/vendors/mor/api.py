"""Any method of the MOR API, for `callsign api`."""

from __future__ import annotations

from callsign.record import replace
from callsign.settings.sections import Mor
from callsign.vendors.api import MOST_BYTES, Call, Result, failed
from callsign.vendors.api_usage import method_of
from callsign.vendors.interface import Conversation
from callsign.vendors.mor import answer as mor_answer
from callsign.vendors.mor.hash import invalid_value, unlisted
from callsign.vendors.mor.methods import effect_of
from callsign.vendors.mor.questions import OUTSIDE, request
from callsign.vendors.mor.xml import Element, as_json

NAMES = True


def effect(_section: Mor, call: Call) -> str:
    """What the method does besides answering, empty where it only reads.

    Raises ValueError for what cannot be asked.
    """
    method = method_of(call, "user_balance_get", "user_id", OUTSIDE)
    if fault := invalid_value(method, call.given):
        raise ValueError(fault)
    return effect_of(method)


def converse(section: Mor, call: Call, _memory: object) -> Conversation[Result]:
    """One request."""
    method = call.words[0]
    reply = yield request(section, method, call.given, MOST_BYTES)
    answer = mor_answer.read(reply, section.key, MOST_BYTES)
    names = unlisted(method, call.given)
    remark = f"sent and not hashed, as MOR's list has no {', '.join(names)}" if names else ""
    if isinstance(answer, Element):
        return Result("OK", remark, document=as_json(answer))
    result = failed(answer, reply, effect_of(method))
    return replace(result, reason=f"{result.reason}; {remark}") if remark else result
