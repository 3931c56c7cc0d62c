"""Joining the months of a register: one valid document, whatever the parts look like."""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callsign.commands.cdr_joining import BadPart, Joined


def joined(form: str, *parts: bytes) -> bytes:
    made = Joined(form)
    return b"".join([piece for part in parts for piece in made.part(part)] + [made.end()])


def test_csv_has_its_header_once() -> None:
    assert joined("csv", b"#id,a\n1,x\n", b"", b"#id,a\r\n", b"#id,a\n2,y") == b"#id,a\n1,x\n2,y\n"
    assert joined("csv", b"", b"\xef\xbb\xbf#id,a\r\n1,x\r\n") == b"#id,a\n1,x\r\n"
    assert joined("csv", b"", b"") == b""
    assert joined("csv", b"#id,a") == b"#id,a\n"


def test_json_is_one_list() -> None:
    assert json.loads(joined("json", b"[]", b'[{"a": 1}, {"a": 2}]', b"", b" [ ] ", b'[{"a":3}]')) == [
        {"a": 1},
        {"a": 2},
        {"a": 3},
    ]
    assert joined("json", b"[]", b"") == b"[]\n"


def test_xml_has_one_root_and_keeps_what_the_first_one_declares() -> None:
    first = '<?xml version="1.0" encoding="ISO-8859-1"?>\n<!-- a --><cdr>\n<call><id>é</id></call>\n</cdr>\n'
    text = joined("xml", b"", first.encode("latin-1"), b"<cdr/>", b"<cdr><call><id>2</id></call></cdr>")
    assert [call.findtext("id") for call in ElementTree.fromstring(text)] == ["é", "2"]
    assert ElementTree.fromstring(joined("xml", b"", b"")).tag == "cdr"
    assert ElementTree.fromstring(joined("xml", b"<cdr/>", b"<cdr></cdr>")).tag == "cdr"
    assert ElementTree.fromstring(joined("xml", b"<v3 a='1'><x/></v3>", b"<v3/>"))[0].tag == "x"


def test_text_is_left_as_it_is() -> None:
    assert joined("text", b"a\r\n", b"", b"#b") == b"a\r\n#b"


@pytest.mark.parametrize(
    ("form", "parts", "words"),
    [
        ("csv", [b"<html></html>"], "no CSV"),
        ("csv", [b'[{"a":1}]'], "no CSV"),
        ("csv", [b"#id,a\n", b"#id,b\n"], "columns differ"),
        ("json", [b'{"error":"no"}'], "no JSON list"),
        ("json", [b'[{"a":1}'], "no JSON"),
        ("json", [b"[" * 100000], "no JSON"),
        ("json", [b"#id,a\n"], "no JSON"),
        ("xml", [b"<cdr><call></cdr>"], "no XML"),
        ("xml", [b"[]"], "no XML"),
        ("xml", [b"<cdr/>", b"<html/>"], "root differs"),
        ("xml", [b'<!DOCTYPE cdr [<!ENTITY a "b">]><cdr>&a;</cdr>'], "no XML of calls"),
    ],
)
def test_a_part_of_another_kind_is_told(form: str, parts: list[bytes], words: str) -> None:
    with pytest.raises(BadPart, match=words):
        joined(form, *parts)


calls = st.lists(st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["C"])), min_size=1, max_size=3))


@given(st.lists(calls, max_size=4))
def test_no_call_is_lost_or_doubled(months: Sequence[list[list[str]]]) -> None:
    every = [call for month in months for call in month]
    parts = [json.dumps(month, ensure_ascii=False).encode() for month in months]
    assert json.loads(joined("json", *parts)) == every
    named = [["x", *call] for call in every]
    bodies = []
    for month in months:
        text = io.StringIO()
        csv.writer(text).writerows([["#id", "a"], *(["x", *call] for call in month)])
        bodies.append(text.getvalue().encode())
    lines = csv.reader(io.StringIO(joined("csv", *bodies).decode(), newline=""))
    assert [line for line in lines if line[0] == "x"] == named
