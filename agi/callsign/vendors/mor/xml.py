"""A MOR answer's body as elements: XML, bare or in a page, or a gzipped file of it; bounded and without a DTD."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import Element as Element
from xml.etree.ElementTree import ParseError, fromstring

MAX_DEPTH = 32
MAX_TAGS = 2_000_000
"""A busy day's list of calls has 800,000; two million take some 200 MB."""

GZIP = b"\x1f\x8b"

NOTHING = "an empty page"
NO_ANSWER = "no answer of MOR's"
TOO_LARGE = "an answer that is too large"

_ROOT = "answer"
_PAGE = frozenset(("html", "head", "body"))
_OF_A_PAGE = frozenset(("title", "h1", "div", "p", "form", "script", "center", "table"))
"""Elements that a page for people begins with, and none does in which old versions wrap an answer."""

_XML_DECLARATION = re.compile(r"<\?xml[^>]{0,200}\?>")


def down_to(element: Element, depth: int) -> Iterator[Element]:
    """All elements at most `depth` below."""
    for child in element if depth else ():
        yield child
        yield from down_to(child, depth - 1)


def as_json(element: Element) -> Any:
    """A text, or the children by name, those of one name as a list; attributes as "@name"."""
    if not len(element) and not element.attrib:
        return element.text
    found: dict[str, Any] = {f"@{name}": value for name, value in element.attrib.items()}
    for child in element:
        found.setdefault(child.tag, []).append(as_json(child))
    for name, values in found.items():
        if isinstance(values, list) and len(values) == 1:
            found[name] = values[0]
    return found | ({"#text": element.text} if element.text else {})


def parsed(body: bytes, most_bytes: int) -> Element | str:
    """The body's elements, of at most `most_bytes` when unpacked; or what it is instead, in words.

    All is read as the content of a root of ours: old versions put a page around it, an XML declaration stands
    anywhere, and a document type, without which no entity can be declared, is an error of syntax there.
    """
    content = _unpacked(body, most_bytes)
    if content is None:
        return NO_ANSWER
    if len(content) > most_bytes or content.count(b"<") > MAX_TAGS:
        return TOO_LARGE
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    if not text.strip():
        return NOTHING
    try:
        root = fromstring(f"<{_ROOT}>{_XML_DECLARATION.sub('', text)}</{_ROOT}>")  # noqa: S314
        _strip(root, MAX_DEPTH)
    except (ParseError, ValueError):  # a ValueError: a NUL, or too deep
        return NO_ANSWER
    return _without_page(root)


def _strip(element: Element, depth: int) -> None:
    """Its text becomes all the text in it, without what is around that.  Raises ValueError where it goes deeper."""
    element.text = "".join([element.text or "", *(child.tail or "" for child in element)]).strip()
    if len(element) and not depth:
        raise ValueError
    for child in element:
        _strip(child, depth - 1)


def _without_page(root: Element) -> Element | str:
    """The answer that a page may stand around."""
    answer, around, is_in_page = Element(_ROOT), [root], False
    answer.text = ""
    while around:
        outer = around.pop()
        answer.text += outer.text or ""
        for child in outer:
            if child.tag.lower() in (_ROOT, *_PAGE):
                around.append(child)
                is_in_page |= child.tag != _ROOT
            else:
                answer.append(child)
    if is_in_page and any(child.tag.lower() in _OF_A_PAGE for child in answer):
        return NO_ANSWER
    return answer if len(answer) or answer.text else NO_ANSWER


def _unpacked(body: bytes, most_bytes: int) -> bytes | None:
    """The content of a gzipped file, at most one byte more than `most_bytes` of it; None if it is broken."""
    if not body.startswith(GZIP):
        return body
    unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        content = unpacker.decompress(body, most_bytes + 1)
    except zlib.error:
        return None
    return content if unpacker.eof or len(content) > most_bytes else None
