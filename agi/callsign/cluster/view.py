"""All hosts and their jobs, as the commands show them.  Every method raises DatabaseFault."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from callsign.cluster import statements as sql
from callsign.cluster.connection import Database, DatabaseFault
from callsign.record import Record, field
from callsign.settings.sections import Cluster

NEWEST = {"seq": 2**63 - 1, "ended": "infinity"}
PAGE = 1000
"""Rows of one exchange, which has its limit of time."""

SOUGHT = ("state", "system", "call", "host", "since", "until")

Row = tuple[Any, ...]


class Host(Record):
    """One of them."""

    name: str
    life: int
    dead: bool
    since: float  # epoch seconds: its start, or its return from the dead
    silent_seconds: float  # since its last sign of life
    version: str
    systems: Sequence[str]  # the accounts that it delivers


class Waiting(Record):
    """What waits of one system at one host; `host` is empty where it is for whoever comes first."""

    host: str
    system: str
    count: int
    oldest_seconds: float


class SharedJob(Record):
    """A job that the others know of; times are epoch seconds."""

    store: str
    host: str  # that was told
    owner: str  # that delivers; empty: whoever comes first
    job: int  # its number at that host
    system: str
    action: str
    call: str
    at: float
    attempts: int
    state: str
    ended: float | None
    next_try: float | None
    deadline: float
    reason: str
    facts: str = field(repr=False)  # as they lie in the store; emptied where it has ended well


class View:
    """One command's."""

    def __init__(self, section: Cluster) -> None:
        self._database = Database(section)

    def hosts(self) -> tuple[list[Host], list[Waiting], dict[tuple[str, str], int]]:
        """The hosts; what waits; how many of a vendor's places each has, by host and system."""
        hosts, waiting, slots = self._ask((sql.SHOWN_HOSTS, {}), (sql.WAITING, {}), (sql.HELD_SLOTS, {}))
        held = {(host, system): count for host, system, count in slots}
        return [Host(*row) for row in hosts], [Waiting(*row) for row in waiting], held

    def jobs(
        self, wanted: Mapping[str, Any], most: int | None, fits: Callable[[str], bool] | None = None
    ) -> list[SharedJob]:
        """The newest that fit; `fits` looks at a job's facts as text, where there are any."""
        values = {name: wanted.get(name) for name in SOUGHT} | {"with_facts": fits is not None}
        found = []
        for statement in (sql.OPEN_JOBS, sql.ENDED_JOBS):
            left = most
            for row in self._pages(statement, values, PAGE if most is None or fits else min(most, PAGE)):
                job = SharedJob(*row)
                if left == 0:
                    break
                if fits is None or fits(job.facts):
                    found.append(job)
                    left = None if left is None else left - 1
        return sorted(found, key=lambda job: -job.at)[:most]

    def known(self, store: str, numbers: Sequence[int]) -> dict[int, SharedJob]:
        """Of these jobs of a store those that the others know of, by number."""
        found: dict[int, SharedJob] = {}
        for start in range(0, len(numbers), PAGE):
            (rows,) = self._ask((sql.KNOWN_JOBS, {"store": store, "n": list(numbers[start : start + PAGE])}))
            found |= {job.job: job for job in (SharedJob(*row[2:]) for row in rows)}
        return found

    def jobs_of(self, host: str, numbers: Sequence[int]) -> dict[int, SharedJob]:
        """These jobs of a host, by number."""
        (rows,) = self._ask((sql.JOBS_OF_HOST, {"host": host, "n": list(numbers)}))
        newest_last = reversed([SharedJob(*row[2:]) for row in rows])  # a store that was lost may have had the number
        return {job.job: job for job in newest_last}

    def retry(self, job: SharedJob) -> int | None:
        """It goes out once more, by whichever host comes first; the new job's number, None where it may not."""
        (rows,) = self._ask((sql.RETRY, {"store": job.store, "n": job.job}))
        return rows[0][0] if rows else None

    def note_retried(self, job: SharedJob, reason: str) -> bool:
        """Its own host has stored it again; False where the others cannot be told."""
        try:
            self._ask((sql.NOTE_RETRIED, {"store": job.store, "n": job.job, "reason": reason}))
        except DatabaseFault:
            return False
        return True

    def drop(self, job: SharedJob) -> bool:
        """Gives it up; False where it has ended meanwhile."""
        (rows,) = self._ask((sql.DROP, {"store": job.store, "n": job.job}))
        return bool(rows)

    def forget(self, host: str) -> bool:
        """Lists a dead host no more; False where it is not dead, or something still waits for it."""
        (rows,) = self._ask((sql.FORGET, {"name": host}))
        return bool(rows)

    def close(self) -> None:
        """Lets the connection go."""
        self._database.close()

    def _pages(self, statement: str, values: Mapping[str, object], page: int) -> Iterator[Row]:
        mark: Mapping[str, object] = NEWEST
        while True:
            (rows,) = self._ask((statement, {**values, **mark, "page": page}))
            yield from (row[2:] for row in rows)
            if len(rows) < page:
                return
            mark = {"seq": rows[-1][0], "ended": rows[-1][1]}

    def _ask(self, *questions: tuple[str, Mapping[str, object]]) -> list[list[Row]]:
        """The rows that each gives."""
        with self._database.exchange() as say:
            cursors = [say(statement, values) for statement, values in questions]
        return [cursor.fetchall() for cursor in cursors]
