"""Calls before deliveries: an attempt begins when no call is waiting for its status.

Both share one interpreter.  An attempt that begins while a call's session is under way makes that call
wait for the signing and sending of its own notification; behind the last `SET VARIABLE` it costs nobody
anything.
"""

from __future__ import annotations

import threading

LONGEST_SECONDS = 0.05
"""So long an attempt gives way at most: on a busy machine there is always some call."""


class CallsFirst:
    """Counts the calls that wait for a status; `begin` and `end` belong to the session's thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._waiting = 0
        self._here = threading.local()

    def begin(self) -> None:
        """A call waits for its status from now on."""
        self._here.waits = True
        with self._changed:
            self._waiting += 1

    def end(self) -> None:
        """It has its status, or waits for the vendor; harmless if said twice."""
        if getattr(self._here, "waits", False):
            self._here.waits = False
            with self._changed:
                self._waiting -= 1
                if not self._waiting:
                    self._changed.notify_all()

    def give_way(self) -> None:
        """Returns when no call waits, or after `LONGEST_SECONDS`."""
        with self._changed:
            if self._waiting:
                self._changed.wait_for(lambda: not self._waiting, LONGEST_SECONDS)
