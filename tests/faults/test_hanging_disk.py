"""A disk on which a write does not come back (a frozen file system, say): no call waits for it for long."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from callsign.outbox.outbox import ADD_SECONDS, COMMIT_SECONDS
from callsign.sandbox.asterisk.behaviour import Conduct, Session
from callsign.sandbox.asterisk.call import Call
from callsign.sandbox.asterisk.play import run_fastagi
from callsign.steps.call_guard import LOOK_SECONDS
from load import Vendors
from preload import compiled, preloaded
from product import Product, vendor_sections
from script_play import PlainScript
from store_play import LONG_SECONDS
from waiting import wait_until

pytestmark = pytest.mark.faults

PROMISED_SECONDS = ADD_SECONDS + COMMIT_SECONDS + LOOK_SECONDS
HANG_SECONDS = PROMISED_SECONDS + 5.0
CALLS = 8
CONDUCT = Conduct(timeout_seconds=LONG_SECONDS)
NUMBERS = itertools.count(1)


@pytest.fixture
def hanging(tmp_path: Path) -> Path:
    """While this file is there, the disk hangs."""
    return tmp_path / "hang"


@pytest.fixture
def product(tmp_path: Path, box: Vendors, hanging: Path) -> Iterator[Product]:
    with preloaded(compiled("hanging_disk", tmp_path), HANG_WHILE=str(hanging)):
        running = Product(tmp_path, vendor_sections(box, numbers='format = "asis"'))
    with running:
        yield running
        hanging.unlink(missing_ok=True)


def place_call(product: Product) -> Session:
    number = next(NUMBERS)
    call = Call(callerid=f"0470{number:06}", extension="056528998", uniqueid=f"1700000000.{number}")
    session = run_fastagi(f"{product.url}/skarabee", call, conduct=CONDUCT)
    assert session.status == "SUCCESS", session
    return session


def is_stored(product: Product) -> bool:
    return place_call(product).variables["SKARABEESTATUS"] == "QUEUED"


def test_calls_go_on_with_error_while_the_disk_hangs_and_are_stored_again_after(
    product: Product, box: Vendors, hanging: Path
) -> None:
    assert is_stored(product)
    wait_until(lambda: len(box.taken) == 1)
    hanging.touch()
    with ThreadPoolExecutor(CALLS) as pool:
        sessions = list(pool.map(lambda _: place_call(product), range(CALLS)))
    assert {session.variables["SKARABEESTATUS"] for session in sessions} == {"ERROR"}
    assert all("[outbox] path" in session.variables["SKARABEEREASON"] for session in sessions), sessions
    assert min(session.seconds for session in sessions) < PROMISED_SECONDS + 0.5
    assert max(session.seconds for session in sessions) < HANG_SECONDS
    assert run_fastagi(f"{product.url}/ping", Call(), conduct=CONDUCT).variables["CALLSIGNSTATUS"] == "OK"
    hanging.unlink()
    wait_until(lambda: is_stored(product))
    assert product.stop() == 0


def test_the_first_call_that_meets_a_hanging_disk_goes_on_too(product: Product, hanging: Path) -> None:
    assert is_stored(product)
    hanging.touch()
    session = place_call(product)
    assert session.variables["SKARABEESTATUS"] == "ERROR"
    assert session.variables["SKARABEEJOB"] == ""
    assert session.seconds < HANG_SECONDS
    ways = ("the call goes on with ERROR", "did not answer", "hangs in a commit")  # by who had to write
    product.wait_log(lambda line: any(words in line for words in ways))


def test_a_plain_script_lets_its_call_go_on_too(
    tmp_path: Path, box: Vendors, hanging: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = PlainScript(tmp_path, vendor_sections(box, numbers='format = "asis"'), monkeypatch)
    try:
        assert plain.run("skarabee").variables["SKARABEESTATUS"] == "QUEUED"
        hanging.touch()
        with preloaded(compiled("hanging_disk", tmp_path), HANG_WHILE=str(hanging)):
            session = plain.run("skarabee", call=Call(extension="056528998", callerid="0470000001", uniqueid="2.2"))
        assert (session.status, session.variables["SKARABEESTATUS"]) == ("SUCCESS", "ERROR")
        assert "[outbox] path" in session.variables["SKARABEEREASON"]
        assert session.seconds < HANG_SECONDS
    finally:
        hanging.unlink(missing_ok=True)
        plain.end_all()
