"""What is to be told to the other hosts and has yet to be: new jobs, those of an outage, ends, attempts.

`put` is for any thread, the rest for the one that tells.
"""

from __future__ import annotations

import queue
from collections import deque

from callsign import clocks
from callsign.cluster.figures import Figures
from callsign.cluster.ledger import Entry, Key, Ledger, Note
from callsign.timed_get import get_within

MOST_AT_ONCE = 200
MOST_ENDS = 400
MOST_LATE = 20_000
"""So many that have ended may wait to be told; then the oldest are not told any more."""

END_SECONDS = 0.02
"""So long an end waits for new jobs to be told with: nobody waits for it yet but who stands behind it."""

NOTE_SECONDS = 0.5
"""An attempt is told so long behind the last one, or with what is told of the job later."""


class Pending:
    """In the order in which it came."""

    def __init__(self, ledger: Ledger, figures: Figures) -> None:
        self._ledger, self._figures = ledger, figures
        self._incoming: queue.SimpleQueue[Entry | Note | None] = queue.SimpleQueue()
        self._new: deque[Entry] = deque()
        self._late: deque[Entry] = deque()
        self._ends: deque[Entry] = deque()
        self._notes: dict[Key, Note] = {}
        self._note_at = 0.0
        self._most = MOST_AT_ONCE

    def put(self, item: Entry | Note | None) -> None:
        """A job that is new or has ended, or an attempt; None only wakes."""
        self._incoming.put(item)

    def gather(self, seconds: float, whole: bool) -> None:
        """Sorts what has come; waits up to `seconds` for the first, with `whole` so long whatever comes."""
        end = clocks.steady() + seconds
        while True:
            try:
                item = get_within(self._incoming, end - clocks.steady())
            except queue.Empty:
                return
            if isinstance(item, Note):
                self._notes[item.entry.key] = item
            elif item is not None and not item.is_published:
                self._new.append(item)
            elif item is not None and item.end is not None:
                self._notes.pop(item.key, None)
                self._ends.append(item)
            if item is None or not whole:
                end = 0.0

    def has_work(self, now: float) -> bool:
        """Whether something is to be told at once."""
        return bool(self._new or self._late or self._incoming.qsize()) or self._ends_are_due(now)

    def next_at(self, now: float) -> float:
        """When more may be: steady seconds."""
        ends = [now + 1.0]
        if self._ends:
            ends.append(self._ends[0].ended_at + END_SECONDS)
        if self._notes:
            ends.append(self._note_at)
        return min(ends)

    def _ends_are_due(self, now: float) -> bool:
        return bool(self._ends) and self._ends[0].ended_at + END_SECONDS <= now

    @property
    def has_ends(self) -> bool:
        """Whether any waits to be told."""
        return bool(self._ends)

    def take(self, now: float, all_ends: bool) -> tuple[list[Entry], list[Entry], list[Note]]:
        """What is to be told now: jobs, ends, attempts; `all_ends`: those too that would wait for company."""
        new = [self._next() for _ in range(min(self._most, len(self._new) + len(self._late)))]
        ends = []
        if new or all_ends or self._ends_are_due(now):
            ends = [self._ends.popleft() for _ in range(min(MOST_ENDS, len(self._ends)))]
        return new, ends, list(self._notes.values()) if now >= self._note_at else []

    def _next(self) -> Entry:
        return self._new.popleft() if self._new else self._late.popleft()

    def told(self, notes: list[Note], now: float) -> None:
        """These, and whatever was taken with them."""
        for note in notes:
            self._notes.pop(note.entry.key, None)
            self._note_at = now + NOTE_SECONDS
        self._most = min(2 * self._most, MOST_AT_ONCE)
        self._count()

    def put_back(self, new: list[Entry], ends: list[Entry], one_by_one: bool) -> None:
        """They were not told; `one_by_one`: for something in one of the new ones."""
        self._most = 1 if one_by_one else MOST_AT_ONCE
        self._late.extendleft(reversed(new))
        self._ends.extendleft(reversed(ends))
        while len(self._late) > MOST_LATE and self._late[0].end is not None:
            self._ledger.forget(self._late.popleft())
        self._count()

    def _count(self) -> None:
        self._figures.unpublished = len(self._new) + len(self._late)

    def add_end(self, entry: Entry) -> None:
        """Of one whose job has just been told."""
        self._ends.append(entry)
