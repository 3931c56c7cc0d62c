"""kill -9 of the real server and of plain scripts under load: what a call was promised reaches the vendor.

Over fifty kills of the server in all.  Most are aimed at a stage of a job, by what can be seen from outside:
lines that pass between Asterisk and the server, requests that arrive at a vendor.
"""

from __future__ import annotations

import os
import random
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from callsign.sandbox.asterisk.call import Call
from callsign.sandbox.vendors.messages import Trouble
from callsign.sandbox.vendors.record import SeenRequest
from callsign.vendors.registry import VENDORS
from load import Load, Vendors, assert_sound, word
from ports import held_port
from product import Product, vendor_sections
from script_play import ByHand, PlainScript
from store_play import LONG_SECONDS
from waiting import wait_until

KILLS = 12  # in each of four tests, which may run beside each other; SERVERS more beside scripts
SCRIPTS = 12
SCRIPTS_AT_ONCE = 3
SERVERS = 3
IN_FLIGHT = sum(vendor.concurrency for vendor in VENDORS.values())
AWAY = Trouble(http_status=503)
SLOW = Trouble(delay_seconds=0.03)  # so that several are in flight at any moment


@dataclass(frozen=True)
class Stage:
    """When to kill: at most `seconds` after something that matches `mark` has passed; 0: before anything follows."""

    name: str
    mark: str
    seconds: float = 0.0
    while_away: bool = False  # the vendors answer 503


COMING = Stage("its call has come, it may not be stored yet", "Tx $", 0.004)
STORED = Stage("it is stored: the dialplan has just seen the status", "Rx .*STATUS.*QUEUED")
RECEIVED = Stage("the vendor has it, the vendor's yes has not left", "200 s")
TAKEN = Stage("the vendor's yes is on its way, or here, or just written down", "200 s", 0.006)
PUT_OFF = Stage("it waits for its next try", "503 s", 0.6, while_away=True)
TRIED_AGAIN = Stage("it is being tried again", "again 200 s", 0.003, while_away=True)


class Aim:
    """Sees all that passes, and kills the server when its stage comes."""

    def __init__(self, product: Product, load: Load, box: Vendors) -> None:
        self._product, self._box = product, box
        self._stage: Stage | None = None
        self._put_off: set[str] = set()
        self._hit = threading.Event()
        load.on_line = lambda direction, text: self._see(f"{direction} {text}")
        box.watch = self._see_request

    def _see_request(self, seen: SeenRequest) -> None:
        subject = word(seen)
        if seen.http_status == 503:
            self._put_off.add(subject)
        again = seen.http_status == 200 and subject in self._put_off
        self._see(f"{'again ' if again else ''}{seen.http_status} {subject}")

    def _see(self, what: str) -> None:
        stage = self._stage
        if stage is not None and re.match(stage.mark, what):
            self._stage = None
            if not stage.seconds:
                self._product.process.kill()
            self._hit.set()

    def kill_at(self, stage: Stage, dice: random.Random) -> None:
        """Returns when the server is dead."""
        self._hit.clear()
        self._put_off.clear()
        if stage.while_away:
            self._box.trouble = {"skarabee": AWAY, "noojee": AWAY}
            wait_until(lambda: len(self._put_off) > 2)
        if stage is TRIED_AGAIN:
            self._box.trouble = {}
        self._stage = stage
        assert self._hit.wait(LONG_SECONDS), stage.name
        time.sleep(dice.uniform(0, stage.seconds))
        self._product.kill()
        self._box.trouble = {}


@pytest.fixture
def sections(box: Vendors) -> str:
    return vendor_sections(box, numbers='format = "asis"')


@pytest.fixture
def product(tmp_path: Path, sections: str) -> Iterator[Product]:
    with held_port() as port, Product(tmp_path, sections, listen=f"127.0.0.1:{port}") as running:
        yield running


def assert_kept(product: Product, box: Vendors, promised: set[str], kills: int) -> None:
    """Nothing accepted is lost, little is repeated, all is in order, the store is whole."""
    box.wait_for_all(promised)
    assert product.stop() == 0
    assert box.repeats <= kills * IN_FLIGHT
    box.assert_in_order()
    assert_sound(product.store)


@pytest.mark.parametrize(
    "stages",
    [(COMING, STORED), (RECEIVED, TAKEN), (PUT_OFF, TRIED_AGAIN)],
    ids=["stored", "delivered", "retried"],
)
def test_a_server_killed_at_any_stage_of_a_job_loses_nothing_that_was_accepted(
    product: Product, box: Vendors, stages: tuple[Stage, ...], dice: random.Random
) -> None:
    plan = [stages[number % len(stages)] for number in range(KILLS)]
    with Load(product.url) as load:
        aim = Aim(product, load, box)
        for stage in plan:
            load.wait_for_more(dice.randint(5, 30))
            aim.kill_at(stage, dice)
            product.start()
        load.wait_for_more(5)
    assert_kept(product, box, load.promised, KILLS)
    assert box.repeats >= plan.count(RECEIVED), "who is killed before the yes comes must ask again: the aim was true"


def test_a_server_killed_at_any_moment_loses_nothing_that_was_accepted(
    product: Product, box: Vendors, dice: random.Random
) -> None:
    box.trouble = {"skarabee": SLOW, "noojee": SLOW}
    with Load(product.url) as load:
        for _ in range(KILLS):
            time.sleep(dice.uniform(0, 0.3))  # from the first moment on, when it finds what the last one left
            product.kill()
            product.start()
        load.wait_for_more(5)
    assert_kept(product, box, load.promised, KILLS)


class Scripts:
    """Plain scripts that die, all of one or its first process alone, at any moment or once the status is seen."""

    def __init__(self, dice: random.Random) -> None:
        self.promised: set[str] = set()
        self._dice = dice
        began = time.monotonic()
        self._run(0, LONG_SECONDS, os.kill)
        self._usual_seconds = time.monotonic() - began

    def run_and_kill(self) -> None:
        """`SCRIPTS` of them, a few at a time."""
        moments = [self._dice.uniform(0, 2 * self._usual_seconds) for _ in range(SCRIPTS)]
        victims = [self._dice.choice((os.kill, os.killpg)) for _ in range(SCRIPTS)]
        with ThreadPoolExecutor(SCRIPTS_AT_ONCE) as pool:
            list(pool.map(self._run, range(1, SCRIPTS + 1), moments, victims))

    def _run(self, number: int, seconds: float, kill: Callable[[int, int], None]) -> None:
        """One script, for so many seconds; every third ends when its status is seen, before that is answered."""
        call = Call(callerid=f"0471{number:06}", extension="056528998", uniqueid=f"1700000001.{number}")
        path, wanted = "skarabee?wait=0", f"skarabee {call.callerid}"
        if number % 2:
            path, wanted = "noojee/start?wait=1", f"start {call.uniqueid}"
        script = ByHand(path, call=call)
        killer = threading.Timer(seconds, kill, (script.process.pid, signal.SIGKILL))
        if number:
            killer.start()
        assert script.process.stdout is not None
        with suppress(BrokenPipeError):
            for line in script.process.stdout:
                if re.search(rb"STATUS\W+(QUEUED|OK)", line):
                    self.promised.add(wanted)
                    if number % 3 == 1:
                        killer.cancel()
                        break
                script.write("200 result=1\n")
        if killer.is_alive():
            killer.join()
        script.close()


def test_plain_scripts_killed_at_any_moment_lose_nothing_that_was_accepted(
    tmp_path: Path, box: Vendors, sections: str, monkeypatch: pytest.MonkeyPatch, dice: random.Random
) -> None:
    script = PlainScript(tmp_path, sections, monkeypatch)
    scripts = Scripts(dice)
    scripts.run_and_kill()
    assert script.run("skarabee?wait=0").variables["SKARABEESTATUS"] == "QUEUED"  # it delivers what all have left
    box.wait_for_all(scripts.promised)
    script.end_all()
    assert box.repeats <= SCRIPTS * IN_FLIGHT
    assert_sound(script.store)


def test_plain_scripts_and_the_server_beside_them_killed_at_any_moment_lose_nothing_that_was_accepted(
    tmp_path: Path, box: Vendors, sections: str, monkeypatch: pytest.MonkeyPatch, dice: random.Random
) -> None:
    script = PlainScript(tmp_path, sections, monkeypatch)
    with Product(tmp_path, sections) as product, ThreadPoolExecutor(1) as pool:
        scripts = Scripts(dice)
        running = pool.submit(scripts.run_and_kill)
        for _ in range(SERVERS):
            time.sleep(dice.uniform(0, 0.5))
            product.kill()
            product.start()
        running.result()
        box.wait_for_all(scripts.promised)
        assert product.stop() == 0
        script.end_all()
    assert box.repeats <= (SCRIPTS + SERVERS) * IN_FLIGHT
    assert_sound(script.store)
