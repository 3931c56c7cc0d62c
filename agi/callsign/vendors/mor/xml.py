"""A MOR answer's body as elements: XML, bare or in a page, or a gzipped file of it; bounded and without a DTD."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from callsign.record import Record, field

MAX_DEPTH = 32
MAX_ELEMENTS = 1_000_000
"""A busy day's list of calls has 400,000; a million take some 300 MB."""

GZIP = b"\x1f\x8b"

NOTHING = "an empty page"
NO_ANSWER = "no answer of MOR's"
TOO_LARGE = "an answer that is too large"

_WRAPPERS = frozenset(("html", "head", "body"))
_OF_A_PAGE = frozenset(("title", "h1", "div", "p", "form", "script", "center", "table"))
"""Elements that a page for people begins with, and none does in which old versions wrap an answer."""

_XML_DECLARATION = re.compile(r"<\?xml[^>]{0,200}\?>")
_ROOT = "answer"


class Element(Record, frozen=False):
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


def parsed(body: bytes, most_bytes: int) -> Element | str:
    """The body's elements, of at most `most_bytes` when unpacked; or what it is instead, in words."""
    content = _unpacked(body, most_bytes)
    if content is None:
        return NO_ANSWER
    if len(content) > most_bytes:
        return TOO_LARGE
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    return _Reading().of(_XML_DECLARATION.sub("", text)) if text.strip() else NOTHING


def _unpacked(body: bytes, most_bytes: int) -> bytes | None:
    """The content of a gzipped file, at most one byte more than `most_bytes` of it; None if it is broken."""
    if not body.startswith(GZIP):
        return body
    import zlib

    unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        content = unpacker.decompress(body, most_bytes + 1)
    except zlib.error:
        return None
    return content if unpacker.eof or len(content) > most_bytes else None


class _NotOurs(Exception):
    """Ends the reading; the text says what it is instead."""


class _Reading:
    """Builds the elements.  All is read as the content of a root of ours: old versions put a page around it,
    an XML declaration stands anywhere, and a document type, without which no entity can be declared, is an
    error of syntax there.
    """

    def __init__(self) -> None:
        self._open = [Element("")]
        self._texts: list[list[str]] = [[]]  # of the open elements, in pieces
        self._in_page = False
        self._count = 0

    def of(self, text: str) -> Element | str:
        from xml.parsers import expat  # no more of an XML library is needed, and a plain script's start time counts

        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = lambda piece: self._texts[-1].append(piece)
        try:
            parser.Parse(f"<{_ROOT}>{text}</{_ROOT}>", True)
        except (expat.ExpatError, ValueError):  # a ValueError: a declared encoding, a NUL
            return NO_ANSWER
        except _NotOurs as other:
            return str(other)
        answer = self._open[0]
        answer.text = "".join(self._texts[0]).strip()
        return answer if answer.children or answer.text else NO_ANSWER

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if self._is_around(name):
            self._in_page = self._in_page or name != _ROOT
            return
        self._count += 1
        if self._count > MAX_ELEMENTS:
            raise _NotOurs(TOO_LARGE)
        is_of_a_page = self._in_page and len(self._open) == 1 and name.lower() in _OF_A_PAGE
        if is_of_a_page or len(self._open) > MAX_DEPTH:
            raise _NotOurs(NO_ANSWER)
        element = Element(name, attributes)
        self._open[-1].children.append(element)
        self._open.append(element)
        self._texts.append([])

    def _end(self, name: str) -> None:
        if not self._is_around(name):
            self._open.pop().text = "".join(self._texts.pop()).strip()

    def _is_around(self, name: str) -> bool:
        return len(self._open) == 1 and (name == _ROOT or name.lower() in _WRAPPERS)
