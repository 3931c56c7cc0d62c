"""Several processes share a store: one delivers, all may store, and the next takes over when it is gone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from callsign.delivery import attempts, retry
from callsign.delivery.deliverer import Delivery
from callsign.notification import State
from callsign.outbox import writer
from callsign.outbox.outbox import Outbox
from side import Side
from store_play import (
    GONE,
    LONG_SECONDS,
    SETTINGS,
    WELL,
    Gate,
    OtherProcess,
    PlayedVendor,
    call_from,
    eventually,
    recording,
)

OTHER = """
import json, sys
from pathlib import Path
from callsign.delivery import retry as retry_schedule
from callsign.delivery.deliverer import Delivery
from callsign.outbox.outbox import Outbox
from store_play import GONE, LONG_SECONDS, SETTINGS, SILENT, WELL, Gate, PlayedVendor, call_from, recording

retry_schedule.FIRST_SECONDS = 0.01
vendor, gate = PlayedVendor(), Gate(WELL["noojee"])
outbox = Outbox(Path(sys.argv[1]))
delivery = Delivery(outbox, lambda: SETTINGS, vendor.send)
for line in sys.stdin:
    word, _, value = line.strip().partition(" ")
    if word == "deliver":
        said = delivery.try_start()
    elif word == "call":
        said = outbox.add(call_from(value), LONG_SECONDS).job
    elif word in ("start", "stop"):
        said = outbox.add(recording(word, value), LONG_SECONDS).job
    elif word == "hang":
        vendor.answers[value] = gate
        said = True
    elif word == "fail":
        vendor.answers[value] = GONE
        said = True
    elif word == "silence":
        vendor.answers[value] = SILENT
        said = True
    elif word == "reached":
        said = gate.reached.wait(LONG_SECONDS)
    elif word == "asked":
        said = vendor.was_asked_times(int(value)) and vendor.asked[: int(value)]
    elif word == "leave":
        gate.open()
        delivery.stop(LONG_SECONDS)
        said = True
    print(json.dumps(said), flush=True)
outbox.close()
"""


class Other(OtherProcess):
    """The other process: told what to do in a line, it answers when it is done."""

    def __init__(self, path: Path) -> None:
        super().__init__(OTHER, path)

    def does(self, line: str) -> object:
        self.say(line)
        return self.hear_json()


@pytest.fixture
def here(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Side]:
    monkeypatch.setattr(retry, "FIRST_SECONDS", 0.01)
    made = Side(path)
    yield made
    made.close()


@pytest.fixture
def other(path: Path) -> Iterator[Other]:
    with Other(path) as process:
        yield process


def test_only_one_process_delivers_and_a_call_waits_for_the_outcome_in_either(here: Side, other: Other) -> None:
    assert other.does("deliver") is True
    assert not here.delivery.try_start()
    job = here.outbox.add(call_from("0470000001")).job
    assert here.delivery.outcomes.wait_for(job, LONG_SECONDS) == (State.DELIVERED, "")
    assert other.does("asked 1") == ["skarabee 0470000001"]
    assert here.vendor.asked == []


def test_who_does_not_deliver_waits_no_longer_than_asked(here: Side, other: Other) -> None:
    assert other.does("deliver") is True
    assert other.does("hang start") is True
    job = here.outbox.add(recording("start", "1.1")).job
    assert other.does("reached") is True
    assert here.delivery.outcomes.wait_for(job, 0.1) is None
    assert other.does("leave") is True
    assert here.delivery.outcomes.wait_for(job, LONG_SECONDS) == (State.DELIVERED, "")


def test_a_job_of_another_process_rings_at_the_deliverers_door(
    here: Side, other: Other, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "QUIET_SECONDS", 100 * LONG_SECONDS)  # no look without a ring
    here.outbox.poll()
    assert here.delivery.try_start()
    assert here.delivery.seconds_to_next() is None
    for number in range(5):
        job = other.does(f"call 047000000{number}")
        assert isinstance(job, int)
        assert here.delivery.outcomes.wait_for(job, LONG_SECONDS) == (State.DELIVERED, "")


def test_a_job_of_another_process_is_found_where_there_can_be_no_socket(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 120) / "outbox.db"
    path.parent.mkdir()
    here = Side(path)
    assert here.delivery.try_start()
    with Other(path) as other:
        job = other.does("call 0470000001")
        assert isinstance(job, int)
        assert here.delivery.outcomes.wait_for(job, LONG_SECONDS) == (State.DELIVERED, "")
    here.close()


def test_the_stop_of_another_process_goes_behind_the_start_being_retried_here(here: Side, other: Other) -> None:
    assert here.delivery.try_start()
    here.vendor.answers["start"] = GONE
    start = here.outbox.add(recording("start", "1.1")).job
    assert here.vendor.was_asked_times(2)
    stop = other.does("stop 1.1")
    assert isinstance(stop, int)
    assert stop > start
    asked = len(here.vendor.asked)
    assert here.vendor.was_asked_times(asked + 1)
    here.vendor.answers.clear()
    assert eventually(lambda: here.delivery.outcomes.wait_for(stop, LONG_SECONDS) == (State.DELIVERED, ""))
    assert set(here.vendor.asked[:-1]) == {"start 1.1"}
    assert here.vendor.asked[-1] == "stop 1.1"


def test_the_order_holds_when_the_deliverer_dies_between_start_and_stop(here: Side, other: Other) -> None:
    assert other.does("deliver") is True
    assert other.does("fail start") is True
    here.outbox.add(recording("start", "1.1"))
    assert other.does("asked 2") == ["start 1.1"] * 2
    here.vendor.answers["start"] = GONE
    here.delivery.start()
    other.kill()
    stop = here.outbox.add(recording("stop", "1.1")).job
    assert here.vendor.was_asked_times(2)
    here.vendor.answers.clear()
    assert eventually(lambda: here.delivery.outcomes.wait_for(stop, LONG_SECONDS) == (State.DELIVERED, ""))
    assert here.vendor.asked[-1] == "stop 1.1"
    assert set(here.vendor.asked[:-1]) == {"start 1.1"}


@pytest.mark.parametrize("does", ["silence start", "hang start"])
def test_a_start_that_a_killed_deliverer_had_no_answer_to_has_its_stop_sent_twice(
    here: Side, other: Other, monkeypatch: pytest.MonkeyPatch, does: str
) -> None:
    monkeypatch.setattr(attempts, "AGAIN_SECONDS", 0.05)
    assert other.does("deliver") is True
    assert other.does(does) is True
    here.outbox.add(recording("start", "1.1", whose="201"))
    assert other.does("asked 1") == ["start 201"]
    here.delivery.start()
    other.kill()
    stop = here.outbox.add(recording("stop", "2.2", whose="201")).job
    assert eventually(lambda: here.reader.state_of(stop) == (State.DELIVERED, ""))
    assert here.vendor.asked == ["start 201", "stop 201", "stop 201"]


def test_that_holds_also_where_there_can_be_no_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "AGAIN_SECONDS", 0.05)
    path = tmp_path / ("x" * 120) / "outbox.db"
    path.parent.mkdir()
    here = Side(path)
    with Other(path) as other:
        assert other.does("deliver") is True
        assert other.does("hang start") is True
        here.outbox.add(recording("start", "1.1"))
        assert other.does("reached") is True
        other.kill()
    assert here.delivery.try_start()
    stop = here.outbox.add(recording("stop", "1.1")).job
    assert eventually(lambda: here.reader.state_of(stop) == (State.DELIVERED, ""))
    assert here.vendor.asked == ["start 1.1", "stop 1.1", "stop 1.1"]
    here.close()


def test_a_standby_takes_over_what_a_killed_deliverer_had_under_way(here: Side, other: Other) -> None:
    assert other.does("deliver") is True
    assert other.does("hang start") is True
    here.delivery.start()
    job = here.outbox.add(recording("start", "1.1")).job
    assert other.does("reached") is True
    assert here.vendor.asked == []
    other.kill()
    assert here.delivery.outcomes.wait_for(job, LONG_SECONDS) == (State.DELIVERED, "")
    assert here.vendor.asked == ["start 1.1"]


def test_a_standby_takes_over_from_one_who_leaves_in_order_and_repeats_nothing(here: Side, other: Other) -> None:
    assert other.does("deliver") is True
    here.delivery.start()
    for number in range(50):
        here.outbox.add(call_from(f"04700000{number:02}"))
    assert len(other.does("asked 50")) == 50  # type: ignore[arg-type]
    assert other.does("leave") is True
    job = here.outbox.add(recording("start", "1.1")).job
    assert here.delivery.outcomes.wait_for(job, LONG_SECONDS) == (State.DELIVERED, "")
    assert here.vendor.asked == ["start 1.1"]


def test_where_the_store_cannot_be_used_nobody_is_elected_until_it_can(tmp_path: Path) -> None:
    (tmp_path / "folder").touch()  # no folder yet, but a file
    here = Side(tmp_path / "folder" / "outbox.db")
    assert not here.delivery.try_start()
    here.delivery.start()
    assert here.delivery.outcomes.wait_for(1, 0.1) is None
    (tmp_path / "folder").unlink()
    assert eventually(lambda: here.outbox.add(call_from(), LONG_SECONDS).job)
    assert here.delivery.outcomes.wait_for(1, LONG_SECONDS) == (State.DELIVERED, "")
    here.close()


def test_two_deliverers_in_turn_lose_and_repeat_nothing(path: Path) -> None:
    vendor = PlayedVendor()
    number = 0
    adder = Outbox(path)
    for _ in range(10):
        outbox = Outbox(path)
        turn = Delivery(outbox, lambda: SETTINGS, vendor.send)
        assert turn.try_start()
        for _ in range(20):
            adder.add(call_from(f"047{number:07}"))
            number += 1
        turn.stop(LONG_SECONDS)
        outbox.close()
    last = Delivery(adder, lambda: SETTINGS, vendor.send)
    assert last.try_start()
    assert vendor.was_asked(*(f"skarabee 047{n:07}" for n in range(number)))
    last.stop(LONG_SECONDS)
    adder.close()
    assert sorted(vendor.asked) == [f"skarabee 047{n:07}" for n in range(number)]


def test_a_waiting_call_is_answered_by_the_delivery_that_its_own_process_takes_over(here: Side, other: Other) -> None:
    assert other.does("deliver") is True
    assert other.does("hang start") is True
    gate = Gate(WELL["noojee"])
    here.vendor.answers["start"] = gate
    here.delivery.start()
    job = here.outbox.add(recording("start", "1.1")).job
    assert other.does("reached") is True
    other.kill()
    assert gate.reached.wait(LONG_SECONDS)
    end = time.monotonic() + LONG_SECONDS
    gate.open()
    assert here.delivery.outcomes.wait_for(job, end - time.monotonic()) == (State.DELIVERED, "")
