"""What the store's writer takes at once, and in which order."""

from __future__ import annotations

import threading

import pytest

from callsign.outbox import write_queue
from callsign.outbox.jobs import put_of
from callsign.outbox.values import Change, Listen, Written
from callsign.outbox.write_queue import Incoming, Signal
from store_play import LONG_SECONDS, call_from

MOMENT = 1e-6


def change(number: int) -> list[Change]:
    return [(f"statement {number}", ())]


def test_what_waits_goes_together_in_the_order_in_which_it_came() -> None:
    incoming = Incoming()
    put = put_of(call_from("0470000001"))
    for item in (change(1), put, change(2)):
        incoming.put(item)
    assert not incoming.is_free
    group = incoming.gather(LONG_SECONDS)
    assert (group.puts, group.changes) == ([put], change(1) + change(2))
    assert incoming.is_free


@pytest.mark.parametrize("item", [Listen(None), Written(), Signal.LAST])
def test_who_waits_until_all_is_written_stands_behind_all_that_came_before(item: Listen | Written | Signal) -> None:
    incoming = Incoming()
    for number in range(2 * write_queue.MOST_IN_A_GROUP):
        incoming.put(change(number))
    incoming.put(item)
    groups = [incoming.gather(LONG_SECONDS) for _ in range(3)]
    assert [bool(group.heard or group.last) for group in groups] == [False, False, True]
    assert sum(len(group.changes) for group in groups) == 2 * write_queue.MOST_IN_A_GROUP


def test_many_go_in_several_groups() -> None:
    incoming = Incoming()
    for number in range(write_queue.MOST_IN_A_GROUP):
        incoming.put(change(number))
    incoming.put(put_of(call_from("0470000001")))
    assert len(incoming.gather(LONG_SECONDS).changes) == write_queue.MOST_IN_A_GROUP
    assert len(incoming.gather(LONG_SECONDS).puts) == 1


def test_only_who_got_nothing_for_all_the_time_has_waited_in_vain() -> None:
    incoming = Incoming()
    group = incoming.gather(MOMENT)
    assert group.waited
    assert group.is_empty
    incoming.put(Signal.LOOK)
    group = incoming.gather(MOMENT)
    assert not group.waited
    assert not group.is_empty


def test_no_change_of_many_threads_is_left_behind() -> None:
    incoming = Incoming()
    threads, each = 4, 2000

    def work() -> None:
        for number in range(each):
            incoming.put(change(number))

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    found = 0
    while found < threads * each and not (group := incoming.gather(LONG_SECONDS)).waited:
        found += len(group.changes)
    assert found == threads * each
