"""The rows of a KalliopePBX call register, read one at a time from CSV, or at once from JSON where that came instead.

A busy week in one `json.loads` would hold the interpreter, and every call with it, for a tenth of a second.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator

from callsign.http.messages import Answer

COLUMNS = (
    *("id", "source", "start_time", "answer_time", "end_time", "account_code", "caller", "gateway_name"),
    *("called", "status", "answered_by", "bill_secs", "duration", "destination"),
)
"""Of the summary, in the order of its CSV ("API REST CDR", 2.3)."""

MOST_COLUMNS = 64
MOST_LINE_CHARACTERS = 65_536
"""Of CSV."""

MOST_JSON_CHARACTERS = 1 << 20
"""JSON is not asked for: to read so much at once holds the interpreter, and every call with it, for 10 to 30 ms."""

Row = dict[str, str]

_NO_CALLS_IN_XML = re.compile(r"(?:<\?xml[^<>]*\?>\s*)?<cdr\s*(?:/>|>\s*</cdr>)")
"""What the answer is where there are none is documented nowhere."""


class NoRegister(Exception):
    """The answer is no call register; the text says what it is instead."""


def rows_of(answer: Answer) -> Iterator[Row]:
    """The calls of a summary.  Raises NoRegister, possibly after some rows."""
    text = answer.body.decode("utf-8-sig", "replace").strip()
    if text.startswith(("[", "{")):
        return _json_rows(text)
    if _NO_CALLS_IN_XML.fullmatch(text):
        return iter(())
    if text.startswith("<"):
        raise NoRegister("XML or a page, where CSV was asked for")
    return _csv_rows(text)


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
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as fault:
        raise NoRegister("JSON that cannot be read") from fault
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise NoRegister("JSON that is no list of calls")
    for row in rows:
        yield {name: "" if value is None else str(value) for name, value in row.items()}
