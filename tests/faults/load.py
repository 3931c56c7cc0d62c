"""A steady stream of calls, what each of them was told, and what the vendors took in the end."""

from __future__ import annotations

import itertools
import sqlite3
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from callsign.sandbox.asterisk.behaviour import Conduct
from callsign.sandbox.asterisk.call import Call
from callsign.sandbox.asterisk.play import run_fastagi
from callsign.sandbox.vendors.record import SeenRequest
from callsign.sandbox.vendors.sandbox import Sandbox
from product import ACCOUNTS
from store_play import LONG_SECONDS
from waiting import wait_until

CALLERS = 6
PACE_SECONDS = 0.02
"""Between two calls of a caller: two cores carry this load and the server beside other tests."""

AWAY_SECONDS = 0.2
"""Until a caller tries again who was refused: what a server needs to start is not to be taken by calls in vain."""

CONDUCT = Conduct(timeout_seconds=LONG_SECONDS)


def word(seen: SeenRequest) -> str:
    """What a request is about: "skarabee CALLER", "start CALL", "stop CALL"."""
    subject = seen.query.get("phonefrom") or seen.query.get("extenOrUniqueId", "")
    return f"{seen.path.rpartition('/')[2] or seen.system} {subject}"


class Vendors(Sandbox):
    """The stand-ins; `taken` counts what they said yes to, `watch` is told of every request before its answer."""

    def __init__(self) -> None:
        super().__init__(ACCOUNTS, on_seen=self._note)
        self.taken: Counter[str] = Counter()
        self.watch: Callable[[SeenRequest], None] = lambda seen: None

    def _note(self, seen: SeenRequest) -> None:
        if seen.verdict == "OK" and seen.path != "/Time":
            self.taken[word(seen)] += 1
        self.watch(seen)

    @property
    def repeats(self) -> int:
        """How many were sent for nothing."""
        return sum(times - 1 for times in self.taken.values())

    def lost(self, promised: set[str]) -> list[str]:
        """What was promised and never came; a start that was never tried may give way to its stop."""
        superseded = {f"start {one.removeprefix('stop ')}" for one in list(self.taken) if one.startswith("stop ")}
        return [one for one in promised if one not in self.taken and one not in superseded]

    def wait_for_all(self, promised: set[str]) -> None:
        """Accepted and lost = 0, given time to arrive."""
        assert promised
        try:
            wait_until(lambda: not self.lost(promised), 2 * LONG_SECONDS)
        except AssertionError:
            raise AssertionError(f"accepted and lost: {sorted(self.lost(promised))}") from None

    def assert_in_order(self) -> None:
        """Per call: no start comes behind a stop, also where a crash has made one of them come again."""
        calls: defaultdict[str, list[str]] = defaultdict(list)
        for seen in self.seen:
            if seen.verdict == "OK" and seen.path.startswith("/CallManagementAPI/"):
                command, _, call = word(seen).partition(" ")
                calls[call].append(command)
        assert calls
        for call, commands in calls.items():
            assert commands == sorted(commands), (call, commands)


@dataclass(frozen=True)
class Told:
    """What one AGI() line left in its channel."""

    wanted: str  # the word of the request that a vendor is to get
    status: str  # "" is as the dialplan has preset it
    agistatus: str
    connected_at: float | None  # monotonic; None: the connection was refused


class Load:
    """Calls by several callers at once, to each of `urls` in turn, for the body of a `with`; a server may be down."""

    def __init__(self, *urls: str) -> None:
        self._urls = urls
        self._numbers = itertools.count(1)
        self._over = threading.Event()
        self._callers: list[Future[None]] = []
        self.told: list[Told] = []
        self.promised: set[str] = set()
        self.on_line: Callable[[str, str], None] = lambda direction, text: None

    def __enter__(self) -> Load:
        self._pool = ThreadPoolExecutor(CALLERS)
        self._callers = [self._pool.submit(self._call_on) for _ in range(CALLERS)]
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._pool.shutdown()
        for caller in self._callers:
            caller.result()

    def wait_for_more(self, promises: int) -> None:
        """Until so many more jobs were accepted."""
        wanted = len(self.promised) + promises
        wait_until(lambda: len(self.promised) >= wanted)

    def _call_on(self) -> None:
        while not self._over.wait(PACE_SECONDS):
            number = next(self._numbers)
            url = self._urls[number % len(self._urls)]
            call = Call(callerid=f"0470{number:06}", extension="056528998", uniqueid=f"1700000000.{number}")
            wait = int(number % 4 == 0)
            if number % 3:
                steps = [(f"skarabee?wait={wait}", f"skarabee {call.callerid}")]
            else:
                steps = [(f"noojee/start?wait={wait}", f"start {call.uniqueid}")]
                if number % 2:  # else nothing may take the start's place
                    steps.append(("noojee/stop?wait=0", f"stop {call.uniqueid}"))
            for path, wanted in steps:
                if not self._step(f"{url}/{path}", call, wanted):
                    self._over.wait(AWAY_SECONDS)

    def _step(self, request: str, call: Call, wanted: str) -> bool:
        """One AGI() line; whether somebody listened."""
        connected_at = None

        def on_line(direction: str, text: str) -> None:
            nonlocal connected_at
            connected_at = connected_at or time.monotonic()
            self.on_line(direction, text)

        session = run_fastagi(request, call, conduct=CONDUCT, on_line=on_line)
        status = next((text for name, text in session.variables.items() if name.endswith("STATUS")), "")
        self.told.append(Told(wanted, status, session.status, connected_at))
        if status in ("OK", "QUEUED"):
            self.promised.add(wanted)
        return connected_at is not None


def assert_sound(store: Path) -> None:
    """The store has no fault that SQLite could find."""
    db = sqlite3.connect(store)
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()
