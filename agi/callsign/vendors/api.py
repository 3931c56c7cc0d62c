"""Any call of a vendor's API, as `callsign api` makes it: what it asks for, what came of it, and what APIs share.

Each vendor's own part is a module with NAMES, `effect` and `converse`, see `commands.api.Api`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from callsign.http.messages import Answer, NoAnswer, Reply, Request
from callsign.log_text import vendor_words
from callsign.record import Record, field
from callsign.vendors.interface import Conversation
from callsign.vendors.links import next_link
from callsign.verdicts import Invalid, Refused, TryLater

MOST_BYTES = 32 << 20
"""Of one answer: a busy day's list of calls."""

MOST_ALL_BYTES = 256 << 20
"""Of all pages of a list."""

MAYBE_DONE = "; it may have been done: look before you repeat it"
MAYBE_DONE_STATUSES = frozenset((500, 502, 504))
"""The other side may have done its part before these; under maintenance (503) it has not begun."""

GOOD_WORDS = {
    201: "created",
    202: "accepted, not done yet: the answer brings no result",
    204: "done; the answer has no body",
}

_SIGNATURE = re.compile(r'(?:mac|Digest)="([^"]+)"')
_SECRET_NAMES = ("hash", "apiKey")


class Call(Record):
    """One call, as the command line has it."""

    words: tuple[str, ...]  # METHOD, or VERB and PATH
    given: Mapping[str, str] = field(default_factory=dict, repr=False)  # NAME=VALUE
    data: bytes = field(default=b"", repr=False)
    accept: str = ""
    every_page: bool = False


class Result(Record):
    """What came of it.  An answer that is JSON, or can be, is a document; another one a body."""

    status: str  # OK, REFUSED or UNREACHABLE
    reason: str = ""
    document: Any = field(default=None, repr=False)
    body: bytes = field(default=b"", repr=False)
    content_type: str = ""


def failed(verdict: Refused | TryLater | Invalid, reply: Reply | None = None, effect: str = "") -> Result:
    """The vendor's no, or that there is no answer; of a request with an `effect` whether it may have had it."""
    if isinstance(verdict, Refused):
        return Result("REFUSED", verdict.reason)
    return Result("UNREACHABLE", verdict.reason + (MAYBE_DONE if effect and reply and may_be_done(reply) else ""))


def may_be_done(reply: Reply) -> bool:
    """Whether a request that changes something, and had this reply, may have done so."""
    if isinstance(reply, NoAnswer):
        return reply.sent
    return reply.status in MAYBE_DONE_STATUSES or 200 <= reply.status < 300


def succeeded(answer: Answer, reads_xml: bool = False) -> Result:
    """An answer with a good status."""
    words = GOOD_WORDS.get(answer.status, "")
    if answer.status == 201 and (location := answer.headers.get("location", "")):
        words = f"{words}: {location[:400]}"
    reason = f"HTTP {answer.status}: {words}" if words else ""
    kind = answer.headers.get("content-type", "")
    if not answer.body.strip():
        return Result("OK", reason)
    document = answer.json()
    if document is None and reads_xml:
        document = _xml_document(answer.body)
    if document is None and answer.body.strip() != b"null":
        return Result("OK", reason, body=answer.body, content_type=kind)
    return Result("OK", reason, document=document)


def _xml_document(body: bytes) -> Any:
    """XML as JSON has it, None if it is none."""
    from callsign.vendors.mor.xml import Element, as_json, parsed

    if not body.lstrip().startswith(b"<") or b"<html" in body[:4096].lower():
        return None
    element = parsed(body, MOST_BYTES)
    return as_json(element) if isinstance(element, Element) else None


def secrets_in(request: Request) -> set[str]:
    """What proves who sends it: should an answer repeat it, it is not shown."""
    headers = (request.headers.get(name, "") for name in ("Authorization", "X-authenticate"))
    pairs = [*request.query, *(tuple(pair.split("=", 1)) for pair in request.body.decode("latin-1").split("&"))]
    named = {pair[1] for pair in pairs if len(pair) == 2 and pair[0] in _SECRET_NAMES}
    return named | {found for header in headers for found in _SIGNATURE.findall(header)}


def every_page(
    url: str,
    fetch: Callable[[str], Conversation[tuple[Reply, Result]]],
    follow: Callable[[str, str], str],
) -> Conversation[Result]:
    """The entries of all pages as one list.  `follow` says where a link leads, or raises ValueError."""
    entries: list[Any] = []
    seen: set[str] = set()
    length = 0
    while True:
        seen.add(url)
        reply, result = yield from fetch(url)
        if result.status != "OK" or not isinstance(reply, Answer):
            return result
        link = next_link(reply, result.document)
        page = result.document.get("results") if isinstance(result.document, dict) else result.document
        if not isinstance(page, list):
            if link is None and len(seen) == 1:
                return result
            return Result("UNREACHABLE", f"page {len(seen)} is no list")
        entries += page
        length += len(reply.body)
        if link is None:
            return Result("OK", document=entries)
        try:
            url = follow(url, link)
        except ValueError as fault:
            return Result("UNREACHABLE", str(fault))
        if url in seen:
            return Result("UNREACHABLE", f"the pages have no end: after page {len(seen)} comes one that was there")
        if length > MOST_ALL_BYTES:
            return Result("UNREACHABLE", f"the list is over {MOST_ALL_BYTES >> 20} MB: ask for less of it")


def verdict_on(answer: Answer, meaning: str, who: str, hidden: str) -> Refused | TryLater:
    """What an answer means that is not what was wanted: later it may be another one, or never.

    `meaning` is its status in words, `who` has sent it, `hidden` is a secret that it may repeat.
    """
    pause = answer.retry_after_seconds()
    words = [words_in(answer, hidden), meaning, f"{who} asks for a pause of {pause:.0f} s" if pause else ""]
    reason = f"HTTP {answer.status}: {'; '.join(filter(None, words))}"
    return TryLater(reason) if answer.status < 400 or answer.is_temporary() else Refused(reason)


def words_in(answer: Answer, hidden: str) -> str:
    """What an error's body says."""
    body = answer.json()
    values = body if isinstance(body, dict) else {}
    named = (values.get(name) for name in ("message", "error", "detail"))
    return vendor_words(next((text for text in named if text and isinstance(text, str)), ""), hidden=hidden)
