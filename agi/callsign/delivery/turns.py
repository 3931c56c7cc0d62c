"""Which job of a lane goes out next: fresh ones at once, and before what was tried, or found in the store, earlier."""

from __future__ import annotations

import heapq
import math
from collections import deque

from callsign.delivery.pace import Pace
from callsign.outbox.outbox import Job

Due = tuple[float, int, Job]
"""A job by the moment it is due, then by its id."""


class Turns:
    """The jobs of one lane that wait for nothing but their turn.  Used with the lane's guard held."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._fresh: deque[Job] = deque()
        self._later: list[Due] = []
        self._hurried: list[Due] = []  # those that need not wait until they are due: the vendor is back

    def add(self, job: Job) -> None:
        """It has become free."""
        if job.attempts == 0 and not job.recovered:
            self._fresh.append(job)
        else:
            heapq.heappush(self._later, (job.due, job.id, job))

    def put_back(self, job: Job, is_hurried: bool) -> None:
        """It was attempted without a verdict; `is_hurried`: and the vendor has come back since that began."""
        heapq.heappush(self._hurried if is_hurried else self._later, (job.due, job.id, job))

    def remove(self, job: Job) -> None:
        """It has no turn any more, if it had one."""
        if job in self._fresh:
            self._fresh.remove(job)
        for waiting in (self._later, self._hurried):
            if any(entry[2] is job for entry in waiting):
                waiting[:] = [entry for entry in waiting if entry[2] is not job]
                heapq.heapify(waiting)

    def remove_over(self) -> None:
        """Those in front that have ended."""
        while self._fresh and self._fresh[0].over:
            self._fresh.popleft()
        while self._later and self._later[0][2].over:
            heapq.heappop(self._later)

    def hurry(self) -> None:
        """The vendor is back: what waits because it was not is due from now on, at the pace of a backlog."""
        few, many = sorted((self._hurried, self._later), key=len)
        for entry in few:
            heapq.heappush(many, entry)
        self._hurried, self._later = many, []

    def next(self, now: float) -> Job | None:
        """The job whose turn it is now."""
        if self._fresh and now >= self._pace.opens_for_fresh:
            job: Job | None = self._fresh.popleft()
            is_paced = self._pace.vendor_is_away
        else:
            job, is_paced = self._due(now) if now >= self._pace.opens else None, True
        if job is not None and is_paced:
            self._pace.note_start(now)
        return job

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

    @property
    def soonest(self) -> float:
        """When the next one has its turn; never, as far as the clock tells, where there is none."""
        if self._fresh:
            return self._pace.opens_for_fresh
        if self._hurried:
            return self._pace.opens
        return max(self._later[0][0], self._pace.opens) if self._later else math.inf
