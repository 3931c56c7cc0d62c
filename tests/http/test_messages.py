"""Requests and answers as values: what goes out, what may be told of it, and what a hostile answer does."""

from __future__ import annotations

import json
import time
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from callsign.http.messages import Answer, NoAnswer, Request
from callsign.log_text import REASON_LENGTH, printable, vendor_words, visible, visible_json
from callsign.notification import Notification
from callsign.verdicts import Delivered, Refused, TryLater

HASH = "fce3bd3536e69f7fe78b15db89464f1979d06beef6d33f2477e641fbecd61d43"
DATE = "Fri, 03 May 2019 13:57:10 GMT"
AT = 1556891830.0  # DATE as epoch seconds

names = st.text(st.characters(categories=("L", "N")), min_size=1)
texts = st.text(st.characters(exclude_categories=("Cs",)))


# -- what goes out -----------------------------------------------------------------------------------


@given(st.lists(st.tuples(names, texts), min_size=1))
def test_every_query_arrives_as_it_was_given(query: list[tuple[str, str]]) -> None:
    sent = Request("POST", "https://crm.example/api/", tuple(query)).full_url()
    assert sent.isascii()
    assert parse_qsl(urlsplit(sent).query, keep_blank_values=True, strict_parsing=True) == query


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("+3256528999", "%2B3256528999"),
        ("sip:101@pbx.example", "sip%3A101%40pbx.example"),
        ("*31#", "%2A31%23"),
        ("a b&c=d/e?f", "a%20b%26c%3Dd%2Fe%3Ff"),
        ("100%", "100%25"),
        ("é", "%C3%A9"),
        ("-._~", "-._~"),
    ],
)
def test_what_has_a_meaning_in_urls_is_percent_encoded(value: str, wanted: str) -> None:
    # RFC 3986 2.3: only letters, digits and -._~ need no encoding.  A bare + would arrive as a space.
    assert (
        Request("POST", "https://crm.example/api/", (("v", value),)).full_url()
        == f"https://crm.example/api/?v={wanted}"
    )


def test_a_request_without_query_has_the_configured_address_and_no_question_mark() -> None:
    assert Request("POST", "https://pbx.example/rest/Time").full_url() == "https://pbx.example/rest/Time"


# -- what may be told --------------------------------------------------------------------------------


def test_a_requests_repr_tells_method_and_host_and_nothing_else() -> None:
    request = Request(
        "POST",
        "https://user:password@pbx.example:8443/rest/056528999",
        (("phonefrom", "056528999"), ("hash", HASH)),
        {"Authorization": "Hawk secret"},
        b"secret",
        verify="/etc/ca.pem",
    )
    assert repr(request) == "Request(POST pbx.example:8443)"
    assert str(request) == repr(request)


def test_an_unusable_address_has_a_repr_too() -> None:
    assert repr(Request("GET", "http://[::1/")) == "Request(GET an unusable address)"


def test_an_answers_repr_shows_neither_body_nor_headers() -> None:
    shown = repr(Answer(200, {"location": HASH}, HASH.encode(), 1.0))
    assert HASH not in shown
    assert "200" in shown


def test_a_notifications_repr_shows_neither_its_facts_nor_what_makes_it_once() -> None:
    facts = {"phonefrom": "056528999", "phoneto": "056528998"}
    shown = repr(Notification("skarabee", "skarabee", "1556891830.7", facts, AT, 840.0, "skarabee|c|+3256528998"))
    assert "skarabee" in shown
    assert "1556891830.7" in shown
    assert "5652899" not in shown


def test_outcomes_and_replies_are_values() -> None:
    assert (Delivered(), TryLater("x"), Refused("x")) == (Delivered(""), TryLater("x", None), Refused("x"))
    assert NoAnswer("x", sent=False) != NoAnswer("x", sent=True)


# -- what a vendor says, as a reason -----------------------------------------------------------------


@pytest.mark.parametrize(
    "told",
    [
        "056528999",
        "+3256528999",
        "0032 56 52 89 99",
        "056 / 52.89.99",
        "+32 (0)56 52-89-99",
        "%2B3256528999",
        "056%2052%2089%2099",
        "056\u00a0528\u2028999",
        "٠٥٦٥٢٨٩٩٩",
        "056\n528\r\n999",
        HASH,
        HASH.upper(),
        "_" + HASH[:16] + "_",
        "326C4EA6636911C0537F",
        "f863246a-973e-11e6-8784-08002718f5b5",
        "6R4rV5iE+NPoym+WwjeHzjAGXUtLNIxmo1vpMofpLAE=",
    ],
)
def test_numbers_hashes_and_keys_that_a_vendor_repeats_are_masked(told: str) -> None:
    for text in (told, f"no call to {told} here", f"x={told}&y", "a" * 37 + f" {told}"):
        words = vendor_words(text)
        assert "…" in words
        assert not any(c.isdigit() for c in words.replace("%2B", ""))
        bare = "".join(c for c in words if c.isalnum())
        for start in range(len(told) - 6):
            piece = "".join(c for c in told[start : start + 7] if c.isalnum())
            assert len(piece) < 5 or piece not in bare


def test_a_number_at_the_edge_of_the_reason_is_masked_before_the_cut() -> None:
    for before in range(REASON_LENGTH - 12, REASON_LENGTH + 1):
        assert not any(c.isdigit() for c in vendor_words("x " * (before // 2) + "056528999 and more"))


def test_a_number_at_the_edge_of_what_is_looked_at_does_not_appear_in_part() -> None:
    hashes = f"{HASH} " * 80  # so long that it is cut, so masked that all of it fits into the reason
    for more in range(70):
        words = vendor_words("y" * (more % 5) + " " * more + hashes)
        assert set(words) <= set("y… ")


@pytest.mark.parametrize("text", ["HASH_MISMATCH", "extension 410 is not known", "HTTP 404", "Code -12345", "3 of 5"])
def test_words_codes_and_extensions_stay_readable(text: str) -> None:
    assert vendor_words(text) == text


def test_a_secret_that_was_sent_along_is_masked_whatever_it_looks_like() -> None:
    assert vendor_words("bad apiKey my key+1 given", hidden="my key+1") == "bad apiKey … given"
    assert vendor_words("bad URL ?apiKey=my%20key%2B1", hidden="my key+1") == "bad URL ?apiKey=…"
    assert vendor_words("nothing hidden") == "nothing hidden"


@pytest.mark.parametrize(("text", "wanted"), [(None, ""), (7, "7"), ("", ""), (["a"], "['a']")])
def test_what_is_no_text_does_no_harm(text: object, wanted: str) -> None:
    assert vendor_words(text) == wanted


@given(st.text())
@example("a\u202eb")  # right-to-left override: turns the rest of a log line round
@example("a\x1b[31mb")
@example("a\u2029b\x85c\x00d\ud800e")
def test_a_reason_is_one_short_line_of_printable_characters(text: str) -> None:
    for words in (printable(text), vendor_words(text)):
        assert words.isprintable()
        assert len(words) <= REASON_LENGTH
        assert words == " ".join(words.split())


def test_a_long_text_is_cut_where_the_limit_says() -> None:
    assert printable("a" * 50, 50) == "a" * 50
    assert printable("a" * 51, 50) == "a" * 49 + "…"


# -- an answer's headers and body --------------------------------------------------------------------


def skew(date: str) -> float | None:
    return Answer(200, {"date": date}, b"", AT + 3).clock_skew_seconds()


def test_the_skew_is_how_far_this_clock_is_ahead_of_the_date_header() -> None:
    assert skew(DATE) == 3.0
    assert skew("Fri, 03 May 2019 15:57:20 +0200") == -7.0


@pytest.mark.parametrize("date", ["Fri, 03 May 2019 13:57:10 -0000", "Fri, 03 May 2019 13:57:10"])
def test_a_date_without_a_zone_is_utc_wherever_this_machine_stands(date: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    try:
        assert skew(date) == 3.0
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    "date", ["", "yesterday", "Fri, 99 May 2019 13:57:10 GMT", "0", "Fri, 03 May 99999999999 1:1:1 GMT"]
)
def test_without_a_usable_date_header_there_is_no_skew(date: str) -> None:
    assert skew(date) is None
    assert Answer(200, {}, b"", AT).clock_skew_seconds() is None


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        (DATE.replace("13:57", "13:58"), 60.0),
        (DATE.replace("2019", "2018"), 0.0),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("9" * 5000, None),
        ("", None),
    ],
)
def test_retry_after_is_read_in_both_forms(text: str, wanted: float | None) -> None:
    # RFC 9110, 10.2.3
    assert Answer(503, {"retry-after": text}, b"", AT).retry_after_seconds() == wanted


@given(st.integers(100, 599), st.text(), st.binary())
@example(200, "Mon, 01 Jan 0000 00:00:00 +9999", b"[" * 100_000)
@example(200, " ", b"\xff\xfe{}")
@example(200, "1 2 3 4 5 6", b"1" * 5000)
def test_no_header_and_no_body_makes_an_answer_raise(status: int, header: str, body: bytes) -> None:
    answer = Answer(status, {"date": header, "retry-after": header}, body, AT)
    answer.json()
    answer.clock_skew_seconds()
    answer.is_temporary()
    wait = answer.retry_after_seconds()
    assert wait is None or wait >= 0


def test_json_is_read_with_and_without_a_byte_order_mark() -> None:
    for encoding in ("utf-8", "utf-8-sig"):
        assert Answer(200, {}, json.dumps({"Status": "OK"}).encode(encoding)).json() == {"Status": "OK"}


def test_a_message_in_latin_1_spoils_only_itself() -> None:
    assert Answer(200, {}, '{"Code":0,"Message":"arrêté"}'.encode("latin-1")).json() == {
        "Code": 0,
        "Message": "arr\ufffdt\ufffd",
    }


@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b'{"a":1} trailing', b"\x00"])
def test_what_is_no_json_is_none(body: bytes) -> None:
    assert Answer(200, {}, body).json() is None


def test_the_statuses_that_ask_for_another_try() -> None:
    temporary = [status for status in range(100, 600) if Answer(status, {}, b"").is_temporary()]
    assert temporary == [408, 425, 429, *range(500, 600)]


def test_characters_that_show_nothing_but_change_others_are_not_shown() -> None:
    unseen = "\u202e\u200b\u2066\ufeff\u00ad\x1b\t\x85\u2028"
    assert visible(f"a{unseen}é\nb") == f"a{' ' * len(unseen)}é\nb"
    assert printable(f"a{unseen}b") == "a b"
    shown = visible_json({"name": f'Zoë{unseen}\U000e0001"'}, 2)
    assert json.loads(shown) == {"name": f'Zoë{unseen}\U000e0001"'}
    assert "Zoë" in shown
    assert shown.replace("\n", "").isprintable()
