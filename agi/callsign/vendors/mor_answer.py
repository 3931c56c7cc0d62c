"""What MOR answered: XML under HTTP 200 whatever it means, sent as a page, a file or a gzipped file.

Sources: MOR's method pages for the answers and the errors; the bare texts are those of old versions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from callsign.http_messages import MAX_ANSWER_BYTES, Answer, NoAnswer, Reply, vendor_words
from callsign.notification import Refused, TryLater
from callsign.secret import Secret

MAX_DEPTH = 32
GZIP = b"\x1f\x8b"

_RIGHTS = "check [mor] user, and in MOR its rights and its permission to use the API"
_NOT_OURS = "does it exist, and does it belong to [mor] user?"
HINTS = {
    "incorrect hash": "check [mor] key; `callsign sign mor` shows the text to compare with MOR's Generate hash page",
    "api requests are disabled": "in MOR's settings, tab API, switch Allow API on",
    "get requests are disabled": "callsign POSTs: does something between here and MOR change that?",
    "api must have secret key": "in MOR's settings, tab API, set a key of 6 characters or more, and [mor] key to it",
    "bad login": _RIGHTS,
    "access denied": _RIGHTS,
    "dont be so smart": _RIGHTS,
    "not authenticated": _RIGHTS,
    "you are not authorized to use this functionality": _RIGHTS,
    "you are not authorised to use this functionality": _RIGHTS,
    "feature disabled": "in MOR's settings, tab API, switch on that devices may check balance or rate over HTTP",
    "undefined method": "before MOR X4 methods had other names; is it spelt as in this version's documentation?",
    "user was not found": _NOT_OURS,
    "user not found": _NOT_OURS,
    "device was not found": _NOT_OURS,
}
"""MOR's word in lower case -> where to mend it."""

FAILURES = frozenset(HINTS) | {
    "cli not found",
    "cli is empty",
    "no phonebooks",
    "rate was not found",
    "calling card was not found",
    "there is no message or it is empty",
    "wrong source",
    "wrong destination",
    "there is no such lcr",
    "user is not subscribed to sms service",
    "bad device",
    "no source",
    "bad tariff",
    "no tariff",
    "pin was not found",
    "server was not found",
    "cannot connect to asterisk server",
    "login failed",
    "please wait 10 seconds before trying to login again",
}
"""What a status, or a whole answer of bare text, says when MOR did not do it."""

_FAILED = re.compile(r"\b(?:failed|failure|denied|error)\b", re.IGNORECASE)  # "1 - failed, …" of sms_send

_WRONG_PAGE = "; is [mor] url MOR's …/billing/api?"
STATUS_HINTS = {
    **dict.fromkeys((401, 403), "; does something before MOR want a password, or refuse this machine's address?"),
    **dict.fromkeys((404, 405), _WRONG_PAGE),
}
REFUSING_STATUSES = frozenset((400, 401, 403, 405))
"""Another try will not change these; 404 it may, while the application is being started."""

_WRAPPERS = frozenset(("html", "head", "body"))
_OF_A_PAGE = frozenset(("title", "h1", "div", "p", "form", "script", "center", "table"))
"""Elements that a page for people has and an answer that old versions wrap in a page has not."""

_XML_DECLARATION = re.compile(r"<\?xml[^>]{0,200}\?>")
_ROOT = "answer"


@dataclass(slots=True)
class Element:
    """One element; the whole answer is an element without a name."""

    name: str
    attributes: dict[str, str] = field(default_factory=dict, repr=False)
    children: list[Element] = field(default_factory=list, repr=False)
    text: str = field(default="", repr=False)

    def all(self, *names: str) -> list[Element]:
        """The elements at this path below."""
        found = [self]
        for name in names:
            found = [child for element in found for child in element.children if child.name == name]
        return found

    def first_text(self, *names: str) -> str:
        """The text of the first of them, empty if there is none."""
        return next((element.text for element in self.all(*names)), "")

    def down_to(self, depth: int) -> Iterator[Element]:
        """All elements at most `depth` below."""
        for child in self.children if depth else ():
            yield child
            yield from child.down_to(depth - 1)

    def texts(self) -> list[str]:
        """The texts that the elements from here down hold."""
        return [self.text] * bool(self.text) + [text for child in self.children for text in child.texts()]

    def as_json(self) -> Any:
        """A text, or the children by name, those of one name as a list; attributes as "@name"."""
        if not self.children and not self.attributes:
            return self.text
        found: dict[str, Any] = {f"@{name}": value for name, value in self.attributes.items()}
        for child in self.children:
            value = child.as_json()
            known = found.setdefault(child.name, [])
            known.append(value)
        for name, values in found.items():
            if isinstance(values, list) and len(values) == 1:
                found[name] = values[0]
        return found | ({"#text": self.text} if self.text else {})


def read(reply: Reply, key: Secret, most_bytes: int = MAX_ANSWER_BYTES) -> Element | Refused | TryLater:
    """The answer, or MOR's no, or the reason why this is neither; `key` is kept out of the reasons."""
    if isinstance(reply, NoAnswer):
        return TryLater(reply.reason)
    answer = parsed(reply, most_bytes)
    no = refusal_in(answer) if answer else ""
    words = vendor_words(no, hidden=key.reveal())
    if no and not reply.is_temporary():
        return Refused(with_hint(words))
    if answer and not no and 200 <= reply.status < 300:
        return answer
    said = words or ("no answer of MOR's" if reply.body.strip() else "an empty page")
    reason = f"HTTP {reply.status}: {said}{STATUS_HINTS.get(reply.status, '' if reply.is_temporary() else _WRONG_PAGE)}"
    return Refused(reason) if reply.status in REFUSING_STATUSES else TryLater(reason)


def refusal_in(answer: Element) -> str:
    """MOR's word for not having done it, empty where it says no such thing."""
    for element in answer.down_to(3):
        if element.name.lower() == "error":
            return ": ".join(element.texts()) or "an error without a word"
    statuses = [element.text for element in answer.down_to(2) if element.name.lower() == "status"]
    return next((text for text in [answer.text, *statuses] if is_failure(text)), "")


def is_failure(text: str) -> bool:
    """Whether a status says that it was not done."""
    return _bare(text) in FAILURES or _FAILED.search(text) is not None


def with_hint(words: str) -> str:
    """MOR's word, and where to mend it where that is known."""
    hint = next((hint for known, hint in HINTS.items() if _bare(words).startswith(known)), "")
    return f"{words.rstrip('.')}; {hint}" if hint else words


def _bare(text: str) -> str:
    return text.strip().rstrip(".!").lower()


def parsed(answer: Answer, most_bytes: int = MAX_ANSWER_BYTES) -> Element | None:
    """The body's elements, None if it is empty, larger than `most_bytes`, or nothing that MOR would send."""
    body = _unpacked(answer.body, most_bytes)
    if len(body) > most_bytes:
        return None
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = body.decode("latin-1")
    found = _Reading().of(_XML_DECLARATION.sub("", text))
    return found if found and (found.children or found.text) else None


def _unpacked(body: bytes, most_bytes: int) -> bytes:
    """The content of a gzipped file, at most one byte more than `most_bytes` of it; empty if it is broken."""
    if not body.startswith(GZIP):
        return body
    import zlib

    unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        content = unpacker.decompress(body, most_bytes + 1)
    except zlib.error:
        return b""
    return content if unpacker.eof or len(content) > most_bytes else b""


class _Reading:
    """Builds the elements.  All is read as the content of a root of ours: old versions put a page around it,
    an XML declaration stands anywhere, and a document type, without which no entity can be declared, is an
    error of syntax there.
    """

    def __init__(self) -> None:
        self._open = [Element("")]
        self._texts: list[list[str]] = [[]]  # of the open elements, in pieces
        self._in_page = False

    def of(self, text: str) -> Element | None:
        from xml.parsers import expat  # no more of an XML library is needed, and a plain script's start time counts

        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = lambda piece: self._texts[-1].append(piece)
        try:
            parser.Parse(f"<{_ROOT}>{text}</{_ROOT}>", True)
        except (expat.ExpatError, ValueError):
            return None
        self._open[0].text = "".join(self._texts[0]).strip()
        return self._open[0]

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if self._is_around(name):
            self._in_page = self._in_page or name != _ROOT
            return
        if len(self._open) > MAX_DEPTH or (self._in_page and name.lower() in _OF_A_PAGE):
            raise ValueError("no answer of MOR's")
        element = Element(name, attributes)
        self._open[-1].children.append(element)
        self._open.append(element)
        self._texts.append([])

    def _end(self, name: str) -> None:
        if not self._is_around(name):
            self._open.pop().text = "".join(self._texts.pop()).strip()

    def _is_around(self, name: str) -> bool:
        return len(self._open) == 1 and (name == _ROOT or name.lower() in _WRAPPERS)
