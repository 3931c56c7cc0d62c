"""A call that waits for its job's end hears of it: from who delivers in this process, else from the store."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable

from callsign.notification import State

KEPT = 4096
"""An outcome may be there before its call begins to wait for it."""

LOOK_SECONDS = 0.02
"""How often a waiting call looks into the store when another process delivers."""


class Outcomes:
    """The latest ends of jobs, and the calls that wait for one; for any thread.

    `look` finds in the store what nobody tells here.
    """

    def __init__(self, look: Callable[[int], tuple[State, str] | None]) -> None:
        self.delivers_here = False
        """Whether this process delivers."""
        self._look = look
        self._guard = threading.Lock()
        self._known: OrderedDict[int, tuple[State, str] | None] = OrderedDict()  # None: it is put off
        self._waiting: dict[int, threading.Lock] = {}
        self._nobody_waits = False

    def tell(self, job: int, state: State, reason: str) -> None:
        """The job has ended so."""
        self._tell(job, (state, reason))

    def put_off(self, jobs: Iterable[int]) -> None:
        """These have no outcome, and none soon, for the vendor is away: no call is to wait for it."""
        for job in jobs:
            self._tell(job, None)

    def _tell(self, job: int, outcome: tuple[State, str] | None) -> None:
        with self._guard:
            self._known.pop(job, None)  # else it would keep its age
            self._known[job] = outcome
            if len(self._known) > KEPT:
                self._known.popitem(last=False)
            bell = self._waiting.pop(job, None)
        if bell is not None:
            bell.release()

    def wait_for(self, job: int, seconds: float) -> tuple[State, str] | None:
        """The job's end, None if there is none within `seconds`, or if it was put off."""
        end = time.monotonic() + seconds
        with self._guard:
            if job in self._known or self._nobody_waits:
                return self._known.get(job)
            bell = self._waiting.setdefault(job, threading.Lock())
            bell.acquire(blocking=False)
        is_ours = False  # another process may have delivered it before this one began
        try:
            while (left := end - time.monotonic()) > 0:
                is_here = self.delivers_here
                if bell.acquire(timeout=left if is_ours else min(left, LOOK_SECONDS)):
                    return self._known.get(job)
                if not is_ours and (found := self._look(job)):
                    return found
                is_ours = is_here
            return None
        finally:
            with self._guard:
                self._waiting.pop(job, None)

    def let_calls_go(self) -> None:
        """From now on no call waits."""
        with self._guard:
            self._nobody_waits = True
            for bell in self._waiting.values():
                bell.release()
            self._waiting.clear()
