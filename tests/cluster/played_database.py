"""A database that a test plays: it answers at once, or not at all, and says of a job what the test wants."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from callsign.cluster import statements as sql
from callsign.cluster.connection import DatabaseFault

Key = tuple[str, int]


class Rows:
    def __init__(self, rows: list[tuple[Any, ...]]) -> None:
        self._rows = rows

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self._rows


class PlayedDatabase:
    """In place of cluster.connection.Database."""

    def __init__(self) -> None:
        self.openings = 1
        self.is_silent = False
        self.hangs = False
        self.refuses = False  # what is written of jobs
        self.refuses_to_join = False
        self.refuses_beats = False
        self.poison = ""  # a call that it cannot store
        self.server = "first"
        self.jobs: dict[Key, dict[str, Any]] = {}
        self.behind: set[Key] = set()  # an earlier one of their call is open elsewhere
        self.later: dict[Key, list[str]] = {}  # actions of later ones that share their key
        self.unheard: set[Key] = set()  # of what they undo nobody has told
        self.known: set[str] = set()  # digests that other jobs have
        self.hosts: dict[str, tuple[int, int, bool]] = {}  # life, beat, dead
        self.systems: list[str] = []  # what each host delivers
        self.free: list[tuple[Any, ...]] = []  # rows of ADOPT
        self.on_adopt: Callable[[], object] = lambda: None
        self.wishes: list[Key] = []
        self.forgettable = 0  # rows that are too old
        self.too_late = 0  # that wait, and are nobody's
        self.newest = 0  # job of the store that joins
        self.said: list[str] = []
        self.batches: list[int] = []  # how many jobs were published at once

    def _refuse(self, statement: str) -> None:
        if self.refuses and statement in (sql.PUBLISH, sql.END):
            raise DatabaseFault("cannot execute INSERT in a read-only transaction", unheard=True)

        if self.refuses_to_join and statement == sql.JOIN:
            raise DatabaseFault("permission denied for table host", unheard=True)

        if self.refuses_beats and statement == sql.BEAT:
            raise DatabaseFault("permission denied for table host", unheard=True)

    @contextmanager
    def exchange(self) -> Iterator[Any]:
        if self.is_silent:
            raise DatabaseFault("it is silent", unheard=True)
        if self.hangs:
            yield lambda *_said: Rows([])
            raise DatabaseFault("no answer within 2 s", timed_out=True)
        yield self._say

    def close(self) -> None:
        """Nothing to close."""

    def _say(self, statement: str, values: Mapping[str, Any] | None = None) -> Rows:
        self.said.append(statement)
        self._refuse(statement)
        return Rows(self._answer(statement, values or {}))

    def _answer(self, statement: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        told = json.loads(values.get("jobs", "[]"))
        keys = [(job["store"], job["n"]) for job in told]
        me = values.get("me")
        if statement == sql.PUBLISH:
            return self._publish(told)
        if statement == sql.ANSWERS:
            return [self._told_of(key) for key in keys if key in self.jobs]
        if statement == sql.END:
            mine = [key for key in keys if key in self.jobs and self.jobs[key]["owner"] in (me, None)]
            for key, job in zip(keys, told, strict=True):
                if key in mine:
                    self.jobs[key]["state"] = job["state"]
            return list(mine)
        if statement == sql.HAND_OVER:
            for key in keys:
                if key in self.jobs and self.jobs[key]["owner"] == values["owner"]:
                    self.jobs[key]["owner"] = values["new_owner"]
            return []
        if statement == sql.HELD and not values["above_store"]:
            return [
                self._row(key) for key, job in self.jobs.items() if job["owner"] == me and job["state"] == "waiting"
            ]
        if statement == sql.JOIN:
            self.hosts[str(me)] = self.hosts.get(str(me), (0, 0, False))[0] + 1, 0, False
            return [(self.hosts[str(me)][0],)]
        if statement == sql.BEAT:
            life, beat, dead = self.hosts[str(me)]
            if dead or life != values["life"]:
                return []
            self.hosts[str(me)] = life, beat + 1, dead
            return [(life,)]
        if statement == sql.HOSTS:
            return [(name, *rest, {}, self.systems, []) for name, rest in self.hosts.items()]
        if statement == sql.DECLARE_DEAD:
            life, beat, _ = self.hosts[values["name"]]
            self.hosts[values["name"]] = life, beat, True
            return [(values["name"],)]
        if statement == sql.NEWEST:
            return [(self.newest,)] if self.newest else []
        if statement == sql.STARTED:
            return [(self.server,)]
        if statement == sql.EXPIRE:
            expired = min(self.too_late, sql.MOST_PRUNED)
            self.too_late -= expired
            return [(n,) for n in range(expired)]
        if statement == sql.PRUNE:
            pruned = min(self.forgettable, sql.MOST_PRUNED)
            self.forgettable -= pruned
            return [(n,) for n in range(pruned)]
        if statement == sql.WISHES:
            return list(self.wishes)
        if statement == sql.WISH_HEARD:
            self.wishes = [key for key in self.wishes if key not in keys]
        elif statement == sql.ADOPT:
            self.on_adopt()
            taken, self.free = self.free, []
            if values["ownerless"] and "noojee" in values["systems"]:
                taken += [self._row(key) for key, job in self.jobs.items() if job["owner"] is None]
            for row in taken:
                what = {"action": row[3], "call": row[4]}
                self.jobs[row[0], row[1]] = {"home": row[8], "owner": me, "state": "waiting", **what}
            return taken
        elif statement == sql.TAKE_SLOTS:
            return [(values["system"], n) for n in range(values["number"])]
        return []

    def _publish(self, told: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
        before = set(self.jobs)
        self.batches.append(len(told))
        if self.poison in [job["call"] for job in told]:
            raise DatabaseFault("it does not take that", of_data=True)
        for job in told:
            key, once = (job["store"], job["n"]), job["once"]
            if key not in self.jobs and once not in self.known:
                self.jobs[key] = {name: job[name] for name in ("home", "owner", "state", "action", "call")}
                self.known |= {once} - {None}
        return list(set(self.jobs) - before)

    def _told_of(self, key: Key) -> tuple[Any, ...]:
        job = self.jobs[key]
        earlier = [] if key in self.unheard else ["noojee/start"]
        more = key in self.behind, self.later.get(key, []), earlier
        return *key, job["home"], job["state"], job["owner"], "", job.get("call", "pbx-1.1"), job["action"], *more

    def _row(self, key: Key) -> tuple[Any, ...]:
        job = self.jobs[key]
        return (
            *key,
            "noojee",
            job["action"],
            job.get("call", "pbx-1.1"),
            job.get("facts", "{}"),
            1.0,
            59.0,
            job["home"],
            0,
            False,
            0.0,
            True,
        )


def free_row(n: int, action: str = "noojee/start", call: str = "pbx-1.1", home: str = "pbx2") -> tuple[Any, ...]:
    """A dead host's job, as ADOPT gives it."""
    return f"store of {home}", n, "noojee", action, call, "{}", 5.0, 55.0, home, 0, False, 0.0, True
