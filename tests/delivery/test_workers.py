"""The threads of a lane: each job is dealt with, by no more threads than it takes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from callsign import clocks
from callsign.delivery import workers
from callsign.delivery.lane import Lane
from callsign.delivery.workers import LaneWorkers
from callsign.notification import Notification
from callsign.outbox.outbox import Job
from store_play import LONG_SECONDS
from waiting import wait_until

MOST = 4
LIFETIME_SECONDS = 60.0  # a worker watches for its end, too


class Desk:
    """Workers whose vendor answers at once, or, for jobs that are `held`, when the test lets it."""

    def __init__(self) -> None:
        self.workers = LaneWorkers(
            "vendor", MOST, Lane(MOST, lambda told: (told.call,), lambda newer, older: False), self._deal
        )
        self.begun: list[tuple[int, str]] = []  # job and thread
        self.ended: list[int] = []
        self.held: dict[int, threading.Event] = {}
        self.faulty: list[int] = []  # a job that is dealt with in vain, so often

    def _deal(self, lane: Lane, job: Job, superseded: bool) -> None:
        self.begun.append((job.id, threading.current_thread().name))
        if job.id in self.held:
            self.held[job.id].wait(LONG_SECONDS)
        if job.id in self.faulty:
            self.faulty.remove(job.id)
            raise RuntimeError("056528998")
        with lane.guard:
            lane.finish(job, verdict=True)
        self.ended.append(job.id)

    def add(self, *numbers: int, held: bool = False) -> None:
        """Jobs of calls of their own, at once."""
        with self.workers.lane.guard:
            for number in numbers:
                if held:
                    self.held[number] = threading.Event()
                told = Notification("skarabee", "skarabee", f"call {number}", {}, clocks.wall(), LIFETIME_SECONDS)
                self.workers.lane.add(Job(number, told, clocks.steady() + LIFETIME_SECONDS))
            self.workers.call()

    def jobs_begun(self) -> list[int]:
        return [number for number, _ in self.begun]

    def threads(self) -> set[str]:
        return {name for _, name in self.begun}

    def close(self) -> None:
        self.workers.stop()
        for event in self.held.values():
            event.set()
        self.workers.wait_until_idle(time.monotonic() + LONG_SECONDS)


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()
    yield made
    made.close()


def test_a_job_that_is_given_back_may_be_with_another_worker_before_the_first_is_through_with_it(desk: Desk) -> None:
    given_back, is_with_another = threading.Event(), threading.Event()
    deal, threads = desk._deal, []

    def give_back_first(lane: Lane, job: Job, superseded: bool) -> None:
        threads.append(threading.current_thread())
        if given_back.is_set():
            is_with_another.set()
            deal(lane, job, superseded)
            return
        with lane.guard:
            lane.give_back(job)
            lane.let_go(job)
            given_back.set()
            desk.workers.call()
        assert is_with_another.wait(LONG_SECONDS)

    desk.workers._deal_with = give_back_first
    desk.add(1, held=True)
    wait_until(lambda: desk.jobs_begun() == [1])
    wait_until(lambda: desk.workers._idle == desk.workers._threads - 1)  # the first is through
    desk.held[1].set()
    wait_until(lambda: desk.workers._idle == desk.workers._threads)
    assert [thread.is_alive() for thread in threads] == [True, True]


def test_a_job_behind_an_attempt_that_does_not_come_back_is_begun_by_another_worker(desk: Desk) -> None:
    desk.add(1, held=True)
    wait_until(lambda: desk.jobs_begun() == [1])
    for number in range(2, 6):  # each time another idle worker may be the one that watches
        desk.add(number)
        wait_until(lambda: desk.ended[-1:] == [number])  # noqa: B023 (used in this turn only)
    assert 1 not in desk.ended


def test_where_more_than_one_waits_further_workers_begin_at_once(desk: Desk) -> None:
    desk.add(*range(1, 9), held=True)
    wait_until(lambda: len(desk.begun) == MOST)
    assert len(desk.threads()) == MOST


def test_a_lane_that_was_idle_begins_at_once(desk: Desk) -> None:
    for number in range(1, 20):
        desk.add(number)
        wait_until(lambda: desk.ended[-1:] == [number])  # noqa: B023 (used in this turn only)


def test_every_job_of_a_crowd_is_dealt_with_once_by_no_more_threads_than_the_vendor_bears(desk: Desk) -> None:
    for number in range(1, 2001):
        desk.add(number)
    wait_until(lambda: len(desk.ended) == 2000)
    assert sorted(desk.jobs_begun()) == list(range(1, 2001))
    assert len(desk.threads()) <= MOST


def test_behind_a_stop_nothing_is_begun_and_what_is_under_way_is_waited_for(desk: Desk) -> None:
    desk.add(1, held=True)
    wait_until(lambda: desk.jobs_begun() == [1])
    desk.workers.stop()
    desk.add(2)
    desk.workers.wait_until_idle(time.monotonic())  # no time: it returns
    assert desk.ended == []
    waiter = threading.Thread(target=desk.workers.wait_until_idle, args=(time.monotonic() + LONG_SECONDS,))
    waiter.start()
    desk.held[1].set()
    waiter.join(LONG_SECONDS / 2)
    assert not waiter.is_alive()
    assert desk.jobs_begun() == [1]


def test_a_fault_of_ours_costs_neither_the_thread_nor_its_place_and_the_job_is_dealt_with_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(workers, "AFTER_FAULT_SECONDS", 0.01)
    desk.faulty = [number for number in range(1, 2 * MOST + 1) for _ in range(3)]
    desk.add(*range(1, 2 * MOST + 1))
    wait_until(lambda: sorted(desk.ended) == list(range(1, 2 * MOST + 1)))
    assert len(desk.threads()) <= MOST
    wait_until(lambda: desk.workers._idle == desk.workers._threads)
    assert desk.workers.lane.in_flight == 0
    assert desk.workers._began == {}
    assert "job=1 system=vendor: a fault in callsign itself: RuntimeError at delivery/test_workers.py:" in caplog.text
    assert "056528998" not in caplog.text


def test_a_fault_of_ours_in_the_choice_of_the_next_job_does_not_end_the_thread(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(workers, "AFTER_FAULT_SECONDS", 0.01)
    take, faults = desk.workers.lane.take, [RuntimeError("056528998"), MemoryError()]

    def take_in_vain(now: float) -> Job | None:
        if faults:
            raise faults.pop()
        return take(now)

    monkeypatch.setattr(desk.workers.lane, "take", take_in_vain)
    desk.add(1)
    wait_until(lambda: desk.ended == [1])
    assert len(desk.threads()) == 1
    assert caplog.text.count("system=vendor: a fault in callsign itself: ") == 2
