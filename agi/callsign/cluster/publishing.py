"""Tells the others by way of the database: new jobs before they are sent, ends and attempts behind, many at once.

What has no answer stays here and is told later, also when it has ended: the others are to know who was notified.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from callsign import clocks
from callsign.cluster import rows
from callsign.cluster import statements as sql
from callsign.cluster.answers import Answer, is_nobodys, meaning
from callsign.cluster.connection import LIMIT_SECONDS, Database, DatabaseFault, Trouble
from callsign.cluster.figures import Figures
from callsign.cluster.known import Known
from callsign.cluster.ledger import Entry, Key, Ledger, Note
from callsign.cluster.life import Event, Life
from callsign.cluster.membership import BEAT_SECONDS
from callsign.log_text import place_of
from callsign.notification import State

MOST_AT_ONCE = 200
MOST_ENDS = 400
MOST_LATE = 20_000
"""So many that have ended may wait to be told; then the oldest are not told any more."""

ASKED_AGAIN = Life.BEHIND, Life.EARLY, Life.OFFERED
BEHIND_SECONDS = 0.05
"""So often the database is asked about those."""

GATHER_SECONDS = 0.005
"""Between two exchanges: of 300 notifications a second two go together, and the calls have less work beside them."""

END_SECONDS = 0.02
"""So long an end waits for new jobs to be told with: nobody waits for it yet but who stands behind it."""

NOTE_SECONDS = 0.5
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
        database: Database,
        ledger: Ledger,
        me: str,
        once_of: Callable[[Entry], str | None],
        has_room: Callable[[str], bool],
        adopting: threading.Lock,
        trouble: Trouble,
        figures: Figures,
        known: Known,
    ) -> None:
        """`has_room` tells of an account whether we can attempt something.

        With `adopting` held somebody puts others' jobs onto the lanes: no answer is heeded meanwhile.
        """
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
        self._database, self._ledger, self._me = database, ledger, me
        self._known = known
        self._has_room = has_room
        self._once_of, self._adopting, self._trouble, self._figures = once_of, adopting, trouble, figures
        self._incoming: queue.SimpleQueue[Entry | Note | None] = queue.SimpleQueue()
        self._new: deque[Entry] = deque()
        self._late: deque[Entry] = deque()
        self._ends: deque[Entry] = deque()
        self._notes: dict[Key, Note] = {}
        self._note_at = self._look_at = 0.0
        self._most = MOST_AT_ONCE
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
        self._has_failed = True
        self._known.silence()

    def publish(self, entry: Entry) -> None:
        """A new job, or one that the database has forgotten."""
        self._incoming.put(entry)

    def end(self, entry: Entry) -> None:
        """It has ended here."""
        self._incoming.put(entry)

    def note(self, note: Note) -> None:
        """An attempt had no verdict."""
        self._incoming.put(note)

    def stop(self) -> None:
        """The thread ends when all is told, or cannot be."""
        self._stopping.set()
        self.may_begin.set()
        self._incoming.put(None)

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
        self._database.close()
        self.has_stopped.set()

    def _pause(self, now: float) -> float:
        """How long nothing need be done."""
        if self.is_silent:
            return AGAIN_SECONDS
        if self._has_work(now):
            return 0.0
        ends = [now + 1.0]
        if self._ends:
            ends.append(self._ends[0].ended_at + END_SECONDS)
        if self._notes:
            ends.append(self._note_at)
        if self._ledger.has(*ASKED_AGAIN):
            ends.append(self._look_at)
        return max(0.0, min(ends) - now)

    def _has_work(self, now: float) -> bool:
        return bool(self._new or self._late or self._ends_are_due(now) or self._incoming.qsize())

    def _ends_are_due(self, now: float) -> bool:
        return bool(self._ends) and (self._stopping.is_set() or self._ends[0].ended_at + END_SECONDS <= now)

    def gather(self, seconds: float) -> None:
        """Sorts what has come; waits up to `seconds` for it, behind a fault so long."""
        end = clocks.steady() + seconds
        while True:
            left = max(0.0, end - clocks.steady())
            try:
                item = self._incoming.get(timeout=left) if left else self._incoming.get_nowait()
            except queue.Empty:
                return
            if isinstance(item, Note):
                self._notes[item.entry.key] = item
            elif item is not None and not item.is_published:
                self._new.append(item)
            elif item is not None and item.end is not None:
                self._notes.pop(item.key, None)
                self._ends.append(item)
            if item is None or not self.is_silent:
                end = 0.0

    def turn(self, now: float) -> None:
        """One exchange, where there is something to tell or to ask."""
        new = [self._next() for _ in range(min(self._most, len(self._new) + len(self._late)))]
        ends = []
        if new or self.is_silent or self._ends_are_due(now):
            ends = [self._ends.popleft() for _ in range(min(MOST_ENDS, len(self._ends)))]
        notes = list(self._notes.values()) if now >= self._note_at else []
        behind = self._looked_after() if now >= self._look_at else []
        if not (new or ends or notes or behind or self.is_silent):
            return
        if self.is_out:
            self._known.silence()
            self._put_back(new, ends)
            return
        before, is_heard = self._known.up_to, False
        for again in (True, False):
            try:
                answers, known, inserted = self._exchange(new, ends, notes, behind)
                break
            except DatabaseFault as fault:
                is_heard |= not fault.unheard or bool(behind)
                if not (again and fault.of_connection) or self._has_failed:
                    if not is_heard:
                        self._known.unheard(before)
                    self._fail(fault, new, ends)
                    return
        self._known.answers()
        self._most = min(2 * self._most, MOST_AT_ONCE)
        if self._has_failed:
            self._has_failed = False
            self.answers.set()
        self._trouble.is_over("publish")
        for note in notes:
            self._notes.pop(note.entry.key, None)
            self._note_at = now + NOTE_SECONDS
        if behind:
            self._look_at = now + BEHIND_SECONDS
        with self._adopting:
            for entry in new:
                self._published(entry, answers.get(entry.key), entry.key in inserted)
            for entry in behind:
                self.heed(entry, answers.get(entry.key))
        for entry in ends:
            if entry.key not in known:
                log.info("job=%s has ended here, and for the other hosts before", entry.job.shown)
            self._forget(entry)
        self._figures.unpublished = len(self._new) + len(self._late)

    def _looked_after(self) -> list[Entry]:
        """For whom something is to happen elsewhere."""
        return [entry for life in ASKED_AGAIN for entry in self._ledger.all(life)[:MOST_AT_ONCE]]

    def _next(self) -> Entry:
        return self._new.popleft() if self._new else self._late.popleft()

    def _exchange(
        self, new: list[Entry], ends: list[Entry], notes: list[Note], behind: list[Entry]
    ) -> tuple[dict[Key, tuple[Any, ...]], set[Key], set[Key]]:
        """What is said of the jobs; whose end, and whose publication, was news."""
        cursors, ended, published = [], None, None
        with self._database.exchange() as say:
            if new or ends or notes:
                say(sql.BEGIN)
                if notes:
                    say(sql.NOTE_ATTEMPTS, rows.attempts(notes, self._me))
                if ends:
                    ended = say(sql.END, rows.ends(ends, self._me))
                if new:
                    self._known.telling(new)
                    values = rows.publication(new, self._once_of, self._owner_of, self._me)
                    say(sql.LOCK_KEYS, values)
                    if begun := [entry for entry in new if entry.was_offered and not self._may_offer(entry)]:
                        say(sql.HAND_OVER, rows.handing(begun, None, self._me))
                    published = say(sql.PUBLISH, values)
                    cursors.append(say(sql.ANSWERS, values))
                else:
                    say(sql.NO_WAIT_FOR_DISK)
                say(sql.COMMIT)
            if behind or not (new or ends or notes):
                cursors.append(say(sql.ANSWERS, {**rows.names(behind), "me": self._me}))
        answers = {(store, n): tuple(rest) for cursor in cursors for store, n, *rest in cursor.fetchall()}
        return answers, _keys(ended), _keys(published)

    def _owner_of(self, entry: Entry) -> str | None:
        """Who is to deliver it; None where we cannot: a host has more to do than to wait for one of the few slots."""
        return None if self._may_offer(entry) and not self._has_room(entry.job.notification.system) else self._me

    def _may_offer(self, entry: Entry) -> bool:
        """Whether we have not begun with it, and shall not without another word."""
        return entry.life in (Life.NEW, Life.OFFERED) and not entry.job.recovered

    def _fail(self, fault: DatabaseFault, new: list[Entry], ends: list[Entry]) -> None:
        if fault.of_data and len(new) == 1:
            log.error("job=%s cannot be told to the other hosts: %s", new[0].job.shown, fault)
            self._ledger.happen(new[0], Event.SILENCE)
            new = []
        self._most = 1 if fault.of_data else MOST_AT_ONCE
        if fault.of_data:
            self._has_failed = False
        else:
            self.has_no_answer()
        if self.is_silent:
            self._trouble.has("publish", fault)
        self._put_back(new, ends)
        if self.is_silent:
            self._ledger.silence()

    def _put_back(self, new: list[Entry], ends: list[Entry]) -> None:
        self._late.extendleft(reversed(new))
        self._ends.extendleft(reversed(ends))
        while len(self._late) > MOST_LATE and self._late[0].end is not None:
            self._ledger.forget(self._late.popleft())
        self._figures.unpublished = len(self._new) + len(self._late)

    def _published(self, entry: Entry, answer: Answer | None, is_news: bool) -> None:
        entry.is_published = answer is not None and answer[0] == entry.home
        self._figures.published += entry.is_published
        self.heed(entry, answer, is_news)
        if entry.end is None:
            return
        if answer is not None and entry.is_published and answer[1] == State.WAITING.value:
            self._ends.append(entry)  # it has ended meanwhile, or the database has forgotten that
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


def _keys(cursor: Any) -> set[Key]:
    return set() if cursor is None else set(cursor.fetchall())
