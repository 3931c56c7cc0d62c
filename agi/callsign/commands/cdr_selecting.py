"""Leaves those calls of a register's part out that began outside of a period, by their start_time."""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from datetime import datetime

from callsign.commands.cdr_joining import BadPart, json_calls, xml_root
from callsign.vendors.kalliope.register import COLUMNS

NAME = "start_time"
ELSEWHERE = "give --from and --to outside of the hour in which the PBX's clock is set back or forward"


def within(body: bytes, form: str, begin: datetime, end: datetime) -> bytes:
    """The same with the calls from `begin` to `end` alone; `form` is "csv", "json" or "xml".  Raises BadPart."""
    if not body.strip():
        return body
    first, last = str(begin), str(end)

    def belongs(start: object) -> bool:
        try:
            return first <= str(datetime.fromisoformat(str(start).strip())) <= last
        except ValueError:
            raise BadPart(f"a call in it has no {NAME} that can be read: {ELSEWHERE}") from None

    return {"csv": _csv, "json": _json, "xml": _xml}[form](body, belongs)


def _csv(body: bytes, belongs: Callable[[object], bool]) -> bytes:
    lines = list(io.StringIO(body.decode("utf-8-sig", "surrogateescape"), newline=""))
    reader = csv.reader(lines)
    names, kept, at = list(COLUMNS), [], 0
    for values in reader:
        written, at = lines[at : reader.line_num], reader.line_num
        if values and values[0].startswith("#"):
            names = [values[0][1:].strip(), *values[1:]]
            kept += written
        elif any(value.strip() for value in values):
            row = dict(zip(names, values, strict=False))
            kept += written if belongs(row.get(NAME)) else []
    return "".join(kept).encode("utf-8", "surrogateescape")


def _json(body: bytes, belongs: Callable[[object], bool]) -> bytes:
    kept = [call for call in json_calls(body) if belongs(call.get(NAME) if isinstance(call, dict) else None)]
    return json.dumps(kept, ensure_ascii=False).encode()


def _xml(body: bytes, belongs: Callable[[object], bool]) -> bytes:
    xml_root(body)  # no DTD: no entity can grow
    root = ElementTree.fromstring(body)  # noqa: S314
    for call in list(root):
        if not belongs(call.findtext(NAME)):
            root.remove(call)
    return b'<?xml version="1.0"?>\n' + ElementTree.tostring(root)
