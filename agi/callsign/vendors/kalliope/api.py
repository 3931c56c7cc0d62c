"""Any verb and path of the KalliopePBX's REST API, for `callsign api`.

Source: "Introduzione alle API REST Kalliope"; of the paths below its documentation page and public clients.
"""

from __future__ import annotations

import re
from functools import partial

from callsign.http.messages import Answer, NoAnswer, Reply, Request
from callsign.settings.sections import Kalliope
from callsign.vendors.api import MOST_BYTES, Call, Result, every_page, failed, succeeded, verdict_on, words_in
from callsign.vendors.api_usage import READING_VERBS, check_json, check_xml, path_of, verb_of
from callsign.vendors.interface import Conversation
from callsign.vendors.kalliope.last_call import Memory
from callsign.vendors.kalliope.signing import AUTH_STATUSES, base_url, exchange, trouble_with
from callsign.vendors.links import origin, resolved
from callsign.verdicts import Refused, TryLater

NAMES = False

JSON, XML = "application/json", "application/xml"

_READS = re.compile(r"(?:cdr|salt|account|ctiUser|dashboard)(?:[/?]|$)")
_SEARCHES = re.compile(r"cdr/[a-z0-9_]+/?$")
"""A POST that only reads: the body says which calls."""

_ACTS = re.compile(r"phoneServices(?:[/?]|$)")

STATUS_WORDS = {
    400: "the PBX finds the request malformed",
    404: "there is no such thing; is PATH right, and [kalliope] url the PBX's, without /rest?",
    405: "the PBX knows no such verb for this path",
    406: "the PBX does not answer in that form; is --accept right?",
    413: "the body is too large for the PBX",
    415: "the PBX does not take such a body",
    429: "too many requests",
    503: "the PBX is busy, restoring a backup perhaps",
}


def effect(section: Kalliope, call: Call) -> str:
    """What it does besides answering, empty where it is known to only read: of this PBX a GET rings phones too.

    Raises ValueError for what cannot be asked.
    """
    verb, path = verb_of(call), _path(section, call)
    if "{" in path:
        raise ValueError("PATH: {company} is for sraps")
    if call.data:
        (check_xml if _is_xml(call.data) else check_json)(call.data)
    if _ACTS.match(path):
        return "rings phones"
    if (verb in READING_VERBS and _READS.match(path)) or (verb == "POST" and _SEARCHES.match(path)):
        return ""
    return "is not known to only read" if verb in READING_VERBS else "may change something"


def _path(section: Kalliope, call: Call) -> str:
    """Behind /rest, with which the documents write it."""
    return path_of(call, f"{base_url(section)}/").removeprefix("rest/")


def _is_xml(data: bytes) -> bool:
    return data.lstrip().startswith(b"<")


def converse(section: Kalliope, call: Call, memory: Memory) -> Conversation[Result]:
    """One request, signed with the tenant's salt, which is asked for before."""
    url = f"{base_url(section)}/{_path(section, call)}"
    if call.every_page:
        return (yield from every_page(url, partial(_fetched, section, call, memory), partial(_followed, section)))
    return (yield from _fetched(section, call, memory, url))[1]


def _fetched(section: Kalliope, call: Call, memory: Memory, url: str) -> Conversation[tuple[Reply, Result]]:
    does = effect(section, call)
    kind = {"Content-Type": XML if _is_xml(call.data) else JSON} if call.data else {}
    headers = {"Accept": call.accept or JSON, **kind}
    request = Request(verb_of(call), url, headers=headers, body=call.data, max_bytes=MOST_BYTES, is_safe=not does)
    reply = yield from exchange(section, memory.signer, request)
    if isinstance(reply, Answer) and 200 <= reply.status < 300:
        return reply, succeeded(reply, reads_xml=not call.accept)
    return reply, failed(_no(section, reply), reply, does)


def _no(section: Kalliope, reply: Reply) -> Refused | TryLater:
    if isinstance(reply, NoAnswer):
        return TryLater(reply.reason)
    if reply.status in AUTH_STATUSES or reply.status < 400:
        verdict = trouble_with(reply)
        assert verdict is not None  # noqa: S101
        said = words_in(reply, section.password.reveal())
        return Refused(f"{verdict.reason}; it says: {said}") if said else verdict
    meaning = STATUS_WORDS.get(reply.status, "not what was expected")
    return verdict_on(reply, meaning, "the PBX", section.password.reveal())


def _followed(section: Kalliope, page: str, link: str) -> str:
    url = resolved(page, link)
    if origin(url) != origin(section.url):
        raise ValueError("the next page is at another address than [kalliope] url, and is not followed")
    return url
