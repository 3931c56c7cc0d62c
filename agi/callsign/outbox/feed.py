"""What was open when somebody began to listen: read beside the writer, so that no call waits for it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from callsign import thread_starts
from callsign.log_text import own_fault
from callsign.outbox.reader import OutboxReader
from callsign.outbox.values import Job, OnJobs, OutboxError, StoreBroken

AT_ONCE = 200
REST_SECONDS = 0.0005
"""After so many jobs the interpreter is left to the calls for a moment."""

AGAIN_SECONDS = 1.0  # between two tries to read a store that cannot be read

log = logging.getLogger("callsign.outbox")


class Backlog:
    """Hands `on_jobs` the open jobs up to an id, all at once, and then those that came meanwhile."""

    def __init__(
        self,
        path: Path,
        up_to: int,
        on_jobs: OnJobs,
        unknown: Callable[[list[Job]], list[Job]] = list,
        on_broken: Callable[[StoreBroken], None] = lambda _fault: None,
    ) -> None:
        """`unknown` leaves out what has come another way; `on_broken` hears of a store that cannot be read on."""
        self._path = path
        self._up_to = up_to
        self._on_jobs = on_jobs
        self._unknown = unknown
        self._on_broken = on_broken
        self._guard = threading.Lock()
        self._early: list[Job] | None = []  # came meanwhile; None when nothing has to wait any more
        self._stopped = threading.Event()
        if not thread_starts.begin("outbox-backlog", self._run):
            self._run()  # in the writer's time

    def hand_over(self, jobs: list[Job]) -> None:
        """New jobs: behind those that were there before."""
        with self._guard:
            if self._early is not None:
                self._early += jobs
                return
        self._tell(jobs)

    def close(self) -> None:
        """Nobody listens any more."""
        self._stopped.set()

    def _run(self) -> None:
        reader = OutboxReader(self._path)
        jobs: list[Job] = []
        above, logged = 0, ""
        while not self._stopped.is_set():
            try:
                above = self._read_on(reader, above, jobs)
                break
            except StoreBroken as fault:  # its rest can be had no more
                self._on_broken(fault)
                break
            except Exception as fault:  # also our own, which must not keep back what comes now
                words = str(fault) if isinstance(fault, OutboxError) else own_fault(fault)
                if logged != words:
                    logged = words
                    log.error("%s; what waits there is read as soon as it can be", words)
            self._release(jobs)
            jobs = []
            self._stopped.wait(AGAIN_SECONDS)
        self._release(jobs)
        reader.close()

    def _read_on(self, reader: OutboxReader, above: int, jobs: list[Job]) -> int:
        """Appends to `jobs` what is open above that id; the id it came to.  Raises OutboxError."""
        while above < self._up_to and not self._stopped.wait(REST_SECONDS if above else 0):
            found, above = reader.open_jobs(above, self._up_to, AT_ONCE)
            jobs += self._unknown(found)
        return above

    def _release(self, jobs: list[Job]) -> None:
        while True:
            with self._guard:
                jobs += self._early or []
                self._early = []
            self._tell(jobs)
            with self._guard:
                if not self._early:
                    self._early = None
                    return
            jobs = []

    def _tell(self, jobs: list[Job]) -> None:
        if self._stopped.is_set():
            return
        try:
            self._on_jobs(jobs)
        except Exception as fault:  # our own fault must not end the store's threads
            log.error("the store's listener: %s", own_fault(fault))
