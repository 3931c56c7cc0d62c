"""The open jobs of one vendor: which is to be attempted next, and which has ended without an attempt.

A lane has no thread and no clock of its own; `workers` drive it under the lane's condition.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable

from callsign.delivery.doubts import Doubts
from callsign.delivery.order import JobOrder
from callsign.delivery.pace import Pace
from callsign.delivery.turns import Turns
from callsign.notification import Notification, State
from callsign.outbox.outbox import Job

SWEEP_SECONDS = 1.0
"""So often at most all that waits is looked through for jobs whose time is over."""


class Lane:
    """The open jobs of one vendor.  All methods are called with `guard` held."""

    def __init__(
        self,
        concurrency: int,
        keys_of: Callable[[Notification], tuple[str, ...]],
        undoes: Callable[[Notification, Notification], bool],
    ) -> None:
        """For `keys_of` and `undoes` see vendors.interface."""
        self.guard = threading.Lock()
        self.ready = threading.Condition(self.guard)
        self.pace = Pace(concurrency)
        self.doubts = Doubts(keys_of, undoes)
        """What has ended, and may still be carried out."""
        self._undoes = undoes
        self._order = JobOrder(keys_of)
        self._turns = Turns(self.pace)  # of those that wait for no other
        self._to_end: deque[Job] = deque()  # they need no attempt any more
        self._under_way: dict[int, int] = {}  # by id: how often the vendor had come back when it began
        self._first_deadline = math.inf  # of all jobs here, or earlier
        self._swept = -math.inf

    @property
    def in_flight(self) -> int:
        """How many are being attempted."""
        return len(self._under_way)

    @property
    def open_jobs(self) -> int:
        """How many have not ended."""
        return self._order.jobs

    @property
    def leaves_doubt(self) -> bool:
        """Whether an attempt was begun of which the store says nothing: now, or before we found the job there."""
        return bool(self._under_way) or any(job.in_doubt and not job.attempts for job in self._order)

    def add(self, job: Job) -> None:
        """A job just stored, or found in the store."""
        self._first_deadline = min(self._first_deadline, job.steady_deadline)
        for first in self._order.firsts(job.notification):
            if first.word and first.id not in self._under_way and self._undoes(first.notification, job.notification):
                self._let_end(first)
        if job.home:
            for passed in self._order.add_by_birth(job):
                self._turns.remove(passed)
        else:
            self._order.add(job)
        if self._order.is_free(job) and not job.held:
            self._turns.add(job)

    def hold(self, job: Job) -> None:
        """It gets no turn until it is let go; one that has been taken is not held."""
        if not job.over and job.id not in self._under_way:
            self._turns.remove(job)
            job.held = True

    def give_back(self, job: Job) -> None:
        """It was taken too early: held from now on, unless it was given up meanwhile."""
        del self._under_way[job.id]
        if job.word:
            self._let_end(job)
        else:
            job.held = True
            self._first_deadline = min(self._first_deadline, job.steady_deadline)

    def let_go(self, job: Job) -> None:
        """It gets its turn."""
        if job.held and not job.over:
            job.held = False
            if self._order.is_free(job):
                self._turns.add(job)

    def give_up(self, job: Job, state: State, reason: str) -> None:
        """It ends so without an attempt, unless one is under way."""
        if not job.over:
            job.word = state, reason
            if job.id not in self._under_way:
                self._let_end(job)

    def take(self, now: float) -> Job | None:
        """The job to attempt now, None if there is none or enough are under way."""
        if self.pace.is_full(self.in_flight):
            return None
        self._sweep(now)
        if self._to_end:
            job: Job | None = self._to_end.popleft()
        else:
            job = self._turns.next(now) if self.pace.most else None
        if job is not None:
            self._under_way[job.id] = self.pace.returns
            job.begun |= not job.over
        return job

    def _sweep(self, now: float) -> None:
        """Jobs whose time is over need no turn: they end at once, whatever the pace and whoever is before them."""
        if now >= max(self._first_deadline, self._swept + SWEEP_SECONDS):
            self._swept = now
            self._first_deadline = math.inf
            for job in self._order:
                if job.over or job.id in self._under_way:
                    continue
                if job.steady_deadline <= now:
                    self._let_end(job)
                else:
                    self._first_deadline = min(self._first_deadline, job.steady_deadline)
        self._turns.remove_over()

    def _let_end(self, job: Job) -> None:
        """It needs no attempt any more, and so no turn."""
        if not job.over:
            job.over = True
            self._to_end.append(job)

    def seconds_to_next(self, now: float) -> float | None:
        """How long until `take` may have something, None if only another event can change that."""
        if self.pace.is_full(self.in_flight) or not self._order:
            return None
        if self._to_end:
            return 0.0
        soonest = max(self._first_deadline, self._swept + SWEEP_SECONDS)  # a time may be over
        if self.pace.most:
            soonest = min(soonest, self._turns.soonest)
        return None if soonest == math.inf else max(0.0, soonest - now)

    def is_superseded(self, job: Job) -> bool:
        """Whether a newer command undoes this one, which was never attempted."""
        if job.attempts or job.recovered:
            return False
        return any(self._undoes(later.notification, job.notification) for later in self._order.behind(job))

    def has_to_be_repeated(self, job: Job) -> bool:
        """Whether the vendor, which has just taken it, may still carry out behind it what it undoes.

        Not where that is wanted again by now, and no command more than once.
        """
        if job.word or self._undoes_a_later_one(job):
            return False
        return self.doubts.has_undone_by(job.notification)

    def _undoes_a_later_one(self, job: Job) -> bool:
        return any(self._undoes(job.notification, later.notification) for later in self._order.behind(job))

    def held_up(self, job: Job) -> list[int]:
        """The ids of `job` and of those behind it where the vendor is away, or was for what stands first; else none."""
        is_unreached = any(one.unreached for one in (job, *self._order.firsts(job.notification)))
        if not (self.pace.vendor_is_away or is_unreached):
            return []
        return [job.id, *(one.id for one in self._order.behind(job))]

    def is_awaited(self, job: Job) -> bool:
        """Whether another one of its call or recording waits for it."""
        return any(self._order.behind(job))

    def put_back(self, job: Job, due: float, verdict: bool = False, firm: bool = False) -> None:
        """The job is to be attempted again; it keeps its place before the rest of its call.

        `verdict` as for `finish`.  `firm`: not before it is due, though the vendor should be well before.
        """
        returns = self._under_way.pop(job.id)
        if verdict:
            self._note_verdict()
        else:
            self.pace.note_miss()
        if job.word and self._undoes_a_later_one(job):  # which came while the verdict was told
            self._let_end(job)
            return
        if firm:
            job.hurries = 0
        job.due = due
        self._first_deadline = min(self._first_deadline, job.steady_deadline)
        self._turns.put_back(job, is_hurried=returns != self.pace.returns)

    def break_off(self, job: Job, due: float) -> None:
        """A fault of ours ended what was done with it: it is tried again, unless it has ended or was put back."""
        if job.id in self._under_way:
            self.put_back(job, due)

    def finish(self, job: Job, verdict: bool) -> None:
        """The job has ended; `verdict` says that the vendor itself gave one, so that it is well."""
        self._under_way.pop(job.id, None)
        if verdict:
            self._note_verdict()
        if job.in_doubt:
            self.doubts.note(job.notification)
        if job.word and not job.over:  # it was repeated
            self.doubts.drop_undone_by(job.notification)
        job.over = True
        for one in self._order.remove(job):
            if not one.over and not one.held:
                self._turns.add(one)

    def _note_verdict(self) -> None:
        if self.pace.note_verdict():
            self._turns.hurry()
