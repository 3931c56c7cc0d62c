"""Which job is next for one vendor: fresh before backlog, per call in order, gently while it is in trouble.

A lane has no thread and no clock of its own; `delivery` drives it under the lane's condition.
"""

from __future__ import annotations

import heapq
import threading
from collections import deque
from collections.abc import Callable

from callsign.notification import Notification
from callsign.outbox import Job

TROUBLE_AFTER = 3
"""So many attempts in a row without a verdict mean that it is the vendor, not the job."""

CONCURRENCY_IN_TROUBLE = 2
PAUSE_IN_TROUBLE_SECONDS = 0.2
BACKLOG_PAUSE_SECONDS = 1 / 200
"""A backlog goes out at 200 a second at most, so that a vendor just back is not run over."""


class Lane:
    """The open jobs of one vendor.  All methods are called with `ready` held."""

    def __init__(self, concurrency: int, makes_needless: Callable[[Notification, Notification], bool]) -> None:
        self.ready = threading.Condition(threading.Lock())
        self.workers = 0
        self.idle_workers = 0
        self.in_flight = 0
        self._concurrency = concurrency
        self._makes_needless = makes_needless
        self._by_call: dict[str, deque[Job]] = {}  # only the first of each may go out
        self._fresh: deque[Job] = deque()
        self._later: list[tuple[float, int, Job]] = []  # by the moment they are due, then by id
        self._opens = 0.0  # no start before this moment, where starts are paced
        self._without_verdict = 0

    @property
    def in_trouble(self) -> bool:
        """Whether the vendor, not a single job, seems to be at fault."""
        return self._without_verdict >= TROUBLE_AFTER

    def add(self, job: Job) -> None:
        """A job just stored, or found in the store."""
        calls = self._by_call.setdefault(job.notification.call, deque())
        calls.append(job)
        if len(calls) == 1:
            self._offer(job)

    def _offer(self, job: Job) -> None:
        if job.attempts == 0 and not job.recovered:
            self._fresh.append(job)
        else:
            heapq.heappush(self._later, (job.due, job.id, job))

    def take(self, now: float) -> Job | None:
        """The job to attempt now, None if there is none or enough are under way."""
        if self.in_flight >= (CONCURRENCY_IN_TROUBLE if self.in_trouble else self._concurrency):
            return None
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
        self.in_flight += 1
        return job

    def seconds_to_next(self, now: float) -> float | None:
        """How long until `take` may have something, None if only another event can change that."""
        if self.in_flight >= (CONCURRENCY_IN_TROUBLE if self.in_trouble else self._concurrency):
            return None
        if self._fresh:
            return max(0.0, self._opens - now) if self.in_trouble else 0.0
        if self._later:
            return max(0.0, self._later[0][0] - now, self._opens - now)
        return None

    def is_needless(self, job: Job) -> bool:
        """Whether a newer command of the same call has made this one, never attempted, needless."""
        if job.attempts or job.recovered:
            return False
        followers = list(self._by_call[job.notification.call])[1:]
        return any(self._makes_needless(later.notification, job.notification) for later in followers)

    def miss(self) -> None:
        """An attempt ended without a verdict, and the job with it: its time is over."""
        self._without_verdict += 1

    def put_back(self, job: Job, due: float) -> None:
        """An attempt ended without a verdict; the job keeps its place before the rest of its call."""
        self.in_flight -= 1
        self._without_verdict += 1
        job.due = due
        heapq.heappush(self._later, (due, job.id, job))

    def finish(self, job: Job, verdict: bool) -> None:
        """The job has ended; `verdict` says that the vendor itself gave one, so that it is well."""
        self.in_flight -= 1
        if verdict:
            self._without_verdict = 0
        calls = self._by_call[job.notification.call]
        calls.popleft()
        if calls:
            self._offer(calls[0])
        else:
            del self._by_call[job.notification.call]

    def is_empty(self) -> bool:
        """Whether nothing is open."""
        return not self._by_call
