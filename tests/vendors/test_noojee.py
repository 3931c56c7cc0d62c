"""Noojee's file, driven by hand and by threads: no socket, no clock of its own."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st

from callsign.delivery.conversation import PastDeadline, run_conversation
from callsign.http.messages import Answer, NoAnswer, Reply, Request
from callsign.notification import Notification
from callsign.settings.secret import Secret
from callsign.settings.sections import Noojee, Numbers
from callsign.vendors.noojee import conversation as noojee
from callsign.vendors.noojee import vendor as noojee_vendor
from callsign.vendors.registry import VENDORS
from callsign.verdicts import Delivered, Outcome, Refused, TryLater
from clocks_play import Clock

VECTORS = tomli.loads((Path(__file__).parents[1] / "vectors" / "noojee.toml").read_text(encoding="utf-8"))["vector"]

KEY = "demo-key"
URL = "https://pbx.example/servicemanager/rest"
TIME = f"{URL}/Time"
START = f"{URL}/CallManagementAPI/start"
STOP = f"{URL}/CallManagementAPI/stop"
STAMP = "1392356108888"
UNIQUE_ID = "1556891830.7"
DONE = Answer(200, {}, b'{"Message":"","Code":0}')
EXPIRED = Answer(200, {}, b'{"Message":"Expired TimeStamp","Code":-1}')  # noojee.atlassian.net, page 5776612
CALLS = 50
LONG_SECONDS = 60.0  # for what happens at once: only a fault makes anybody wait so long

Talk = Generator[Request, Reply, Outcome]


def settings(**changes: Any) -> Noojee:
    return Noojee(**{"url": URL, "key": Secret(KEY), **changes})


def command(action: str = "noojee/start", **facts: str) -> Notification:
    told = {"extenOrUniqueId": UNIQUE_ID, **facts}
    return Notification("noojee", action, UNIQUE_ID, told, 1556891830.0, noojee_vendor.LIFETIME_SECONDS[action])


def time_is(stamp: str = STAMP) -> Answer:
    return Answer(200, {}, stamp.encode())


def says(code: object, message: str = "", http: int = 200) -> Answer:
    return Answer(http, {}, json.dumps({"Message": message, "Code": code}).encode())


def begin(memory: noojee.Memory, given: Noojee | None = None, job: Notification | None = None) -> Talk:
    return noojee.converse(given or settings(), Numbers(), job or command(), memory)


def talk(
    answers: Sequence[Reply],
    memory: noojee.Memory | None = None,
    given: Noojee | None = None,
    job: Notification | None = None,
) -> tuple[list[Request], Outcome]:
    """One conversation with as many replies as it may want; what went out, and the outcome."""
    memory = memory or noojee.Memory()
    conversation = begin(memory, given, job)
    sent: list[Request] = []
    left = list(answers)
    try:
        request = next(conversation)
        while True:
            sent.append(request)
            request = conversation.send(left.pop(0))
    except StopIteration as stop:
        assert left == []
        assert not memory.renewal.locked()
        return sent, stop.value


def verdict(reply: Reply) -> Outcome:
    return talk([time_is(), reply])[1]


def urls(sent: Sequence[Request]) -> list[str]:
    return [request.url for request in sent]


def pair_of(request: Request) -> tuple[str, str]:
    query = dict(request.query)
    return query["timeStamp"], query["hash"]


def hash_of(key: str, stamp: str) -> str:
    return hashlib.sha256(f"{key}:{stamp}".encode()).hexdigest()


def with_pair(steady: Callable[[], float] | None = None) -> noojee.Memory:
    """A memory in which one conversation has left its pair."""
    memory = noojee.Memory(steady=steady) if steady else noojee.Memory()
    assert talk([time_is(), DONE], memory)[1] == Delivered()
    return memory


# -- the hash ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["source"])
def test_the_hash_is_the_examples(vector: dict[str, str]) -> None:
    sent, _ = talk([time_is(vector["timestamp"]), DONE], given=settings(key=Secret(vector["key"])))
    assert pair_of(sent[1]) == (vector["timestamp"], vector["hash"])


@pytest.mark.parametrize("field", ["key", "timestamp"])
def test_the_hash_changes_with_every_signed_field(field: str) -> None:
    for vector in VECTORS:
        tampered = {**vector, field: vector[field][:-1] + ("1" if vector[field][-1] != "1" else "2")}
        told = noojee.explain(settings(key=Secret(tampered["key"])), {"timestamp": tampered["timestamp"]}, 0.0)
        assert told.signature != vector["hash"]


def test_every_example_names_its_source() -> None:
    # None is the vendor's: its own lacks a digit, and its key ("01.1 Authentication - Hash method").
    assert len(VECTORS) >= 2
    assert all(vector["source"].startswith("self-made regression vector") for vector in VECTORS)


def test_the_key_comes_first_then_a_colon_then_the_timestamp() -> None:
    assert noojee.text_to_sign(Secret("KEY"), "123") == "KEY:123"


# -- the requests ------------------------------------------------------------------------------------


def test_time_is_fetched_and_then_the_command_given_with_its_hash() -> None:
    sent, outcome = talk([time_is(), DONE])
    assert urls(sent) == [TIME, START]
    assert sent[0].full_url() == TIME
    assert dict(sent[1].query) == {
        "extenOrUniqueId": UNIQUE_ID,
        "timeStamp": STAMP,
        "hash": hash_of(KEY, STAMP),
    }
    assert outcome == Delivered()


def test_every_request_is_a_post_with_an_empty_body() -> None:
    for auth, replies in (("hash", [time_is(), DONE]), ("apikey", [DONE])):
        sent, _ = talk(replies, given=settings(auth=auth))
        assert {(request.method, request.body, len(request.headers)) for request in sent} == {("POST", b"", 0)}


def test_stop_goes_to_stop() -> None:
    sent, _ = talk([time_is(), DONE], job=command("noojee/stop"))
    assert urls(sent) == [TIME, STOP]


def test_a_slash_at_the_end_of_the_address_makes_no_difference() -> None:
    sent, _ = talk([time_is(), DONE], given=settings(url=URL + "/"))
    assert urls(sent) == [TIME, START]


def test_the_ca_file_goes_with_every_request() -> None:
    sent, _ = talk([time_is(), DONE], given=settings(verify="/etc/callsign/recorder-ca.pem"))
    assert [request.verify for request in sent] == ["/etc/callsign/recorder-ca.pem"] * 2


def test_tag_and_agent_are_sent_under_the_vendors_names_and_percent_encoded() -> None:
    job = command(tag="invoice 7&8 +é", agentLoginName="o'brien@example")
    sent, _ = talk([time_is(), DONE], job=job)
    full = sent[1].full_url()
    assert "&tag=invoice%207%268%20%2B%C3%A9&agentLoginName=o%27brien%40example&" in full
    assert dict(parse_qsl(urlsplit(full).query, strict_parsing=True)) == dict(sent[1].query)


def test_an_empty_tag_is_not_sent() -> None:
    sent, _ = talk([time_is(), DONE], job=command(tag="", agentLoginName=""))
    assert [name for name, _ in sent[1].query] == ["extenOrUniqueId", "timeStamp", "hash"]


def test_with_an_api_key_one_request_is_all() -> None:
    sent, outcome = talk([DONE], given=settings(auth="apikey", key=Secret("k+y&1")), job=command(tag="t"))
    assert urls(sent) == [START]
    assert dict(sent[0].query) == {"extenOrUniqueId": UNIQUE_ID, "tag": "t", "apiKey": "k+y&1"}
    assert "apiKey=k%2By%261" in sent[0].full_url()
    assert outcome == Delivered()


def test_with_an_api_key_there_is_no_timestamp_to_renew() -> None:
    sent, outcome = talk([EXPIRED], given=settings(auth="apikey"))
    assert len(sent) == 1
    assert outcome == Refused("Expired TimeStamp")


def test_nothing_secret_shows_in_a_repr() -> None:
    memory = with_pair()
    sent, _ = talk([DONE], memory, job=command(extenOrUniqueId="0565289991", tag="056528998"))
    for thing in (*sent, memory, memory.pair, settings()):
        shown = repr(thing)
        for secret in (KEY, hash_of(KEY, STAMP), "0565289"):
            assert secret not in shown


# -- the pair ----------------------------------------------------------------------------------------


def test_the_pair_is_reused() -> None:
    memory = with_pair()
    sent, outcome = talk([DONE], memory, job=command("noojee/stop"))
    assert urls(sent) == [STOP]
    assert pair_of(sent[0]) == (STAMP, hash_of(KEY, STAMP))
    assert outcome == Delivered()


def test_the_pair_serves_for_less_than_the_hour_that_the_recorder_gives_it() -> None:
    clock = Clock()
    memory = with_pair(clock)
    clock.now += noojee.PAIR_SECONDS - 1
    assert urls(talk([DONE], memory)[0]) == [START]
    clock.now += 1
    assert urls(talk([time_is("2"), DONE], memory)[0]) == [TIME, START]
    assert noojee.PAIR_SECONDS < 3600


def test_the_hour_counts_from_the_first_use_and_not_from_the_latest() -> None:
    clock = Clock()
    memory = with_pair(clock)
    for _ in range(3):
        clock.now += noojee.PAIR_SECONDS / 3
        last = talk([DONE], memory)[0] if clock.now < 1000 + noojee.PAIR_SECONDS else None
    assert last is None
    assert urls(talk([time_is("2"), DONE], memory)[0]) == [TIME, START]


def test_a_timestamp_that_was_fetched_but_not_used_is_not_kept() -> None:
    # It is good for 10 s only: the next one that needs one may come later.
    memory = noojee.Memory()
    conversation = begin(memory)
    assert next(conversation).url == TIME
    assert conversation.send(time_is()).url == START
    conversation.close()
    assert memory.pair is None
    assert urls(talk([time_is("2"), DONE], memory)[0]) == [TIME, START]


@pytest.mark.parametrize(
    "reply",
    [NoAnswer("gone", sent=True), Answer(502, {}, b"<html>"), Answer(200, {}, b"<html>"), Answer(503, {}, b"")],
)
def test_a_timestamp_that_may_not_have_reached_the_recorder_is_not_kept(reply: Reply) -> None:
    memory = noojee.Memory()
    assert isinstance(talk([time_is(), reply], memory)[1], TryLater)
    assert memory.pair is None


@pytest.mark.parametrize("reply", [says(-3, "No such call"), says(1, "Already recording"), Answer(200, {}, b"")])
def test_a_timestamp_that_the_recorder_took_is_kept_whatever_became_of_the_command(reply: Reply) -> None:
    memory = noojee.Memory()
    talk([time_is(), reply], memory)
    assert urls(talk([DONE], memory)[0]) == [START]


@pytest.mark.parametrize("changed", [{"key": Secret("new-key")}, {"url": "https://other.example/rest"}])
def test_a_new_key_or_address_in_the_settings_drops_the_pair(changed: dict[str, Any]) -> None:
    memory = with_pair()
    new = settings(**changed)
    sent, _ = talk([time_is("2"), DONE], memory, given=new)
    assert urls(sent) == [f"{new.url}/Time", f"{new.url}/CallManagementAPI/start"]
    assert pair_of(sent[1]) == ("2", hash_of(new.key.reveal(), "2"))


def test_an_expired_pair_is_renewed_and_the_command_repeated_once() -> None:
    memory = with_pair()
    sent, outcome = talk([EXPIRED, time_is("2"), DONE], memory)
    assert urls(sent) == [START, TIME, START]
    assert pair_of(sent[2]) == ("2", hash_of(KEY, "2"))
    assert outcome == Delivered()
    assert urls(talk([DONE], memory)[0]) == [START]


def test_it_is_renewed_once_only() -> None:
    memory = with_pair()
    sent, outcome = talk([EXPIRED, time_is("2"), EXPIRED], memory)
    assert urls(sent) == [START, TIME, START]
    assert outcome == TryLater("Expired TimeStamp, also with a timestamp just fetched")
    assert urls(talk([time_is("3"), DONE], memory)[0]) == [TIME, START]


def test_a_timestamp_that_is_expired_when_new_is_fetched_once_more() -> None:
    sent, outcome = talk([time_is("1"), EXPIRED, time_is("2"), DONE])
    assert urls(sent) == [TIME, START, TIME, START]
    assert outcome == Delivered()


@pytest.mark.parametrize(
    "reply",
    [
        Answer(401, {}, b'{"Message":"Expired TimeStamp","Code":-1}'),
        Answer(200, {}, b'{"message":"expired timestamp","code":-1}'),
        Answer(200, {}, b'{"Message":" Expired TimeStamp. ","Code":"-1"}'),
    ],
)
def test_expired_is_understood_in_any_dress(reply: Answer) -> None:
    assert urls(talk([reply, time_is("2"), DONE], with_pair())[0]) == [START, TIME, START]


def test_a_warning_that_speaks_of_expiry_is_no_reason_to_repeat_the_command() -> None:
    sent, outcome = talk([says(1, "Expired TimeStamp soon")], with_pair())
    assert len(sent) == 1
    assert outcome == Delivered("Expired TimeStamp soon")


def test_whoever_hears_late_that_the_pair_is_expired_takes_the_one_that_another_has_fetched() -> None:
    memory = with_pair()
    one, other = begin(memory), begin(memory)
    assert pair_of(next(one)) == pair_of(next(other)) == (STAMP, hash_of(KEY, STAMP))
    assert one.send(EXPIRED).url == TIME
    assert pair_of(one.send(time_is("2")))[0] == "2"
    with pytest.raises(StopIteration):
        one.send(DONE)
    assert pair_of(other.send(EXPIRED))[0] == "2"
    with pytest.raises(StopIteration):
        other.send(DONE)
    assert urls(talk([DONE], memory)[0]) == [START]


# -- Time --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"1392356108888", b" 1392356108888\r\n"])
def test_the_time_is_plain_text(body: bytes) -> None:
    assert pair_of(talk([Answer(200, {}, body), DONE])[0][1])[0] == STAMP


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b'{"time":1}', b"-1", b"1.5", b"1 2", b"1" * 21, "١٢".encode(), b"\xb2", b"\xff"]
)
def test_what_is_no_time_is_worth_another_try(body: bytes) -> None:
    sent, outcome = talk([Answer(200, {}, body)])
    assert urls(sent) == [TIME]
    assert outcome == TryLater("HTTP 200, and no timestamp from Time")


@pytest.mark.parametrize("words", ["Authentication failed", "authentication Failed."])
def test_a_key_that_the_recorder_does_not_take_says_what_to_check(words: str) -> None:
    answer = Answer(200, {}, json.dumps({"Message": words, "Code": -1}).encode())
    assert noojee.judge(answer, Secret("k")) == Refused(f"{words}; check [noojee] key and auth")


@pytest.mark.parametrize("http", [201, 204, 302, 408, 429, 500, 503])
def test_a_time_under_another_status_is_none(http: int) -> None:
    assert talk([Answer(http, {}, STAMP.encode())])[1] == TryLater(f"HTTP {http}, and no timestamp from Time")


@pytest.mark.parametrize("http", [401, 403, 405])
def test_a_refused_time_says_what_to_check(http: int) -> None:
    outcome = talk([Answer(http, {}, b"<html>")])[1]
    assert isinstance(outcome, Refused)
    assert f"HTTP {http}" in outcome.reason
    assert "[noojee]" in outcome.reason


def test_no_answer_to_time_is_worth_another_try_for_its_own_reason() -> None:
    gone = NoAnswer("pbx.example refuses connections", sent=False)
    assert talk([gone])[1] == TryLater(gone.reason)


def test_times_retry_after_is_handed_on() -> None:
    assert talk([Answer(503, {"retry-after": "17"}, b"")])[1] == TryLater("HTTP 503, and no timestamp from Time", 17.0)


# -- the verdict -------------------------------------------------------------------------------------


def test_code_0_is_done_and_its_message_no_reason() -> None:
    assert verdict(says(0, "Recording started")) == Delivered()


def test_a_positive_code_is_done_and_its_message_the_reason() -> None:
    assert verdict(says(7, "Already recording")) == Delivered("Already recording")
    assert verdict(says(7)) == Delivered("warning, Code 7")


@pytest.mark.parametrize("http", [200, 400, 404, 500, 503])
def test_a_negative_code_is_refused_with_any_http_status(http: int) -> None:
    assert verdict(says(-3, "No such extension", http)) == Refused("No such extension")
    assert verdict(says(-3, "", http)) == Refused("Code -3")


def test_the_keys_may_be_written_in_lower_case() -> None:
    assert verdict(Answer(200, {}, b'{"code":-2,"message":"no"}')) == Refused("no")


@pytest.mark.parametrize(("code", "wanted"), [("0", Delivered()), ("2", Delivered("m")), ("-2", Refused("m"))])
def test_a_code_in_quotes_is_a_code(code: str, wanted: Outcome) -> None:
    assert verdict(says(code, "m")) == wanted


@pytest.mark.parametrize("code", ["--1", "-", "", "1-", "٣", "9" * 5000, "zero", True, None, 0.5, [0], {"a": 0}])
def test_what_is_no_code_is_worth_another_try(code: object) -> None:
    assert isinstance(verdict(says(code, "m")), TryLater)


@pytest.mark.parametrize("body", [b"", b" \r\n"])
def test_an_empty_page_is_taken_as_done_and_said_to_be_unconfirmed(body: bytes) -> None:
    outcome = verdict(Answer(200, {}, body))
    assert isinstance(outcome, Delivered)
    assert "unconfirmed" in outcome.reason


@pytest.mark.parametrize("body", [b"<html>ok</html>", b"OK", b"0", b"[]", b"{}", b"\xff\xfe"])
def test_garbage_is_worth_another_try(body: bytes) -> None:
    outcome = verdict(Answer(200, {}, body))
    assert isinstance(outcome, TryLater)
    assert outcome.reason.startswith("HTTP 200: an answer that is no JSON with a Code")


@pytest.mark.parametrize("http", [301, 302, 408, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("body", [b"", b"<html>", b'{"Code":0}', b'{"Code":1}'])
def test_another_http_status_is_worth_another_try_also_with_a_good_code(http: int, body: bytes) -> None:
    outcome = verdict(Answer(http, {}, body))
    assert isinstance(outcome, TryLater)
    assert outcome.reason.startswith(f"HTTP {http}: ")


@pytest.mark.parametrize("http", [400, 401, 403, 405])
def test_a_refusing_http_status_is_refused(http: int) -> None:
    outcome = verdict(Answer(http, {}, b'{"Message":"go away"}'))
    assert isinstance(outcome, Refused)
    assert outcome.reason.startswith(f"HTTP {http}: go away")


def test_a_page_that_is_not_there_may_come_while_the_recorder_starts() -> None:
    missing = Answer(404, {}, b"<html>")
    for outcome in (verdict(missing), talk([missing])[1]):
        assert isinstance(outcome, TryLater)
        assert outcome.reason.startswith("HTTP 404")
        assert outcome.reason.endswith("; is [noojee] url the recorder's …/servicemanager/rest?")


def test_no_answer_to_the_command_is_worth_another_try_for_its_own_reason() -> None:
    assert verdict(NoAnswer("no answer from pbx.example within 10.0 s", sent=True)) == TryLater(
        "no answer from pbx.example within 10.0 s", may_be_done=True
    )
    assert verdict(NoAnswer("nobody there", sent=False)) == TryLater("nobody there")


def test_retry_after_is_handed_on() -> None:
    assert verdict(Answer(503, {"retry-after": "17"}, b"")).after_seconds == 17.0  # type: ignore[union-attr]


@pytest.mark.parametrize("code", [-1, 1, None])
@pytest.mark.parametrize("auth", ["hash", "apikey"])
def test_keys_hashes_and_numbers_that_the_recorder_repeats_are_not_in_the_reason(code: int | None, auth: str) -> None:
    given = settings(auth=auth, key=Secret("short key"))
    told = f"short key short%20key {hash_of('short key', STAMP)} 056 52 89 99 {STAMP}"
    replies = [says(code, told, http) for http in (200, 500, 404)]
    for reply in replies:
        sent = [time_is(), reply] if auth == "hash" else [reply]
        reason = talk(sent, given=given)[1].reason
        for piece in ("short key", "short%20key", hash_of("short key", STAMP)[:16], "52 89", STAMP[:6]):
            assert piece not in reason


replies = st.builds(
    Answer,
    st.integers(100, 599) | st.just(200),
    st.dictionaries(st.sampled_from(["date", "retry-after"]), st.text()),
    st.binary()
    | st.sampled_from([b"", b"1", EXPIRED.body])
    | st.builds(
        lambda value: json.dumps(value).encode(),
        st.dictionaries(
            st.sampled_from(["Code", "Message", "code", "x"]),
            st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.from_regex(r"[-0-9]+"),
        ),
    ),
) | st.builds(NoAnswer, st.text(), st.booleans())


@given(st.lists(replies, min_size=4, max_size=4), st.sampled_from(["hash", "apikey"]))
def test_no_answer_whatever_makes_the_conversation_raise_or_hold_the_lock(answers: list[Reply], auth: str) -> None:
    memory = noojee.Memory()
    conversation = begin(memory, settings(auth=auth))
    sent = [next(conversation)]
    outcome: Outcome | None = None
    try:
        for reply in answers:
            sent.append(conversation.send(reply))
    except StopIteration as stop:
        outcome = stop.value
    assert isinstance(outcome, Delivered | TryLater | Refused)
    assert urls(sent).count(TIME) <= 2
    assert not memory.renewal.locked()


@given(replies)
def test_the_judge_calls_nothing_done_but_2xx(reply: Reply) -> None:
    if isinstance(noojee.judge(reply, Secret(KEY)), Delivered):
        assert isinstance(reply, Answer)
        assert 200 <= reply.status < 300


# -- what other hosts have ---------------------------------------------------------------------------


class OtherHosts:
    """Plays what hosts have in common (vendors.interface.Shared)."""

    def __init__(self, *known: tuple[str, float]) -> None:
        self.known = list(known)
        self.asked: list[tuple[str, str, float]] = []
        self.told: list[tuple[str, str, float]] = []

    def get(self, name: str, spent: str, most_seconds: float) -> tuple[str, float] | None:
        self.asked.append((name, spent, most_seconds))
        return self.known.pop(0) if self.known else None

    def put(self, name: str, value: str, used_at: float) -> None:
        self.told.append((name, value, used_at))


def one_of_several(*known: tuple[str, float], clock: Clock | None = None) -> tuple[noojee.Memory, OtherHosts]:
    others = OtherHosts(*known)
    return noojee.Memory(steady=clock or Clock(), shared=others), others


def test_a_timestamp_that_another_host_has_used_is_signed_with_the_own_key_and_none_is_fetched() -> None:
    memory, others = one_of_several((STAMP, 990.0))
    sent, outcome = talk([DONE], memory)
    assert (urls(sent), outcome) == ([START], Delivered())
    assert pair_of(sent[0]) == (STAMP, hash_of(KEY, STAMP))
    assert urls(talk([DONE], memory)[0]) == [START]
    assert others.asked == [("timestamp", "", noojee.PAIR_SECONDS)]
    assert others.told == []


def test_its_age_counts_from_the_first_use_by_whichever_host() -> None:
    clock = Clock(10_000.0)
    memory, others = one_of_several((STAMP, clock.now - noojee.PAIR_SECONDS + 10), clock=clock)
    talk([DONE], memory)
    clock.now += 11
    assert urls(talk([time_is("2"), DONE], memory)[0]) == [TIME, START]
    assert others.asked[1] == ("timestamp", STAMP, noojee.PAIR_SECONDS)


def test_a_timestamp_that_was_fetched_goes_to_the_other_hosts_when_it_has_been_used() -> None:
    memory, others = one_of_several()
    conversation = begin(memory)
    next(conversation)
    conversation.send(time_is())
    assert others.told == []
    with pytest.raises(StopIteration):
        conversation.send(DONE)
    assert others.told == [("timestamp", STAMP, 1000.0)]


@pytest.mark.parametrize("reply", [says(-1, "no such extension"), EXPIRED, Answer(502, {}, b""), NoAnswer("no", True)])
def test_what_has_had_no_command_done_is_for_no_other_host(reply: Reply) -> None:
    memory, others = one_of_several()
    talk([time_is(), reply, *([time_is("2"), reply] if reply is EXPIRED else [])], memory)
    assert others.told == []


@pytest.mark.parametrize("reply", [EXPIRED, says(-1, "Authentication failed"), says(-3, "wrong host")])
def test_where_another_hosts_is_not_taken_from_us_the_own_one_is_tried(reply: Reply) -> None:
    # It has another key or another recorder; or the recorder ties a pair to a machine, of which its page says nothing.
    memory, others = one_of_several((STAMP, 990.0))
    sent, outcome = talk([reply, time_is("2"), DONE], memory)
    assert (urls(sent), outcome) == ([START, TIME, START], Delivered())
    assert pair_of(sent[2]) == ("2", hash_of(KEY, "2"))
    assert others.told == [("timestamp", "2", 1000.0)]


def test_a_recorder_that_refuses_the_command_itself_refuses_it_with_the_own_one_too() -> None:
    memory, _ = one_of_several((STAMP, 990.0))
    no = says(-1, "no such extension")
    assert talk([no, time_is("2"), no], memory)[1] == Refused("no such extension")


def test_when_a_recorder_has_forgotten_all_pairs_the_one_that_another_host_has_fetched_since_serves() -> None:
    memory, others = one_of_several((STAMP, 990.0), ("2", 999.0))
    talk([DONE], memory)
    sent, outcome = talk([EXPIRED, DONE], memory)
    assert (urls(sent), outcome) == ([START, START], Delivered())
    assert pair_of(sent[1])[0] == "2"
    assert [spent for _, spent, _ in others.asked] == ["", STAMP]


@pytest.mark.parametrize("reply", [Answer(502, {}, b""), NoAnswer("no answer", sent=True)])
def test_another_hosts_is_kept_only_when_it_has_served(reply: Reply) -> None:
    memory, _ = one_of_several((STAMP, 990.0))
    assert isinstance(talk([reply], memory)[1], TryLater)
    assert memory.pair is None


def test_what_is_no_timestamp_goes_to_no_recorder() -> None:
    memory, _ = one_of_several(("1&apiKey=", 990.0))
    assert urls(talk([time_is(), DONE], memory)[0]) == [TIME, START]


# -- one renews while the others wait ----------------------------------------------------------------


class CountedLock:
    """The memory's lock, which tells when `wanted` threads have come to it."""

    def __init__(self, wanted: int) -> None:
        self._lock = threading.Lock()
        self._guard = threading.Lock()
        self._wanted = wanted
        self.came = 0
        self.all_came = threading.Event()

    def acquire(self, timeout: float = -1) -> bool:
        assert 0 < timeout < LONG_SECONDS  # nobody waits for ever
        with self._guard:
            self.came += 1
            if self.came >= self._wanted:
                self.all_came.set()
        return self._lock.acquire(timeout=LONG_SECONDS)

    def release(self) -> None:
        self._lock.release()

    def locked(self) -> bool:
        return self._lock.locked()


class Recorder:
    """Stands for the recorder at the other end of `run_conversation`; notes what is under way at the same time."""

    def __init__(self, lock: CountedLock) -> None:
        self._lock = lock
        self._guard = threading.Lock()
        self._under_way = {TIME: 0, START: 0}
        self.most_times_at_once = 0
        self.times = 0
        self.used: list[str] = []
        self.log: list[str] = []
        self.fails: list[Reply] = []  # for the first requests for Time
        self.gate: Callable[[str], Reply | None] = lambda _stamp: None

    def __call__(self, request: Request, seconds: float) -> Reply:
        with self._guard:
            self._under_way[request.url] += 1
            self.most_times_at_once = max(self.most_times_at_once, self._under_way[TIME])
        try:
            return self._time() if request.url == TIME else self._start(pair_of(request)[0])
        finally:
            with self._guard:
                self._under_way[request.url] -= 1

    def _time(self) -> Reply:
        assert self._lock.all_came.wait(LONG_SECONDS)
        with self._guard:
            self.times += 1
            self.log.append("Time")
            return self.fails.pop(0) if self.fails else time_is(str(self.times))

    def _start(self, stamp: str) -> Reply:
        answer = self.gate(stamp)
        with self._guard:
            self.used.append(stamp)
            self.log.append(f"start with {stamp}")
        return answer or DONE


def at_once(memory: noojee.Memory, recorder: Recorder, calls: int = CALLS) -> list[Outcome]:
    def attempt(_: int) -> Outcome:
        return run_conversation(begin(memory), recorder, lambda: 0.0, LONG_SECONDS, LONG_SECONDS)

    with ThreadPoolExecutor(calls) as pool:
        return list(pool.map(attempt, range(calls), timeout=LONG_SECONDS))


def shared(calls: int = CALLS) -> tuple[noojee.Memory, Recorder]:
    lock = CountedLock(calls)
    return noojee.Memory(renewal=lock), Recorder(lock)  # type: ignore[arg-type]


def test_fifty_conversations_at_once_fetch_one_time() -> None:
    memory, recorder = shared()
    assert at_once(memory, recorder) == [Delivered()] * CALLS
    assert recorder.times == 1
    assert recorder.used == ["1"] * CALLS
    assert recorder.log[:2] == ["Time", "start with 1"]


def test_the_others_wait_until_the_pair_has_been_used_once() -> None:
    # Before its first use a pair is no more than a promise of 10 s.
    memory = noojee.Memory()
    conversation = begin(memory)
    assert next(conversation).url == TIME
    assert memory.renewal.locked()
    assert conversation.send(time_is()).url == START
    assert memory.renewal.locked()
    assert memory.pair is None
    with pytest.raises(StopIteration):
        conversation.send(DONE)
    assert not memory.renewal.locked()
    assert memory.pair is not None


def test_a_command_with_a_pair_that_serves_holds_up_nobody() -> None:
    memory = with_pair()
    conversations = [begin(memory) for _ in range(3)]
    assert urls([next(conversation) for conversation in conversations]) == [START] * 3
    assert not memory.renewal.locked()


def test_fifty_conversations_whose_pair_has_expired_fetch_one_new_time() -> None:
    memory, recorder = shared()
    memory.pair = noojee.Pair(Secret(KEY), URL, "0", memory.steady())
    all_sent = threading.Barrier(CALLS)

    def gate(stamp: str) -> Reply | None:
        if stamp != "0":
            return None
        all_sent.wait(LONG_SECONDS)
        return EXPIRED

    recorder.gate = gate
    recorder._lock._wanted = 2 * CALLS  # each comes once with the old pair, and once for a new one
    assert at_once(memory, recorder) == [Delivered()] * CALLS
    assert recorder.times == 1
    assert recorder.used.count("1") == CALLS


@pytest.mark.parametrize(
    "failure", [NoAnswer("gone", sent=False), Answer(500, {}, b""), Answer(404, {}, b""), Answer(200, {}, b"x")]
)
def test_when_the_renewal_fails_the_next_one_in_the_line_tries(failure: Reply) -> None:
    memory, recorder = shared()
    recorder.fails = [failure] * 3
    outcomes = at_once(memory, recorder)
    assert outcomes.count(Delivered()) == CALLS - 3
    assert recorder.times == 4
    assert recorder.most_times_at_once == 1
    assert not memory.renewal.locked()


def test_never_are_two_times_under_way() -> None:
    memory, recorder = shared()
    recorder.fails = [NoAnswer("gone", sent=True)] * (CALLS - 1)
    at_once(memory, recorder)
    assert recorder.most_times_at_once == 1


@pytest.mark.parametrize("steps", [1, 2])
def test_a_conversation_given_up_in_the_middle_leaves_the_lock_free(steps: int) -> None:
    memory = noojee.Memory()
    conversation = begin(memory)
    next(conversation)
    if steps == 2:
        conversation.send(time_is())
    assert memory.renewal.locked()
    conversation.close()
    assert not memory.renewal.locked()
    assert urls(talk([time_is(), DONE], memory)[0]) == [TIME, START]


@pytest.mark.parametrize("steps", [1, 2])
def test_a_fault_in_the_middle_leaves_the_lock_free(steps: int) -> None:
    memory = noojee.Memory()
    conversation = begin(memory)
    next(conversation)
    if steps == 2:
        conversation.send(time_is())
    with pytest.raises(ZeroDivisionError):
        conversation.throw(ZeroDivisionError)
    assert not memory.renewal.locked()


def test_a_deadline_between_time_and_command_sends_no_command_and_leaves_the_lock_free() -> None:
    memory, clock = noojee.Memory(), Clock()
    sent: list[Request] = []

    def slow(request: Request, _seconds: float) -> Reply:
        sent.append(request)
        clock.now += 10
        return time_is()

    with pytest.raises(PastDeadline):
        run_conversation(begin(memory), slow, clock, clock.now + 10, 60)
    assert urls(sent) == [TIME]
    assert memory.pair is None
    assert not memory.renewal.locked()


def test_whoever_waits_too_long_for_anothers_renewal_tries_later() -> None:
    class Taken:
        waited: float | None = None

        def acquire(self, timeout: float = -1) -> bool:
            self.waited = timeout
            return False

        def locked(self) -> bool:
            return False

    lock = Taken()
    sent, outcome = talk([], noojee.Memory(renewal=lock))  # type: ignore[arg-type]
    assert sent == []
    assert outcome == TryLater("another command is still waiting for a timestamp from the recorder")
    assert lock.waited == noojee.RENEWAL_SECONDS


def test_the_delivery_never_holds_more_conversations_than_the_recorder_allows() -> None:
    assert VENDORS["noojee"].concurrency == noojee_vendor.CONCURRENCY == 5


# -- start and stop of one recording -----------------------------------------------------------------


def test_a_stop_undoes_a_start_of_the_same_recording_and_nothing_else() -> None:
    start, stop = command("noojee/start"), command("noojee/stop")
    elsewhere = command("noojee/stop", extenOrUniqueId="410")
    assert noojee_vendor.undoes(stop, start)
    assert not noojee_vendor.undoes(start, stop)
    assert not noojee_vendor.undoes(start, start)
    assert not noojee_vendor.undoes(stop, stop)
    assert not noojee_vendor.undoes(elsewhere, start)


def test_a_command_keeps_the_order_of_its_call_and_of_its_recording() -> None:
    told = command("noojee/start", extenOrUniqueId="201")
    assert noojee_vendor.keys_of(told) == (told.call, "recording 201")
    assert "201" not in noojee_vendor.keys_of(told), "a call of that name is not that recording"


def test_the_lifetimes_are_those_promised() -> None:
    assert noojee_vendor.LIFETIME_SECONDS == {"noojee/start": 60, "noojee/stop": 3600}
    assert noojee_vendor.BY_EXTENSION_LIFETIME_SECONDS == 10


# -- callsign sign -----------------------------------------------------------------------------------


def test_sign_masks_the_key_and_shows_the_hash() -> None:
    told = noojee.explain(settings(), {"timestamp": STAMP}, 0.0)
    assert told.text == f"****:{STAMP}"
    assert told.signature == hash_of(KEY, STAMP)
    assert KEY not in repr(told)


def test_sign_takes_this_machines_milliseconds_where_no_timestamp_is_given() -> None:
    assert noojee.explain(settings(), {}, 1392356108.8881).values == {"timestamp": STAMP}


@pytest.mark.parametrize("timestamp", ["", "soon", "-1", "1.5", "1" * 21])
def test_sign_refuses_what_no_recorder_answers(timestamp: str) -> None:
    with pytest.raises(ValueError, match="timestamp: wanted the digits"):
        noojee.explain(settings(), {"timestamp": timestamp}, 0.0)
