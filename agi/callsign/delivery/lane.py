"""Which job is next for one vendor: fresh before backlog, in order, gently while it is in trouble.

A lane has no thread and no clock of its own; `workers` drive it under the lane's condition.
"""

from __future__ import annotations

import heapq
import math
import threading
from collections import deque
from collections.abc import Callable

from callsign.delivery.doubts import Doubts
from callsign.delivery.order import JobOrder
from callsign.notification import Notification, State
from callsign.outbox.outbox import Job

TROUBLE_AFTER = 3
"""So many attempts in a row without a verdict mean that it is the vendor, not the job."""

CONCURRENCY_IN_TROUBLE = 2
PAUSE_IN_TROUBLE_SECONDS = 0.2
ASIDE_PAUSE_SECONDS = 10.0
"""So seldom, and one at a time, a vendor in trouble is tried where another host does so for all: in case it cannot."""

BACKLOG_PAUSE_SECONDS = 1 / 200
"""A backlog goes out at 200 a second at most, so that a vendor just back is not run over."""

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
        self.concurrency = concurrency
        """How many may be attempted at once; 0: a job can only end without an attempt."""
        self._hosts = 1  # that share the vendor: each has its part of a backlog's pace
        self._stands_aside = False  # while the vendor is in trouble: another host tries it
        self._keys_of = keys_of
        self._undoes = undoes
        self._order = JobOrder(keys_of)
        self._fresh: deque[Job] = deque()
        self._later: list[tuple[float, int, Job]] = []  # by the moment they are due, then by id
        self._hurried: list[tuple[float, int, Job]] = []  # those that need not wait for it: the vendor is back
        self._overdue: deque[Job] = deque()
        self._under_way: dict[int, int] = {}  # by id: how often the vendor had come back when it began
        self._opens = 0.0  # no start before this moment, where starts are paced
        self._without_verdict = 0
        self._is_known_well = False  # by a verdict since the start, and since the last trouble
        self._returns = 0  # how often it became so
        self.doubts = Doubts(keys_of, undoes)
        """What has ended, and may still be carried out."""
        self._first_deadline = math.inf  # of all jobs here, or earlier
        self._swept = -math.inf

    @property
    def in_trouble(self) -> bool:
        """Whether the vendor, not a single job, seems to be at fault."""
        return self._without_verdict >= TROUBLE_AFTER

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

    @property
    def _is_full(self) -> bool:
        most = self.concurrency
        if self.in_trouble:
            most = min(1 if self._stands_aside else CONCURRENCY_IN_TROUBLE, most)
        return self.in_flight >= most

    def limit(self, most: int, hosts: int, stands_aside: bool) -> None:
        """What this host may do at the vendor that it shares with others (see gate.Lanes.limit)."""
        self.concurrency, self._hosts = most, hosts
        if self._stands_aside and not stands_aside:
            self._opens = 0.0
        self._stands_aside = stands_aside

    def add(self, job: Job) -> None:
        """A job just stored, or found in the store."""
        self._first_deadline = min(self._first_deadline, job.steady_deadline)
        for first in self._order.firsts(job.notification):
            if first.word and first.id not in self._under_way and self._undoes(first.notification, job.notification):
                self._let_end(first)
        if job.home:
            for passed in self._order.add_by_birth(job):
                self._withdraw(passed)
        else:
            self._order.add(job)
        if self._order.is_free(job):
            self._offer(job)

    def _offer(self, job: Job) -> None:
        if job.held:
            return
        if job.attempts == 0 and not job.recovered:
            self._fresh.append(job)
        else:
            heapq.heappush(self._later, (job.due, job.id, job))

    def _withdraw(self, job: Job) -> None:
        """It has no turn any more, if it had one."""
        if job in self._fresh:
            self._fresh.remove(job)
        for waiting in (self._later, self._hurried):
            if any(entry[2] is job for entry in waiting):
                waiting[:] = [entry for entry in waiting if entry[2] is not job]
                heapq.heapify(waiting)

    def hold(self, job: Job) -> None:
        """It gets no turn until it is let go; one that has been taken is not held."""
        if not job.over and job.id not in self._under_way:
            self._withdraw(job)
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
                self._offer(job)

    def give_up(self, job: Job, state: State, reason: str) -> None:
        """It ends so without an attempt, unless one is under way."""
        if not job.over:
            job.word = state, reason
            if job.id not in self._under_way:
                self._let_end(job)

    def take(self, now: float) -> Job | None:
        """The job to attempt now, None if there is none or enough are under way."""
        if self._is_full and self.concurrency:
            return None
        self._sweep(now)
        if self._overdue:
            job: Job | None = self._overdue.popleft()
        else:
            job = self._next(now) if self.concurrency else None
        if job is not None:
            self._under_way[job.id] = self._returns
            job.begun |= not job.over
        return job

    def _next(self, now: float) -> Job | None:
        paced = self.in_trouble
        if self._fresh and not (paced and now < self._opens):
            job = self._fresh.popleft()
        else:
            due = self._due(now) if now >= self._opens else None
            if due is None:
                return None
            job, paced = due, True
        if paced:
            pause = self._pause
            self._opens = max(self._opens, now - pause) + pause
        return job

    @property
    def _pause(self) -> float:
        if self.in_trouble:
            return ASIDE_PAUSE_SECONDS if self._stands_aside else PAUSE_IN_TROUBLE_SECONDS
        return BACKLOG_PAUSE_SECONDS * self._hosts

    def _due(self, now: float) -> Job | None:
        while self._hurried:
            entry = heapq.heappop(self._hurried)
            due, _, job = entry
            if job.over:
                continue
            if due <= now or job.hurries:  # not what fails again and again though the vendor is well, or has to wait
                job.hurries -= due > now
                job.due = now
                return job
            heapq.heappush(self._later, entry)
        return heapq.heappop(self._later)[2] if self._later and self._later[0][0] <= now else None

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
        while self._fresh and self._fresh[0].over:
            self._fresh.popleft()
        while self._later and self._later[0][2].over:
            heapq.heappop(self._later)

    def _let_end(self, job: Job) -> None:
        """It needs no attempt any more, and so no turn."""
        if not job.over:
            job.over = True
            self._overdue.append(job)

    def seconds_to_next(self, now: float) -> float | None:
        """How long until `take` may have something, None if only another event can change that."""
        if (self._is_full and self.concurrency) or not self._order:
            return None
        if self._overdue:
            return 0.0
        soonest = max(self._first_deadline, self._swept + SWEEP_SECONDS)
        if not self.concurrency:
            pass  # but a time may be over
        elif self._fresh:
            soonest = min(soonest, self._opens if self.in_trouble else now)
        elif self._hurried:
            soonest = min(soonest, self._opens)
        elif self._later:
            soonest = min(soonest, max(self._later[0][0], self._opens))
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
        if not self.in_trouble and not any(one.unreached for one in (job, *self._order.firsts(job.notification))):
            return []
        return [job.id, *(one.id for one in self._order.behind(job))]

    def is_awaited(self, job: Job) -> bool:
        """Whether another one of its call or recording waits for it."""
        return any(self._order.behind(job))

    def miss(self) -> None:
        """An attempt ended without a verdict, and the job with it: its time is over."""
        self._without_verdict += 1
        if self.in_trouble:
            self._is_known_well = False

    def put_back(self, job: Job, due: float, verdict: bool = False, firm: bool = False) -> None:
        """The job is to be attempted again; it keeps its place before the rest of its call.

        `verdict` as for `finish`.  `firm`: not before it is due, though the vendor should be well before.
        """
        returns = self._under_way.pop(job.id)
        if verdict:
            self._note_verdict()
        else:
            self.miss()
        if job.word and self._undoes_a_later_one(job):  # which came while the verdict was told
            self._let_end(job)
            return
        if firm:
            job.hurries = 0
        job.due = due
        self._first_deadline = min(self._first_deadline, job.steady_deadline)
        heapq.heappush(self._later if returns == self._returns else self._hurried, (due, job.id, job))

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
            if not one.over:
                self._offer(one)

    def _note_verdict(self) -> None:
        """The vendor is well: what waits because it was not is due from now on, at the pace of a backlog."""
        if self.in_trouble:
            self._opens = 0.0
        self._without_verdict = 0
        if not self._is_known_well:
            self._is_known_well = True
            self._returns += 1
            few, many = sorted((self._hurried, self._later), key=len)
            for entry in few:
                heapq.heappush(many, entry)
            self._hurried, self._later = many, []
