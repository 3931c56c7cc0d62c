"""The call register of the KalliopePBX stand-in: which period a request means, and how calls are shown."""

from __future__ import annotations

import csv
import io
import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from xml.sax.saxutils import escape

COLUMNS = (
    *("id", "source", "start_time", "answer_time", "end_time", "account_code", "caller", "gateway_name"),
    *("called", "status", "answered_by", "bill_secs", "duration", "destination"),
)
NUMBERS = ("bill_secs", "duration")
"""Columns that JSON has as numbers."""

FORMS = {"json": "application/json", "csv": "text/csv", "xml": "application/xml"}

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")
_DIGITS = {0: "[0-9]{4}", 1: "[0-9]{2}", 2: "[0-9]{2}"}


class BadPeriod(Exception):
    """The request names its period in a way that the document does not know."""


Period = Callable[[Mapping[str, str]], bool]
"""Whether a call of the register is meant."""


def of_url(parts: Sequence[str], now: datetime) -> Period:
    """{years}[/{months}[/{days}]], each one value or a range; nothing is the current month (2.1)."""
    if len(parts) > 3:
        raise BadPeriod("a period is years, months and days")
    ranges: list[tuple[str, str]] = []
    for place, part in enumerate(parts or [f"{now:%Y}", f"{now:%m}"]):
        digits = _DIGITS[place]
        found = re.fullmatch(f"({digits})(?:-({digits}))?", part)
        if found is None:
            raise BadPeriod(f"{part} is no period: wanted YYYY, MM and DD, or two of them with a - between")
        ranges.append((found[1], found[2] or found[1]))
    places = (slice(0, 4), slice(5, 7), slice(8, 10))
    wanted = list(zip(places, ranges, strict=False))
    return lambda call: all(low <= call["start_time"][place] <= high for place, (low, high) in wanted)


def of_body(body: bytes, content_type: str, now: datetime, moment: Callable[[str], float] | None = None) -> Period:
    """begin, end and unique_id of a POST, as XML or JSON; without a begin or an end the current month (2.4).

    `moment` is how a PBX takes the times that compares moments.
    """
    try:
        given = _json_fields(body) if "json" in content_type else _xml_fields(body)
    except (ValueError, ElementTree.ParseError):
        raise BadPeriod("the body is not what its Content-Type says") from None
    if unknown := set(given) - {"begin", "end", "unique_id"}:
        raise BadPeriod(f"unknown in cdr: {', '.join(sorted(unknown))}")
    for name in ("begin", "end"):
        if name in given and not _TIME.fullmatch(given[name]):
            raise BadPeriod(f"{name} is no YYYY-MM-DD HH:MM:SS")
    begin, end = given.get("begin", ""), given.get("end", "9999")
    month = "" if {"begin", "end"} & set(given) else f"{now:%Y-%m}"

    def holds(call: Mapping[str, str]) -> bool:
        if given.get("unique_id", "") not in ("", call["id"]):
            return False
        if moment is not None and begin and "end" in given:  # a call's own moment is in its id
            return moment(begin) <= float(call["id"]) < moment(end) + 1
        return begin <= call["start_time"] <= end and call["start_time"].startswith(month)

    return holds


def _json_fields(body: bytes) -> dict[str, str]:
    document = json.loads(body)
    if not isinstance(document, dict) or list(document) != ["cdr"] or not isinstance(document["cdr"], dict):
        raise ValueError
    return {name: str(value) for name, value in document["cdr"].items()}


def _xml_fields(body: bytes) -> dict[str, str]:
    root = ElementTree.fromstring(body)  # noqa: S314
    if root.tag != "kpbx_request" or [child.tag for child in root] != ["cdr"]:
        raise ValueError
    return {field.tag: (field.text or "").strip() for field in root[0]}


def register_body(calls: Sequence[Mapping[str, str]], style: str, form: str) -> bytes:
    """The calls in one of the styles; only the summary's form is documented, the others are like it."""
    if style == "blues_out":
        return "".join(
            f"{c['start_time']} {c['account_code']} {c['called']} {c['duration']}\r\n" for c in calls
        ).encode()
    if form == "csv":
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("#id", *COLUMNS[1:]))
        writer.writerows([call[name] for name in COLUMNS] for call in calls)
        return text.getvalue().encode()
    if form == "json":
        listed = [{n: int(call[n]) if n in NUMBERS else call[n] for n in COLUMNS} for call in calls]
        if style == "detailed":
            listed = [{**call, "details": []} for call in listed]  # type: ignore[dict-item]
        return json.dumps(listed).encode()
    rows = "".join(
        "<call>" + "".join(f"<{name}>{escape(call[name])}</{name}>" for name in COLUMNS) + "</call>\n" for call in calls
    )
    return f'<?xml version="1.0"?>\n<cdr>\n{rows}</cdr>\n'.encode()
