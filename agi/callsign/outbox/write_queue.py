"""What waits for the store's writer, in the order in which it came; many share a commit."""

from __future__ import annotations

import queue
import threading

from callsign.outbox.values import Change, Listen, NewJob
from callsign.record import Record, field
from callsign.timed_get import get_within

MOST_IN_A_BATCH = 500  # rows; a larger transaction would make the calls behind it wait


Item = NewJob | Listen | threading.Event | list[Change] | None
"""Changes that came together are written in one transaction; an event is set when all before it is written, and what
other processes have stored is seen; None: no more will come."""


class Batch(Record, frozen=False):
    """What goes into one transaction."""

    new_jobs: list[NewJob] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    listens: list[Listen] = field(default_factory=list)
    waiting: list[threading.Event] = field(default_factory=list)  # of those who wait until all before them is written
    last: bool = False
    timed_out: bool = False  # nothing came in all the time given

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.new_jobs or self.changes or self.listens or self.waiting or self.last)

    @property
    def is_full(self) -> bool:
        """Whether what comes next has to wait for the next batch."""
        return len(self.new_jobs) + len(self.changes) >= MOST_IN_A_BATCH


class WriteQueue:
    """For any thread, but `next_batch`, which is the writer's."""

    def __init__(self) -> None:
        self._items: queue.SimpleQueue[Item] = queue.SimpleQueue()

    def put(self, item: Item) -> None:
        """The writer takes it as soon as it can."""
        self._items.put(item)

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits to be written."""
        return not self._items.qsize()

    def next_batch(self, seconds: float) -> Batch:
        """Returns what is to be written now; waits up to `seconds` for it."""
        batch = Batch()
        try:
            self._sort(get_within(self._items, seconds), batch)
        except queue.Empty:
            batch.timed_out = True
        while self._items.qsize() and not batch.is_full:
            self._sort(self._items.get_nowait(), batch)
        return batch

    def _sort(self, item: Item, batch: Batch) -> None:
        if isinstance(item, NewJob):
            batch.new_jobs.append(item)
        elif isinstance(item, list):
            batch.changes += item
        elif isinstance(item, Listen):
            batch.listens.append(item)
        elif isinstance(item, threading.Event):
            batch.waiting.append(item)
        else:
            batch.last = True
