"""Jobs that were committed, on their way to who delivers them: the listener in this process, else another process."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from callsign.doorbell import ring
from callsign.outbox_values import Job, OnJobs

if TYPE_CHECKING:
    from callsign.outbox_backlog import Backlog

AFTER_SECONDS = 0.0005
"""The calls that a commit has answered go on first, a tenth of their step quicker; then their jobs are handed over."""

LATEST_SECONDS = 0.005


class HandOver:
    """What the writer has committed and nobody has heard of yet.  Every method is called in the writer's turn."""

    def __init__(self, path: Path) -> None:
        self.listener: OnJobs | None = None
        self._path = path
        self._backlog: Backlog | None = None
        self._jobs: list[Job] = []
        self._since = 0.0

    @property
    def is_due(self) -> bool:
        """Whether there is something to hand over."""
        return bool(self._jobs)

    @property
    def is_late(self) -> bool:
        """Whether that has waited for long enough, however many calls come."""
        return bool(self._jobs) and time.monotonic() - self._since > LATEST_SECONDS

    def listen(self, on_jobs: OnJobs | None) -> None:
        """From the next commit on `on_jobs` gets the jobs, first those that are open by then."""
        self.now()
        if self._backlog is not None:
            self._backlog.close()
            self._backlog = None
        self.listener = on_jobs

    def add(self, jobs: list[Job], known_up_to: int) -> None:
        """Committed just now; what is open up to that id is the backlog of a new listener."""
        if self.listener is not None and self._backlog is None:
            from callsign.outbox_backlog import Backlog  # a plain script has its status before it listens

            self._backlog = Backlog(self._path, known_up_to, self.listener)
        if not self._jobs:
            self._since = time.monotonic()
        self._jobs += jobs

    def now(self) -> None:
        """They are delivered from now on: that wakes threads, which calls would feel."""
        jobs, self._jobs = self._jobs, []
        if not jobs:
            return
        if self._backlog is not None:
            self._backlog.hand_over(jobs)
        else:
            ring(self._path)
