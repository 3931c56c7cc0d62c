"""Which job is next for one vendor: fresh before backlog, per call in order, gently while it is in trouble.

A lane has no thread and no clock of its own; `lane_workers` drive it under the lane's condition.
"""

from __future__ import annotations

import heapq
import math
import threading
from collections import deque
from collections.abc import Callable, Iterator

from callsign.notification import Notification
from callsign.outbox import Job

TROUBLE_AFTER = 3
"""So many attempts in a row without a verdict mean that it is the vendor, not the job."""

CONCURRENCY_IN_TROUBLE = 2
PAUSE_IN_TROUBLE_SECONDS = 0.2
BACKLOG_PAUSE_SECONDS = 1 / 200
"""A backlog goes out at 200 a second at most, so that a vendor just back is not run over."""

HEAD_START_SECONDS = 0.005
"""So long after a start the next job is left to the worker that has just ended an attempt, and no other is woken.

Where the vendor answers at once a second worker is no gain: both share one interpreter.
"""

SWEEP_SECONDS = 1.0
"""So often at most all that waits is looked through for jobs whose time is over."""


class Lane:
    """The open jobs of one vendor.  All methods are called with `guard` held."""

    def __init__(self, concurrency: int, makes_needless: Callable[[Notification, Notification], bool]) -> None:
        self.guard = threading.Lock()
        self.ready = threading.Condition(self.guard)
        self._concurrency = concurrency
        self._makes_needless = makes_needless
        self._by_call: dict[str, Job] = {}  # the first of each, which alone may go out; the rest stand behind it
        self._fresh: deque[Job] = deque()
        self._later: list[tuple[float, int, Job]] = []  # by the moment they are due, then by id
        self._overdue: deque[Job] = deque()
        self._under_way: set[int] = set()
        self._opens = 0.0  # no start before this moment, where starts are paced
        self._without_verdict = 0
        self._first_deadline = math.inf  # of all jobs here, or earlier
        self._swept = -math.inf
        self._left_alone_until = 0.0

    @property
    def in_trouble(self) -> bool:
        """Whether the vendor, not a single job, seems to be at fault."""
        return self._without_verdict >= TROUBLE_AFTER

    @property
    def in_flight(self) -> int:
        """How many are being attempted."""
        return len(self._under_way)

    @property
    def _is_full(self) -> bool:
        return self.in_flight >= (CONCURRENCY_IN_TROUBLE if self.in_trouble else self._concurrency)

    @property
    def _others_from(self) -> float:
        """The moment from which any worker may take the next job, not only one who has just ended an attempt."""
        return self._left_alone_until if self.in_flight >= max(1, len(self._fresh)) else 0.0

    def add(self, job: Job) -> None:
        """A job just stored, or found in the store."""
        self._first_deadline = min(self._first_deadline, job.steady_deadline)
        last = self._by_call.get(job.notification.call)
        if last is None:
            self._by_call[job.notification.call] = job
            self._offer(job)
            return
        while last.behind is not None:
            last = last.behind
        last.behind = job

    def _offer(self, job: Job) -> None:
        if job.attempts == 0 and not job.recovered:
            self._fresh.append(job)
        else:
            heapq.heappush(self._later, (job.due, job.id, job))

    def take(self, now: float, at_hand: bool = True) -> Job | None:
        """The job to attempt now, None if there is none or enough are under way.

        Not `at_hand` is who has not just ended an attempt: others come first for `HEAD_START_SECONDS`.
        """
        if self._is_full:
            return None
        if not at_hand and now < self._others_from:
            return None
        self._sweep(now)
        job = self._overdue.popleft() if self._overdue else self._next(now)
        if job is not None:
            self._under_way.add(job.id)
            self._left_alone_until = now + HEAD_START_SECONDS
        return job

    def _next(self, now: float) -> Job | None:
        paced = self.in_trouble
        if self._fresh and not (paced and now < self._opens):
            job = self._fresh.popleft()
        elif self._later and self._later[0][0] <= now and now >= self._opens:
            job = heapq.heappop(self._later)[2]
            paced = True
        else:
            return None
        if paced:
            pause = PAUSE_IN_TROUBLE_SECONDS if self.in_trouble else BACKLOG_PAUSE_SECONDS
            self._opens = max(self._opens, now - pause) + pause
        return job

    def _sweep(self, now: float) -> None:
        """Jobs whose time is over need no turn: they end at once, whatever the pace and whoever is before them."""
        if now >= max(self._first_deadline, self._swept + SWEEP_SECONDS):
            self._swept = now
            self._first_deadline = math.inf
            for job in self._waiting():
                if job.steady_deadline <= now:
                    job.over = True
                    self._overdue.append(job)
                else:
                    self._first_deadline = min(self._first_deadline, job.steady_deadline)
        while self._fresh and self._fresh[0].over:
            self._fresh.popleft()
        while self._later and self._later[0][2].over:
            heapq.heappop(self._later)

    def _waiting(self) -> Iterator[Job]:
        for first in self._by_call.values():
            job: Job | None = first
            while job is not None:
                if not job.over and job.id not in self._under_way:
                    yield job
                job = job.behind

    def seconds_to_next(self, now: float, at_hand: bool = True) -> float | None:
        """How long until `take` may have something, None if only another event can change that."""
        if self._is_full or not self._by_call:
            return None
        if self._overdue:
            return 0.0 if at_hand else max(0.0, self._others_from - now)
        soonest = max(self._first_deadline, self._swept + SWEEP_SECONDS)
        if self._fresh:
            soonest = min(soonest, self._opens if self.in_trouble else now)
        elif self._later:
            soonest = min(soonest, max(self._later[0][0], self._opens))
        if not at_hand:
            soonest = max(soonest, self._others_from)
        return None if soonest == math.inf else max(0.0, soonest - now)

    def is_needless(self, job: Job) -> bool:
        """Whether a newer command of the same call has made this one, never attempted, needless."""
        if job.attempts or job.recovered:
            return False
        later = job.behind
        while later is not None:
            if self._makes_needless(later.notification, job.notification):
                return True
            later = later.behind
        return False

    def miss(self) -> None:
        """An attempt ended without a verdict, and the job with it: its time is over."""
        self._without_verdict += 1

    def put_back(self, job: Job, due: float) -> None:
        """An attempt ended without a verdict; the job keeps its place before the rest of its call."""
        self._under_way.discard(job.id)
        self._without_verdict += 1
        job.due = due
        self._first_deadline = min(self._first_deadline, job.steady_deadline)
        heapq.heappush(self._later, (due, job.id, job))

    def finish(self, job: Job, verdict: bool) -> None:
        """The job has ended; `verdict` says that the vendor itself gave one, so that it is well."""
        self._under_way.discard(job.id)
        job.over = True
        if verdict:
            self._without_verdict = 0
        call = job.notification.call
        before = self._by_call[call]
        if before is not job:  # it had no turn: its time was over while it stood in the line
            while before.behind is not job:
                assert before.behind is not None  # noqa: S101
                before = before.behind
            before.behind = job.behind
        elif job.behind is None:
            del self._by_call[call]
        else:
            self._by_call[call] = job.behind
            if not job.behind.over:
                self._offer(job.behind)
