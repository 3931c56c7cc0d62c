"""The sandbox is what callsign is measured by, so it is measured itself here: against the vendors' printed
examples, over real sockets, with a clock that the test moves."""

from __future__ import annotations

import ast
import hashlib
import hmac
import http.client
import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import callsign.sandbox
from callsign.sandbox.vendors.messages import WELL, Answer, Request, Trouble
from callsign.sandbox.vendors.noojee import Noojee
from callsign.sandbox.vendors.record import SeenRequest
from callsign.sandbox.vendors.sandbox import Sandbox
from callsign.sandbox.vendors.skarabee import Skarabee
from clocks_play import Clock
from exchange import Reply, exchange

# Skarabee's infosheet, "Demo & test"
OFFICE_KEY = "326C4EA6636911C0537F"
PRINTED_HASH = "fce3bd3536e69f7fe78b15db89464f1979d06beef6d33f2477e641fbecd61d43"
HASHED_TIMESTAMP = 1556891830
PRINTED_TIMESTAMP = 1556885889
PRINTED = {
    "businessid": "8103",
    "phoneto": "056528998",
    "phonefrom": "056528999",
    "timestamp": str(HASHED_TIMESTAMP),
    "hash": PRINTED_HASH,
}
NOOJEE_KEY = "demo-key"
START = "/CallManagementAPI/start"
STOP = "/CallManagementAPI/stop"
MANY_SECONDS = 600.0  # a delay that must be ended, for no test waits for it


@pytest.fixture
def clock() -> Clock:
    return Clock(HASHED_TIMESTAMP)


@pytest.fixture
def box(clock: Clock) -> Iterator[Sandbox]:
    accounts = {
        "skarabee": {"8103": OFFICE_KEY, "9001": "other-key"},
        "noojee": {"key": NOOJEE_KEY, "auth": "hash"},
    }
    with Sandbox(accounts, clock=clock) as running:
        yield running


def send(
    box: Sandbox,
    system: str,
    path: str = "",
    query: Any = (),
    method: str = "POST",
    body: bytes | None = None,
) -> Reply:
    """One request on a connection of its own; `query` is a mapping, pairs, or the text to send as it is."""
    base = urlsplit(box.url(system))
    text = query if isinstance(query, str) else urlencode(query)
    return exchange(box.port, method, base.path + path + ("?" + text if text else ""), body)


def skarabee_hash(businessid: str, phoneto: str, phonefrom: str, timestamp: object, key: str = OFFICE_KEY) -> str:
    signed = f"{businessid}{phoneto}{phonefrom}{timestamp}"
    return hmac.new(key.encode(), signed.encode(), hashlib.sha256).hexdigest()


def signed_call(timestamp: object, **changes: str) -> dict[str, str]:
    call = {**PRINTED, "timestamp": str(timestamp), **changes}
    call["hash"] = skarabee_hash(call["businessid"], call["phoneto"], call["phonefrom"], call["timestamp"])
    return call


def pair(stamp: str, key: str = NOOJEE_KEY) -> dict[str, str]:
    return {"timeStamp": stamp, "hash": hashlib.sha256(f"{key}:{stamp}".encode()).hexdigest()}


def fetch_time(box: Sandbox) -> str:
    return send(box, "noojee", "/Time").body.decode()


# --- Skarabee: the printed example ----------------------------------------------------------------


def test_the_printed_hash_is_accepted_with_the_timestamp_it_was_made_for(box: Sandbox) -> None:
    reply = send(box, "skarabee", query=PRINTED)
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "application/json"
    assert reply.json == {"Message": "", "Status": "OK"}


def test_the_printed_url_is_a_hash_mismatch_even_with_a_fresh_clock(box: Sandbox, clock: Clock) -> None:
    clock.now = PRINTED_TIMESTAMP
    reply = send(box, "skarabee", query={**PRINTED, "timestamp": str(PRINTED_TIMESTAMP)})
    assert reply.status == 200
    assert reply.json == {
        "Message": "The hash provided doesn't match the parameters.",
        "Status": "HASH_MISMATCH",
    }


def test_the_timestamp_of_the_printed_url_is_accepted_with_its_own_hash(box: Sandbox, clock: Clock) -> None:
    clock.now = PRINTED_TIMESTAMP
    right = "0a84f83ee9c17e73f9321e212d9dcdd8e4f73c5c5f49cfd86cc6933d5dc25466"
    query = {**PRINTED, "timestamp": str(PRINTED_TIMESTAMP), "hash": right}
    assert send(box, "skarabee", query=query).json["Status"] == "OK"


def test_a_sip_account_and_a_plus_are_signed_as_they_are_after_decoding(box: Sandbox) -> None:
    query = {
        **PRINTED,
        "phoneto": "sip:101@pbx.example",
        "phonefrom": "+3256528999",
        "hash": "4ef3845819713097911831cb46a95bf59964fc4ef8a1b059f55f8cbb261146c2",
    }
    assert send(box, "skarabee", query=query).json["Status"] == "OK"
    with_bare_plus = urlencode(query).replace("%2B", "+")
    assert send(box, "skarabee", query=with_bare_plus).json["Status"] == "HASH_MISMATCH"


# --- Skarabee: strictness -------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["phoneto", "phonefrom", "timestamp"])
def test_changing_any_signed_field_is_a_hash_mismatch(box: Sandbox, field: str) -> None:
    last_digit_changed = PRINTED[field][:-1] + "7"
    assert send(box, "skarabee", query={**PRINTED, field: last_digit_changed}).json["Status"] == "HASH_MISMATCH"


def test_another_offices_key_is_a_hash_mismatch(box: Sandbox) -> None:
    query = signed_call(HASHED_TIMESTAMP, businessid="9001")
    assert send(box, "skarabee", query=query).json["Status"] == "HASH_MISMATCH"


@pytest.mark.parametrize(
    "wrong",
    [
        PRINTED_HASH.upper(),
        skarabee_hash("8103", "056528999", "056528998", HASHED_TIMESTAMP),
        hmac.new(bytes.fromhex(OFFICE_KEY), b"81030565289980565289991556891830", hashlib.sha256).hexdigest(),
        "é",
    ],
    ids=["upper case", "from before to", "key read as hexadecimal", "not even ASCII"],
)
def test_a_hash_made_in_another_way_is_a_mismatch(box: Sandbox, wrong: str) -> None:
    assert send(box, "skarabee", query={**PRINTED, "hash": wrong}).json["Status"] == "HASH_MISMATCH"


def test_an_unknown_office_has_no_hash_key(box: Sandbox) -> None:
    reply = send(box, "skarabee", query=signed_call(HASHED_TIMESTAMP, businessid="1"))
    assert (reply.status, reply.json["Status"]) == (200, "NO_HASH_KEY_AVAILABLE")


@pytest.mark.parametrize(
    ("seconds", "status"),
    [(-901, "TIMESTAMP_MISMATCH"), (-900, "OK"), (0, "OK"), (900, "OK"), (901, "TIMESTAMP_MISMATCH")],
)
def test_the_clock_may_be_fifteen_minutes_off(box: Sandbox, clock: Clock, seconds: int, status: str) -> None:
    clock.now = HASHED_TIMESTAMP + seconds
    reply = send(box, "skarabee", query=PRINTED)
    assert reply.status == 200
    assert reply.json["Status"] == status
    if status == "TIMESTAMP_MISMATCH":
        wanted = "The timestamp difference is bigger than the maximum timestamp."
        assert reply.json == {"Message": wanted, "Status": status}


@pytest.mark.parametrize(
    "timestamp",
    [
        "1556891830.0",
        "1556891830000",
        "-5",
        "now",
        " 1556891830",
        "\N{FULLWIDTH DIGIT NINE}" * 10,
        "1" * 5000,
    ],
    ids=["fraction", "milliseconds", "negative", "word", "space", "other digits", "endless"],
)
def test_a_timestamp_that_is_not_whole_epoch_seconds_is_a_mismatch(box: Sandbox, timestamp: str) -> None:
    assert send(box, "skarabee", query=signed_call(timestamp)).json["Status"] == "TIMESTAMP_MISMATCH"


@pytest.mark.parametrize("name", list(PRINTED))
def test_each_parameter_must_come_exactly_once_and_filled_in(box: Sandbox, name: str) -> None:
    absent = {key: value for key, value in PRINTED.items() if key != name}
    for query in (absent, {**PRINTED, name: ""}, [*PRINTED.items(), (name, PRINTED[name])]):
        reply = send(box, "skarabee", query=query)
        assert reply.status == 400
        assert name in reply.json["Message"]


@pytest.mark.parametrize("value", ["1", ""])
def test_a_parameter_in_another_spelling_is_named(box: Sandbox, value: str) -> None:
    reply = send(box, "skarabee", query={**PRINTED, "phoneFrom": value})
    assert reply.status == 400
    assert "phoneFrom" in reply.json["Message"]


def test_a_body_is_refused_with_an_explanation(box: Sandbox) -> None:
    reply = send(box, "skarabee", query=PRINTED, body=b"x=1")
    assert reply.status == 400
    assert "body must be empty" in reply.json["Message"]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD"])
@pytest.mark.parametrize(("system", "path"), [("skarabee", ""), ("noojee", "/Time"), ("noojee", START)])
def test_only_post_is_accepted(box: Sandbox, system: str, path: str, method: str) -> None:
    reply = send(box, system, path, query=PRINTED, method=method)
    assert reply.status == 405
    assert reply.headers["Allow"] == "POST"


def test_an_unknown_path_is_a_404_in_json(box: Sandbox) -> None:
    for system, path in [("skarabee", "other"), ("noojee", "/CallManagementAPI/begin"), ("noojee", "x/Time")]:
        reply = send(box, system, path)
        assert reply.status == 404
        assert reply.json
    assert [seen.system for seen in box.seen] == ["skarabee", "noojee", ""]


def test_the_date_header_is_the_injected_clocks(box: Sandbox) -> None:
    assert send(box, "skarabee", query=PRINTED).headers["Date"] == "Fri, 03 May 2019 13:57:10 GMT"


# --- Noojee: hash ---------------------------------------------------------------------------------


def test_time_answers_milliseconds_in_plain_text(box: Sandbox, clock: Clock) -> None:
    clock.now = 1392356108.888  # the page's sample
    reply = send(box, "noojee", "/Time")
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "text/plain"
    assert reply.body == b"1392356108888"


def test_a_fresh_pair_starts_and_stops_a_recording(box: Sandbox) -> None:
    stamp = fetch_time(box)
    start = {"extenOrUniqueId": "410", "tag": "deal 7", "agentLoginName": "kim", **pair(stamp)}
    reply = send(box, "noojee", START, start)
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/json")
    assert reply.json["Code"] == 0
    assert reply.json["Message"]
    stop = {"extenOrUniqueId": "410", "agentLoginName": "kim", **pair(stamp)}
    assert send(box, "noojee", STOP, stop).json["Code"] == 0


def test_the_hash_is_sha256_of_key_colon_timestamp(box: Sandbox, clock: Clock) -> None:
    clock.now = 1392356108.888
    fetch_time(box)
    query = {
        "extenOrUniqueId": "410",
        "timeStamp": "1392356108888",
        "hash": "25a894d31d9689dad7691e102db53c9efa80ee5924ee8e5b8cd98b86495d6a1c",
    }
    assert send(box, "noojee", STOP, query).json["Code"] == 0


def test_a_timestamp_that_was_not_issued_is_expired(box: Sandbox, clock: Clock) -> None:
    own_clock = str(int(clock.now * 1000))
    reply = send(box, "noojee", STOP, {"extenOrUniqueId": "410", **pair(own_clock)})
    assert reply.json == {"Message": "Expired TimeStamp", "Code": -1}


def test_a_wrong_key_fails_to_authenticate(box: Sandbox) -> None:
    query = {"extenOrUniqueId": "410", **pair(fetch_time(box), key="guess")}
    assert send(box, "noojee", STOP, query).json == {"Message": "Authentication failed", "Code": -1}


@pytest.mark.parametrize(("seconds", "code"), [(10, 0), (10.5, -1)])
def test_a_pair_must_be_used_within_ten_seconds(box: Sandbox, clock: Clock, seconds: float, code: int) -> None:
    query = {"extenOrUniqueId": "410", **pair(fetch_time(box))}
    clock.now += seconds
    assert send(box, "noojee", STOP, query).json["Code"] == code


def test_a_used_pair_is_good_for_an_hour_from_its_first_use(box: Sandbox, clock: Clock) -> None:
    query = {"extenOrUniqueId": "410", **pair(fetch_time(box))}
    clock.now += 9
    assert send(box, "noojee", STOP, query).json["Code"] == 0
    clock.now += 1800
    assert send(box, "noojee", STOP, query).json["Code"] == 0
    clock.now += 1800
    assert send(box, "noojee", STOP, query).json["Code"] == 0
    clock.now += 1
    assert send(box, "noojee", STOP, query).json == {"Message": "Expired TimeStamp", "Code": -1}


def test_asking_twice_in_one_millisecond_does_not_undo_the_first_use(box: Sandbox, clock: Clock) -> None:
    stamp = fetch_time(box)
    query = {"extenOrUniqueId": "410", **pair(stamp)}
    send(box, "noojee", STOP, query)
    assert fetch_time(box) == stamp
    clock.now += 11
    assert send(box, "noojee", STOP, query).json["Code"] == 0


def test_a_wrong_hash_does_not_use_up_the_timestamp(box: Sandbox, clock: Clock) -> None:
    stamp = fetch_time(box)
    send(box, "noojee", STOP, {"extenOrUniqueId": "410", **pair(stamp, key="guess")})
    clock.now += 11
    reply = send(box, "noojee", STOP, {"extenOrUniqueId": "410", **pair(stamp)})
    assert reply.json["Message"] == "Expired TimeStamp"


@pytest.mark.parametrize(
    ("path", "change", "named"),
    [
        (START, {"Tag": "x"}, "Tag"),
        (START, {"extenoruniqueid": "410"}, "extenoruniqueid"),
        (START, {"apiKey": NOOJEE_KEY}, "apiKey"),
        (STOP, {"tag": "x"}, "tag"),
        (STOP, {"extenOrUniqueId": ""}, "extenOrUniqueId"),
        (STOP, {"hash": ""}, "hash"),
        (STOP, {"timeStamp": ""}, "timeStamp"),
    ],
)
def test_an_unknown_or_missing_parameter_is_named(box: Sandbox, path: str, change: dict[str, str], named: str) -> None:
    reply = send(box, "noojee", path, {"extenOrUniqueId": "410", **pair(fetch_time(box)), **change})
    assert reply.status == 200
    assert reply.json["Code"] < 0
    assert reply.json["Message"].endswith(f": {named}")


def test_noojee_wants_each_parameter_once_and_no_body(box: Sandbox) -> None:
    good = {"extenOrUniqueId": "410", **pair(fetch_time(box))}
    twice = send(box, "noojee", STOP, [*good.items(), ("extenOrUniqueId", "411")])
    with_body = send(box, "noojee", STOP, good, body=b"extenOrUniqueId=410")
    time_with_key = send(box, "noojee", "/Time", {"apiKey": NOOJEE_KEY})
    assert [reply.json["Code"] for reply in (twice, with_body, time_with_key)] == [-1, -1, -1]


# --- Noojee: five authentications at once ---------------------------------------------------------


def noojee_request(path: str, now: float, **query: str) -> Request:
    return Request(at=now, method="POST", path=path, pairs=tuple(query.items()))


def judged(vendor: Noojee, path: str, now: float, **query: str) -> Answer:
    return vendor.judge(noojee_request(path, now, **query), WELL)


TOO_MANY = {"Message": "Too many concurrent authentication attempts", "Code": -1}


def test_a_sixth_request_for_the_time_is_refused_while_five_are_in_progress(box: Sandbox) -> None:
    box.trouble["noojee"] = Trouble(delay_seconds=MANY_SECONDS)
    waiting = []
    for _ in range(5):
        connection = http.client.HTTPConnection("127.0.0.1", box.port, timeout=30)
        connection.request("POST", urlsplit(box.url("noojee")).path + "/Time")
        waiting.append(connection)
    assert box.wait_for(lambda seen: len(seen) == 5, timeout=30)
    box.trouble["noojee"] = None
    assert send(box, "noojee", "/Time").json == TOO_MANY
    assert box.seen[-1].verdict == TOO_MANY["Message"]
    for connection in waiting:
        connection.close()


def test_an_answered_request_gives_its_place_back() -> None:
    vendor = Noojee({"key": NOOJEE_KEY, "auth": "hash"})
    in_progress = [judged(vendor, "/Time", 100.0 + turn) for turn in range(5)]
    assert judged(vendor, "/Time", 105.0).verdict == TOO_MANY["Message"]
    in_progress[0].when_answered()
    assert judged(vendor, "/Time", 106.0).verdict == "OK"


def test_first_uses_of_a_pair_take_a_place_and_later_uses_take_none() -> None:
    vendor = Noojee({"key": NOOJEE_KEY, "auth": "hash"})
    issued = judged(vendor, "/Time", 100.0)
    issued.when_answered()
    query = {"extenOrUniqueId": "410", **pair(issued.body.decode())}
    first_uses = [judged(vendor, STOP, 101.0, **query) for _ in range(5)]
    assert {answer.verdict for answer in first_uses} == {"OK"}
    assert json.loads(judged(vendor, STOP, 101.0, **query).body) == TOO_MANY
    first_uses[0].when_answered()  # now the pair is known to be good
    assert {judged(vendor, STOP, 102.0, **query).verdict for _ in range(20)} == {"OK"}


def test_failed_authentications_take_a_place_until_they_are_answered() -> None:
    vendor = Noojee({"key": NOOJEE_KEY, "auth": "hash"})
    guesses = [
        judged(vendor, STOP, 100.0, extenOrUniqueId="410", **pair("1", key=f"guess {turn}")) for turn in range(5)
    ]
    assert {answer.verdict for answer in guesses} == {"Authentication failed"}
    assert judged(vendor, "/Time", 100.0).verdict == TOO_MANY["Message"]
    for answer in guesses:
        answer.when_answered()
    assert judged(vendor, "/Time", 100.0).verdict == "OK"


def test_a_good_pair_takes_no_place_gives_none_back_and_does_not_vouch_for_a_wrong_hash() -> None:
    vendor = Noojee({"key": NOOJEE_KEY, "auth": "hash"})
    issued = judged(vendor, "/Time", 100.0)
    issued.when_answered()
    stamp = issued.body.decode()
    for _ in range(3):  # the second and third take no place, so have none to give back
        judged(vendor, STOP, 101.0, extenOrUniqueId="410", **pair(stamp)).when_answered()
    for _ in range(5):
        judged(vendor, STOP, 102.0, extenOrUniqueId="410", **pair(stamp, key="guess"))
    assert judged(vendor, "/Time", 102.0).verdict == TOO_MANY["Message"]


def test_an_expired_pair_takes_a_place_until_it_is_answered() -> None:
    vendor = Noojee({"key": NOOJEE_KEY, "auth": "hash"})
    late = [judged(vendor, STOP, 100.0, extenOrUniqueId="410", **pair("1")) for _ in range(5)]
    assert {answer.verdict for answer in late} == {"Expired TimeStamp"}
    assert judged(vendor, "/Time", 100.0).verdict == TOO_MANY["Message"]
    for answer in late:
        answer.when_answered()
    assert judged(vendor, "/Time", 100.0).verdict == "OK"


def test_many_requests_one_after_the_other_never_meet_the_limit(box: Sandbox) -> None:
    verdicts = {send(box, "noojee", STOP, {"extenOrUniqueId": "410", **pair(fetch_time(box))}).json["Code"]}
    verdicts |= {reply.status for reply in (send(box, "noojee", "/Time") for _ in range(20))}
    assert verdicts == {0, 200}
    assert {seen.verdict for seen in box.seen} == {"OK"}


# --- Noojee: API key ------------------------------------------------------------------------------


def test_with_an_api_key_the_key_is_the_whole_authentication(clock: Clock) -> None:
    with Sandbox({"noojee": {"key": NOOJEE_KEY, "auth": "apikey"}}, clock=clock) as box:
        good = {"extenOrUniqueId": "410", "apiKey": NOOJEE_KEY}
        assert send(box, "noojee", START, good).json["Code"] == 0
        wrong = send(box, "noojee", START, {**good, "apiKey": "guess"})
        assert wrong.json == {"Message": "Authentication failed", "Code": -1}
        missing = send(box, "noojee", START, {"extenOrUniqueId": "410"})
        assert missing.json == {"Message": "Missing parameter: apiKey", "Code": -1}
        other_way = send(box, "noojee", START, {"extenOrUniqueId": "410", **pair(fetch_time(box))})
        assert other_way.json["Code"] < 0


# --- trouble --------------------------------------------------------------------------------------


def test_an_http_status_comes_with_a_page_instead_of_a_judgement(box: Sandbox) -> None:
    box.trouble["skarabee"] = Trouble(http_status=503)
    reply = send(box, "skarabee", query={"nonsense": "1"})
    assert reply.status == 503
    assert reply.headers["Content-Type"] == "text/html"
    assert reply.body.startswith(b"<html>")
    assert (box.seen[0].http_status, box.seen[0].verdict) == (503, "HTTP 503")


def test_a_trouble_concerns_its_own_vendor_and_ends_when_it_is_taken_away(box: Sandbox) -> None:
    box.trouble["skarabee"] = Trouble(http_status=500)
    assert send(box, "noojee", "/Time").status == 200
    assert send(box, "skarabee", query=PRINTED).status == 500
    box.trouble["skarabee"] = None
    assert send(box, "skarabee", query=PRINTED).status == 200


def test_a_body_can_be_put_in_place_of_the_judged_one(box: Sandbox) -> None:
    box.trouble["skarabee"] = Trouble(body=b"\xff{")
    reply = send(box, "skarabee", query=PRINTED)
    assert (reply.status, reply.body) == (200, b"\xff{")
    assert box.seen[0].verdict == "OK"


def test_a_vendor_can_refuse_what_is_right_but_does_not_hide_what_is_wrong(box: Sandbox) -> None:
    box.trouble["skarabee"] = Trouble(refuse_status="NO_HASH_KEY_AVAILABLE")
    box.trouble["noojee"] = Trouble(refuse_status="No such channel")
    assert send(box, "skarabee", query=PRINTED).json["Status"] == "NO_HASH_KEY_AVAILABLE"
    assert send(box, "skarabee", query={**PRINTED, "phoneto": "1"}).json["Status"] == "HASH_MISMATCH"
    stamp = fetch_time(box)
    right = send(box, "noojee", STOP, {"extenOrUniqueId": "410", **pair(stamp)})
    wrong = send(box, "noojee", STOP, {"extenOrUniqueId": "410", **pair(stamp, key="guess")})
    assert right.json == {"Message": "No such channel", "Code": -1}
    assert wrong.json == {"Message": "Authentication failed", "Code": -1}


def test_noojee_can_do_it_and_warn(box: Sandbox) -> None:
    box.trouble["noojee"] = Trouble(warning="already recording")
    reply = send(box, "noojee", START, {"extenOrUniqueId": "410", **pair(fetch_time(box))})
    assert reply.json == {"Message": "already recording", "Code": 1}


def test_a_dropped_connection_gives_no_answer_and_is_recorded(box: Sandbox) -> None:
    box.trouble["skarabee"] = Trouble(drop=True)
    with pytest.raises(http.client.RemoteDisconnected):
        send(box, "skarabee", query=PRINTED)
    assert (box.seen[0].http_status, box.seen[0].verdict) == (0, "dropped")


def test_a_delayed_request_is_recorded_on_arrival_and_answered_later(box: Sandbox) -> None:
    box.trouble["skarabee"] = Trouble(delay_seconds=0.2)
    begun = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(send, box, "skarabee", query=PRINTED)
        assert box.wait_for(lambda seen: [one.verdict for one in seen] == ["OK"], timeout=30)
        assert reply.result().json["Status"] == "OK"
    assert time.monotonic() - begun >= 0.2


# --- recording ------------------------------------------------------------------------------------


def test_what_was_seen_is_recorded_whole(box: Sandbox, clock: Clock) -> None:
    send(box, "noojee", STOP, {"extenOrUniqueId": "+32 56", "hash": "h"}, body=b"body")
    seen = box.seen[0]
    assert (seen.at, seen.system, seen.method, seen.path) == (clock.now, "noojee", "POST", STOP)
    assert seen.query == {"extenOrUniqueId": "+32 56", "hash": "h"}
    assert seen.body == b"body"
    assert seen.headers["host"] == f"127.0.0.1:{box.port}"
    assert seen.headers["content-length"] == "4"


def test_the_list_of_what_was_seen_cannot_be_changed_from_outside(box: Sandbox) -> None:
    send(box, "skarabee", query=PRINTED)
    box.seen.clear()
    assert len(box.seen) == 1


def test_waiting_for_what_never_comes_ends_with_false(box: Sandbox) -> None:
    assert box.wait_for(lambda seen: bool(seen), timeout=0.01) is False


def test_waiting_ends_as_soon_as_the_request_is_seen(box: Sandbox) -> None:
    waiting = threading.Event()

    def one_was_seen(seen: list[SeenRequest]) -> bool:
        waiting.set()  # under the sandbox's lock, so the request cannot slip in before the wait
        return len(seen) == 1

    with ThreadPoolExecutor(1) as pool:
        begun = time.monotonic()
        came = pool.submit(box.wait_for, one_was_seen, timeout=30)
        assert waiting.wait(timeout=30)
        send(box, "skarabee", query=PRINTED)
        assert came.result() is True
        assert time.monotonic() - begun < 20


def test_on_seen_is_called_before_the_answer_leaves_and_its_broken_screen_harms_nobody(
    clock: Clock,
) -> None:
    shown: list[SeenRequest] = []

    def show(seen: SeenRequest) -> None:
        shown.append(seen)
        raise BrokenPipeError

    with Sandbox({"skarabee": {"8103": OFFICE_KEY}}, clock=clock, on_seen=show) as box:
        assert send(box, "skarabee", query=PRINTED).json["Status"] == "OK"
        assert shown == box.seen


def test_the_masked_line_tells_what_happened_without_numbers_and_signatures(box: Sandbox) -> None:
    send(box, "skarabee", query=PRINTED)
    assert box.seen[0].masked() == (
        "2019-05-03T13:57:10.000Z skarabee POST / businessid=8103 phoneto=*******98 phonefrom=*******99 "
        "timestamp=1556891830 hash=[hidden] -> 200 OK"
    )


def seen_with(**query: str) -> SeenRequest:
    return SeenRequest(0.0, "POST", START, tuple(query.items()), system="noojee", http_status=200, verdict="OK")


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ({"extenOrUniqueId": "410"}, "extenOrUniqueId=*10"),
        ({"extenOrUniqueId": "SIP/410-12FA7B"}, "extenOrUniqueId=SIP/***-*2FA7B"),
        ({"extenOrUniqueId": "1556891830.42"}, "extenOrUniqueId=1556891830.42"),
        ({"extenOrUniqueId": "pbx1-1556891830.42"}, "extenOrUniqueId=pbx1-1556891830.42"),
        ({"phonefrom": "+32 56 52 89 99"}, "phonefrom='+** ** ** ** 99'"),
        ({"phoneFrom": "056528999"}, "phoneFrom=*******99"),
        ({"tag": "call from 056528999"}, "tag='call from *******99'"),
        ({"apiKey": "demo-key"}, "apiKey=[hidden]"),
        ({"key": "demo-key"}, "key=[hidden]"),
        ({"Hash": "short"}, "Hash=[hidden]"),
        ({"signature": PRINTED_HASH}, "signature=[hidden]"),
        ({"timeStamp": OFFICE_KEY}, "timeStamp=[hidden]"),
        ({"056528999": ""}, "*******99="),
        ({"tag": "two\nlines\u2028"}, "tag='two\\nlines\\u2028'"),
    ],
)
def test_masking_hides_numbers_and_secrets_wherever_they_stand(query: dict[str, str], shown: str) -> None:
    assert seen_with(**query).masked() == f"1970-01-01T00:00:00.000Z noojee POST {START} {shown} -> 200 OK"


def test_a_number_in_the_path_or_in_a_refusal_is_masked_too(box: Sandbox) -> None:
    send(box, "skarabee", "056528999")
    send(box, "skarabee", query={**PRINTED, "056528999": "x"})
    for seen in box.seen:
        assert "056528999" not in seen.masked()
        assert "056528999" not in repr(seen)


@settings(deadline=None)
@given(st.dictionaries(st.text(), st.text()), st.text(), st.binary())
def test_a_masked_line_is_one_printable_line_whatever_was_sent(query: dict[str, str], text: str, body: bytes) -> None:
    seen = SeenRequest(0.0, "POST", text, tuple(query.items()), body, system="", http_status=0, verdict=text)
    assert seen.masked().isprintable()


# --- hostile and broken requests ------------------------------------------------------------------

PAIRS = st.lists(
    st.tuples(st.sampled_from([*PRINTED, "extenOrUniqueId", "timeStamp", "apiKey", ""]) | st.text(), st.text())
)


@settings(deadline=None)
@given(PAIRS, st.sampled_from(["/", "/Time", START, STOP]) | st.text(), st.sampled_from(["POST", "GET", ""]))
def test_no_query_makes_a_stand_in_raise(pairs: list[tuple[str, str]], path: str, method: str) -> None:
    request = Request(at=HASHED_TIMESTAMP, method=method, path=path, pairs=tuple(pairs))
    vendors = (
        Skarabee({"8103": OFFICE_KEY}),
        Noojee({"key": NOOJEE_KEY, "auth": "hash"}),
        Noojee({"key": NOOJEE_KEY, "auth": "apikey"}),
    )
    for vendor in vendors:
        answer = vendor.judge(request, WELL)
        assert isinstance(answer.body, bytes)
        assert answer.verdict


def raw(box: Sandbox, sent: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", box.port), timeout=30) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while block := connection.recv(4096):
            received += block
        return received


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        (b"", b""),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", b"HTTP/1.1 400"),
        (b"NONSENSE\r\n\r\n", b"HTTP/1.1 400"),
        (b"BREW /skarabee/api/ HTTP/1.1\r\n\r\n", b"HTTP/1.1 501"),
        # All that the server reads and no more: unread bytes would make its close a reset.
        (b"POST /".ljust(65537, b"a"), b"HTTP/1.1 414"),
        (b"POST /skarabee/api/?%ff%zz&&=&hash HTTP/1.1\r\n\r\n", b"HTTP/1.1 400"),
        (b"POST /skarabee/api/?phoneto=\xe9 HTTP/1.1\r\n\r\n", b"HTTP/1.1 400"),
        (b"POST //[::1/skarabee/api/ HTTP/1.1\r\n\r\n", b"HTTP/1.1 404"),
        (b"POST /skarabee/api/ HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"HTTP/1.1 411"),
        (b"POST /skarabee/api/ HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", b"HTTP/1.1 413"),
        (b"POST /skarabee/api/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"HTTP/1.1 411"),
        (b"POST /skarabee/api/ HTTP/1.1\r\nContent-Length: 9\r\n\r\ncut", b""),
    ],
    ids=[
        "nothing", "TLS to a plain port", "no HTTP", "unknown method", "endless", "bad percents", "raw byte",
        "two slashes", "negative length", "too long", "chunked", "cut short",
    ],
)  # fmt: skip
def test_a_bad_request_ends_in_an_answer_or_a_close_and_never_in_a_traceback(
    box: Sandbox, capfd: pytest.CaptureFixture[str], sent: bytes, answered: bytes
) -> None:
    received = raw(box, sent)
    assert received.startswith(answered)
    assert bool(received) == bool(answered)
    assert send(box, "skarabee", query=PRINTED).json["Status"] == "OK"
    box.stop()
    assert capfd.readouterr() == ("", "")


def test_a_fault_of_a_stand_in_shows_in_what_was_seen(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> Answer:
        raise KeyError("oops")

    monkeypatch.setattr(Skarabee, "judge", broken)
    assert send(box, "skarabee", query=PRINTED).status == 500
    assert box.seen[0].verdict == "fault in the sandbox: KeyError"
    assert capfd.readouterr() == ("", "")


# --- connections, start and stop ------------------------------------------------------------------


def test_a_connection_is_kept_and_used_again(box: Sandbox) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", box.port, timeout=30)
    target = "/skarabee/api/?" + urlencode(PRINTED)
    connection.request("POST", target)
    Reply(connection.getresponse())
    first = connection.sock
    connection.request("GET", target)
    assert Reply(connection.getresponse()).status == 405
    connection.request("POST", target)
    assert Reply(connection.getresponse()).status == 200
    assert connection.sock is first
    connection.close()


def test_many_clients_at_once_are_all_served_and_recorded(box: Sandbox) -> None:
    with ThreadPoolExecutor(20) as pool:
        replies = list(pool.map(lambda _: send(box, "skarabee", query=PRINTED), range(200)))
    assert {reply.json["Status"] for reply in replies} == {"OK"}
    assert len(box.seen) == 200


def test_the_documented_urls_hang_below_the_systems_name(box: Sandbox) -> None:
    assert box.url("skarabee") == f"http://127.0.0.1:{box.port}/skarabee/api/"
    assert box.url("noojee") == f"http://127.0.0.1:{box.port}/noojee/servicemanager/rest"


def test_stop_ends_delays_and_idle_connections_at_once_and_leaves_no_thread(clock: Clock) -> None:
    before = set(threading.enumerate())
    box = Sandbox({"skarabee": {"8103": OFFICE_KEY}}, clock=clock)
    box.start()
    box.trouble["skarabee"] = Trouble(delay_seconds=MANY_SECONDS)
    idle = socket.create_connection(("127.0.0.1", box.port))
    delayed = http.client.HTTPConnection("127.0.0.1", box.port)
    delayed.request("POST", "/skarabee/api/?" + urlencode(PRINTED))
    assert box.wait_for(lambda seen: len(seen) == 1, timeout=30)
    begun = time.monotonic()
    box.stop()
    assert time.monotonic() - begun < 2
    assert set(threading.enumerate()) == before
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        delayed.getresponse()
    delayed.close()
    idle.close()
    box.stop()  # a second time does nothing


def test_a_stopped_sandbox_refuses_connections_and_comes_back_on_the_same_port(box: Sandbox) -> None:
    port = box.port
    box.stop()
    with pytest.raises(ConnectionRefusedError):
        send(box, "skarabee", query=PRINTED)
    box.start()
    assert box.port == port
    assert send(box, "skarabee", query=PRINTED).status == 200


def test_with_a_certificate_all_is_served_over_tls(
    tmp_path: Path, clock: Clock, capfd: pytest.CaptureFixture[str]
) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl command to make a certificate")
    certificate, key = str(tmp_path / "certificate.pem"), str(tmp_path / "key.pem")
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=sandbox",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    box = Sandbox({"skarabee": {"8103": OFFICE_KEY}}, clock=clock, certificate=(certificate, key))
    with ExitStack() as stack, box:
        assert box.url("skarabee").startswith("https://127.0.0.1:")
        trusting = ssl.create_default_context(cafile=certificate)
        # This one never shakes hands, and must hold up nobody.
        stack.enter_context(socket.create_connection(("127.0.0.1", box.port)))
        with pytest.raises(ssl.SSLCertVerificationError):
            http.client.HTTPSConnection("127.0.0.1", box.port, timeout=30).connect()
        with suppress(OSError):  # reset while still writing, or not: either will do
            raw(box, b"POST /skarabee/api/ HTTP/1.1\r\n\r\n")
        connection = http.client.HTTPSConnection("127.0.0.1", box.port, context=trusting, timeout=30)
        stack.callback(connection.close)
        for _ in range(2):
            connection.request("POST", "/skarabee/api/?" + urlencode(PRINTED))
            assert Reply(connection.getresponse()).json["Status"] == "OK"
    assert capfd.readouterr() == ("", "")


# --- independence ---------------------------------------------------------------------------------


def test_the_sandbox_shares_no_code_with_the_signers() -> None:
    assert callsign.sandbox.__file__ is not None
    for module in Path(callsign.sandbox.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0
                names = [str(node.module)]
            for name in names:
                top = name.partition(".")[0]
                assert top != "callsign" or name.startswith("callsign.sandbox"), f"{module.name}: {name}"
                assert top != "requests"
