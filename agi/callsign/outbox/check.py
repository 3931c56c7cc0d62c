"""Reads the whole store now and then, in the server: a page that was overwritten shows in no other way for days.

SQLite remembers the pages that it has read, so that whoever has the store open may go on without noticing; the
next start would not.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from callsign import thread_starts
from callsign.outbox.reader import OutboxReader
from callsign.outbox.values import OutboxError, StoreBroken

AGAIN_SECONDS = 10.0
TIMES_AS_LONG = 500
"""The pause is so many times as long as the look: 60 ms for 100,000 jobs, without the interpreter."""

CLOSE_SECONDS = 1.0
"""How long the end waits for a look that is under way."""


class StoreCheck:
    """A thread of its own."""

    def __init__(self, path: Path, opened: threading.Event, on_broken: Callable[[StoreBroken], None]) -> None:
        """The first look comes as soon as the store is `opened`: a backup put back beside another store's -wal, say."""
        self._reader = OutboxReader(path)
        self._opened = opened
        self._on_broken = on_broken
        self._stopped = threading.Event()
        self._looking = threading.Lock()
        thread_starts.begin("outbox-check", self._run)

    def close(self) -> None:
        """Begins no further look, and waits for the one under way: else the writer's close would leave a -wal."""
        self._stopped.set()
        if self._looking.acquire(timeout=CLOSE_SECONDS):
            self._looking.release()

    def _run(self) -> None:
        self._opened.wait()
        while not self._stopped.is_set():
            began = time.monotonic()
            with self._looking:
                self._look()
            self._stopped.wait(max(AGAIN_SECONDS, TIMES_AS_LONG * (time.monotonic() - began)))

    def _look(self) -> None:
        if self._stopped.is_set():
            return
        try:
            self._reader.check()
        except StoreBroken as fault:
            self._on_broken(fault)
        except OutboxError:  # it is locked, or not there: others say so
            pass
        self._reader.close()  # the next look is to read all from the file again
