"""The jobs that this host has a hand in, and what happens to each: the one place where a life goes on (see life)."""

from __future__ import annotations

import threading
from collections.abc import Callable

from callsign import clocks
from callsign.cluster.figures import Figures
from callsign.cluster.life import OPEN, Event, Life, after
from callsign.delivery.gate import Lanes
from callsign.notification import State
from callsign.outbox.outbox import Job
from callsign.record import Record

Key = tuple[str, int]
"""A job among all hosts: its home's store, and its number there."""

LAST_SECONDS, LAST_SHARE = 5.0, 0.1
"""So long before its end, and no more than that share of its life, a job goes out though nobody says it is ours."""


class Entry(Record, frozen=False):
    """One of these jobs."""

    job: Job
    key: Key
    home: str  # the host that was told
    patience_ends: float  # in Patience's seconds: so long a new one waits for the database's answer
    life: Life = Life.NEW
    is_found: bool = False  # it lay in our store before a call was answered: the others may know of it
    is_published: bool = False
    was_offered: bool = False  # the database had it as nobody's
    end: tuple[State, str] | None = None  # how it has ended here
    ended_at: float = 0.0  # steady seconds

    @property
    def tried(self) -> bool:
        """Whether an attempt was made here."""
        return self.job.attempts > 0

    def is_last_call(self, now: float) -> bool:
        """Whether its time is nearly over."""
        lifetime = self.job.notification.lifetime_seconds
        return now >= self.job.steady_deadline - min(LAST_SECONDS, LAST_SHARE * lifetime)


class Note(Record):
    """An attempt without a verdict."""

    entry: Entry
    due: float  # steady seconds: the next attempt
    reason: str


class Ledger:
    """For any thread.  What a life has become is told to the lanes one after the other, and never under `_guard`."""

    def __init__(self, lanes: Lanes, figures: Figures) -> None:
        self._lanes = lanes
        self._figures = figures
        self._entries: dict[Key, Entry] = {}
        self._by_job: dict[int, Entry] = {}
        self._in: dict[Life, dict[Key, Entry]] = {life: {} for life in Life}
        self._guard = threading.Lock()
        self._acting = threading.Lock()
        self._forgotten = threading.Condition(self._guard)
        self._waiting = 0

    def add(self, entry: Entry) -> None:
        """From now on it is known here."""
        with self._guard:
            self._entries[entry.key] = self._by_job[entry.job.id] = self._in[entry.life][entry.key] = entry

    def forget(self, entry: Entry) -> None:
        """It has ended, and the others know that, or never will."""
        with self._guard:
            if self._entries.get(entry.key) is entry:
                del self._entries[entry.key]
                self._in[entry.life].pop(entry.key, None)
            self._by_job.pop(entry.job.id, None)
            if self._waiting:
                self._forgotten.notify_all()

    def of(self, job: Job) -> Entry | None:
        """What is known of that job of a lane's."""
        return self._by_job.get(job.id)

    def get(self, key: Key) -> Entry | None:
        """What is known of it."""
        return self._entries.get(key)

    def all(self, *lives: Life) -> list[Entry]:
        """Those that stand there now; without `lives` all of them."""
        with self._guard:
            return [entry for life in lives or Life for entry in self._in[life].values()]

    def has(self, *lives: Life) -> bool:
        """Whether any stands there."""
        return any(self._in[life] for life in lives)

    def _move(self, entry: Entry, event: Event) -> bool:
        """Whether it stands elsewhere by that."""
        life = after(entry.life, event)
        if life is entry.life:
            return False
        if self._in[entry.life].pop(entry.key, None) is not None:
            self._in[life][entry.key] = entry
        entry.life = life
        return True

    def happen(self, entry: Entry, event: Event, word: tuple[State, str] = (State.DUPLICATE, "")) -> None:
        """That has happened to it; `word` is how it ends by that, where it does."""
        with self._guard:
            if not self._move(entry, event):
                return
            self._figures.alone += entry.life is Life.ALONE
            self._figures.lost += entry.life is Life.LOST
        with self._acting:
            self._act(entry, word)

    def _act(self, entry: Entry, word: tuple[State, str]) -> None:
        life = entry.life  # as it is by now: whoever changed it meanwhile acts behind us, and on the same
        if life in (Life.MINE, Life.ALONE):
            self._lanes.let_go(entry.job)
        elif life in (Life.BEHIND, Life.EARLY):
            self._lanes.hold(entry.job)
        elif life is Life.OFFERED:
            self._lanes.leave(entry.job)
        elif life not in (*OPEN, Life.ENDED):
            self._lanes.give_up(entry.job, *word)

    def may_send(self, job: Job, lease_is_valid: bool) -> bool:
        """Whether an attempt may begin.  With the guard of its lane held, which holds the job again if not."""
        with self._guard:
            entry = self._by_job.get(job.id)
            if entry is None:
                return True  # of a store that was read before the cluster was there
            if not lease_is_valid:
                self._move(entry, Event.LAPSE)
            return entry.life in (Life.MINE, Life.ALONE)

    def end(self, job: Job, state: State, reason: str) -> Entry | None:
        """It has ended here; the entry where the others are to hear of it."""
        entry = self._by_job.get(job.id)
        if entry is None:
            return None
        entry.end, entry.ended_at = (state, reason), clocks.steady()
        if entry.life in (Life.LOST, Life.DUPLICATE):
            self.forget(entry)
            return None
        self.happen(entry, Event.END)
        return entry

    def wait_known(self, job: Job, seconds: float, is_silent: Callable[[], bool]) -> None:
        """Returns when the others know of its end, or are not to hear of it soon, or after `seconds`."""
        end = clocks.steady() + seconds
        with self._guard:
            self._waiting += 1
            while job.id in self._by_job and not is_silent() and (left := end - clocks.steady()) > 0:
                self._forgotten.wait(left)
            self._waiting -= 1

    def silence(self) -> None:
        """No answer is to be expected: nobody waits for an end to be known."""
        with self._guard:
            self._forgotten.notify_all()
