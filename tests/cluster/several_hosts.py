"""Several real servers with one vendor and one PostgreSQL, calls that pass through two of them, and what came of it.

Per call: a recording's start and Skarabee's notification at one host; a little later Skarabee's once more and the
recording's stop at the next host, or, for every fourth call, at the same.  `call=` is what both hosts know it by.
"""

from __future__ import annotations

import random
import signal
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from callsign.outbox.reader import OutboxReader
from callsign.sandbox.asterisk.behaviour import Conduct
from callsign.sandbox.asterisk.call import Call
from callsign.sandbox.asterisk.play import run_fastagi
from callsign.sandbox.vendors.messages import Trouble
from cluster_settings import cluster_section
from load import Vendors, word
from ports import held_port
from product import Product, vendor_sections
from real_postgres import Postgres
from store_play import LONG_SECONDS
from waiting import wait_until

HOSTS = 3
CALLS_A_SECOND = 8.0
CALLERS = 32
"""Calls under way: each lasts about a second, longer where a host is frozen."""

MOST_TROUBLES = 40
"""Lines of each host's log that a failed test shows."""

FIRST_PAUSE_SECONDS = 0.7
SECOND_PAUSE_SECONDS = 0.7
WELL = Trouble(delay_seconds=0.015)
AWAY = {"skarabee": Trouble(http_status=503), "noojee": Trouble(http_status=404)}
"""404: of a server that is being started.  Behind others of its answers a start may be carried out yet, and a stop goes
out twice."""
CONDUCT = Conduct(timeout_seconds=2 * LONG_SECONDS)
PROMISES = ("OK", "QUEUED")


class Host(Product):
    """One server, with a folder and a port of its own; `takes_calls`: whether Asterisk sends them here."""

    takes_calls = True

    def destroy(self) -> None:
        """kill -9, and its disk is gone."""
        self.takes_calls = False
        self.kill()
        for file in self.folder.glob(f"{self.store.name}*"):
            file.unlink()

    def kill(self) -> None:
        self.takes_calls = False
        super().kill()

    def come_back(self) -> None:
        self.start()
        self.takes_calls = True

    def freeze(self) -> None:
        self.takes_calls = False
        self.process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.takes_calls = True

    @property
    def troubles(self) -> list[str]:
        """What its log says but of jobs and vendors."""
        return [line for line in self.log if "callsign.cluster" in line or "fault in callsign" in line]

    def waits(self) -> int:
        """How many of its jobs are open in its own store."""
        with closing(OutboxReader(self.store)) as store:
            return sum(number for number, _ in store.waiting().values())


@contextmanager
def hosts(folder: Path, box: Vendors, databases: Sequence[str], pooled: bool = False) -> Iterator[list[Host]]:
    """One for each of `databases`; an empty one: without [cluster]."""
    with ExitStack() as running:
        found = []
        for number, database in enumerate(databases, 1):
            own = folder / f"pbx{number}"
            own.mkdir()
            sections = vendor_sections(box, numbers='format = "asis"')
            if database:
                sections += cluster_section(database, f"pbx{number}", pooled)
            port = running.enter_context(held_port())
            found.append(running.enter_context(Host(own, sections, listen=f"127.0.0.1:{port}")))
        try:
            yield found
        finally:
            for host in found:
                print(f"-- {host.folder.name}", *host.troubles[:MOST_TROUBLES], sep="\n")


@dataclass(frozen=True)
class Told:
    """What the dialplan was told of one step."""

    wanted: str  # the word of the request that the vendor is to get
    host: Host
    status: str
    passes: bool  # its call passes through two hosts


@dataclass
class Count:
    """What came of it; each list has the words of the requests that it is about."""

    accepted: int = 0
    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    disordered: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"accepted {self.accepted}, lost {len(self.lost)}, twice {len(self.twice)}, order {len(self.disordered)}"


class Calls:
    """Calls at a steady pace for the body of a `with`, to those of `hosts` that take them."""

    def __init__(self, hosts: list[Host], dice: random.Random, rate: float = CALLS_A_SECOND) -> None:
        self._hosts = hosts
        self._dice = dice
        self._rate = rate
        self._over = threading.Event()
        self._running: list[Future[None]] = []
        self.told: list[Told] = []

    def __enter__(self) -> Calls:
        self._pool = ThreadPoolExecutor(CALLERS)
        self._pace = threading.Thread(target=self._begin_all)
        self._pace.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._over.set()
        self._pace.join()
        self._pool.shutdown()
        for call in self._running:
            call.result()

    @property
    def promised(self) -> dict[str, Told]:
        """The first promise of each."""
        promises: dict[str, Told] = {}
        for told in list(self.told):
            if told.status in PROMISES:
                promises.setdefault(told.wanted, told)
        return promises

    def wait_for_more(self, promises: int) -> None:
        """Until so many more jobs were accepted."""
        before = self._accepted()
        wait_until(lambda: self._accepted() >= before + promises)

    def _accepted(self) -> int:
        return sum(told.status in PROMISES for told in list(self.told))

    def _begin_all(self) -> None:
        began, number = time.monotonic(), 0
        while not self._over.wait(max(0.0, began + number / self._rate - time.monotonic())):
            number += 1
            pauses = self._dice.uniform(0, FIRST_PAUSE_SECONDS), self._dice.uniform(0.05, SECOND_PAUSE_SECONDS)
            self._running.append(self._pool.submit(self._call, number, *pauses))

    def _call(self, number: int, first_pause: float, second_pause: float) -> None:
        key = f"pbx-1700000000.{number}"
        caller = f"0470{number:06}"
        passes = number % 4 != 0
        skarabee = "skarabee", f"skarabee {caller}", [f"call={key}"]
        start, stop = (
            (f"noojee/{what}", f"{what} {key}", [f"extenOrUniqueId={key}", f"call={key}"]) for what in ("start", "stop")
        )
        here, there = number, number + passes
        for pause, at, (path, wanted, arguments) in (
            (0.0, here, start),
            (0.0, here, skarabee),
            (first_pause, there, skarabee),
            (second_pause, there, stop),
        ):
            time.sleep(pause)
            host = self._host(at)
            call = Call(callerid=caller, extension="056528998", uniqueid=f"{host.folder.name}-1700000000.{number}")
            session = run_fastagi(f"{host.url}/{path}?wait=0", call, arguments, CONDUCT)
            status = next((text for name, text in session.variables.items() if name.endswith("STATUS")), "")
            self.told.append(Told(wanted, host, status, passes))

    def _host(self, wanted: int) -> Host:
        """The wanted one, or the next that takes calls."""
        turns = [self._hosts[(wanted + step) % len(self._hosts)] for step in range(len(self._hosts))]
        return next(host for host in turns if host.takes_calls)

    def count(self, box: Vendors) -> Count:
        """What the vendor has of it by now."""
        promised = self.promised
        taken: Counter[str] = Counter()
        commands: defaultdict[str, list[str]] = defaultdict(list)
        for seen in box.seen:
            if seen.verdict == "OK" and seen.path != "/Time":
                taken[word(seen)] += 1
                command, _, subject = word(seen).partition(" ")
                commands[subject].append(command)
        return Count(
            accepted=self._accepted(),
            lost=box.lost(set(promised)),
            twice=[wanted for wanted, times in taken.items() if times > 1],
            disordered=[subject for subject, came in commands.items() if came != sorted(came)],
        )


def settled(calls: Calls, box: Vendors, hosts: list[Host]) -> Count:
    """The count when nothing waits any more at a host that runs, and all have ended."""
    running = [host for host in hosts if host.process.poll() is None]
    wait_until(lambda: all(host.waits() == 0 for host in running), 2 * LONG_SECONDS)
    for host in running:
        assert host.stop() == 0
    return calls.count(box)


class Scene:
    """Hosts that share a PostgreSQL, with calls on them for the body of a `with`; `count` stands behind it."""

    def __init__(self, folder: Path, postgres: Postgres, box: Vendors, dice: random.Random) -> None:
        self._folder, self._dice = folder, dice
        self.postgres, self.box = postgres, box
        self.count = Count()
        self.in_outages: set[str] = set()

    @contextmanager
    def calls_on(self, *databases: str, pooled: bool = False) -> Iterator[Calls]:
        """A host for each of `databases`, all of which lead to `postgres`."""
        with hosts(self._folder, self.box, databases, pooled) as self.hosts:
            wait_until(lambda: len(self.rows("SELECT 1 FROM callsign.host")) == len(databases))
            self.wait_for_beats()  # each has its lease, and room at the vendors
            with Calls(self.hosts, self._dice) as self.calls:
                self.calls.wait_for_more(10)
                yield self.calls
            self.wait_for_beats()
            wait_until(lambda: not self.rows("SELECT 1 FROM callsign.job WHERE state = 'waiting'"), 2 * LONG_SECONDS)
            self.count = settled(self.calls, self.box, self.hosts)
        print(self.count)
        for call in self.count.disordered:
            for host in self.hosts:
                print(f"-- {host.folder.name}", *(line for line in host.log if f"call={call} " in line), sep="\n")

    def rows(self, statement: str, *values: object) -> list[Any]:
        return self.postgres.sql(statement, *values, database="callsign")

    def wait_for_backlog(self, host: Host, jobs: int) -> None:
        """The vendors are away until so many jobs wait at `host`, and stay so."""
        self.box.trouble = dict(AWAY)
        wait_until(lambda: host.waits() > jobs)

    def end_backlog(self) -> None:
        self.box.trouble = {"skarabee": WELL, "noojee": WELL}

    def wait_for_death(self, host: Host) -> None:
        """Until the others have taken over what was its."""
        name = host.folder.name
        wait_until(lambda: self.rows("SELECT 1 FROM callsign.host WHERE name = %s AND dead", name))
        mine = "SELECT 1 FROM callsign.job WHERE owner = %s AND state = 'waiting'"
        wait_until(lambda: not self.rows(mine, name))

    def adopted(self, host: Host) -> int:
        """How many of its jobs another host has ended."""
        [(number,)] = self.rows("SELECT count(*) FROM callsign.job WHERE home = %s AND owner <> home", host.folder.name)
        return int(number)

    def wait_for_beats(self) -> None:
        """Until each host that runs has been through two rounds from now on."""
        running = [host.folder.name for host in self.hosts if host.process.poll() is None]
        before = dict(self.rows("SELECT name, life * 1000000 + beat FROM callsign.host"))

        def have_beaten() -> bool:
            now = dict(self.rows("SELECT name, life * 1000000 + beat FROM callsign.host"))
            return all(now.get(name, 0) >= before.get(name, 0) + 2 for name in running)

        wait_until(have_beaten)

    def known(self, wanted: str) -> bool:
        """Whether the database has a job of which this request's word would be."""
        what, _, subject = wanted.partition(" ")
        if what == "skarabee":
            subject = f"pbx-1700000000.{int(subject.removeprefix('0470'))}"
        action = what if what == "skarabee" else f"noojee/{what}"
        return bool(self.rows("SELECT 1 FROM callsign.job WHERE call = %s AND action = %s", subject, action))
