"""MOR's XML as elements, and hostile or broken bodies, which end in words and cost little."""

from __future__ import annotations

import gzip
import json
import zlib
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callsign.vendors.mor import xml as mor_xml
from callsign.vendors.mor.xml import MAX_DEPTH, NO_ANSWER, NOTHING, TOO_LARGE, Element, as_json, down_to, parsed

BALANCE = "<page><balance>66.0000</balance></page>"
DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
MOST = 1 << 20

packed = partial(gzip.compress, mtime=0)
"""A gzipped file, the same whenever it is made: the names of tests are made of it."""


def read(body: str | bytes) -> Element:
    found = parsed(body.encode() if isinstance(body, str) else body, MOST)
    assert isinstance(found, Element), found
    return found


def test_elements_are_found_by_their_path() -> None:
    found = read("<page><cli><device><id>1</id></device><device><id>2</id></device></cli><id>3</id></page>")
    assert [device.findtext("id") for device in found.findall("page/cli/device")] == ["1", "2"]
    assert found.findtext("page/id") == "3"
    assert found.findtext("page/cli/id") is None
    assert [element.tag for element in down_to(found, 2)] == ["page", "cli", "id"]


def test_elements_become_names_lists_and_texts() -> None:
    found = read(
        '<page><calls_stat><period from="1"><u>2</u></period></calls_stat>'
        "<call><id>1</id></call><call><id>2</id></call><none/><rate a='x'>0.1#BE#32</rate></page>"
    )
    assert as_json(found) == {
        "page": {
            "calls_stat": {"period": {"@from": "1", "u": "2"}},
            "call": [{"id": "1"}, {"id": "2"}],
            "none": "",
            "rate": {"@a": "x", "#text": "0.1#BE#32"},
        }
    }


@pytest.mark.parametrize(
    ("text", "wanted"), [("a &lt; b &amp; &#99;", "a < b & c"), ("Société", "Société"), ("<![CDATA[<b>]]>", "<b>")]
)
def test_texts_are_read_as_xml_and_stripped(text: str, wanted: str) -> None:
    assert read(f"<page>\n {text}\t</page>").findtext("page") == wanted


def test_text_in_another_encoding_is_read() -> None:
    assert read("<page>Société</page>".encode("latin-1")).findtext("page") == "Société"


@pytest.mark.parametrize("around", ["{}", "<html><body>{}</body></html>"])
def test_only_a_page_for_people_is_known_by_its_elements(around: str) -> None:
    read(around.format("<page><title>Mr</title><table>1</table></page>"))
    assert parsed(b"<html><body><table>1</table></body></html>", MOST) == NO_ANSWER
    read("<table>1</table>")


# No entity is ever declared: a document type is none inside our root.
ENTITY_BOMB = (
    '<!DOCTYPE page [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    "<page><balance>&b;</balance></page>"
)
FILE_ENTITY = '<!DOCTYPE page [<!ENTITY f SYSTEM "file:///etc/passwd">]><page><balance>&f;</balance></page>'


@pytest.mark.parametrize(
    "body",
    [
        b"\x00",
        b"\xff\xfe<\x00p\x00",
        b"<page><balance>66",
        b"<page></balance></page>",
        b"</answer><answer>",
        b"<answer>",
        b"<answer/>",
        b"<page>&nbsp;</page>",
        b"<page><balance>\x01</balance></page>",
        b"<!DOCTYPE html><html><head><title>Welcome</title></head><body><p>It works</p></body></html>",
        b"<html><head><title>Welcome</title></head><body></body></html>",
        b"<html><body><h1>It works!</h1></body></html>",
        b"<html><head></head><body></body></html>",
        ENTITY_BOMB.encode(),
        DECLARATION.encode() + ENTITY_BOMB.encode(),
        FILE_ENTITY.encode(),
        b"<!DOCTYPE page SYSTEM 'http://127.0.0.1:9/x.dtd'><page><balance>1</balance></page>",
        b"<page><!DOCTYPE x [<!ENTITY a 'a'>]><balance>&a;</balance></page>",
        b"<a>" * (MAX_DEPTH + 1) + b"</a>" * (MAX_DEPTH + 1),
        b"<a>" * 100_000 + b"</a>" * 100_000,
        packed(BALANCE.encode())[:-1],
        packed(BALANCE.encode())[:12],
        b"\x1f\x8b",
        b"\x1f\x8b" + b"x" * 100,
        packed(packed(BALANCE.encode())),
    ],
)
def test_what_is_no_answer_of_mors_is_called_so(body: bytes) -> None:
    assert parsed(body, MOST) == NO_ANSWER


@pytest.mark.parametrize("body", [b"", b" \r\n", b"\xef\xbb\xbf", packed(b""), packed(b"\n")])
def test_nothing_is_called_nothing(body: bytes) -> None:
    assert parsed(body, MOST) == NOTHING


def test_as_deep_as_allowed_is_read() -> None:
    read("<a>" * MAX_DEPTH + "</a>" * MAX_DEPTH)


def test_a_file_that_unpacks_to_too_much_is_not_unpacked_whole() -> None:
    packer = zlib.compressobj(9, wbits=16 + zlib.MAX_WBITS)
    million = b" " * (1 << 20)
    bomb = packer.compress(BALANCE.encode()) + b"".join(packer.compress(million) for _ in range(16)) + packer.flush()
    content = mor_xml._unpacked(bomb, 1000)
    assert content is not None
    assert len(content) == 1001
    assert parsed(bomb, MOST) == TOO_LARGE


@pytest.mark.parametrize("body", [BALANCE.encode(), packed(BALANCE.encode())])
def test_the_limit_is_that_of_the_content(body: bytes) -> None:
    assert isinstance(parsed(body, len(BALANCE)), Element)
    assert parsed(body, len(BALANCE) - 1) == TOO_LARGE


def test_more_elements_than_a_list_has_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mor_xml, "MAX_TAGS", 1000)
    assert isinstance(parsed(b"<a/>" * 900, 1 << 23), Element)
    assert parsed(b"<a/>" * 1001, 1 << 23) == TOO_LARGE


@given(st.binary(max_size=200) | st.text(alphabet="<>/!?&;ab[]\"'= page", max_size=200).map(str.encode))
def test_no_body_makes_it_fail(body: bytes) -> None:
    for raw in (body, packed(body), b"\x1f\x8b" + body):
        found = parsed(raw, MOST)
        if isinstance(found, Element):
            json.dumps(as_json(found))
