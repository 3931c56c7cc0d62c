"""`retry` and `drop`: what somebody at the shell changes in a store that others may be using."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from callsign import clocks
from callsign.delivery.deliverer import Delivery
from callsign.http.messages import Answer
from callsign.notification import Notification, State
from callsign.outbox import edits
from callsign.outbox.doorbell import Doorbell
from callsign.outbox.edits import Edit, Wish, drop, retry
from callsign.outbox.lock import FileLock
from callsign.outbox.outbox import Job, Outbox, OutboxError
from callsign.outbox.reader import OutboxReader
from callsign.record import replace
from store_play import (
    CALLER,
    GONE,
    LONG_SECONDS,
    SETTINGS,
    SILENT,
    WELL,
    Gate,
    PlayedVendor,
    call_from,
    eventually,
    recording,
)

NO_KEY = Answer(200, {}, b'{"Message":"","Status":"NO_HASH_KEY_AVAILABLE"}')


def ended(outbox: Outbox, told: Notification, state: State, reason: str = "") -> int:
    """A job that has ended so, in a store to which nobody listens any more."""
    jobs: list[Job] = []
    outbox.listen(jobs.extend)
    job = outbox.add(told, LONG_SECONDS).job
    assert eventually(lambda: any(one.id == job for one in jobs))
    outbox.end(next(one for one in jobs if one.id == job), state, reason)
    outbox.stop_listening(LONG_SECONDS)
    return job


def open_jobs(path: Path) -> list[Job]:
    reader = OutboxReader(path)
    try:
        return reader.open_jobs(0, 1000, 1000)[0]
    finally:
        reader.close()


@pytest.mark.parametrize("state", [State.REFUSED, State.EXPIRED, State.DROPPED])
def test_a_failed_job_goes_out_once_more_as_the_same_notification(
    path: Path, outbox: Outbox, reader: OutboxReader, state: State
) -> None:
    told = call_from()
    job = ended(outbox, told, state, "HASH_MISMATCH")
    assert retry(path, [job]) == [Edit(job, True, "goes out once more as job 2", 2)]
    (again,) = open_jobs(path)
    same = again.notification
    assert (same.system, same.action, same.call, same.created_at) == (
        told.system,
        told.action,
        told.call,
        told.created_at,
    )
    assert dict(same.facts) == dict(told.facts)
    assert same.lifetime_seconds == told.lifetime_seconds
    assert again.steady_deadline == pytest.approx(clocks.steady() + told.lifetime_seconds, abs=LONG_SECONDS)
    assert reader.state_of(job) == (State.RETRIED, "as job 2")
    assert [line.event for line in reader.history_of(job)] == [state.value, "retried"]
    assert [(line.event, line.reason) for line in reader.history_of(2)] == [("retry", "of job 1")]


@pytest.mark.parametrize(
    ("state", "words"), [(State.DELIVERED, "did not fail: delivered"), (State.SUPERSEDED, "did not fail: superseded")]
)
def test_what_did_not_fail_stays_where_it_is(path: Path, outbox: Outbox, state: State, words: str) -> None:
    job = ended(outbox, call_from(), state)
    (edit,) = retry(path, [job])
    assert not edit.done
    assert words in edit.words
    assert open_jobs(path) == []


def test_a_job_is_retried_once_and_says_so(path: Path, outbox: Outbox) -> None:
    job = ended(outbox, call_from(), State.REFUSED)
    assert retry(path, [job])[0].done
    (edit,) = retry(path, [job])
    assert (edit.done, edit.words) == (False, "it did not fail: retried as job 2")
    assert len(open_jobs(path)) == 1


def test_what_is_of_no_use_any_more_is_not_retried_because_it_would_hit_another_call(
    path: Path, outbox: Outbox
) -> None:
    told = recording("stop", "201", lifetime=10.0)
    late = Notification(told.system, told.action, told.call, told.facts, told.created_at - 11, told.lifetime_seconds)
    job = ended(outbox, late, State.EXPIRED)
    (edit,) = retry(path, [job])
    assert not edit.done
    assert edit.words.startswith("its time was over at ")
    assert open_jobs(path) == []


def test_a_failed_job_whose_text_is_damaged_keeps_no_other_from_being_retried(path: Path, outbox: Outbox) -> None:
    jobs = [ended(outbox, call_from(f"047812345{number}"), State.REFUSED) for number in range(2)]
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE ended SET reason = CAST(x'ff' AS TEXT) WHERE id = ?", (jobs[0],))
    assert [edit.done for edit in retry(path, jobs)] == [True, True]


def test_a_waiting_job_and_one_that_is_not_there_cannot_be_retried(path: Path, outbox: Outbox) -> None:
    outbox.add(call_from())
    assert [edit.words for edit in retry(path, [1, 7])] == [
        "it waits for its next attempt already",
        "there is no such job",
    ]


def test_a_waiting_job_is_given_up_and_says_so(path: Path, outbox: Outbox, reader: OutboxReader) -> None:
    outbox.add(call_from())
    (edit,) = drop(path, [1])
    assert edit.done
    assert reader.state_of(1) == (State.DROPPED, "given up by the administrator")
    assert [line.event for line in reader.history_of(1)] == ["dropped"]
    assert [(one.done, one.words) for one in drop(path, [1, 7])] == [
        (False, "it has ended already: dropped"),
        (False, "there is no such job"),
    ]


@pytest.mark.parametrize("wish", [retry, drop])
def test_calls_are_stored_between_while_much_is_retried_or_dropped(
    path: Path, outbox: Outbox, monkeypatch: pytest.MonkeyPatch, wish: Wish
) -> None:
    jobs = [ended(outbox, call_from(f"047812345{number}"), State.REFUSED) for number in range(5)]
    stored: list[int] = []

    def call_comes(_: float) -> None:
        stored.append(outbox.add(call_from(f"047812346{len(stored)}")).job)

    monkeypatch.setattr(edits, "AT_ONCE", 2)
    monkeypatch.setattr(edits, "time", SimpleNamespace(sleep=call_comes))
    assert [edit.done for edit in wish(path, jobs)] == 5 * [True]
    assert len(stored) == 2


def test_no_store_is_made_where_there_is_none(path: Path) -> None:
    for edit in (retry, drop):
        with pytest.raises(OutboxError, match="there is no store at"):
            edit(path, [1])
    assert list(path.parent.iterdir()) == []


def test_a_store_that_others_keep_for_long_is_told(path: Path, outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("callsign.outbox.edits.LOCK_SECONDS", 0.05)
    outbox.add(call_from())
    others = FileLock(path.with_name("outbox.db.lock"))
    with others.held(LONG_SECONDS), pytest.raises(OutboxError, match="cannot be written"):
        drop(path, [1])
    others.close()


# -- with somebody who delivers ----------------------------------------------------------------------------


@pytest.fixture
def vendor() -> PlayedVendor:
    return PlayedVendor()


@pytest.fixture
def delivery(outbox: Outbox, vendor: PlayedVendor) -> Iterator[Delivery]:
    made = Delivery(outbox, lambda: SETTINGS, vendor.send)
    assert made.try_start()
    yield made
    made.stop(LONG_SECONDS)


def test_a_retried_job_rings_at_the_deliverers_door(path: Path, outbox: Outbox) -> None:
    job = ended(outbox, call_from(), State.REFUSED)
    rung = threading.Event()
    bell = Doorbell(path, rung.set)
    assert retry(path, [job])[0].done
    assert rung.wait(LONG_SECONDS), "it would wait for the deliverer's next look at the store"
    bell.close()


def test_the_deliverer_takes_a_retried_job_at_once(
    path: Path, outbox: Outbox, delivery: Delivery, vendor: PlayedVendor, reader: OutboxReader
) -> None:
    vendor.answers["skarabee"] = NO_KEY
    job = outbox.add(call_from(), LONG_SECONDS).job
    assert eventually(lambda: reader.state_of(job) != (State.WAITING, ""))
    vendor.answers.clear()
    assert retry(path, [job])[0].done
    assert vendor.was_asked_times(2)
    assert vendor.asked == [f"skarabee {CALLER}"] * 2
    assert eventually(lambda: reader.state_of(2) == (State.DELIVERED, ""))


def test_the_deliverer_does_not_try_a_dropped_job_again_and_the_next_of_its_call_goes_on(
    path: Path, outbox: Outbox, delivery: Delivery, vendor: PlayedVendor, reader: OutboxReader
) -> None:
    vendor.answers["start"] = GONE
    start = outbox.add(recording("start", "7.1"), LONG_SECONDS).job
    assert vendor.was_asked("start 7.1")
    stop = outbox.add(recording("stop", "7.1"), LONG_SECONDS).job
    assert drop(path, [start])[0].done
    asked = vendor.asked.count("start 7.1")
    assert vendor.was_asked("stop 7.1")
    assert eventually(lambda: reader.state_of(stop) == (State.DELIVERED, ""))
    assert vendor.asked.count("start 7.1") <= asked + 1  # one may have been under way
    assert reader.state_of(start) == (State.DROPPED, "given up by the administrator")


@pytest.mark.parametrize(("found", "age"), [(True, 0.0), (False, 2.0)], ids=["found at the start", "after a while"])
def test_a_job_that_is_dropped_before_it_was_ever_tried_is_not_sent(
    path: Path, outbox: Outbox, vendor: PlayedVendor, reader: OutboxReader, found: bool, age: float
) -> None:
    gate = Gate(WELL["noojee"])
    vendor.answers["start"] = gate
    delivery = Delivery(outbox, lambda: SETTINGS, vendor.send)
    commands = recording("start", "7.1"), recording("stop", "7.1")
    start, stop = (replace(one, created_at=one.created_at - age) for one in commands)
    if found:
        outbox.add(start, LONG_SECONDS)
    else:
        assert delivery.try_start()
        outbox.add(start, LONG_SECONDS)
        assert gate.reached.wait(LONG_SECONDS)  # else the stop supersedes it
    stop_job = outbox.add(stop, LONG_SECONDS).job
    if found:
        assert delivery.try_start()
    assert gate.reached.wait(LONG_SECONDS)
    assert eventually(lambda: delivery.newest_seen == stop_job)
    assert drop(path, [stop_job])[0].done
    gate.open()
    last = outbox.add(recording("start", "7.1"), LONG_SECONDS).job
    assert delivery.outcomes.wait_for(last, LONG_SECONDS) == (State.DELIVERED, "")
    assert vendor.asked == ["start 7.1", "start 7.1"]
    assert reader.state_of(stop_job) == (State.DROPPED, "given up by the administrator")
    delivery.stop(LONG_SECONDS)


def test_a_call_that_waits_for_a_dropped_job_goes_on(
    path: Path, outbox: Outbox, delivery: Delivery, vendor: PlayedVendor
) -> None:
    vendor.answers["skarabee"] = SILENT  # one that cannot be reached holds no call
    job = outbox.add(call_from(), LONG_SECONDS).job
    assert vendor.was_asked_times(1)
    drop(path, [job])
    assert delivery.outcomes.wait_for(job, LONG_SECONDS) == (State.DROPPED, "given up by the administrator")


def test_what_was_dropped_while_the_vendor_took_it_stays_dropped(
    path: Path, outbox: Outbox, delivery: Delivery, vendor: PlayedVendor, reader: OutboxReader
) -> None:
    gate = Gate(WELL["skarabee"])
    vendor.answers["skarabee"] = gate
    job = outbox.add(call_from(), LONG_SECONDS).job
    assert gate.reached.wait(LONG_SECONDS)
    assert "may still reach the vendor" in drop(path, [job])[0].words
    gate.open()
    assert delivery.outcomes.wait_for(job, LONG_SECONDS) == (State.DELIVERED, "")
    delivery.stop(LONG_SECONDS)
    assert reader.state_of(job) == (State.DROPPED, "given up by the administrator")
