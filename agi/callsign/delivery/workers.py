"""The threads of one lane: no more than keep the vendor busy, each with one job at a time."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable

from callsign import clocks, thread_starts
from callsign.delivery.lane import Lane
from callsign.log_text import own_fault
from callsign.outbox.outbox import Job
from callsign.settings.accounts import name_of

HANGS_SECONDS = 120.0
"""After so long an attempt hangs, or its thread has died: its exchanges end after seconds, a look-up in the DNS too."""

REST_SECONDS = 10.0
"""So long a thread of a further account waits for more: of 500 tenants few have calls at the same time."""

AFTER_FAULT_SECONDS = 1.0
"""So long after a fault of ours the same is tried again: it may come to the same each time."""

log = logging.getLogger("callsign.delivery")


class LaneWorkers:
    """Hand each job of `lane` to `deal_with`, `most` at once.

    While anything waits that another worker could begin, one of them is at work, and looks when it has
    ended, or watches the clock; the rest sleep: each waking costs the calls more than it gains.
    """

    def __init__(self, name: str, most: int, lane: Lane, deal_with: Callable[[Lane, Job, bool], None]) -> None:
        """`deal_with` gets the lane, the job and whether it is superseded; it must end or put back the job."""
        self._rest_seconds = REST_SECONDS if name_of(name) else None
        self.lane = lane
        self._name = name
        self._most = most
        self._deal_with = deal_with
        self._threads = 0
        self._idle = 0
        self._watched_until = math.inf  # when the first of the idle ones looks by itself
        self._stopping = False
        self._began: dict[object, float] = {}  # by what a worker is at, steady seconds

    @property
    def hang(self) -> bool:
        """Whether one of them will not come back.  Waits for nothing."""
        return clocks.steady() - min(tuple(self._began.values()), default=math.inf) > HANGS_SECONDS

    @property
    def lack_thread(self) -> bool:
        """Whether there was none to be had for what waits: somebody has to `call` again."""
        return not self._threads and self.lane.seconds_to_next(clocks.steady()) is not None

    def call(self) -> None:
        """Something has changed: somebody must watch when the next job is due.  With the lane's `guard` held."""
        now = clocks.steady()
        seconds = self.lane.seconds_to_next(now)
        if self._stopping or seconds is None or self._watched_until <= now + seconds:
            return
        if self._idle:
            self.lane.ready.notify()
        elif self._threads < self._most:
            self._threads += thread_starts.begin(f"{self._name}-{self._threads + 1}", self._work)

    def have_one(self) -> None:
        """Start the first worker before there is a job: by then there may be no thread to be had."""
        with self.lane.guard:
            if not self._threads:
                self._threads += thread_starts.begin(f"{self._name}-1", self._work)

    def stop(self) -> None:
        """Begin no further job."""
        with self.lane.guard:
            self._stopping = True
            self.lane.ready.notify_all()

    @property
    def leave_doubt(self) -> bool:
        """Whether the store does not say of each attempt that it was begun."""
        with self.lane.guard:
            return self.lane.leaves_doubt

    def wait_until_idle(self, end: float) -> None:
        """Behind `stop`: until the jobs under way have ended, or that moment of time.monotonic()."""
        with self.lane.guard:
            while self.lane.in_flight and (left := end - time.monotonic()) > 0:
                self.lane.ready.wait(left)

    def _work(self) -> None:
        while True:
            job, attempt = None, object()  # not the job: one that is given back is another worker's at once
            try:
                with self.lane.guard:
                    job = self._next()
                    if job is None:
                        self.lane.ready.notify_all()  # who waits until we are idle
                        return
                    self._began[attempt] = clocks.steady()
                    superseded = self.lane.is_superseded(job)
                    self.call()
                self._deal_with(self.lane, job, superseded)
            except Exception as fault:  # our own fault must cost the lane neither a thread nor a place
                self._go_on_behind(fault, job)
            self._began.pop(attempt, None)  # where the thread ends all the same it stays: see `hang`

    def _go_on_behind(self, fault: Exception, job: Job | None) -> None:
        which = "" if job is None else f"job={job.shown} "
        log.error("%ssystem=%s: %s", which, self._name, own_fault(fault))
        if job is None:
            time.sleep(AFTER_FAULT_SECONDS)
            return
        with self.lane.guard:
            self.lane.break_off(job, clocks.steady() + AFTER_FAULT_SECONDS)

    def _next(self) -> Job | None:
        """Waits for the next job; None when we stop, or none came for long."""
        has_rested = False
        while not self._stopping:
            now = clocks.steady()
            job = self.lane.take(now)
            if job is not None:
                return job
            seconds = self.lane.seconds_to_next(now)
            others_watch = seconds is None or self._watched_until <= now + seconds
            if others_watch and has_rested:
                self._threads -= 1
                return None
            self._idle += 1
            if seconds is None or others_watch:
                has_rested = not self.lane.ready.wait(self._rest_seconds)
            else:
                self._watched_until = now + seconds
                self.lane.ready.wait(seconds)
                self._watched_until = math.inf
            self._idle -= 1
        return None
