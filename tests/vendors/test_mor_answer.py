"""What MOR says: every shape that its pages show or its old versions have, and what only looks like one."""

from __future__ import annotations

import gzip
from functools import partial

import pytest

from callsign.http.messages import MAX_ANSWER_BYTES, Answer, NoAnswer
from callsign.settings.secret import Secret
from callsign.vendors.mor import answer as mor_answer
from callsign.vendors.mor.answer import FAILURES, HINTS
from callsign.vendors.mor.xml import Element, as_json
from callsign.verdicts import Refused, TryLater

KEY = Secret("the-key-of-mor")
DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
BALANCE = "<page><balance>66.0000</balance></page>"

packed = partial(gzip.compress, mtime=0)
"""A gzipped file, the same whenever it is made: the names of tests are made of it."""


def read(body: str | bytes, status: int = 200, **headers: str) -> Element | Refused | TryLater:
    raw = body.encode() if isinstance(body, str) else body
    return mor_answer.read(Answer(status, headers, raw), KEY)


def refusal(body: str | bytes, status: int = 200) -> str:
    found = read(body, status)
    assert isinstance(found, Refused), found
    return found.reason


def trouble(body: str | bytes, status: int = 200) -> str:
    found = read(body, status)
    assert isinstance(found, TryLater), found
    return found.reason


def balance(body: str | bytes) -> str:
    found = read(body)
    assert isinstance(found, Element), found
    return found.findtext("page/balance", "")


# -- what is an answer -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        BALANCE,
        DECLARATION + BALANCE,
        "\ufeff" + DECLARATION + BALANCE,
        f"  \r\n{DECLARATION}\n{BALANCE}\n\n",
        "<page>\n  <balance>\n 66.0000\n</balance>\n</page>",
        "<page><balance><![CDATA[66.0000]]></balance></page>",
        f"<html><head></head><body>{BALANCE}</body></html>",
        f"<html><body>{DECLARATION}{BALANCE}</body></html>",
        f"<head></head><body>{DECLARATION}{BALANCE}</body>",
        f"<HTML><BODY>{BALANCE}</BODY></HTML>",
        f"<!-- MOR -->{BALANCE}",
        "<page><status>ok</status><balance>66.0000</balance></page>",
    ],
)
def test_the_element_is_found_whatever_stands_around_it(body: str) -> None:
    assert balance(body) == "66.0000"
    assert balance(packed(body.encode())) == "66.0000"


@pytest.mark.parametrize("kind", ["text/html", "text/xml", "application/x-gzip", "image/png", ""])
def test_the_content_type_has_no_say(kind: str) -> None:
    found = read(BALANCE, **{"content-type": kind, "content-disposition": "attachment"})
    assert isinstance(found, Element)


def test_bare_text_is_an_answer_too() -> None:
    found = read("-349282.18\n")
    assert isinstance(found, Element)
    assert (found.text, list(found), as_json(found)) == ("-349282.18", [], "-349282.18")


# -- MOR's no ----------------------------------------------------------------------------------------

SHAPES = [
    "<status><error>{}</error></status>",
    "<page><error>{}</error></page>",
    "<page><status><error>{}</error></status></page>",
    "<page><status>{}</status></page>",
    "<Status>{}</Status>",
    "<status>{}</status>",
    "<response><status>{}</status></response>",
    "<action><name>login</name><status>{}</status></action>",
    "<Error>{}</Error>",
    "<error>{}</error>",
    "<error><type>{}</type></error>",
    "<html><head/><body><page><error>{}</error></page></body></html>",
    "{}",
]


@pytest.mark.parametrize("shape", SHAPES)
def test_every_known_failure_is_heard_in_every_shape(shape: str) -> None:
    for words in FAILURES:
        for spelt in (words, words.capitalize() + ".", f" {words.upper()}\n"):
            body = shape.format(spelt)
            said = refusal(DECLARATION + body)
            assert said.lower().startswith(words)
            assert refusal(packed(body.encode())) == said


def test_the_undefined_method_is_told_with_its_name() -> None:
    said = refusal("<error><type>Undefined method</type><name>user_balanse_get</name></error>")
    assert said.startswith("Undefined method: user_balanse_get; ")


@pytest.mark.parametrize("words", sorted(HINTS))
def test_known_words_come_with_where_to_mend_it(words: str) -> None:
    assert refusal(f"<page><error>{words}</error></page>") == f"{words}; {HINTS[words]}"


def test_an_incorrect_hash_leads_to_the_key_and_to_sign() -> None:
    said = refusal("<status><error>Incorrect hash</error></status>")
    assert said.startswith("Incorrect hash; check [mor] key; `callsign sign mor`")


def test_an_error_of_unknown_words_is_told_and_one_without_words_is_an_error_too() -> None:
    assert refusal("<page><error>Quota of 5 is used up</error></page>") == "Quota of 5 is used up"
    assert refusal("<page><error/></page>") == "an error without a word"
    assert refusal("<response><status>1 - failed, no credit</status></response>") == "1 - failed, no credit"


@pytest.mark.parametrize(
    "body",
    [
        "<Status>Ok</Status>",
        "<page><status>Phonebook saved</status></page>",
        "<page><status><success>Done</success></status></page>",
        "<page><devices><device><status>failed</status><error>x</error></device></devices></page>",
        "<page><error_count>0</error_count></page>",
    ],
)
def test_what_is_no_failure_is_an_answer(body: str) -> None:
    assert isinstance(read(body), Element)


def test_no_number_hash_or_key_that_mor_repeats_gets_into_a_reason() -> None:
    words = f"CLI 056528999 of {'ab' * 20} with {KEY.reveal()}"
    assert refusal(f"<page><error>{words}</error></page>") == "CLI … of … with …"


def test_a_refusal_is_one_printable_line() -> None:
    said = refusal("<page><error>a\r\nHANGUP\u2028 \x7f b" + "x" * 9999 + "</error></page>")
    assert said.isprintable()
    assert len(said) < 300


# -- what is no answer -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "an empty page; is [mor] url"),
        (b" \r\n", "an empty page; is [mor] url"),
        (b"<!DOCTYPE html><html><head><title>Welcome</title></head></html>", "no answer of MOR's; is [mor] url"),
        (b"<page><balance>66", "no answer of MOR's; is [mor] url"),
        (packed(b" " * 2 * MAX_ANSWER_BYTES), "an answer that is too large"),
    ],
)
def test_what_is_no_answer_of_mors_is_no_verdict(body: bytes, words: str) -> None:
    assert trouble(body).startswith(f"HTTP 200: {words}")


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429])
def test_a_server_in_trouble_is_no_verdict_whatever_its_page_says(status: int) -> None:
    for body in ("", "<h1>Bad Gateway</h1>", BALANCE, "<page><error>Access Denied</error></page>"):
        assert trouble(body, status).startswith(f"HTTP {status}: ")
    assert trouble("<page><error>Access Denied</error></page>", status).endswith("Access Denied")


@pytest.mark.parametrize(("status", "words"), [(401, "password"), (403, "address"), (405, "[mor] url"), (400, "")])
def test_a_refusing_http_status_is_a_refusal(status: int, words: str) -> None:
    assert words in refusal("<html><body><h1>No</h1></body></html>", status)
    assert refusal("<status><error>Access Denied</error></status>", status).startswith("Access Denied; ")


@pytest.mark.parametrize("status", [301, 302, 404])
def test_another_page_leads_to_the_url(status: int) -> None:
    assert "[mor] url" in trouble("<html><body>moved</body></html>", status)


def test_no_answer_at_all_is_told_as_the_transport_tells_it() -> None:
    found = mor_answer.read(NoAnswer("127.0.0.1:1 refuses connections", sent=False), KEY)
    assert found == TryLater("127.0.0.1:1 refuses connections")
