"""Starts threads; says once that no more are to be had, then how often that was so."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from callsign.log_text import own_fault

PAUSE_SECONDS = 60.0
"""Between two lines of the log about it."""

BEGIN_SECONDS = 1.0
"""How long a thread may take to begin; one without memory for its first step never does, and nobody says so."""

log = logging.getLogger("callsign")


class _Begun(threading.Event):
    """What Python's `Thread.start` waits for, without end; in two parts: a machine that stood still ends but one."""

    def wait(self, timeout: float | None = BEGIN_SECONDS / 2) -> bool:
        return super().wait(timeout) or super().wait(timeout)


class Thread(threading.Thread):
    """A daemon thread that begins at once, or not at all: else `start` raises RuntimeError, MemoryError."""

    def __init__(self, name: str, target: Callable[..., object], *args: object) -> None:
        super().__init__(target=target, args=args, name=name, daemon=True)
        self._started = _Begun()
        self._claim = threading.Lock()  # whose it is: the thread's own, or who has waited for it

    def start(self) -> None:
        super().start()
        if self.ident is None and self._claim.acquire(blocking=False):
            raise RuntimeError(f"one has not begun within {BEGIN_SECONDS:g} s")

    def run(self) -> None:
        if self._claim.acquire(blocking=False):
            super().run()


class ThreadStarts:
    """Of one process, for any thread."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._in_vain = 0  # since the last line
        self._next_line = 0.0  # monotonic seconds

    def begin(self, name: str, target: Callable[..., object], *args: object) -> bool:
        """Starts a daemon thread.  False where the system gives none: the caller goes on with what there is."""
        try:
            Thread(name, target, *args).start()
        except (RuntimeError, MemoryError) as fault:
            self._note(str(fault) or "no memory")
            return False
        return True

    def _note(self, fault: str) -> None:
        with self._guard:
            self._in_vain += 1
            now = time.monotonic()
            if now < self._next_line:
                return
            self._next_line = now + PAUSE_SECONDS
            times, self._in_vain = self._in_vain, 0
        more = f"; {times} times since the last such line" if times > 1 else ""
        log.error("no more threads to be had (%s)%s: calls and deliveries share those there are", fault, more)


_starts = ThreadStarts()
begin = _starts.begin


def log_faults() -> None:
    """From now on a fault that ends a thread is logged by its place; Python's own traceback may hold a number."""

    def note(ended: threading.ExceptHookArgs) -> None:
        fault = ended.exc_value or ended.exc_type()
        log.error("thread %s has ended: %s", ended.thread and ended.thread.name, own_fault(fault))

    threading.excepthook = note
