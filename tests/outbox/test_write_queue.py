"""What the store's writer takes and when: driven by hand, with a clock that stands."""

from __future__ import annotations

import threading
import time

import pytest

from callsign.outbox import write_queue
from callsign.outbox.jobs import put_of
from callsign.outbox.values import Change, Listen, Written
from callsign.outbox.write_queue import LEISURE_SECONDS, Incoming, Signal
from store_play import LONG_SECONDS, call_from

MOMENT = 1e-6


class Clock:
    """Stands still until it is moved."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(write_queue.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def change(number: int) -> list[Change]:
    return [(f"statement {number}", ())]


def test_the_first_change_is_taken_at_once(clock: Clock) -> None:
    incoming = Incoming()
    incoming.change(change(1))
    assert incoming.gather(LONG_SECONDS).changes == change(1)


def test_further_changes_wait_until_that_is_some_time_ago_and_then_go_together(clock: Clock) -> None:
    incoming = Incoming()
    incoming.change(change(1))
    incoming.gather(LONG_SECONDS)
    for number in (2, 3, 4):
        incoming.change(change(number))
    clock.now += LEISURE_SECONDS - MOMENT
    assert incoming.gather(MOMENT).is_empty
    clock.now += 2 * MOMENT
    assert incoming.gather(MOMENT).changes == change(2) + change(3) + change(4)


def test_a_writer_that_waits_long_looks_when_a_change_may_be_written() -> None:
    """On the real clock: nobody wakes it for a change that came too early."""
    incoming = Incoming()
    incoming.change(change(1))
    incoming.gather(LONG_SECONDS)
    incoming.change(change(2))
    began = time.monotonic()
    while not (group := incoming.gather(100 * LONG_SECONDS)).changes:
        assert time.monotonic() - began < LONG_SECONDS
    assert group.changes == change(2)


def test_a_call_is_taken_at_once_and_does_not_take_changes_along(clock: Clock) -> None:
    incoming = Incoming()
    incoming.change(change(1))
    incoming.gather(LONG_SECONDS)
    incoming.change(change(2))
    put = put_of(call_from("0470000001"))
    incoming.put(put)
    group = incoming.gather(LONG_SECONDS)
    assert group.puts == [put]
    assert not group.changes


@pytest.mark.parametrize("item", [Listen(None), Written(), Signal.LAST])
def test_who_waits_until_all_is_written_takes_the_changes_along(clock: Clock, item: Listen | Written | Signal) -> None:
    incoming = Incoming()
    incoming.change(change(1))
    incoming.gather(LONG_SECONDS)
    for number in range(2 * write_queue.MOST_IN_A_GROUP):
        incoming.change(change(number))
    incoming.put(item)
    assert len(incoming.gather(LONG_SECONDS).changes) == 2 * write_queue.MOST_IN_A_GROUP


def test_many_changes_go_in_several_groups(clock: Clock) -> None:
    incoming = Incoming()
    for number in range(write_queue.MOST_IN_A_GROUP + 1):
        incoming.change(change(number))
    assert len(incoming.gather(LONG_SECONDS).changes) == write_queue.MOST_IN_A_GROUP
    clock.now += LEISURE_SECONDS
    assert len(incoming.gather(MOMENT).changes) == 1


def test_only_who_got_nothing_for_all_the_time_has_waited_in_vain(clock: Clock) -> None:
    incoming = Incoming()
    assert incoming.gather(MOMENT).waited
    incoming.put(Signal.WAKE)
    group = incoming.gather(MOMENT)
    assert group.is_empty
    assert not group.waited


def test_no_change_of_many_threads_is_left_behind() -> None:
    incoming = Incoming()
    threads, each = 4, 2000

    def work() -> None:
        for number in range(each):
            incoming.change(change(number))

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    found = 0
    end = time.monotonic() + LONG_SECONDS
    while found < threads * each and time.monotonic() < end:
        found += len(incoming.gather(LONG_SECONDS).changes)
    assert found == threads * each
