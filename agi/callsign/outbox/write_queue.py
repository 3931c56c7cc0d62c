"""What waits for the store's writer, in the order in which it came; many share a commit."""

from __future__ import annotations

import queue
import threading
from enum import Enum, auto

from callsign.outbox.values import Change, Listen, Put, Written
from callsign.record import Record, field

MOST_IN_A_GROUP = 500


class Signal(Enum):
    """What else the writer may be told."""

    LOOK = auto()  # another process may have stored something
    LAST = auto()  # no more will come


Item = Put | Listen | Written | Signal | list[Change]
"""Changes that came together are written in one transaction."""


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
    def is_full(self) -> bool:
        """Whether what comes next has to wait for the next one."""
        return len(self.puts) + len(self.changes) >= MOST_IN_A_GROUP


class Incoming:
    """For any thread, but `gather`, which is the writer's."""

    def __init__(self) -> None:
        self._items: queue.SimpleQueue[Item] = queue.SimpleQueue()

    def put(self, item: Item) -> None:
        """The writer takes it as soon as it can."""
        self._items.put(item)

    @property
    def is_free(self) -> bool:
        """Whether nobody stands before one who comes now."""
        return not self._items.qsize()

    def gather(self, seconds: float) -> Group:
        """What is to be written now; waits up to `seconds` for it."""
        group = Group()
        try:
            self._sort(self._items.get(timeout=seconds), group)
        except queue.Empty:
            group.waited = True
        while self._items.qsize() and not group.is_full:
            self._sort(self._items.get_nowait(), group)
        return group

    def _sort(self, item: Item, group: Group) -> None:
        if isinstance(item, Put):
            group.puts.append(item)
        elif isinstance(item, list):
            group.changes += item
        elif isinstance(item, Listen | Written):
            group.heard.append(item.heard)
            if isinstance(item, Listen):
                group.listens.append(item)
        elif item is Signal.LAST:
            group.last = True
        elif item is Signal.LOOK:
            group.look = True
