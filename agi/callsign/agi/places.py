"""How many threads wait for a call, and which calls are under way; for any thread."""

from __future__ import annotations

import threading
from collections.abc import Callable

MAX_SESSIONS = 1000
SPARE_THREADS = 4
"""So many wait from the start, for calls that come at once; beyond them a thread ends after its session.

The kernel takes the one that has waited longest: the fewer, the warmer.
"""


class Places:
    """Those of one server; a call under way is named by its socket."""

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._idle = 0
        self._busy: set[object] = set()
        self._closed = False

    @property
    def taken(self) -> int:
        """How many calls are under way."""
        return len(self._busy)

    @property
    def free(self) -> int:
        """How many more there may be."""
        return MAX_SESSIONS - self.taken

    def open(self) -> int:
        """How many threads are to wait from the start; they count as idle from here on."""
        with self._changed:
            self._idle = min(SPARE_THREADS, MAX_SESSIONS)
            return self._idle

    def begin(self, sock: object) -> bool:
        """An idle thread has a call.  Whether another one has to wait for the next; it counts as idle from here on."""
        with self._changed:
            self._idle -= 1
            self._busy.add(sock)
            more = not self._idle and self.free > 0 and not self._closed
            self._idle += more
        return more

    def begin_last(self, sock: object) -> None:
        """A call that waited when the door was closed has a thread of its own."""
        with self._changed:
            self._busy.add(sock)

    def end(self, sock: object) -> bool:
        """The call has ended.  Whether its thread is to wait for another one."""
        with self._changed:
            self._busy.discard(sock)
            self._changed.notify_all()
            needed = self._idle < SPARE_THREADS and not self._closed
            self._idle += needed
        return needed

    def leave(self) -> None:
        """An idle thread ends, or could not be had."""
        with self._changed:
            self._idle -= 1
            self._changed.notify_all()

    def close(self, seconds: float) -> None:
        """No thread is to wait any more; returns when none does, after `seconds` at most."""
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: not self._idle, seconds)

    def wait_free(self, seconds: float, also: Callable[[], bool] = lambda: True) -> int:
        """Waits until no call is under way, and `also` is true, at most `seconds`.  How many calls are left."""
        with self._changed:
            self._changed.wait_for(lambda: not self._busy and also(), seconds)
            return len(self._busy)

    def wait_for_those_there(self, seconds: float) -> None:
        """Waits until the calls that are under way now have ended, at most `seconds`; others may begin."""
        with self._changed:
            now = self._busy.copy()
            self._changed.wait_for(lambda: not now & self._busy, seconds)
