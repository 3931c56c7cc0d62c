"""Which open jobs wait for which: those that share a key (a call, a recording) go out in the order given."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from callsign.notification import Notification
from callsign.outbox.outbox import Job


class JobOrder:
    """A line of jobs for each key.  A job is free when it is the first of every line that it stands in.

    A job joins all its lines at once, so the oldest of all is always free: no two can wait for each other.
    """

    def __init__(self, keys_of: Callable[[Notification], tuple[str, ...]]) -> None:
        """`keys_of` gives the keys of a notification, each once, the same at each call."""
        self._keys_of = keys_of
        self._lines: dict[str, list[Job]] = {}  # most have one job or two, and 100,000 may be there
        self._newest = -math.inf  # birth
        self.jobs = 0
        """How many there are."""

    def __bool__(self) -> bool:
        return bool(self._lines)

    def __iter__(self) -> Iterator[Job]:
        """All jobs; one that stands in two lines comes twice."""
        for line in self._lines.values():
            yield from line

    def add(self, job: Job) -> None:
        """Behind all that have a key in common with it."""
        job.birth = self._newest = max(self._newest, _birth_of(job))
        self.jobs += 1
        for key in self._keys_of(job.notification):
            self._lines.setdefault(key, []).append(job)

    def add_by_birth(self, job: Job) -> list[Job]:
        """Before the younger ones that had no turn yet.  Those that are not free any more."""
        job.birth = _birth_of(job)
        self.jobs += 1
        passed = []
        for key in self._keys_of(job.notification):
            line = self._lines.setdefault(key, [])
            place = sum(one.birth <= job.birth or one.begun for one in line)
            passed += line[:1] if place == 0 else []
            line.insert(place, job)
        return passed

    def is_free(self, job: Job) -> bool:
        """Whether nothing stands before it."""
        return all(self._lines[key][0] is job for key in self._keys_of(job.notification))

    def firsts(self, notification: Notification) -> list[Job]:
        """The first job of each line that a job of this notification would join."""
        return [self._lines[key][0] for key in self._keys_of(notification) if key in self._lines]

    def behind(self, job: Job) -> Iterator[Job]:
        """Those that wait for it; one that does so twice comes twice."""
        for key in self._keys_of(job.notification):
            line = self._lines[key]
            yield from line[line.index(job) + 1 :]

    def remove(self, job: Job) -> list[Job]:
        """Takes it out, wherever it stands.  Those that have become free."""
        self.jobs -= 1
        freed = []
        for key in self._keys_of(job.notification):
            line = self._lines[key]
            was_first = line[0] is job
            line.remove(job)
            if not line:
                del self._lines[key]
            elif was_first:
                freed.append(line[0])
        return [one for one in dict.fromkeys(freed) if self.is_free(one)]


def _birth_of(job: Job) -> float:
    return job.steady_deadline - job.notification.lifetime_seconds
