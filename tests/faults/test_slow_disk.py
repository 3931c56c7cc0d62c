"""A disk that takes 50 ms to be sure of something: no call waits for it, unless `durability = "full"` asks for that."""

from __future__ import annotations

import statistics
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from callsign.sandbox.asterisk.behaviour import Conduct, Session
from callsign.sandbox.asterisk.call import Call
from callsign.sandbox.asterisk.play import run_fastagi
from load import Vendors
from preload import compiled, preloaded
from product import Product, vendor_sections
from store_play import LONG_SECONDS

pytestmark = pytest.mark.faults

SYNC_SECONDS = 0.05
CALLS = 40
CONDUCT = Conduct(timeout_seconds=LONG_SECONDS)


def server(folder: Path, box: Vendors, durability: str) -> Product:
    folder.mkdir()
    sections = vendor_sections(box, numbers='format = "asis"')
    return Product(folder, sections, outbox=f'durability = "{durability}"')


def place_call(product: Product, number: int) -> Session:
    call = Call(callerid=f"0470{number:06}", extension="056528998", uniqueid=f"1700000000.{number}")
    session = run_fastagi(f"{product.url}/skarabee", call, conduct=CONDUCT)
    assert (session.status, session.variables["SKARABEESTATUS"]) == ("SUCCESS", "QUEUED"), session
    return session


def test_with_the_default_durability_a_step_does_not_wait_for_a_slow_disk(tmp_path: Path, box: Vendors) -> None:
    with preloaded(compiled("slow_disk", tmp_path)):
        slow = server(tmp_path / "slow", box, "interval")
    seconds: dict[Product, list[float]] = {slow: []}
    with slow, server(tmp_path / "usual", box, "interval") as usual:
        seconds[usual] = []
        for number in range(CALLS):  # in turn, so that both meet the same load of this machine
            for product in seconds:
                seconds[product].append(place_call(product, number).seconds)
    assert statistics.median(seconds[slow]) < statistics.median(seconds[usual]) + 0.4 * SYNC_SECONDS


def test_with_full_durability_every_step_waits_for_the_disk_and_calls_at_once_share_the_wait(
    tmp_path: Path, box: Vendors
) -> None:
    with preloaded(compiled("slow_disk", tmp_path)):
        product = server(tmp_path / "full", box, "full")
    with product, ThreadPoolExecutor(CALLS) as pool:
        assert min(place_call(product, number).seconds for number in range(5)) >= SYNC_SECONDS
        together = threading.Barrier(CALLS, timeout=LONG_SECONDS)

        def place_call_at_once(number: int) -> float:
            together.wait()
            return place_call(product, number).seconds

        longest = []
        for first in range(CALLS, 6 * CALLS, CALLS):  # a busy machine may keep one round's calls apart
            longest.append(max(pool.map(place_call_at_once, range(first, first + CALLS))))
        assert min(longest) < CALLS * SYNC_SECONDS / 2, longest
        promised = {f"skarabee 0470{number:06}" for number in (*range(5), *range(CALLS, 6 * CALLS))}
        box.wait_for_all(promised)
