"""Delivery within one process: outcomes, order, retries, waiting, and an end that cuts nothing off."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from callsign import clocks
from callsign.delivery import attempts, deliverer, retry
from callsign.delivery.gate import Gate as DeliveryGate
from callsign.delivery.gate import Lanes
from callsign.delivery.pace import AWAY_AFTER
from callsign.http.messages import Answer, Reply
from callsign.notification import Notification, State
from callsign.outbox.doorbell import doorbell_of
from callsign.outbox.outbox import Job
from callsign.record import replace
from callsign.settings.sections import Settings
from callsign.vendors.noojee import vendor as noojee
from callsign.vendors.registry import VENDORS
from callsign.vendors.skarabee import vendor as skarabee
from side import Side
from store_play import (
    CALLER,
    GONE,
    LONG_SECONDS,
    SETTINGS,
    SILENT,
    WELL,
    Gate,
    call_from,
    eventually,
    recording,
)

REFUSAL = Answer(200, {}, b'{"Message":"The hash provided doesn\'t match.","Status":"HASH_MISMATCH"}')
BUSY = Answer(503, {}, b"")
FOR_EVER = 100 * LONG_SECONDS


@pytest.fixture
def idle(path: Path) -> Iterator[Side]:
    """Not delivering yet."""
    made = Side(path)
    yield made
    made.close()


@pytest.fixture
def side(idle: Side) -> Side:
    assert idle.delivery.try_start()
    return idle


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next attempt comes after a moment."""
    monkeypatch.setattr(retry, "FIRST_SECONDS", 0.01)


def in_turn(*replies: Reply) -> Callable[[], Reply]:
    """One reply after the other, then the last for ever."""
    left = list(replies)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


# -- outcomes -----------------------------------------------------------------------------------------------------


def test_a_waiting_call_hears_that_the_vendor_took_it(side: Side) -> None:
    assert side.end_of(side.add(call_from())) == (State.DELIVERED, "")
    assert side.vendor.asked == [f"skarabee {CALLER}"]


def test_a_waiting_call_hears_that_the_vendor_refused_and_nothing_is_sent_again(side: Side) -> None:
    side.vendor.answers["skarabee"] = REFUSAL
    state, reason = side.end_of(side.add(call_from())) or (None, "")
    assert state is State.REFUSED
    assert reason.startswith("HASH_MISMATCH: ")
    assert side.vendor.asked == [f"skarabee {CALLER}"]


def test_an_end_that_came_before_anybody_waited_is_told_at_once(side: Side) -> None:
    first = side.add(recording("start", "1.1"))
    assert side.vendor.was_asked("start 1.1")
    assert side.end_of(side.add(recording("stop", "1.1"))) == (State.DELIVERED, "")
    assert side.delivery.outcomes.wait_for(first, 0.0) == (State.DELIVERED, "")


def test_a_wait_ends_when_it_is_over_and_the_delivery_goes_on_behind_it(side: Side) -> None:
    gate = Gate(WELL["skarabee"])
    side.vendor.answers["skarabee"] = gate
    job = side.add(call_from())
    assert gate.reached.wait(LONG_SECONDS)
    assert side.delivery.outcomes.wait_for(job, 0.01) is None
    gate.open()
    assert side.end_of(job) == (State.DELIVERED, "")


def test_a_call_does_not_wait_for_a_vendor_that_cannot_be_reached(side: Side) -> None:
    side.vendor.answers["start"] = GONE
    job = side.add(recording("start", "1.1"))
    assert side.delivery.outcomes.wait_for(job, FOR_EVER) is None
    side.vendor.answers.clear()
    assert side.end_of(job) == (State.DELIVERED, "")


def test_nor_does_one_whose_job_waits_behind_another_that_could_not_be_told(
    side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "FIRST_SECONDS", 1000.0)
    side.vendor.answers["start"] = GONE
    start = side.add(recording("start", "1.1"))
    assert side.delivery.outcomes.wait_for(start, FOR_EVER) is None
    assert side.delivery.outcomes.wait_for(side.add(recording("stop", "1.1")), FOR_EVER) is None
    assert side.vendor.asked == ["start 1.1"]


def test_a_call_does_not_wait_for_a_vendor_that_is_known_to_be_away(side: Side) -> None:
    side.vendor.answers["start"] = BUSY
    for number in range(AWAY_AFTER):
        side.add(recording("start", f"{number}.1"))
    assert eventually(lambda: side.delivery.lanes._workers["noojee"].lane.pace.vendor_is_away)
    gate = Gate(WELL["noojee"])
    side.vendor.answers = {"start": gate}
    job = side.add(recording("start", "9.1"))
    assert side.delivery.outcomes.wait_for(job, FOR_EVER) is None
    gate.open()
    assert side.end_of(job) == (State.DELIVERED, "")
    assert side.vendor.asked.count("start 9.1") <= 1  # it was let go before its attempt had ended


def test_a_call_waits_where_the_vendor_answers_that_it_is_busy(side: Side) -> None:
    side.vendor.answers["start"] = in_turn(BUSY, WELL["noojee"])
    assert side.delivery.outcomes.wait_for(side.add(recording("start", "1.1")), LONG_SECONDS) == (State.DELIVERED, "")


def test_what_is_too_late_at_the_start_is_not_sent(side: Side) -> None:
    assert side.end_of(side.add(call_from(lifetime=0.0))) == (State.EXPIRED, "too late to be of use")
    assert side.vendor.asked == []


def test_what_is_too_late_for_another_attempt_ends_with_the_last_reason(side: Side) -> None:
    side.vendor.answers["skarabee"] = GONE
    told = call_from(lifetime=retry.FIRST_SECONDS * 0.9)
    assert side.end_of(side.add(told)) == (State.EXPIRED, "too late to try again; last: nobody there")


def test_a_conversation_is_broken_off_at_the_deadline(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    steady, ahead = clocks.steady, [0.0]
    monkeypatch.setattr(clocks, "steady", lambda: steady() + ahead[0])
    assert SETTINGS.skarabee is not None
    side.settings = replace(SETTINGS, skarabee=replace(SETTINGS.skarabee, clock="auto"))

    def slow() -> Reply:
        ahead[0] += 100.0
        return Answer(200, {}, b'{"Status":"TIMESTAMP_MISMATCH"}')

    side.vendor.answers["skarabee"] = slow
    state, reason = side.end_of(side.add(call_from(lifetime=60.0))) or (None, "")
    assert (state, reason) == (State.EXPIRED, "its time was over before the vendor could be told")
    assert len(side.vendor.asked) == 1


# -- retries ------------------------------------------------------------------------------------------------------


def test_an_attempt_without_a_verdict_is_made_again_after_half_a_second_then_a_whole_one(
    side: Side, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(attempts.random, "random", lambda: 0.5)
    side.vendor.answers["skarabee"] = in_turn(GONE, BUSY, WELL["skarabee"])
    job = side.add(call_from())
    assert side.end_of(job) == (State.DELIVERED, "")
    assert eventually(lambda: side.reader.state_of(job) == (State.DELIVERED, ""))  # a call hears of it before
    assert re.findall(r"attempt=(\d) TRY LATER .*next=([\d.]+)s: (nobody there|HTTP 503)", caplog.text) == [
        ("1", "0.5", "nobody there"),
        ("2", "1.0", "HTTP 503"),
    ]
    assert [line.event for line in side.reader.history_of(job)] == ["try later", "try later", "delivered"]
    assert side.reader.jobs(job=job)[0].attempts == 3


def test_jobs_that_fail_together_are_not_tried_again_together(
    side: Side, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    chances = iter((0.0, 0.999))
    monkeypatch.setattr(attempts.random, "random", lambda: next(chances))
    side.vendor.answers["skarabee"] = GONE
    for number in range(2):
        side.add(call_from(f"047000000{number}"))
    assert eventually(
        lambda: sorted(re.findall(r"attempt=1 TRY LATER .*next=([\d.]+)s", caplog.text)) == ["0.4", "0.6"]
    )
    side.vendor.answers.clear()


@pytest.mark.usefixtures("hurried")
def test_each_attempt_is_signed_and_timed_by_the_call_not_by_the_attempt(side: Side) -> None:
    side.vendor.answers["skarabee"] = in_turn(GONE, GONE, WELL["skarabee"])
    told = call_from()
    assert side.end_of(side.add(told)) == (State.DELIVERED, "")
    assert {dict(request.query)["timestamp"] for request in side.vendor.requests} == {str(int(told.created_at))}
    assert len(side.vendor.requests) == 3


class OtherHosts(DeliveryGate):
    """They have yet to hear of each end; `asked` has those that somebody waits for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.know = threading.Event()

    def wait_known(self, job: Job) -> None:
        self.asked.append(job.notification.action)
        assert self.know.wait(LONG_SECONDS)


def test_what_waits_for_the_end_of_another_goes_out_when_the_other_hosts_can_know_of_that(path: Path) -> None:
    others = OtherHosts()
    side = Side(path, gate=others)
    assert side.delivery.try_start()
    recorder = Gate(WELL["noojee"])
    side.vendor.answers = {"start": recorder, "stop": WELL["noojee"]}
    side.add(recording("start", "1.1"))
    assert recorder.reached.wait(LONG_SECONDS)
    stop = side.add(recording("stop", "1.1"))
    assert side.is_on_its_lane(stop)
    recorder.open()
    assert eventually(lambda: others.asked == ["noojee/start"])
    assert side.vendor.asked == ["start 1.1"]
    others.know.set()
    assert side.end_of(stop) == (State.DELIVERED, "")
    side.close()
    assert others.asked == ["noojee/start"]


def test_and_a_job_that_nothing_waits_for_keeps_its_place_at_the_vendor_for_nobody(path: Path) -> None:
    others = OtherHosts()
    side = Side(path, gate=others)
    assert side.delivery.try_start()
    for number in range(2 * noojee.VENDOR.concurrency):
        assert side.end_of(side.add(recording("start", f"{number}.1"))) == (State.DELIVERED, "")
    others.know.set()
    side.close()


def test_a_job_to_be_tried_again_is_tried_while_another_attempt_hangs(side: Side) -> None:
    gate = Gate(WELL["noojee"])
    side.vendor.answers |= {"start 1.1": in_turn(GONE, WELL["noojee"]), "start 2.2": gate}
    first = side.add(recording("start", "1.1"))
    assert side.vendor.was_asked("start 1.1")
    side.add(recording("start", "2.2"))
    assert gate.reached.wait(LONG_SECONDS)
    assert side.end_of(first) == (State.DELIVERED, "")
    gate.open()


@pytest.mark.usefixtures("hurried")
def test_a_fault_in_a_vendors_code_is_tried_later_and_the_lane_goes_on(
    side: Side, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def faulty() -> Reply:
        raise ValueError(f"a number: {CALLER}")

    side.vendor.answers[f"skarabee {CALLER}"] = faulty
    first = side.add(call_from())
    for number in range(2 * skarabee.CONCURRENCY):
        assert side.end_of(side.add(call_from(f"047000{number:04}"))) == (State.DELIVERED, "")
    assert side.vendor.was_asked(f"skarabee {CALLER}")
    assert eventually(lambda: "a fault in callsign itself: ValueError at delivery/test_deliverer.py" in caplog.text)
    assert CALLER not in caplog.text
    side.vendor.answers.clear()
    assert side.end_of(first) == (State.DELIVERED, "")


def test_a_pause_that_the_vendor_asks_for_is_kept_though_it_takes_others_meanwhile(side: Side) -> None:
    side.vendor.answers[f"skarabee {CALLER}"] = Answer(503, {"retry-after": "600"}, b"")
    job = side.add(call_from())
    assert eventually(lambda: side.reader.history_of(job))
    for number in range(20):  # the first one's verdict says that the vendor is well
        assert side.end_of(side.add(call_from(f"047000{number:04}"))) == (State.DELIVERED, "")
    assert side.vendor.asked.count(f"skarabee {CALLER}") == 1


@pytest.mark.usefixtures("hurried")
def test_a_section_that_is_gone_from_the_settings_is_waited_for(side: Side) -> None:
    side.settings = Settings(numbers=SETTINGS.numbers)
    job = side.add(call_from())
    assert eventually(lambda: (side.reader.state_of(job) or (None, ""))[1])
    assert side.reader.state_of(job) == (State.WAITING, "the settings have no section [skarabee] any more")
    side.settings = SETTINGS
    assert side.end_of(job) == (State.DELIVERED, "")


def test_where_no_more_threads_are_to_be_had_each_lane_has_one(idle: Side, request: pytest.FixtureRequest) -> None:
    idle.delivery.start()
    assert idle.end_of(idle.add(call_from("0470000001"))) == (State.DELIVERED, "")
    request.getfixturevalue("no_more_threads")
    assert idle.end_of(idle.add(recording("start", "1.1"))) == (State.DELIVERED, "")


# -- one vendor, the other vendor -----------------------------------------------------------------------------------


def test_a_vendor_that_hangs_does_not_hold_up_the_other(side: Side) -> None:
    gate = Gate(WELL["skarabee"])
    side.vendor.answers["skarabee"] = gate
    for number in range(2 * skarabee.CONCURRENCY):
        side.add(call_from(f"047000{number:04}"))
    assert side.vendor.was_asked_times(skarabee.CONCURRENCY)
    for number in range(20):
        assert side.end_of(side.add(recording("start", f"{number}.1"))) == (State.DELIVERED, "")
    gate.open()


def test_no_vendor_gets_more_conversations_at_once_than_it_can_bear(side: Side) -> None:
    gate = Gate(WELL["noojee"])
    side.vendor.answers["start"] = gate
    jobs = [side.add(recording("start", f"{number}.1")) for number in range(3 * noojee.CONCURRENCY)]
    assert side.vendor.was_asked_times(noojee.CONCURRENCY)
    assert not side.vendor.was_asked_times(noojee.CONCURRENCY + 1, 0.1)
    gate.open()
    assert all(side.end_of(job) == (State.DELIVERED, "") for job in jobs)


# -- start and stop of one call -----------------------------------------------------------------------------------


def in_the_way(side: Side) -> Gate:
    """Keeps every worker of the recorder's lane busy."""
    gate = Gate(WELL["noojee"])
    side.vendor.answers["start busy"] = gate
    for number in range(noojee.CONCURRENCY):
        side.add(recording("start", f"busy{number}"))
    assert side.vendor.was_asked_times(noojee.CONCURRENCY)
    return gate


def test_a_start_that_was_never_tried_is_needless_after_a_stop_and_the_stop_is_sent(side: Side) -> None:
    gate = in_the_way(side)
    start, stop = side.add(recording("start", "1.1")), side.add(recording("stop", "1.1"))
    assert side.is_on_its_lane(stop)
    gate.open()
    assert side.end_of(start) == (State.SUPERSEDED, "a stop came before it was tried")
    assert side.end_of(stop) == (State.DELIVERED, "")
    assert "start 1.1" not in side.vendor.asked


@pytest.mark.parametrize("tried", [True, False], ids=["delivered", "needless"])
def test_a_stop_goes_out_when_it_is_written_what_came_of_its_start(
    side: Side, tried: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a kill in between would bring the start to life again, behind its stop."""
    monkeypatch.setattr(attempts, "IN_ORDER_SECONDS", LONG_SECONDS)  # a busy machine's test may take its half second
    written: list[tuple[State, str] | None] = []

    def look() -> Reply:
        written.append(side.reader.state_of(start))
        return WELL["noojee"]

    side.vendor.answers["stop 1.1"] = look
    gate = Gate(WELL["noojee"])
    side.vendor.answers["start 1.1"] = gate
    others = None if tried else in_the_way(side)
    start = side.add(recording("start", "1.1"))
    if tried:
        assert gate.reached.wait(LONG_SECONDS)
    stop = side.add(recording("stop", "1.1"))
    assert side.is_on_its_lane(stop)
    waits, wait_written = threading.Event(), side.outbox.wait_written

    def noticed(seconds: float) -> None:
        waits.set()
        wait_written(seconds)

    monkeypatch.setattr(side.outbox, "wait_written", noticed)
    with side.outbox._writer._turn:  # it writes nothing
        side.outbox.poll()
        assert eventually(lambda: side.outbox._queue.is_empty)  # and takes nothing more
        (others or gate).open()
        assert eventually(lambda: written or waits.is_set())
    assert side.end_of(stop) == (State.DELIVERED, "")
    assert [found[0] for found in written if found] == [State.DELIVERED if tried else State.SUPERSEDED]


def test_a_start_is_not_made_needless_by_the_stop_of_another_recording(side: Side) -> None:
    gate = in_the_way(side)
    start, stop = side.add(recording("start", "1.1")), side.add(recording("stop", "2.2"))
    assert side.is_on_its_lane(stop)
    gate.open()
    assert side.end_of(start) == (State.DELIVERED, "")
    assert side.end_of(stop) == (State.DELIVERED, "")


@pytest.mark.usefixtures("hurried")
def test_a_start_that_was_tried_is_tried_again_before_its_stop_goes_out(side: Side) -> None:
    gate = Gate(GONE)
    side.vendor.answers["start"] = gate
    start = side.add(recording("start", "1.1"))
    assert gate.reached.wait(LONG_SECONDS)
    stop = side.add(recording("stop", "1.1"))
    side.vendor.answers["start"] = in_turn(BUSY, GONE, WELL["noojee"])
    assert side.is_on_its_lane(stop)
    gate.open()
    assert side.end_of(start) == (State.DELIVERED, "")
    assert side.end_of(stop) == (State.DELIVERED, "")
    assert side.vendor.asked == ["start 1.1"] * 4 + ["stop 1.1"]


@pytest.mark.usefixtures("hurried")
def test_a_start_that_expires_lets_its_stop_go_out(side: Side) -> None:
    side.vendor.answers["start"] = GONE
    start, stop = side.add(recording("start", "1.1", lifetime=0.3)), side.add(recording("stop", "1.1"))
    assert (side.end_of(start) or (None,))[0] in (State.EXPIRED, State.SUPERSEDED)
    assert side.end_of(stop) == (State.DELIVERED, "")
    assert side.vendor.asked[-1] == "stop 1.1"


@pytest.mark.usefixtures("hurried")
def test_the_commands_of_each_call_arrive_in_order_though_many_fail_at_first(side: Side) -> None:
    calls = [f"{number}.1" for number in range(40)]
    for call in calls[::3]:
        side.vendor.answers[f"start {call}"] = in_turn(GONE, BUSY, WELL["noojee"])
    jobs = [side.add(recording("start", call)) for call in calls]
    assert side.vendor.was_asked(*(f"start {call}" for call in calls))
    jobs += [side.add(recording("stop", call)) for call in calls]
    assert all((side.end_of(job) or (None,))[0] is State.DELIVERED for job in jobs)
    for call in calls:
        asked = [word.split()[0] for word in side.vendor.asked if word.endswith(f" {call}")]
        assert asked[-1] == "stop"
        assert asked.count("stop") == 1


# -- start and stop of one recording on two channels --------------------------------------------------------------


@pytest.mark.usefixtures("hurried")
def test_a_start_and_a_stop_of_one_recording_keep_their_order_on_two_channels(side: Side) -> None:
    gate = Gate(GONE)
    side.vendor.answers["start"] = gate
    side.add(recording("start", "1.1", whose="201"))
    assert gate.reached.wait(LONG_SECONDS)
    side.vendor.answers["start"] = in_turn(GONE, BUSY, WELL["noojee"])
    stop = side.add(recording("stop", "2.2", whose="201"))
    assert side.is_on_its_lane(stop)
    gate.open()
    assert side.end_of(stop) == (State.DELIVERED, "")
    assert side.vendor.asked == ["start 201"] * 4 + ["stop 201"]


def test_a_stop_on_another_channel_makes_a_start_that_was_never_tried_needless(side: Side) -> None:
    gate = in_the_way(side)
    start = side.add(recording("start", "1.1", whose="201"))
    stop = side.add(recording("stop", "2.2", whose="201"))
    assert side.is_on_its_lane(stop)
    gate.open()
    assert side.end_of(start) == (State.SUPERSEDED, "a stop came before it was tried")
    assert side.end_of(stop) == (State.DELIVERED, "")


# -- a start that the recorder carries out late -------------------------------------------------------------------


class LateRecorder:
    """Takes the first start and says nothing; carries it out behind the first stop, which it was too slow for."""

    def __init__(self, side: Side) -> None:
        self.recording = False
        self.late = False
        side.vendor.answers |= {"start": self._start, "stop": self._stop}

    def _start(self) -> Reply:
        if not self.late:
            self.late = True
            return SILENT
        self.recording = True
        return WELL["noojee"]

    def _stop(self) -> Reply:
        self.recording, self.late = self.late, False
        return WELL["noojee"]


def tried_start(side: Side) -> int:
    """A start that was tried once at least, so that no stop makes it needless."""
    job = side.add(recording("start", "1.1"))
    assert side.vendor.was_asked("start 1.1")
    return job


@pytest.fixture
def soon_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "AGAIN_SECONDS", 0.05)


@pytest.mark.usefixtures("hurried", "soon_again")
def test_a_recording_ends_though_the_recorder_carries_out_its_start_behind_the_stop(side: Side) -> None:
    recorder = LateRecorder(side)
    start, stop = tried_start(side), side.add(recording("stop", "1.1"))
    assert side.end_of(start) == (State.DELIVERED, "")
    assert side.end_of(stop) == (State.DELIVERED, "")  # the call does not wait for the repetition
    assert eventually(lambda: side.reader.state_of(stop) == (State.DELIVERED, ""))
    assert not recorder.recording
    assert side.vendor.asked == ["start 1.1", "start 1.1", "stop 1.1", "stop 1.1"]
    assert [(line.event, line.reason) for line in side.reader.history_of(stop)] == [
        ("try later", "delivered; once more, for what it undoes had no answer and may be carried out late"),
        ("delivered", ""),
    ]


@pytest.mark.usefixtures("hurried", "soon_again")
def test_a_start_that_had_expired_unanswered_is_remembered_for_its_stop(side: Side) -> None:
    side.vendor.answers["start"] = SILENT
    assert (side.end_of(side.add(recording("start", "1.1", lifetime=0.6))) or (None,))[0] is State.EXPIRED
    before = len(side.vendor.asked)
    side.add(recording("stop", "2.2", whose="1.1"))
    assert side.vendor.was_asked_times(before + 2)
    assert side.vendor.asked[before:] == ["stop 1.1", "stop 1.1"]


@pytest.mark.usefixtures("hurried", "soon_again")
def test_a_stop_that_finds_nothing_to_stop_the_second_time_was_taken_the_first_time(side: Side) -> None:
    side.vendor.answers |= {
        "start": in_turn(SILENT, WELL["noojee"]),
        "stop": in_turn(WELL["noojee"], Answer(200, {}, b'{"Message":"no recording","Code":-1}')),
    }
    tried_start(side)
    stop = side.add(recording("stop", "1.1"))
    assert eventually(lambda: side.reader.state_of(stop) == (State.DELIVERED, ""))
    assert side.vendor.asked[-2:] == ["stop 1.1", "stop 1.1"]


@pytest.mark.usefixtures("hurried", "soon_again")
@pytest.mark.parametrize("second", [GONE, SILENT], ids=["not sent", "no answer"])
def test_a_stop_is_sent_once_more_and_not_more_often(side: Side, second: Reply) -> None:
    side.vendor.answers |= {"start": in_turn(SILENT, WELL["noojee"]), "stop": in_turn(WELL["noojee"], second)}
    tried_start(side)
    stop = side.add(recording("stop", "1.1"))
    assert eventually(lambda: side.reader.state_of(stop) == (State.DELIVERED, ""))
    assert side.vendor.asked.count("stop 1.1") == 2


@pytest.mark.usefixtures("hurried")
def test_a_newer_start_goes_out_at_once_and_no_repetition_behind_it(side: Side) -> None:
    side.vendor.answers["start"] = in_turn(SILENT, WELL["noojee"])
    tried_start(side)
    stop = side.add(recording("stop", "1.1"))
    assert side.end_of(stop) == (State.DELIVERED, "")
    assert side.end_of(side.add(recording("start", "1.1"))) == (State.DELIVERED, "")
    assert eventually(lambda: side.reader.state_of(stop) == (State.DELIVERED, ""))
    assert side.vendor.asked == ["start 1.1", "start 1.1", "stop 1.1", "start 1.1"]


@pytest.mark.usefixtures("hurried", "soon_again")
def test_a_start_that_had_no_answer_once_has_its_stop_sent_twice_though_it_was_not_even_sent_later(side: Side) -> None:
    side.vendor.answers["start"] = in_turn(SILENT, GONE, WELL["noojee"])
    tried_start(side)
    stop = side.add(recording("stop", "1.1"))
    assert eventually(lambda: side.reader.state_of(stop) == (State.DELIVERED, ""))
    assert side.vendor.asked == [*["start 1.1"] * 3, *["stop 1.1"] * 2]


@pytest.mark.usefixtures("hurried", "soon_again")
def test_a_start_in_whose_attempt_our_own_code_failed_has_its_stop_sent_twice(side: Side) -> None:
    def faulty() -> Reply:
        side.vendor.answers.clear()
        raise ValueError

    side.vendor.answers["start"] = faulty
    tried_start(side)
    stop = side.add(recording("stop", "1.1"))
    assert eventually(lambda: side.reader.state_of(stop) == (State.DELIVERED, ""))
    assert side.vendor.asked == [*["start 1.1"] * 2, *["stop 1.1"] * 2]


@pytest.mark.usefixtures("hurried")
def test_a_start_that_was_answered_or_never_sent_has_its_stop_sent_once(side: Side) -> None:
    side.vendor.answers["start"] = in_turn(GONE, WELL["noojee"])
    tried_start(side)
    stop = side.add(recording("stop", "1.1"))
    assert eventually(lambda: side.reader.state_of(stop) == (State.DELIVERED, ""))
    assert side.vendor.asked == ["start 1.1", "start 1.1", "stop 1.1"]


@pytest.mark.usefixtures("hurried")
def test_a_repetition_that_is_due_survives_a_restart(side: Side, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "AGAIN_SECONDS", 1000.0)
    side.vendor.answers["start"] = in_turn(SILENT, WELL["noojee"])
    tried_start(side)
    stop = side.add(recording("stop", "1.1"))
    assert side.end_of(stop) == (State.DELIVERED, "")
    side.close()
    again = Side(path)
    assert again.delivery.try_start()
    assert again.end_of(stop) == (State.DELIVERED, "")
    assert again.vendor.asked == ["stop 1.1"]
    again.close()


# -- ending and starting again ------------------------------------------------------------------------------------


def test_a_stop_waits_for_the_attempts_under_way_and_begins_no_other(side: Side, path: Path) -> None:
    gate = Gate(WELL["noojee"])
    side.vendor.answers["start"] = gate
    for call in ("1.1", "2.2"):
        side.add(recording("start", call))
        assert side.vendor.was_asked(f"start {call}")
        side.add(recording("stop", call))
    stopping = threading.Thread(target=side.delivery.stop, args=(LONG_SECONDS,))
    stopping.start()
    stopping.join(0.1)
    assert stopping.is_alive()
    gate.open()
    stopping.join(LONG_SECONDS)
    assert not stopping.is_alive()
    assert sorted(side.vendor.asked) == ["start 1.1", "start 2.2"]
    assert [(row.action, row.state) for row in reversed(side.reader.jobs())] == [
        ("noojee/start", "delivered"),
        ("noojee/stop", "waiting"),
        ("noojee/start", "delivered"),
        ("noojee/stop", "waiting"),
    ]


def test_a_stop_with_a_backlog_leaves_the_backlog(side: Side) -> None:
    gates = [Gate(WELL["noojee"]) for _ in range(3 * noojee.CONCURRENCY)]
    for number, gate in enumerate(gates):
        side.vendor.answers[f"start {number}.1"] = gate
        side.add(recording("start", f"{number}.1"))
    assert side.vendor.was_asked_times(noojee.CONCURRENCY)
    stopping = threading.Thread(target=side.delivery.stop, args=(LONG_SECONDS,))
    stopping.start()
    assert eventually(side.delivery._stopping.is_set)
    for gate in gates:
        gate.open()
    stopping.join(LONG_SECONDS)
    assert len(side.vendor.asked) == noojee.CONCURRENCY
    assert len(side.reader.jobs(state="waiting")) == 2 * noojee.CONCURRENCY


def test_a_stop_takes_the_socket_away_and_lets_another_be_elected(side: Side, path: Path) -> None:
    assert side.delivery.seconds_to_next() is None
    assert doorbell_of(path).exists()
    side.delivery.stop(LONG_SECONDS)
    assert not doorbell_of(path).exists()
    other = Side(path)
    assert other.delivery.try_start()
    other.close()


def test_what_was_delivered_is_written_down_when_a_stop_returns(side: Side) -> None:
    for number in range(50):
        side.add(call_from(f"047000{number:04}"))
    assert side.vendor.was_asked_times(50)
    side.delivery.stop(LONG_SECONDS)
    assert side.reader.newest_open() == 0


def test_a_stop_does_not_wait_for_ever_for_an_attempt_that_hangs(side: Side) -> None:
    gate = Gate(WELL["noojee"])
    side.vendor.answers["start"] = gate
    side.add(recording("start", "1.1"))
    assert gate.reached.wait(LONG_SECONDS)
    side.delivery.stop(0.01)
    gate.open()


@pytest.mark.usefixtures("hurried", "soon_again")
@pytest.mark.parametrize("restarts", [1, 3])
def test_a_start_that_a_stop_of_callsign_cut_off_has_its_stop_sent_twice(side: Side, path: Path, restarts: int) -> None:
    gate = Gate(WELL["noojee"])
    side.vendor.answers["start"] = gate
    side.add(recording("start", "1.1"))
    assert gate.reached.wait(LONG_SECONDS)
    side.delivery.stop(0.01)
    for _ in range(restarts - 1):  # each ends before it has attempted anything
        short = Side(path)
        for workers in short.delivery.lanes._workers.values():
            workers.stop()
        assert short.delivery.try_start()
        short.close()
        assert short.vendor.asked == []
    again = Side(path)
    assert again.delivery.try_start()
    stop = again.add(recording("stop", "1.1"))
    assert eventually(lambda: again.reader.state_of(stop) == (State.DELIVERED, ""))
    assert again.vendor.asked == ["start 1.1", "stop 1.1", "stop 1.1"]
    gate.open()
    again.close()


@pytest.mark.usefixtures("hurried")
def test_a_start_being_retried_keeps_its_stop_behind_it_across_a_restart(side: Side, path: Path) -> None:
    side.vendor.answers["start"] = GONE
    start = side.add(recording("start", "1.1"))
    assert side.vendor.was_asked_times(2)
    stop = side.add(recording("stop", "1.1"))
    side.close()
    again = Side(path)
    again.vendor.answers["start"] = in_turn(GONE, WELL["noojee"])
    assert again.delivery.try_start()
    assert again.end_of(stop) == (State.DELIVERED, "")
    assert again.vendor.asked == ["start 1.1", "start 1.1", "stop 1.1"]
    assert again.delivery.outcomes.wait_for(start, 0.0) == (State.DELIVERED, "")
    again.close()


def test_a_start_found_in_the_store_may_have_been_tried_so_it_goes_out_before_its_stop(idle: Side) -> None:
    idle.add(recording("start", "1.1"))
    stop = idle.add(recording("stop", "1.1"))
    assert idle.delivery.try_start()
    assert eventually(lambda: idle.reader.state_of(stop) == (State.DELIVERED, ""))
    assert idle.vendor.asked == ["start 1.1", "stop 1.1"]


def test_what_was_too_late_while_nobody_delivered_is_not_sent(idle: Side) -> None:
    late, in_time = idle.add(recording("start", "1.1", lifetime=0.0)), idle.add(recording("stop", "2.2"))
    assert idle.delivery.try_start()
    assert idle.end_of(in_time) == (State.DELIVERED, "")
    assert (idle.end_of(late) or (None,))[0] is State.EXPIRED
    assert idle.vendor.asked == ["stop 2.2"]


def test_a_job_of_an_unknown_vendor_is_named_and_waits_until_its_time_is_over(
    idle: Side, caplog: pytest.LogCaptureFixture
) -> None:
    waits = idle.add(Notification("later", "later/thing", "1.1", {}, clocks.wall(), FOR_EVER))
    too_late = idle.add(Notification("later", "later/thing", "1.1", {}, clocks.wall(), 0.0))
    assert idle.delivery.try_start()
    assert eventually(lambda: idle.reader.state_of(too_late) == (State.EXPIRED, "this callsign does not know later"))
    assert idle.reader.state_of(waits) == (State.WAITING, "")
    assert f"job={waits} is for later, which this callsign does not know" in caplog.text


def test_how_long_until_something_is_to_do_is_told(side: Side) -> None:
    assert side.delivery.seconds_to_next() is None
    gate = Gate(GONE)
    side.vendor.answers["skarabee"] = gate
    job = side.add(call_from())
    assert gate.reached.wait(LONG_SECONDS)
    assert side.delivery.seconds_to_next() == 0.0
    side.vendor.answers.clear()
    gate.open()
    assert eventually(lambda: 0.0 < (side.delivery.seconds_to_next() or 0.0) <= 0.625)
    assert side.end_of(job) == (State.DELIVERED, "")
    assert eventually(lambda: side.delivery.seconds_to_next() is None)


@pytest.mark.usefixtures("hurried")
def test_no_log_line_holds_a_number(side: Side, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    echo = Answer(200, {}, f'{{"Message":"no office for {CALLER}","Status":"NO_HASH_KEY_AVAILABLE"}}'.encode())
    side.vendor.answers["skarabee"] = in_turn(GONE, BUSY, echo)
    assert (side.end_of(side.add(call_from(call="1556891830.7"))) or (None,))[0] is State.REFUSED
    side.vendor.answers.clear()
    assert side.end_of(side.add(call_from(call="1556891830.8"))) == (State.DELIVERED, "")
    side.delivery.stop(LONG_SECONDS)
    assert "call=1556891830.7 channel=1556891830.7 system=skarabee action=skarabee attempt=3 REFUSED" in caplog.text
    assert "call=1556891830.8 channel=1556891830.8 system=skarabee action=skarabee attempt=1 DELIVERED" in caplog.text
    for number in (CALLER, "056528998"):
        assert number not in caplog.text


# -- faults of ours -----------------------------------------------------------------------------------------------


def test_a_job_that_makes_no_sense_holds_up_no_other(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def keys_of(told: Notification) -> tuple[str, ...]:
        return (told.call, {"1.1": "a", "3.1": "b"}[told.call])

    monkeypatch.setitem(VENDORS, "noojee", replace(noojee.VENDOR, keys_of=keys_of))
    side = Side(path)
    for call in ("1.1", "2.1", "3.1"):
        side.add(recording("start", call))
    assert side.delivery.try_start()
    assert side.vendor.was_asked("start 1.1", "start 3.1")
    assert side.end_of(side.add(recording("stop", "3.1"))) == (State.DELIVERED, "")
    side.close()
    assert set(side.vendor.asked[:2]) == {"start 1.1", "start 3.1"}  # two lanes: either may be first
    assert side.vendor.asked[2:] == ["stop 3.1"]
    assert "job=2 is left alone: a fault in callsign itself: KeyError at delivery/test_deliverer.py:" in caplog.text


class FaultyOthers(DeliveryGate):
    """A fault of ours shows where they are to be told of a start, once, and of each end."""

    def __init__(self) -> None:
        self.begun = 0

    def start(self, lanes: Lanes) -> None:
        self.begun += 1
        if self.begun == 1:
            raise RuntimeError(CALLER)

    def ended(self, job: Job, state: State, reason: str) -> None:
        raise RuntimeError(CALLER)


def test_a_fault_of_ours_at_its_start_or_at_an_end_of_a_job_does_not_end_the_delivery(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(deliverer, "AFTER_FAULT_SECONDS", 0.01)
    others = FaultyOthers()
    side = Side(path, gate=others)
    side.delivery.start()
    for number in range(2 * noojee.VENDOR.concurrency):
        start, stop = (side.add(recording(action, f"{number}.1")) for action in ("start", "stop"))
        assert side.end_of(stop) == (State.DELIVERED, "")
        assert side.end_of(start) is not None
    assert others.begun == 2
    assert eventually(lambda: side.delivery.lanes.loads()["noojee"].jobs == 0)
    asked = list(side.vendor.asked)
    side.close()
    assert len(set(asked)) == len(asked), "what has ended is not sent again"
    assert caplog.text.count("delivery has not begun: a fault in callsign itself: RuntimeError at ") == 1
    assert CALLER not in caplog.text
