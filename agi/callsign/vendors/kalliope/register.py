"""The rows of a KalliopePBX call register, read one at a time from CSV, JSON or XML.

A busy week in one `json.loads` would hold the interpreter, and every call with it, for a tenth of a second.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from typing import Any

from callsign.http.messages import Answer

COLUMNS = (
    *("id", "source", "start_time", "answer_time", "end_time", "account_code", "caller", "gateway_name"),
    *("called", "status", "answered_by", "bill_secs", "duration", "destination"),
)
"""Of the summary, in the order of its CSV ("API REST CDR", 2.3)."""

CHUNK_CHARACTERS = 8192  # of XML at a time: between two the interpreter is free for the calls
MOST_COLUMNS = 64
MOST_LINE_CHARACTERS = 65_536
"""Of CSV."""

MOST_JSON_CHARACTERS = 8 << 20
"""JSON is not asked for, and may grow to twenty times its size when it is read."""

MOST_DEPTH = 8
"""Of elements in a register's XML: the register, a call, a column, with something to spare."""

Row = dict[str, str]

_JSON_SPACE = " \t\r\n"


class NoRegister(Exception):
    """The answer is no call register; the text says what it is instead."""


def rows_of(answer: Answer) -> Iterator[Row]:
    """The calls of a summary.  Raises NoRegister, possibly after some rows.

    The form is that of the Content-Type, which need not be the one asked for, else that of the first character.
    """
    text = answer.body.decode("utf-8-sig", "replace")
    return _READERS[form_of(answer.headers.get("content-type", ""), text)](text)


def form_of(content_type: str, text: str) -> str:
    """ "csv", "json" or "xml"."""
    kind = content_type.partition(";")[0].lower()
    for form in ("json", "xml", "csv"):
        if form in kind and "html" not in kind:
            return form
    first = text[:CHUNK_CHARACTERS].lstrip()[:1]
    return {"[": "json", "{": "json", "<": "xml"}.get(first, "csv")


def _csv_rows(text: str) -> Iterator[Row]:
    names: tuple[str, ...] = COLUMNS
    try:
        for number, values in enumerate(csv.reader(_lines(text))):
            if len(values) > MOST_COLUMNS:
                raise NoRegister(f"a CSV line of more than {MOST_COLUMNS} values")
            if number == 0 and values and values[0].startswith("#"):
                names = (values[0][1:].strip(), *values[1:])
                continue
            if len(values) == len(names):
                yield dict(zip(names, values, strict=True))
            elif any(value.strip() for value in values):
                raise NoRegister(f"a CSV line of {len(values)} values where {len(names)} belong")
    except csv.Error as fault:
        raise NoRegister("CSV that cannot be read") from fault


def _lines(text: str) -> Iterator[str]:
    """One at a time: split at once they would take as long as a call may wait."""
    begin = 0
    while begin < len(text):
        end = text.find("\n", begin) + 1 or len(text)
        if end - begin > MOST_LINE_CHARACTERS:
            raise NoRegister(f"a CSV line of more than {MOST_LINE_CHARACTERS} characters")
        yield text[begin:end]
        begin = end


def _json_rows(text: str) -> Iterator[Row]:
    if len(text) > MOST_JSON_CHARACTERS:
        raise NoRegister(f"JSON of more than {MOST_JSON_CHARACTERS >> 20} MB, where CSV was asked for")
    decode = json.JSONDecoder().raw_decode
    at = _past_space(text, 0)
    if at == len(text):
        return
    if text[at] != "[":
        raise NoRegister("JSON that is no list of calls")
    at = _past_space(text, at + 1)
    try:
        while text[at] != "]":
            row, at = decode(text, at)
            if not isinstance(row, dict):
                raise NoRegister("a JSON list of something else than calls")
            yield {name: "" if value is None else str(value) for name, value in row.items()}
            at = _past_space(text, at)
            if text[at] == ",":
                at = _past_space(text, at + 1)
            elif text[at] != "]":
                raise NoRegister("JSON that cannot be read")
    except (ValueError, RecursionError, IndexError) as fault:
        raise NoRegister("JSON that cannot be read") from fault
    if _past_space(text, at + 1) != len(text):
        raise NoRegister("JSON that cannot be read")


def _past_space(text: str, at: int) -> int:
    while at < len(text) and text[at] in _JSON_SPACE:
        at += 1
    return at


def _xml_rows(text: str) -> Iterator[Row]:
    """`<cdr><call><id>…</id>…</call>…</cdr>`, without a DTD: nothing is fetched, and no entity grows."""
    from xml.etree.ElementTree import ParseError, XMLPullParser  # only where this form has come

    if "<!DOCTYPE" in text:
        raise NoRegister("XML with a DTD, which no register has")
    parser: Any = XMLPullParser(("start", "end"))
    path: list[str] = []
    pieces = [text[begin : begin + CHUNK_CHARACTERS] for begin in range(0, len(text), CHUNK_CHARACTERS)]
    try:
        for piece in [*pieces, None] if text.strip() else ():
            if piece is None:
                parser.close()
            else:
                parser.feed(piece)
            for event, element in parser.read_events():
                if event == "start":
                    path.append(element.tag)
                    if path[:2] != ["cdr", "call"][: len(path)] or len(path) > MOST_DEPTH:
                        raise NoRegister("XML that is no list of calls")
                    continue
                path.pop()
                if len(path) == 1:
                    if len(element) > MOST_COLUMNS:
                        raise NoRegister("XML that is no list of calls")
                    yield {column.tag: (column.text or "").strip() for column in element}
                    element.clear()
    except ParseError as fault:
        raise NoRegister("XML that cannot be read") from fault


_READERS: dict[str, Callable[[str], Iterator[Row]]] = {"csv": _csv_rows, "json": _json_rows, "xml": _xml_rows}
