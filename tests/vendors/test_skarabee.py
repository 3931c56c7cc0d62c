"""Skarabee's file, driven by hand: no socket, no clock of its own."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import ZoneInfo

import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st

from callsign.http.messages import Answer, NoAnswer, Reply, Request
from callsign.notification import Notification
from callsign.settings.secret import Secret
from callsign.settings.sections import Numbers, Office, Settings, Skarabee
from callsign.vendors.registry import VENDORS
from callsign.vendors.skarabee import conversation as skarabee
from callsign.vendors.skarabee import vendor as skarabee_vendor
from callsign.verdicts import Delivered, Outcome, Refused, TryLater

VECTORS = tomli.loads((Path(__file__).parents[1] / "vectors" / "skarabee.toml").read_text(encoding="utf-8"))["vector"]
RIGHT = [vector for vector in VECTORS if vector["verifies"]]
WRONG = [vector for vector in VECTORS if not vector["verifies"]]
SIGNED = ("businessid", "phoneto", "phonefrom", "timestamp")

KEY = "326C4EA6636911C0537F"
AT = 1556891830.25  # 2019-05-03 13:57:10 UTC, summer time in Belgium
WINTER = 1546300800.0  # 2019-01-01 00:00:00 UTC
URL = "https://voip.skarabee.net/api/"
WORDS = {
    "TIMESTAMP_MISMATCH": "The timestamp difference is bigger than the maximum timestamp.",
    "HASH_MISMATCH": "The hash provided doesn't match the parameters.",
}

texts = st.text(st.characters(exclude_categories=("Cs",)))


def section(**changes: Any) -> Skarabee:
    return Skarabee(**{"url": URL, "businessid": "8103", "key": Secret(KEY), **changes})


def settings(form: str = "national", **changes: Any) -> Settings:
    return Settings(numbers=Numbers(format=form), skarabee=section(**changes))


def call(at: float = AT, **facts: str) -> Notification:
    told = {"businessid": "8103", "phoneto": "056528998", "phonefrom": "056528999", **facts}
    return Notification("skarabee", "skarabee", "1556891830.7", told, at, skarabee_vendor.LIFETIME_SECONDS)


def says(status: str, http: int = 200, date: float | None = None, at: float = AT) -> Answer:
    """The service's answer; `date` is its own time, `at` our clock when it came."""
    body = json.dumps({"Message": WORDS.get(status, ""), "Status": status}).encode()
    moment = None if date is None else datetime.fromtimestamp(date, timezone.utc)
    headers = {} if moment is None else {"date": format_datetime(moment, usegmt=True)}
    return Answer(http, headers, body, at)


def talk(
    answers: Sequence[Reply] | Callable[[Request], Reply],
    given: Settings | None = None,
    job: Notification | None = None,
    memory: skarabee.Memory | None = None,
) -> tuple[list[dict[str, str]], Outcome]:
    """One conversation; the queries that went out, and the outcome."""
    whole = given or settings()
    conversation = skarabee.converse(
        whole.section("skarabee"), whole.numbers, job or call(), memory or skarabee.Memory()
    )
    sent: list[dict[str, str]] = []
    left = list(answers) if not callable(answers) else []
    try:
        request = next(conversation)
        while True:
            assert request.method == "POST"
            sent.append(dict(request.query))
            request = conversation.send(answers(request) if callable(answers) else left.pop(0))
    except StopIteration as stop:
        return sent, stop.value


def first_request(given: Settings | None = None, job: Notification | None = None) -> Request:
    whole = given or settings()
    conversation = skarabee.converse(whole.section("skarabee"), whole.numbers, job or call(), skarabee.Memory())
    request = next(conversation)
    conversation.close()
    return request


# -- the signature -----------------------------------------------------------------------------------


def signature(vector: dict[str, str]) -> str:
    return talk([says("OK")], settings("asis", key=Secret(vector["key"])), as_job(vector))[0][0]["hash"]


def as_job(vector: dict[str, str]) -> Notification:
    facts = {name: vector[name] for name in ("businessid", "phoneto", "phonefrom")}
    return call(at=float(vector["timestamp"]), **facts)


@pytest.mark.parametrize("vector", RIGHT, ids=lambda vector: vector["source"])
def test_the_hash_is_the_examples(vector: dict[str, str]) -> None:
    assert signature(vector) == vector["hash"]


@pytest.mark.parametrize("vector", WRONG, ids=lambda vector: vector["source"])
def test_the_infosheets_second_example_does_not_verify(vector: dict[str, str]) -> None:
    # It shows the hash of timestamp 1556891830 next to 1556885889.
    assert signature(vector) != vector["hash"]
    assert signature({**vector, "timestamp": "1556891830"}) == vector["hash"]


def test_every_example_names_its_source() -> None:
    assert len(RIGHT) >= 3
    assert len(WRONG) == 1
    for vector in VECTORS:
        assert vector["source"].startswith(("infosheet", "self-made regression vector"))


@pytest.mark.parametrize("field", [*SIGNED, "key"])
def test_the_hash_changes_with_every_signed_field(field: str) -> None:
    for vector in RIGHT:
        last = vector[field][-1]
        tampered = {**vector, field: vector[field][:-1] + ("1" if last != "1" else "2")}
        text, other = (skarabee.text_to_sign(*(v[name] for name in SIGNED)) for v in (vector, tampered))
        assert (text == other) == (field == "key")
        changed = skarabee.explain(
            section(key=Secret(tampered["key"]), businessid=tampered["businessid"]),
            {name: tampered[name] for name in SIGNED},
            AT,
        )
        assert changed.signature != vector["hash"]


def test_the_called_number_is_signed_before_the_callers() -> None:
    assert skarabee.text_to_sign("8103", "to", "from", "1") == "8103tofrom1"


def test_the_key_is_text_although_it_looks_like_hex() -> None:
    vector = RIGHT[0]
    text = "".join(vector[name] for name in SIGNED).encode()
    assert signature({**vector, "key": KEY.lower()}) != vector["hash"]
    assert hmac.new(bytes.fromhex(KEY), text, hashlib.sha256).hexdigest() != vector["hash"]


# -- the request -------------------------------------------------------------------------------------


def test_the_call_is_a_post_with_everything_in_the_query_and_an_empty_body() -> None:
    request = first_request()
    assert (request.method, request.url, request.body, dict(request.headers)) == ("POST", URL, b"", {})
    assert [name for name, _ in request.query] == ["businessid", "phoneto", "phonefrom", "timestamp", "hash"]
    assert request.verify is True


def test_the_address_is_the_configured_one_to_the_letter() -> None:
    # A slash more or less can be a redirect, which is not followed.
    for url in ("https://voip.skarabee.net/api", "https://crm.example:8443/x/"):
        assert first_request(settings(url=url)).full_url().startswith(f"{url}?businessid=8103&")


@given(texts, texts)
def test_the_service_can_verify_what_it_decodes_from_the_url(phoneto: str, phonefrom: str) -> None:
    request = first_request(settings("asis"), call(phoneto=phoneto, phonefrom=phonefrom, mapped="1"))
    got = dict(parse_qsl(urlsplit(request.full_url()).query, keep_blank_values=True))
    text = got["businessid"] + got["phoneto"] + got["phonefrom"] + got["timestamp"]
    assert got["hash"] == hmac.new(KEY.encode(), text.encode(), hashlib.sha256).hexdigest()
    assert (got["phoneto"], got["phonefrom"]) == (phoneto, phonefrom.strip())


def test_plus_at_colon_and_hash_are_percent_encoded_but_signed_as_they_are() -> None:
    vector = RIGHT[-1]
    request = first_request(settings("asis"), as_job(vector))
    assert "phoneto=sip%3A101%40pbx.example&phonefrom=%2B3256528999&" in request.full_url()
    assert dict(request.query)["hash"] == vector["hash"]
    assert "phoneto=*31#" not in first_request(settings("asis"), call(phoneto="*31#")).full_url()


def test_nothing_of_the_call_shows_in_the_requests_repr() -> None:
    shown = repr(first_request())
    assert shown == "Request(POST voip.skarabee.net)"


# -- numbers and offices -----------------------------------------------------------------------------


@pytest.mark.parametrize("number", ["+3256528999", "003256528999", "056 52 89 99", "056/52.89.99", "056528999"])
@pytest.mark.parametrize(("form", "wanted"), [("national", "056528999"), ("e164", "+3256528999"), ("asis", None)])
def test_both_numbers_go_out_in_the_configured_form(number: str, form: str, wanted: str | None) -> None:
    sent, _ = talk([says("OK")], settings(form), call(phonefrom=number, phoneto=number))
    assert (sent[0]["phonefrom"], sent[0]["phoneto"]) == (wanted or number, wanted or number)


@pytest.mark.parametrize("account", ["sip:101@pbx.example", "201", "agent-7", "anonymous"])
@pytest.mark.parametrize("form", ["national", "e164", "asis"])
def test_an_account_or_a_short_number_passes_through(account: str, form: str) -> None:
    sent, _ = talk([says("OK")], settings(form), call(phonefrom=account, phoneto=account))
    assert (sent[0]["phonefrom"], sent[0]["phoneto"]) == (account, account)


@pytest.mark.parametrize("written", ["+32 56 52 89 98", "056/528998", "profile 7"])
def test_a_number_from_the_profile_map_goes_out_verbatim(written: str) -> None:
    sent, _ = talk([says("OK")], settings("e164"), call(phoneto=written, mapped="1"))
    assert sent[0]["phoneto"] == written
    assert sent[0]["phonefrom"] == "+3256528999"


def test_each_office_signs_with_its_own_key() -> None:
    both = settings("asis", office=(Office("9001", Secret("other")),))
    for businessid, key in (("8103", KEY), ("9001", "other")):
        sent, _ = talk([says("OK")], both, call(businessid=businessid))
        text = f"{businessid}0565289980565289991556891830"
        assert sent[0]["businessid"] == businessid
        assert sent[0]["hash"] == hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()


def test_an_office_that_has_left_the_settings_is_waited_for_and_nothing_is_sent() -> None:
    sent, outcome = talk([], job=call(businessid="7"))
    assert sent == []
    assert isinstance(outcome, TryLater)
    assert "businessid 7" in outcome.reason
    assert "[[skarabee.office]]" in outcome.reason


# -- the clock ---------------------------------------------------------------------------------------


def test_the_timestamp_is_the_calls_time_in_whole_seconds_however_late_the_attempt() -> None:
    job = call(at=1556891830.999)
    sent = [talk([reply], job=job)[0][0] for reply in (NoAnswer("gone", sent=True), says("OK", at=AT + 800))]
    assert [query["timestamp"] for query in sent] == ["1556891830", "1556891830"]
    assert sent[0] == sent[1]


@pytest.mark.parametrize(("at", "offset"), [(AT, 7200), (WINTER, 3600)], ids=["summer", "winter"])
def test_the_local_clock_is_belgian_wall_time_read_as_utc(at: float, offset: int) -> None:
    sent, _ = talk([says("OK")], settings(clock="local"), call(at=at))
    assert sent[0]["timestamp"] == str(int(at) + offset)
    wall = datetime.fromtimestamp(at, ZoneInfo("Europe/Brussels"))
    read_back = datetime.fromtimestamp(int(sent[0]["timestamp"]), timezone.utc)
    assert read_back.replace(tzinfo=None) == wall.replace(tzinfo=None, microsecond=0)


def test_the_local_clock_turns_with_summer_time_to_the_second() -> None:
    # 2019-03-31 and 2019-10-27, 01:00 UTC in both
    for turn, before, after in ((1553994000, 3600, 7200), (1572138000, 7200, 3600)):
        assert skarabee.timestamp_text(turn - 1, "local", "Europe/Brussels") == str(turn - 1 + before)
        assert skarabee.timestamp_text(turn, "local", "Europe/Brussels") == str(turn + after)


def test_the_local_clock_follows_the_configured_time_zone() -> None:
    sent, _ = talk([says("OK")], settings(clock="local", timezone="Asia/Kathmandu"))
    assert sent[0]["timestamp"] == str(int(AT) + 5 * 3600 + 45 * 60)


def test_the_unix_clock_knows_no_time_zone() -> None:
    sent, _ = talk([says("OK")], settings(clock="unix", timezone="Asia/Kathmandu"))
    assert sent[0]["timestamp"] == "1556891830"


@pytest.mark.parametrize("clock", ["unix", "local"])
def test_a_fixed_clock_is_not_tried_the_other_way(clock: str) -> None:
    sent, outcome = talk([says("TIMESTAMP_MISMATCH", date=AT)], settings(clock=clock))
    assert len(sent) == 1
    assert isinstance(outcome, Refused)


def counts(offset: int) -> Callable[[Request], Reply]:
    """A service that adds `offset` to the true time, and accepts 15 minutes."""

    def answer(request: Request) -> Reply:
        off = int(dict(request.query)["timestamp"]) - (int(AT) + offset)
        return says("OK" if abs(off) <= 900 else "TIMESTAMP_MISMATCH", date=AT)

    return answer


def test_auto_tries_the_other_clock_once_and_keeps_what_worked() -> None:
    memory = skarabee.Memory()
    auto = settings(clock="auto")
    sent, outcome = talk(counts(7200), auto, memory=memory)
    assert [int(query["timestamp"]) - int(AT) for query in sent] == [0, 7200]
    assert sent[0]["hash"] != sent[1]["hash"]
    assert outcome == Delivered()
    sent, outcome = talk(counts(7200), auto, memory=memory)
    assert [int(query["timestamp"]) - int(AT) for query in sent] == [7200]
    assert outcome == Delivered()


def test_auto_goes_back_to_unix_when_the_service_does() -> None:
    memory = skarabee.Memory(clock="local")
    sent, _ = talk(counts(0), settings(clock="auto"), memory=memory)
    assert [int(query["timestamp"]) - int(AT) for query in sent] == [7200, 0]
    assert memory.clock == "unix"


def test_auto_tries_once_only() -> None:
    memory = skarabee.Memory()
    sent, outcome = talk(counts(99_999), settings(clock="auto"), memory=memory)
    assert len(sent) == 2
    assert isinstance(outcome, Refused)
    assert "neither reading" in outcome.reason
    assert "[skarabee] timezone" in outcome.reason
    assert memory.clock == "unix"


@pytest.mark.parametrize("second", [NoAnswer("gone", sent=True), says("HASH_MISMATCH"), says("OK", http=500)])
def test_auto_keeps_nothing_that_has_not_worked(second: Reply) -> None:
    memory = skarabee.Memory()
    talk([says("TIMESTAMP_MISMATCH"), second], settings(clock="auto"), memory=memory)
    assert memory.clock == "unix"


def test_auto_does_not_try_again_on_anything_else() -> None:
    for reply in (says("HASH_MISMATCH"), says("OK", http=503), NoAnswer("gone", sent=False)):
        assert len(talk([reply], settings(clock="auto"))[0]) == 1


def test_what_auto_has_learnt_does_not_move_a_fixed_clock() -> None:
    sent, _ = talk([says("OK")], settings(clock="unix"), memory=skarabee.Memory(clock="local"))
    assert sent[0]["timestamp"] == "1556891830"


# -- the verdict -------------------------------------------------------------------------------------


@pytest.mark.parametrize("http", [200, 201, 202, 204, 299])
def test_success_is_2xx_with_status_ok(http: int) -> None:
    assert talk([says("OK", http=http)])[1] == Delivered()


@pytest.mark.parametrize("http", [301, 400, 404, 500, 503])
def test_ok_in_another_http_status_is_no_success(http: int) -> None:
    outcome = talk([says("OK", http=http)])[1]
    assert isinstance(outcome, TryLater)
    assert outcome.reason.startswith(f"HTTP {http}")


@pytest.mark.parametrize("status", ["HASH_MISMATCH", "NO_HASH_KEY_AVAILABLE", "TIMESTAMP_MISMATCH"])
@pytest.mark.parametrize("http", [200, 302, 400, 401, 403, 404, 408, 429, 500, 503])
def test_the_three_refusals_count_with_any_http_status(status: str, http: int) -> None:
    outcome = talk([says(status, http=http)])[1]
    assert isinstance(outcome, Refused)
    assert outcome.reason.startswith(status)


def test_a_refusal_says_the_vendors_word_and_where_to_mend_it() -> None:
    hash_fault, no_key = (talk([says(status)])[1] for status in ("HASH_MISMATCH", "NO_HASH_KEY_AVAILABLE"))
    assert hash_fault == Refused(
        "HASH_MISMATCH: The hash provided doesn't match the parameters; check the key of this office in the settings"
    )
    assert isinstance(no_key, Refused)
    assert "check businessid" in no_key.reason


def test_an_unknown_status_is_a_refusal_unless_http_asks_for_another_try() -> None:
    for http in (200, 302, 400, 403, 404):
        assert talk([says("OFFICE_CLOSED", http=http)])[1] == Refused("OFFICE_CLOSED")
    for http in (408, 429, 500, 502, 503):
        assert talk([says("BUSY", http=http)])[1] == TryLater(f"HTTP {http}: BUSY")


@pytest.mark.parametrize(
    "body",
    [b"", b"OK", b"<html>OK</html>", b"[]", b'"OK"', b"null", b"{}", b'{"Status":null}', b'{"Status":["OK"]}', b"\xff"],
)
@pytest.mark.parametrize("http", [200, 301, 404, 500])
def test_a_body_without_a_status_is_worth_another_try(body: bytes, http: int) -> None:
    outcome = talk([Answer(http, {}, body)])[1]
    assert isinstance(outcome, TryLater)
    assert outcome.reason == f"HTTP {http}: an answer without a Status; is [skarabee] url right?"


def test_the_message_of_an_answer_without_a_status_is_the_reason() -> None:
    # What ASP.NET answers to its own faults.
    assert talk([Answer(500, {}, b'{"Message":"An error has occurred."}')])[1] == TryLater(
        "HTTP 500: An error has occurred."
    )


def test_the_keys_may_be_written_in_lower_case() -> None:
    assert talk([Answer(200, {}, b'{"message":"","status":"OK"}')])[1] == Delivered()


def test_so_may_the_status() -> None:
    assert talk([says("Ok")])[1] == Delivered()
    sent, _ = talk([says("Timestamp_Mismatch"), says("ok")], settings(clock="auto"))
    assert len(sent) == 2


def test_no_answer_is_worth_another_try_for_its_own_reason() -> None:
    assert talk([NoAnswer("voip.skarabee.net refuses connections", sent=False)])[1] == TryLater(
        "voip.skarabee.net refuses connections"
    )


def test_retry_after_is_handed_on() -> None:
    assert talk([Answer(503, {"retry-after": "17"}, b"")])[1].after_seconds == 17.0  # type: ignore[union-attr]


@pytest.mark.parametrize("status", ["HASH_MISMATCH", "OK", "056528999 unknown"])
def test_numbers_and_hashes_that_the_service_repeats_are_not_in_the_reason(status: str) -> None:
    told = first_request()
    secret = dict(told.query)["hash"]
    message = f"056528999 -> +32 56 52 89 98: {secret}, key {KEY}, {told.full_url()}"
    body = json.dumps({"Status": status, "Message": message}).encode()
    for http in (200, 500):
        outcome = talk([Answer(http, {}, body)])[1]
        for piece in ("05652", "56 52 89", secret[:16], KEY[:16]):
            assert piece not in outcome.reason


replies = st.builds(
    Answer,
    st.integers(100, 599),
    st.dictionaries(st.sampled_from(["date", "retry-after"]), st.text()),
    st.binary()
    | st.builds(
        lambda value: json.dumps(value).encode(),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["OK", *WORDS]),
            lambda inner: (
                st.lists(inner) | st.dictionaries(st.sampled_from(["Status", "Message", "status", "x"]), inner)
            ),
        ),
    ),
    st.floats(0, 4e9),
) | st.builds(NoAnswer, st.text(), st.booleans())


@given(replies, st.sampled_from(["unix", "local", "auto"]))
def test_no_answer_whatever_makes_the_conversation_raise(reply: Reply, clock: str) -> None:
    sent, outcome = talk(lambda _request: reply, settings(clock=clock))
    assert len(sent) <= 2
    assert isinstance(outcome, Delivered | TryLater | Refused)
    if isinstance(outcome, Delivered):
        assert isinstance(reply, Answer)
        assert 200 <= reply.status < 300


# -- advice on TIMESTAMP_MISMATCH --------------------------------------------------------------------


def advice(clock: str = "unix", date: float | None = AT, at: float = AT, job: Notification | None = None) -> str:
    reply = says("TIMESTAMP_MISMATCH", date=date, at=at)
    outcome = talk([reply, reply][: 2 if clock == "auto" else 1], settings(clock=clock), job)[1]
    assert isinstance(outcome, Refused)
    assert outcome.reason.startswith("TIMESTAMP_MISMATCH: ")
    return outcome.reason


@pytest.mark.parametrize(("clock", "other"), [("unix", "local"), ("local", "unix")])
def test_with_a_right_clock_the_advice_is_the_other_reading(clock: str, other: str) -> None:
    reason = advice(clock, at=AT + 2, date=AT)
    assert "2 s ahead of the server's Date" in reason
    assert f'clock = "{other}" or "auto"' in reason


@pytest.mark.parametrize(("ours", "words"), [(3600, "3600 s ahead of"), (-3600, "3600 s behind")])
def test_with_a_wrong_clock_the_advice_is_to_set_it(ours: int, words: str) -> None:
    # The call's time was taken from the same wrong clock.
    for clock in ("unix", "local", "auto"):
        reason = advice(clock, at=AT, date=AT - ours)
        assert f"this clock is {words} the server's Date" in reason
        assert "NTP" in reason


def test_a_clock_that_is_off_by_less_than_the_service_accepts_is_not_to_blame() -> None:
    assert 'clock = "local"' in advice(at=AT, date=AT - 300)


def test_a_small_fault_of_the_clock_can_be_too_much_for_a_call_that_waited() -> None:
    # Told 14 minutes ago, and this clock 100 s behind: more than the 15 minutes.
    reason = advice(job=call(at=AT - 840), at=AT, date=AT + 100)
    assert "100 s behind" in reason
    assert "the call's time 940 s off" in reason
    assert "NTP" in reason


def test_a_clock_that_was_set_between_call_and_attempt_shows_in_the_calls_time() -> None:
    assert "the call's time 7200 s off" in advice(job=call(at=AT - 7200), at=AT, date=AT)


def test_without_a_date_header_the_advice_names_both_things_to_check() -> None:
    for clock in ("unix", "local", "auto"):
        reason = advice(clock, date=None)
        assert "no Date header" in reason
        assert "NTP" in reason
        assert "[skarabee] clock" in reason


# -- callsign sign -----------------------------------------------------------------------------------


def test_sign_shows_text_and_signature_for_what_is_given() -> None:
    vector = RIGHT[0]
    told = skarabee.explain(section(), {name: vector[name] for name in SIGNED}, AT)
    assert told.text == "81030565289980565289991556891830"
    assert told.signature == vector["hash"]
    assert KEY not in repr(told)


def test_sign_fills_in_the_office_and_the_clock_as_configured() -> None:
    numbers = {"phoneto": "1", "phonefrom": "2"}
    for clock, timestamp in (("unix", "1556891830"), ("auto", "1556891830"), ("local", "1556899030")):
        told = skarabee.explain(section(clock=clock), numbers, AT)
        assert told.values == {"businessid": "8103", **numbers, "timestamp": timestamp}


def test_sign_uses_the_key_of_the_office_that_is_named() -> None:
    both = section(office=(Office("9001", Secret("other")),))
    given = {"businessid": "9001", "phoneto": "1", "phonefrom": "2", "timestamp": "3"}
    assert skarabee.explain(both, given, AT).signature == hmac.new(b"other", b"9001123", hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    ("given", "words"),
    [({}, "phoneto=NUMBER and phonefrom=NUMBER"), ({"phoneto": "1"}, "phonefrom=NUMBER")],
)
def test_sign_says_what_is_missing(given: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        skarabee.explain(section(), given, AT)


def test_sign_says_that_an_office_is_unknown() -> None:
    with pytest.raises(ValueError, match="no office"):
        skarabee.explain(section(), {"businessid": "7", "phoneto": "1", "phonefrom": "2"}, AT)


# -- what the delivery knows of it -------------------------------------------------------------------


def test_a_notification_is_of_use_while_the_service_accepts_its_timestamp() -> None:
    assert skarabee_vendor.LIFETIME_SECONDS == 14 * 60


def test_the_registry_makes_a_memory_of_its_own_for_every_process() -> None:
    vendor = VENDORS["skarabee"]
    one, other = vendor.new_memory(), vendor.new_memory()
    assert one.clock == other.clock == skarabee.Memory().clock
    assert one is not other
    assert not vendor.undoes(call(), call())
