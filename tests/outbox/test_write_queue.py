"""What the store's writer takes at once, and in which order."""

from __future__ import annotations

import threading

import pytest

from callsign.outbox import write_queue
from callsign.outbox.jobs import new_job_of
from callsign.outbox.values import Change, Listen
from callsign.outbox.write_queue import Item, WriteQueue
from store_play import LONG_SECONDS, call_from

MOMENT = 1e-6


def change(number: int) -> list[Change]:
    return [(f"statement {number}", ())]


def test_what_waits_goes_together_in_the_order_in_which_it_came() -> None:
    queue = WriteQueue()
    new = new_job_of(call_from("0470000001"))
    for item in (change(1), new, change(2)):
        queue.put(item)
    assert not queue.is_empty
    batch = queue.next_batch(LONG_SECONDS)
    assert (batch.new_jobs, batch.changes) == ([new], change(1) + change(2))
    assert queue.is_empty


@pytest.mark.parametrize("item", [Listen(None), threading.Event(), None])
def test_who_waits_until_all_is_written_stands_behind_all_that_came_before(
    item: Item,
) -> None:
    queue = WriteQueue()
    for number in range(2 * write_queue.MOST_IN_A_BATCH):
        queue.put(change(number))
    queue.put(item)
    batches = [queue.next_batch(LONG_SECONDS) for _ in range(3)]
    assert [bool(batch.listens or batch.waiting or batch.last) for batch in batches] == [False, False, True]
    assert sum(len(batch.changes) for batch in batches) == 2 * write_queue.MOST_IN_A_BATCH


def test_many_go_in_several_groups() -> None:
    queue = WriteQueue()
    for number in range(write_queue.MOST_IN_A_BATCH):
        queue.put(change(number))
    queue.put(new_job_of(call_from("0470000001")))
    assert len(queue.next_batch(LONG_SECONDS).changes) == write_queue.MOST_IN_A_BATCH
    assert len(queue.next_batch(LONG_SECONDS).new_jobs) == 1


def test_only_who_got_nothing_for_all_the_time_has_waited_in_vain() -> None:
    queue = WriteQueue()
    batch = queue.next_batch(MOMENT)
    assert batch.timed_out
    assert batch.is_empty
    queue.put(threading.Event())
    batch = queue.next_batch(MOMENT)
    assert not batch.timed_out
    assert not batch.is_empty


def test_no_change_of_many_threads_is_left_behind() -> None:
    queue = WriteQueue()
    threads, each = 4, 2000

    def work() -> None:
        for number in range(each):
            queue.put(change(number))

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    found = 0
    while found < threads * each and not (batch := queue.next_batch(LONG_SECONDS)).timed_out:
        found += len(batch.changes)
    assert found == threads * each
