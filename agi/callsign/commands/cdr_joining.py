"""Joins the parts of a call register, month by month, into one valid document; it knows no vendor and no file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from xml.parsers import expat

_PROLOG = re.compile(rb"\s*(?:<\?xml[^>]*\?>)?\s*(?:<!--(?:(?!-->).)*-->\s*)*", re.DOTALL)
# What stands behind it cannot be a DTD, which no register has, and in which an entity could grow.
_ROOT = re.compile(rb"<([A-Za-z_][\w.-]*)(?:\s[^>]*)?(?:/>|>(.*)</\1\s*>)\s*", re.DOTALL)
_BOM = b"\xef\xbb\xbf"


class BadPart(Exception):
    """A part is not what was asked for; the text says what it is."""


class Joined:
    """Takes the parts in order and gives the bytes to write for each, and those of the end.

    `has_calls` says whether there was a call in one.
    `form` is "csv" (its header once), "json" (one list), "xml" (one root) or "text".
    """

    def __init__(self, form: str) -> None:
        self._take = {"csv": self._csv, "json": self._json, "xml": self._xml, "text": self._text}[form]
        self._form = form
        self._header: bytes | None = None  # of CSV
        self._root: bytes | None = None  # of XML
        self.has_calls = False

    def part(self, body: bytes) -> Iterator[bytes]:
        """What to write for this part.  Raises BadPart."""
        return self._take(body.removeprefix(_BOM))

    def end(self) -> bytes:
        """What closes the document, all of it where no part had anything."""
        if self._form == "json":
            return b"\n]\n" if self.has_calls else b"[]\n"
        if self._form == "xml":
            if self._root is None:  # no part had one
                return b'<?xml version="1.0"?>\n<cdr></cdr>\n'
            return b"</" + self._root + b">\n"
        return b""

    def _text(self, body: bytes) -> Iterator[bytes]:
        self.has_calls |= bool(body.strip())
        yield body

    def _csv(self, body: bytes) -> Iterator[bytes]:
        if body[:1] in b"<[{" and body.strip():
            raise BadPart("it is no CSV")
        first, newline, rest = body.partition(b"\n")
        if first.startswith(b"#"):
            if self._header not in (None, first.rstrip()):
                raise BadPart("its columns differ from those of the part before")
            if self._header is None:
                yield first.rstrip() + newline[-1:].rjust(1, b"\n")
            self._header = first.rstrip()
            body = rest
        if body.strip():
            self.has_calls = True
            yield body if body.endswith(b"\n") else body + b"\n"

    def _json(self, body: bytes) -> Iterator[bytes]:
        text = body.strip()
        if text and json_calls(text):
            yield b",\n" if self.has_calls else b"[\n"
            yield text[1:-1].strip()
            self.has_calls = True

    def _xml(self, body: bytes) -> Iterator[bytes]:
        if not body.strip():
            return
        root = xml_root(body)
        if self._root not in (None, root[1]):
            raise BadPart("its root differs from that of the part before")
        if self._root is None:
            yield body[: root.start()] + b"<" + root[1] + b">\n"
        self._root = root[1]
        if root[2] and root[2].strip():
            self.has_calls = True
            yield root[2].strip() + b"\n"


def json_calls(body: bytes) -> list[Any]:
    """Returns the calls of a part in JSON.  Raises BadPart."""
    try:
        calls = json.loads(body)
    except (ValueError, RecursionError):
        raise BadPart("it is no JSON") from None
    if not isinstance(calls, list):
        raise BadPart("it is no JSON list of calls")
    return calls


def xml_root(body: bytes) -> re.Match[bytes]:
    """Returns the root of well-formed XML: its name and what is in it; no DTD is before it.  Raises BadPart."""
    prolog = _PROLOG.match(body)
    assert prolog is not None  # noqa: S101  it may be empty
    root = _ROOT.fullmatch(body, prolog.end())
    if root is None:
        raise BadPart("it is no XML of calls")
    try:
        expat.ParserCreate().Parse(body, True)
    except (expat.ExpatError, LookupError, ValueError):
        raise BadPart("it is no XML") from None
    return root
