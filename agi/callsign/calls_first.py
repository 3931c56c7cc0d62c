"""Calls before deliveries: an attempt works when no call is waiting for its status, and one attempt at a time.

Both share one interpreter.  An attempt that works while a call's session is under way makes that call
wait for the signing and sending of its own notification; behind the last `SET VARIABLE` it costs nobody
anything.  And attempts that work side by side gain nothing, but a call that comes then waits for them all.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

LONGEST_SECONDS = 0.05
"""So long an attempt waits for its turn at most: on a busy machine there is always some call.

And so long a turn counts: whoever is held up in it, by a lock, say, must not hold up the other vendors.
"""


def _nothing(_: bool) -> None:
    """Where nobody wants to know."""


class CallsFirst:
    """Counts the calls that wait for a status; every method belongs to the calling thread."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._changed = threading.Condition(self._guard)
        self._waiting = 0
        self._taken_by = 0  # a thread
        self._taken_until = 0.0
        self._here = threading.local()
        self.on_end: Callable[[bool], None] = _nothing
        """Is told of each end, in the call's thread, and whether no other call waits now."""

    def begin(self) -> None:
        """A call waits for its status from now on."""
        self._here.waits = True
        with self._guard:
            self._waiting += 1

    def end(self) -> None:
        """It has its status, or waits for the vendor; harmless if said twice."""
        if getattr(self._here, "waits", False):
            self._here.waits = False
            with self._guard:
                self._waiting -= 1
                quiet = not self._waiting
                if quiet:
                    self._changed.notify()
            self.on_end(quiet)

    def take_turn(self) -> None:
        """Returns when no call waits and no other attempt works, or after `LONGEST_SECONDS`; harmless with a turn."""
        if getattr(self._here, "works", False):
            return
        self._here.works = True
        with self._guard:
            now = time.monotonic()
            end = now + LONGEST_SECONDS
            while now < end and (self._waiting or now < self._taken_until):
                self._changed.wait((end if self._waiting else min(end, self._taken_until)) - now)
                now = time.monotonic()
            self._taken_by = threading.get_ident()
            self._taken_until = now + LONGEST_SECONDS

    def end_turn(self) -> None:
        """This attempt waits for the vendor, or has ended; harmless without a turn."""
        if getattr(self._here, "works", False):
            self._here.works = False
            with self._guard:
                if self._taken_by == threading.get_ident():  # else another took it, which waits no longer for us
                    self._taken_until = 0.0
                    if not self._waiting:
                        self._changed.notify()


class NobodyElse(CallsFirst):
    """Where no calls are, as in a plain script: every attempt may work."""

    def take_turn(self) -> None:
        """At once."""

    def end_turn(self) -> None:
        """Nobody waits for it."""
