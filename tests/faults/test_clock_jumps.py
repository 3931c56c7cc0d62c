"""The wall clock is set by an hour while jobs wait: none is lost, repeated, held, or sent when it is too late."""

from __future__ import annotations

import mmap
import struct
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from callsign.sandbox.asterisk.behaviour import Conduct
from callsign.sandbox.asterisk.call import Call
from callsign.sandbox.asterisk.play import run_fastagi
from callsign.sandbox.vendors.messages import Trouble
from load import Vendors
from preload import compiled, preloaded
from product import Product, vendor_sections
from store_play import LONG_SECONDS
from waiting import wait_until

pytestmark = pytest.mark.faults

HOUR = 3600
AWAY = {"skarabee": Trouble(http_status=503), "noojee": Trouble(http_status=503)}
CALLS = 4
HELD_SECONDS = 20.0
"""What was tried for a moment only is due again after 4 s at most; this machine may be busy."""

CONDUCT = Conduct(timeout_seconds=LONG_SECONDS)


class ServersClock:
    """The wall clock of the servers in a test; vendors and test have the true one."""

    def __init__(self, folder: Path) -> None:
        self._library = compiled("shifted_clock", folder)
        self._file = folder / "seconds"
        self._file.write_bytes(struct.pack("l", 0))
        with self._file.open("r+b") as file:
            self._seconds = mmap.mmap(file.fileno(), 0)

    def set_by(self, seconds: int) -> None:
        """Takes effect at once, in servers that run too."""
        self._seconds[:] = struct.pack("l", seconds)

    def for_servers(self) -> AbstractContextManager[None]:
        """A server that is started in the body of the `with` has this clock."""
        return preloaded(self._library, SHIFTED_CLOCK=str(self._file))


@pytest.fixture
def box() -> Iterator[Vendors]:
    with Vendors() as running:
        running.trouble = dict(AWAY)
        yield running


@pytest.fixture
def clock(tmp_path: Path) -> ServersClock:
    return ServersClock(tmp_path)


@pytest.fixture
def product(tmp_path: Path, box: Vendors, clock: ServersClock) -> Iterator[Product]:
    with clock.for_servers():
        running = Product(tmp_path, vendor_sections(box, numbers='format = "asis"'))
    with running:
        yield running


def step(product: Product, path: str, number: int, *arguments: str) -> str:
    """One AGI() line of a call; its status."""
    call = Call(callerid=f"0470{number:06}", extension="056528998", uniqueid=f"1700000000.{number}")
    session = run_fastagi(f"{product.url}/{path}?wait=0", call, arguments, CONDUCT)
    assert session.status == "SUCCESS", session
    return next(value for name, value in session.variables.items() if name.endswith("STATUS"))


def put_off(product: Product, job: int, attempt: int = 1) -> None:
    """Waits until it has been tried in vain so often."""
    words = f"job={job} ", f"attempt={attempt} TRY LATER"
    product.wait_log(lambda line: all(word in line for word in words), LONG_SECONDS)


def jump(product: Product, clock: ServersClock, seconds: int, restarted: bool) -> None:
    if restarted:
        assert product.stop() == 0
    clock.set_by(seconds)
    if restarted:
        with clock.for_servers():
            product.start()


@pytest.mark.parametrize("restarted", [False, True], ids=["while it runs", "while it is down"])
@pytest.mark.parametrize("hours", [-1, 1])
def test_jobs_that_wait_for_a_dead_vendor_outlive_a_clock_set_by_an_hour(
    product: Product, box: Vendors, clock: ServersClock, hours: int, restarted: bool
) -> None:
    promised = set()
    for number in range(CALLS):
        assert step(product, "skarabee", number) == "QUEUED"
        assert step(product, "noojee/start", number) == "QUEUED"
        promised |= {f"skarabee 0470{number:06}", f"start 1700000000.{number}"}
    for job in range(1, 2 * CALLS + 1):  # each has been tried, so that the time of its next try is in the store
        put_off(product, job)

    jump(product, clock, hours * HOUR, restarted)
    assert [step(product, "skarabee", number) for number in range(CALLS)] == CALLS * ["SKIPPED"]
    assert step(product, "noojee/start", CALLS) == "QUEUED"
    promised.add(f"start 1700000000.{CALLS}")

    back_at = time.monotonic()
    box.trouble = {}
    wait_until(lambda: promised <= set(box.taken))
    assert time.monotonic() - back_at < HELD_SECONDS
    assert product.stop() == 0
    assert box.repeats == 0
    assert not [line for line in product.log if "EXPIRED" in line]


@pytest.mark.parametrize("restarted", [False, True], ids=["while it runs", "while it is down"])
def test_a_stop_by_extension_is_not_sent_after_its_ten_seconds_though_the_clock_was_set_back(
    product: Product, box: Vendors, clock: ServersClock, restarted: bool
) -> None:
    came: list[float] = []
    box.watch = lambda seen: came.append(time.monotonic())
    accepted_at = time.monotonic()
    assert step(product, "noojee/stop", 1, "201") == "QUEUED"
    put_off(product, 1, attempt=4)  # 3 s: ten seconds from the jump on would show
    jump(product, clock, -HOUR, restarted)
    product.wait_log(lambda line: "job=1 " in line and "EXPIRED" in line, LONG_SECONDS)
    assert time.monotonic() - accepted_at > 9.0, "it was of use until then"
    assert max(came) - accepted_at < 12.0, "the last was sent before that, however busy this machine is"
    box.trouble = {}
    assert step(product, "noojee/stop", 2) == "QUEUED"
    wait_until(lambda: "stop 1700000000.2" in box.taken)
    assert "stop 201" not in box.taken
