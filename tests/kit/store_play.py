"""What the tests of store and delivery share: notifications, a vendor at the far end of `send`, other processes."""

from __future__ import annotations

import json
import os
import queue
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from callsign import clocks
from callsign.http.messages import Answer, NoAnswer, Reply, Request
from callsign.notification import Notification
from callsign.settings.secret import Secret
from callsign.settings.sections import Noojee, Numbers, Settings, Skarabee

PROJECT = Path(__file__).resolve().parents[2]
LONG_SECONDS = 30.0  # for what happens soon: only a fault makes anybody wait so long

SETTINGS = Settings(
    numbers=Numbers(format="asis"),
    skarabee=Skarabee("https://voip.example/api/", "8103", Secret("office-key")),
    noojee=Noojee("https://pbx.example/rest", Secret("recorder-key"), auth="apikey"),
)

WELL = {
    "skarabee": Answer(200, {}, b'{"Message":"","Status":"OK"}'),
    "noojee": Answer(200, {}, b'{"Message":"","Code":0}'),
}
GONE = NoAnswer("nobody there", sent=False)
SILENT = NoAnswer("no answer", sent=True)
CALLER = "0478123456"


def call_from(caller: str = CALLER, call: str = "", lifetime: float = 840.0, once: str = "") -> Notification:
    """What skarabee is to know of a call."""
    facts = {"businessid": "8103", "phoneto": "056528998", "phonefrom": caller}
    return Notification("skarabee", "skarabee", call or f"call-{caller[-4:]}", facts, clocks.wall(), lifetime, once)


def recording(action: str, call: str, lifetime: float = 3600.0, whose: str = "") -> Notification:
    """A start or stop of a call's recording; `whose` is the recording's own name."""
    facts = {"extenOrUniqueId": whose or call}
    return Notification("noojee", f"noojee/{action}", call, facts, clocks.wall(), lifetime)


def eventually(holds: Callable[[], object], seconds: float = LONG_SECONDS) -> bool:
    """Whether it comes to hold: for what only a look from outside can tell."""
    end = time.monotonic() + seconds
    pause = threading.Event()
    while not holds():
        if time.monotonic() > end:
            return False
        pause.wait(0.01)
    return True


@contextmanager
def in_the_wal_alone(path: Path) -> Iterator[None]:
    """What is committed from now on: a reader who stays keeps a checkpoint from putting it into the database.

    One that came first would have made a cut of the WAL harmless.
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM job").fetchone()
        yield


class PlayedVendor:
    """Both vendors, as `send` reaches them.

    `asked` has a word for each request: "skarabee CALLER", "start RECORDING", "stop RECORDING".  `answers` maps the
    beginning of such a word to a reply, or to a function that makes one; what is not in it goes well.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.requests: list[Request] = []
        self.answers: dict[str, Reply | Callable[[], Reply]] = {}
        self._grew = threading.Condition()

    def send(self, request: Request, seconds: float) -> Reply:
        system = "skarabee" if request.url.startswith("https://voip.example/") else "noojee"
        query = dict(request.query)
        last = request.url.rsplit("/", 1)[1]
        word = f"skarabee {query['phonefrom']}" if system == "skarabee" else f"{last} {query['extenOrUniqueId']}"
        with self._grew:
            self.asked.append(word)
            self.requests.append(request)
            self._grew.notify_all()
            answer = next((a for start, a in self.answers.items() if word.startswith(start)), WELL[system])
        return answer() if callable(answer) else answer

    def was_asked(self, *words: str, seconds: float = LONG_SECONDS) -> bool:
        """Waits until each of `words` was asked once at least."""
        with self._grew:
            return self._grew.wait_for(lambda: set(words) <= set(self.asked), seconds)

    def was_asked_times(self, number: int, seconds: float = LONG_SECONDS) -> bool:
        """Waits until it was asked so often in all."""
        with self._grew:
            return self._grew.wait_for(lambda: len(self.asked) >= number, seconds)


class Gate:
    """An answer that a test holds back: `open()` lets it go."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._open = threading.Event()
        self.reached = threading.Event()

    def __call__(self) -> Reply:
        self.reached.set()
        assert self._open.wait(LONG_SECONDS)
        return self._reply

    def open(self) -> None:
        self._open.set()


class OtherProcess:
    """Another Python process with callsign and the tests' modules at hand; it speaks in lines."""

    def __init__(self, code: str, *arguments: object) -> None:
        path = os.pathsep.join((str(PROJECT / "agi"), str(PROJECT / "tests/kit")))
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put("")

    def hear(self, seconds: float = LONG_SECONDS) -> str:
        """The next line; empty when it has ended."""
        return self._lines.get(timeout=seconds)

    def hear_json(self) -> object:
        return json.loads(self.hear())

    def say(self, line: str = "") -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait(LONG_SECONDS)

    def ended(self) -> int:
        """Waits for its end; the exit status."""
        return self.process.wait(LONG_SECONDS)

    def __enter__(self) -> OtherProcess:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()
        self._reader.join(5)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
