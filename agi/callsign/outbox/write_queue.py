"""What waits for the store's writer: calls at once, what came of jobs at leisure, so that many share a commit."""

from __future__ import annotations

import queue
import threading
import time
from enum import Enum, auto

from callsign.outbox.values import Change, Listen, Put, Written
from callsign.record import Record, field

MOST_IN_A_GROUP = 500

LEISURE_SECONDS = 0.01
"""What came of a job is written at once, but then not again for so long.

Under load a fifth of the processor time of a call, and the writer is seldom in a call's way.  What it risks:
after a kill -9, jobs that ended in this time are sent again.
"""


class Signal(Enum):
    """What else the writer may be told."""

    WAKE = auto()  # something changed that its waiting depends on
    LOOK = auto()  # another process may have stored something
    LAST = auto()  # no more will come


class Group(Record, frozen=False):
    """What goes into one transaction."""

    puts: list[Put] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    listens: list[Listen] = field(default_factory=list)
    heard: list[threading.Event] = field(default_factory=list)  # of those who wait until all before them is written
    look: bool = False
    last: bool = False
    waited: bool = False  # in vain, for all the time given

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do for it."""
        return not (self.puts or self.changes or self.heard or self.look or self.last)

    @property
    def takes_all(self) -> bool:
        """Whether somebody waits until everything before it is written."""
        return self.last or bool(self.heard)


class Incoming:
    """For any thread, but `gather`, which is the writer's."""

    def __init__(self) -> None:
        self._urgent: queue.SimpleQueue[Put | Listen | Written | Signal] = queue.SimpleQueue()
        self._leisurely: queue.SimpleQueue[list[Change]] = queue.SimpleQueue()
        self._asked = False  # whether the writer is to look at what is leisurely
        self._not_before = 0.0

    def put(self, item: Put | Listen | Written | Signal) -> None:
        """The writer takes it as soon as it can."""
        self._urgent.put(item)

    def change(self, changes: list[Change]) -> None:
        """All of them in one transaction, within `LEISURE_SECONDS`."""
        self._leisurely.put(changes)
        if not self._asked:
            self._asked = True
            if time.monotonic() >= self._not_before:  # else the writer looks by itself when that is over
                self._urgent.put(Signal.WAKE)

    @property
    def is_free(self) -> bool:
        """Whether nobody stands before one who comes now."""
        return not self._urgent.qsize()

    def gather(self, seconds: float) -> Group:
        """What is to be written now; waits up to `seconds` for it, or until a signal comes."""
        group = Group()
        leisure = self._not_before - time.monotonic()
        try:
            self._sort(self._urgent.get(timeout=min(seconds, leisure) if leisure > 0 else seconds), group)
        except queue.Empty:
            group.waited = leisure <= 0 or seconds <= leisure
        while self._urgent.qsize() and len(group.puts) < MOST_IN_A_GROUP:
            self._sort(self._urgent.get_nowait(), group)
        if self._asked and (group.takes_all or time.monotonic() >= self._not_before):
            self._take_leisurely(group)
        return group

    def _sort(self, item: Put | Listen | Written | Signal, group: Group) -> None:
        if isinstance(item, Put):
            group.puts.append(item)
        elif isinstance(item, Listen | Written):
            group.heard.append(item.heard)
            if isinstance(item, Listen):
                group.listens.append(item)
        elif item is Signal.LAST:
            group.last = True
        elif item is Signal.LOOK:
            group.look = True

    def _take_leisurely(self, group: Group) -> None:
        self._not_before = time.monotonic() + LEISURE_SECONDS
        self._asked = False  # before the look: whoever comes too late for it asks again
        while self._leisurely.qsize() and (group.takes_all or len(group.changes) < MOST_IN_A_GROUP):
            group.changes += self._leisurely.get_nowait()
        if self._leisurely.qsize():
            self._asked = True
