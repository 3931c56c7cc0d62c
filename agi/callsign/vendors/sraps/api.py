"""Any verb and path of the snom SRAPS API, for `callsign api`.

Source: "SRAPS REST API", above all its table of statuses; that lists come in pages public clients show.
"""

from __future__ import annotations

from functools import partial
from urllib.parse import urlsplit

from callsign.http.messages import Answer, Reply
from callsign.record import replace
from callsign.settings.sections import Sraps
from callsign.vendors.api import Call, Result, every_page, failed, succeeded
from callsign.vendors.api_usage import READING_VERBS, check_json, path_of, verb_of
from callsign.vendors.interface import Conversation
from callsign.vendors.sraps.answers import CHECK_URL
from callsign.vendors.sraps.client import Ended, Service, base_url
from callsign.vendors.sraps.memory import Memory
from callsign.verdicts import TryLater

NAMES = False

COMPANY = "{company}"


def effect(section: Sraps, call: Call) -> str:
    """What it does besides answering, empty for a verb that only reads.  Raises ValueError for what cannot be asked."""
    verb = verb_of(call)
    path_of(call, base_url(section))
    if call.data:
        check_json(call.data)
    if verb in READING_VERBS:
        return ""
    return "deletes something" if verb == "DELETE" else "may change something"


def converse(section: Sraps, call: Call, memory: Memory) -> Conversation[Result]:
    """One request, after those that tell the key's own company where PATH has {company}."""
    service = Service(replace(section, accept=call.accept) if call.accept else section, memory)
    try:
        path = path_of(call, base_url(section))
        if COMPANY in path:
            path = path.replace(COMPANY, (yield from _company(service)))
        url = service.follow(base_url(section), base_url(section) + path)
        if call.every_page:
            return (yield from every_page(url, partial(_fetched, service, call), service.follow))
        return (yield from _fetched(service, call, url))[1]
    except Ended as end:
        return failed(end.verdict)


def _fetched(service: Service, call: Call, url: str) -> Conversation[tuple[Reply, Result]]:
    reply = yield from service.send(verb_of(call), url, call.data)
    if isinstance(reply, Answer) and 200 <= reply.status < 300:
        return reply, succeeded(reply)
    return reply, failed(service.no(reply), reply, effect(service.section, call))


def _company(service: Service) -> Conversation[str]:
    """The id of the company that the API key belongs to: the end of its link."""
    link = service.linked((yield from service.token()), "company")
    company = urlsplit(link).path.rstrip("/").rpartition("/")[2]
    if not company:
        raise Ended(TryLater(f"the service's link to the company has no id{CHECK_URL}"))
    return company
