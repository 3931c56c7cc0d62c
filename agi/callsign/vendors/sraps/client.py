"""One conversation with snom SRAPS: signed requests, along the company's links, through pages.

Source: "SRAPS REST API" for authentication and statuses; links, fields and paging as public clients of it
show them, for its reference lies behind the portal's login.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from callsign.http.messages import Answer, NoAnswer, Reply, Request
from callsign.log_text import vendor_words
from callsign.settings.sections import Sraps
from callsign.vendors.interface import Conversation
from callsign.vendors.links import next_link, origin, resolved
from callsign.vendors.sraps import hawk
from callsign.vendors.sraps.answers import CHECK_URL, judge, text_of
from callsign.vendors.sraps.memory import Kept, Memory
from callsign.verdicts import Invalid, Refused, TryLater

JSON = "application/json"

LINKS_SECONDS = 3600.0
"""A company does not move; a 404 behind a link that was kept makes us fetch it again at once."""

PROFILES_SECONDS = 300.0

PAGE_SIZE = 1000
"""Asked for, as public clients do; without it a page has 20.  Whatever comes, the next page's link is followed."""

MOST_PAGES = 20  # of one list: pages without end are a fault of the service
MAX_LIST_BYTES = 8 << 20
MOST_TRIES = 4
"""Of one request: with another clock, and after the pauses that the service asks for."""


class Ended(Exception):
    """The conversation is over before its last step, with this verdict."""

    def __init__(self, verdict: Refused | TryLater | Invalid) -> None:
        super().__init__()
        self.verdict = verdict


class Service:
    """The service as one conversation sees it.  Where there is nothing to be had its methods raise `Ended`."""

    def __init__(self, section: Sraps, memory: Memory) -> None:
        self.section = section
        self.memory = memory
        self.known = memory.of(section)
        self._has_new_links = False  # fetched in this conversation

    def send(self, method: str, url: str, body: bytes = b"") -> Conversation[Any]:
        """The reply to one request.  It is repeated only after an answer which says that nothing was done.

        That is a 401 with the service's time, and a 429 with a pause that the time left allows.
        """
        payload = hawk.payload_hash(body, JSON) if body else ""
        kind = {"Content-Type": JSON} if body else {}
        last, pause, is_clock_set = None, 0.0, False
        for _ in range(MOST_TRIES):
            ts = int(self.memory.wall() + self.known.clock_offset_seconds + pause)
            what = hawk.signed(method, url, ts, self.memory.new_nonce(), payload)
            proof = hawk.authorization(self.section.key_id, self.section.key_secret, what)
            reply: Reply = yield Request(
                method,
                url,
                headers={"Accept": self.section.accept, "Authorization": proof, **kind},
                body=body,
                verify=self.section.verify,
                max_bytes=MAX_LIST_BYTES,
                is_safe=method == "GET",
                after_seconds=pause,
            )
            if isinstance(reply, NoAnswer):
                return last if last is not None and not reply.sent else reply
            if fault := self._response_fault(reply, what):
                return NoAnswer(fault, sent=True)
            last, pause = reply, 0.0
            if reply.status == 401 and not is_clock_set and self._set_clock(reply):
                is_clock_set = True
            elif reply.status == 429:
                pause = reply.retry_after_seconds() or 0.0
                if not pause:
                    return reply
            else:
                return reply
        return last

    def _response_fault(self, answer: Answer, what: hawk.Signed) -> str:
        """Why Server-Authorization is invalid, so that not even the status counts; empty if valid or absent."""
        header = answer.headers.get("server-authorization", "")
        if not header:
            return ""
        kind = answer.headers.get("content-type", "")
        fault = hawk.fault_of_response(self.section.key_secret, what, header, answer.body, kind)
        return f"the answer is not believed: Server-Authorization: {fault}" if fault else ""

    def _set_clock(self, answer: Answer) -> bool:
        """Whether the service gave its time under our key."""
        ts = hawk.server_time(self.section.key_secret, answer.headers.get("www-authenticate", ""))
        if ts is not None:
            self.known.clock_offset_seconds = ts - self.memory.wall()
        return ts is not None

    def token(self) -> Conversation[Any]:
        """The API key's own record; that it is given proves key and clock."""
        url = self.follow(base_url(self.section), f"tokens/{quote(self.section.key_id, safe='')}")
        return self.document((yield from self.send("GET", url)))

    def links(self) -> Conversation[Any]:
        """The company's links."""
        kept = self.known.links
        if kept is not None and self.memory.steady() - kept.at < LINKS_SECONDS:
            return kept.value
        token = yield from self.token()
        company = self.document((yield from self.send("GET", self.linked(token, "company"))))
        found = {name: self.linked(company, name) for name in ("endpoints", "provisioning-profiles")}
        self.known.links = Kept(found, self.memory.steady())
        self._has_new_links = True
        return found

    def at(self, name: str, rest: str) -> Conversation[Any]:
        """The URL of `rest` behind one of the company's links, and the reply to a GET there."""
        old = yield from self.links()
        url = _joined(old[name], rest)
        reply = yield from self.send("GET", url)
        if isinstance(reply, Answer) and reply.status == 404 and not self._has_new_links:
            self.known.links = None
            links = yield from self.links()
            if links != old:
                url = _joined(links[name], rest)
                reply = yield from self.send("GET", url)
        return url, reply

    def among_profiles(self, find: Callable[[Mapping[str, str]], Any]) -> Conversation[Any]:
        """What `find` finds among all profiles (id -> name).  A kept list may lack one: then all are fetched again."""
        kept = self.known.profiles
        if kept is not None and self.memory.steady() - kept.at < PROFILES_SECONDS:
            found = find(kept.value)
            if not isinstance(found, Invalid):
                return found
        return find((yield from self._profiles()))

    def _profiles(self) -> Conversation[Any]:
        found: dict[str, str] = {}
        length = 0
        url, reply = yield from self.at("provisioning-profiles", f"?page_size={PAGE_SIZE}")
        for _ in range(MOST_PAGES):
            document = self.document(reply)
            length += len(reply.body)
            if length > MAX_LIST_BYTES:
                break
            page = document.get("results") if isinstance(document, dict) else document
            for entry in page if isinstance(page, list) else ():
                if isinstance(entry, dict) and isinstance(entry.get("uuid"), str):
                    found[entry["uuid"]] = text_of(entry.get("name"))
            link = next_link(reply, document)
            if link is None:
                self.known.profiles = Kept(found, self.memory.steady())
                return found
            url = self.follow(url, link)
            reply = yield from self.send("GET", url)
        what = f"{MOST_PAGES} pages or {MAX_LIST_BYTES} bytes"
        raise Ended(TryLater(f"the provisioning profiles have no end after {what}"))

    def document(self, reply: Reply) -> Any:
        """The object or list that a good answer holds."""
        if not (isinstance(reply, Answer) and reply.status == 200):
            raise Ended(self.no(reply))
        document = reply.json()
        if not isinstance(document, dict | list):
            raise Ended(TryLater(f"HTTP 200: what came is no JSON{CHECK_URL}"))
        return document

    def no(self, reply: Reply) -> Refused | TryLater:
        """The verdict on a reply that is none of the good ones."""
        return TryLater(reply.reason) if isinstance(reply, NoAnswer) else judge(reply, self.section.key_secret)

    def linked(self, document: object, name: str) -> str:
        """Where a link in a document leads."""
        links = document.get("links") if isinstance(document, dict) else None
        link = links.get(name) if isinstance(links, dict) else None
        if not isinstance(link, str):
            raise Ended(TryLater(f"the service's answer has no link to {name}{CHECK_URL}"))
        return self.follow(base_url(self.section), link)

    def follow(self, base: str, link: str) -> str:
        """Where a link leads; nothing is signed for another server than that of the settings."""
        own, url = origin(self.section.url), resolved(base, link)
        found = origin(url)
        if not found or found != own:
            where = vendor_words(found, 60) or "an address that is none"
            raise Ended(
                Invalid(f"a link of the service leads to {where}, not to {own}, and is not followed{CHECK_URL}")
            )
        return re.sub("%[0-9a-fA-F]{2}", lambda escape: escape[0].upper(), url.partition("#")[0])  # as it is sent


def base_url(section: Sraps) -> str:
    """The API's address, what is asked for goes behind it."""
    return section.url.rstrip("/") + "/"


def _joined(url: str, rest: str) -> str:
    """A collection's URL with a query or a member behind it."""
    if rest.startswith("?"):
        return f"{url}{'&' if '?' in url else '?'}{rest[1:]}"
    return f"{url.partition('?')[0].rstrip('/')}/{rest}"
