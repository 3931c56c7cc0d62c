"""Tells the others by way of the database: new jobs before they are sent, ends and attempts behind, many at once.

What has no answer stays here and is told later, also when it has ended: the others are to know who was notified.
"""

from __future__ import annotations

import logging
import threading
from collections import deque

from callsign import clocks
from callsign.cluster.answers import Answer, is_nobodys, is_of, meaning
from callsign.cluster.connection import LIMIT_SECONDS, DatabaseFault
from callsign.cluster.figures import Figures
from callsign.cluster.known import Known
from callsign.cluster.ledger import Entry, Key, Ledger, Note
from callsign.cluster.life import Event, Life
from callsign.cluster.membership import BEAT_SECONDS
from callsign.cluster.pending import MOST_AT_ONCE, Pending
from callsign.cluster.telling import Telling
from callsign.cluster.trouble import Trouble
from callsign.log_text import place_of
from callsign.notification import State

ASKED_AGAIN = Life.BEHIND, Life.EARLY, Life.OFFERED
BEHIND_SECONDS = 0.05
"""So often the database is asked about those."""

GATHER_SECONDS = 0.005
"""Between two exchanges: of 300 notifications a second two go together, and the calls have less work beside them."""

AGAIN_SECONDS = 0.5
"""Behind a fault the next exchange is so much later."""

APART_SECONDS = BEAT_SECONDS + LIMIT_SECONDS
"""So much later than another one a host may notice that the database is silent: by its next beat at the latest."""

REMEMBER_SECONDS = 60.0
"""What has ended and was told is told again where a failover may have forgotten it."""

log = logging.getLogger("callsign.cluster")


class Publishing:
    """One thread's; `publish`, `end` and `note` are for any."""

    def __init__(
        self,
        telling: Telling,
        ledger: Ledger,
        me: str,
        adopting: threading.Lock,
        trouble: Trouble,
        figures: Figures,
        known: Known,
    ) -> None:
        """With `adopting` held somebody puts others' jobs onto the lanes: no answer is heeded meanwhile."""
        self._has_failed = False
        self._failing_since = 0.0
        self.answers = threading.Event()
        """Set when the database answers again: without a lease at once a job would be told, and held all the same."""
        self.may_begin = threading.Event()
        """Set when we have joined, or cannot: what a host tells that counts as dead is taken from it at once."""
        self.has_stopped = threading.Event()
        self.is_out = False
        """Whether nothing is to be told, for who we are is not sure."""
        self.recent: deque[Entry] = deque()
        """What has ended lately and was told."""
        self._telling, self._ledger, self._me = telling, ledger, me
        self._known, self._adopting, self._trouble, self._figures = known, adopting, trouble, figures
        self._pending = Pending(ledger, figures)
        self._look_at = 0.0
        self._stopping = threading.Event()

    @property
    def is_silent(self) -> bool:
        """Whether no answer is to be expected: nobody waits for one then."""
        return self._has_failed or self.is_out

    @property
    def is_silent_for_us_alone(self) -> bool:
        """Whether another host may not have noticed yet that the database is silent."""
        return self._has_failed and clocks.steady() < self._failing_since + APART_SECONDS

    def has_no_answer(self) -> None:
        """An exchange has had none, maybe one of the rounds: who has nothing to tell notices the silence, too."""
        if not self._has_failed:
            self._failing_since = clocks.steady()
        self._has_failed = self._figures.is_silent = True
        self._known.silence()

    def publish(self, entry: Entry) -> None:
        """A new job, or one that the database has forgotten."""
        self._pending.put(entry)

    def end(self, entry: Entry) -> None:
        """It has ended here."""
        self._pending.put(entry)

    def note(self, note: Note) -> None:
        """An attempt had no verdict."""
        self._pending.put(note)

    def stop(self) -> None:
        """The thread ends when all is told, or cannot be."""
        self._stopping.set()
        self.may_begin.set()
        self._pending.put(None)

    def run(self) -> None:
        """The thread's work."""
        self.may_begin.wait(LIMIT_SECONDS)
        while not (self._stopping.is_set() and (self.is_silent or not self._has_work(clocks.steady()))):
            try:
                self.gather(self._pause(clocks.steady()))
                self.turn(clocks.steady())
                self._stopping.wait(GATHER_SECONDS)
            except Exception as fault:  # our own fault must not end the thread
                log.error("publishing: a fault in callsign itself: %s", place_of(fault))
        self._telling.close()
        self.has_stopped.set()

    def _pause(self, now: float) -> float:
        """How long nothing need be done."""
        if self.is_silent:
            return AGAIN_SECONDS
        if self._has_work(now):
            return 0.0
        next_at = self._pending.next_at(now)
        if self._ledger.has(*ASKED_AGAIN):
            next_at = min(next_at, self._look_at)
        return max(0.0, next_at - now)

    def _has_work(self, now: float) -> bool:
        return self._pending.has_work(now) or (self._stopping.is_set() and self._pending.has_ends)

    def gather(self, seconds: float) -> None:
        """Sorts what has come; waits up to `seconds` for it, behind a fault so long."""
        self._pending.gather(seconds, whole=self.is_silent)

    def turn(self, now: float) -> None:
        """One exchange, where there is something to tell or to ask."""
        new, ends, notes = self._pending.take(now, all_ends=self.is_silent or self._stopping.is_set())
        behind = self._looked_after() if now >= self._look_at else []
        if not (new or ends or notes or behind or self.is_silent):
            return
        if self.is_out:
            self._known.silence()
            self._pending.put_back(new, ends, one_by_one=False)
            return
        before, is_heard = self._known.up_to, False
        for again in (True, False):
            try:
                said = self._telling.tell(new, ends, notes, behind)
                break
            except DatabaseFault as fault:
                is_heard |= not fault.unheard or bool(behind)
                if not (again and fault.of_connection) or self._has_failed:
                    if not is_heard:
                        self._known.unheard(before)
                    self._fail(fault, new, ends)
                    return
        self._known.answers()
        if self._has_failed:
            self._has_failed = self._figures.is_silent = False
            self.answers.set()
        self._trouble.is_over("publish")
        self._pending.told(notes, now)
        if behind:
            self._look_at = now + BEHIND_SECONDS
        with self._adopting:
            for entry in new:
                self._published(entry, said.answers.get(entry.key), entry.key in said.published)
            for entry in behind:
                self.heed(entry, said.answers.get(entry.key))
        for entry in ends:
            if entry.key not in said.ended:
                log.info("job=%s has ended here, and for the other hosts before", entry.job.shown)
            self._forget(entry)

    def _looked_after(self) -> list[Entry]:
        """For whom something is to happen elsewhere."""
        return [entry for life in ASKED_AGAIN for entry in self._ledger.all(life)[:MOST_AT_ONCE]]

    def _fail(self, fault: DatabaseFault, new: list[Entry], ends: list[Entry]) -> None:
        if fault.of_data and len(new) == 1:
            log.error("job=%s cannot be told to the other hosts: %s", new[0].job.shown, fault)
            self._ledger.happen(new[0], Event.SILENCE)
            self._ledger.forget(new.pop())
        if fault.of_data:
            self._has_failed = self._figures.is_silent = False
        else:
            self.has_no_answer()
        if self.is_silent:
            self._trouble.has("publish", fault)
        self._pending.put_back(new, ends, one_by_one=fault.of_data)
        if self.is_silent:
            self._ledger.silence()

    def _published(self, entry: Entry, answer: Answer | None, is_news: bool) -> None:
        is_there = entry.is_published = answer is not None and is_of(entry, answer)
        self._figures.published += is_there
        self.heed(entry, answer, is_news)
        if entry.end is None and (is_there or entry.life is not Life.ALONE):  # else nobody is to hear of it
            return
        if answer is not None and entry.is_published and answer[1] == State.WAITING.value:
            self._pending.add_end(entry)  # it has ended meanwhile, or the database has forgotten that
        else:
            self._forget(entry)

    def heed(self, entry: Entry, answer: Answer | None, is_news: bool = False) -> None:
        """What the database says of a job happens to it; `is_news`: the others did not know of it until now."""
        if entry.life in (Life.ENDED, Life.LOST, Life.DUPLICATE, Life.NEEDLESS):
            return
        entry.was_offered |= is_nobodys(answer)
        if is_nobodys(answer) and entry.life is Life.ALONE:
            self.claim(entry)
        else:
            self._ledger.happen(entry, *meaning(entry, answer, self._me, is_news))

    def claim(self, entry: Entry) -> None:
        """We send what we had offered: the others are to leave it to us, where none of them has it yet."""
        if entry.is_published:
            entry.is_published = False
            self.publish(entry)

    def _forget(self, entry: Entry) -> None:
        if entry.is_published:
            self.recent.append(entry)
            while self.recent and self.recent[0].ended_at < clocks.steady() - REMEMBER_SECONDS:
                self.recent.popleft()
        self._ledger.forget(entry)

    def has_told(self, key: Key) -> bool:
        """Whether the others were told of its end lately."""
        return any(entry.key == key for entry in tuple(self.recent))
