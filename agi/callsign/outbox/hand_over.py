"""Jobs that were committed, on their way to who delivers them: the listener in this process, else another process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from callsign.outbox.values import Job, OnJobs, OnNewStore, StoreBroken

if TYPE_CHECKING:
    from callsign.outbox.feed import Backlog

AFTER_SECONDS = 0.0005
"""The calls that a commit has answered go on first, a tenth of their step quicker; then their jobs are handed over."""


class HandOver:
    """What the writer has committed and nobody has heard of yet.  Every method is called in the writer's turn."""

    def __init__(self, path: Path, on_broken: Callable[[StoreBroken], None]) -> None:
        """`on_broken` is told, in another thread, what reading the backlog shows."""
        self.listener: OnJobs | None = None
        self.on_new_store: OnNewStore | None = None
        self.open: dict[tuple[object, ...], Job] = {}
        """What the store had open when it was seen last, by id and `at`: for the next one, should it be lost."""
        self._path = path
        self._on_broken = on_broken
        self._backlog: Backlog | None = None
        self._jobs: list[Job] = []

    @property
    def is_due(self) -> bool:
        """Whether there is something to hand over."""
        return bool(self._jobs)

    def listen(self, on_jobs: OnJobs | None, on_new_store: OnNewStore | None) -> None:
        """From the next commit on `on_jobs` gets the jobs, first those that are open by then."""
        self.now()
        if on_jobs is not None:
            self.open.clear()  # not before: what is still unwritten may need it
        if self._backlog is not None:
            self._backlog.close()
            self._backlog = None
        self.listener, self.on_new_store = on_jobs, on_new_store

    def unknown(self, jobs: list[Job]) -> list[Job]:
        """Those of the backlog that have not come another way; for any thread."""
        return [job for job in jobs if self.open.setdefault((job.id, job.notification.created_at), job) is job]

    def add(self, jobs: list[Job], known_up_to: int) -> None:
        """Committed just now; what is open up to that id is the backlog of a new listener."""
        if self.listener is not None and self._backlog is None:
            from callsign.outbox.feed import Backlog  # a plain script has its status before it listens

            self._backlog = Backlog(self._path, known_up_to, self.listener, self.unknown, self._on_broken)
        self._jobs += jobs

    def now(self) -> None:
        """They are delivered from now on: that wakes threads, which calls would feel."""
        jobs, self._jobs = self._jobs, []
        if not jobs:
            return
        if self._backlog is not None:
            self._backlog.hand_over(jobs)
        else:
            from callsign.outbox.doorbell import ring  # as above

            ring(self._path)
