"""kill -9 of the real server under load: what a call was promised reaches the vendor."""

from __future__ import annotations

import itertools
import random
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from callsign.asterisk_side import Call, Conduct, run_fastagi
from callsign.sandbox import Sandbox, Seen
from callsign.vendors import VENDORS
from product import Product, vendor_sections
from store_play import LONG_SECONDS, eventually

KILLS = 5
CALLERS = 8
ACCOUNTS = {"skarabee": {"8103": "office-key"}, "noojee": {"key": "recorder-key", "auth": "hash"}}
CONDUCT = Conduct(timeout_seconds=LONG_SECONDS)


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(accounts=ACCOUNTS) as running:
        yield running


@pytest.fixture
def product(tmp_path: Path, box: Sandbox) -> Iterator[Product]:
    sections = vendor_sections(box, numbers='format = "asis"')
    with Product(tmp_path, sections) as running:
        yield running


class Load:
    """Calls one after the other in several threads, until the server is gone."""

    def __init__(self) -> None:
        self.promised: set[str] = set()  # what the dialplan was told OK or QUEUED for
        self._numbers = itertools.count(1)
        self._guard = threading.Lock()

    def calls(self, url: str) -> None:
        while True:
            with self._guard:
                number = next(self._numbers)
            call = f"1700000000.{number}"
            if number % 3:
                caller, request, system = f"0470{number:06}", f"{url}/skarabee", "SKARABEE"
            else:
                caller, request, system = call, f"{url}/noojee/start?wait={number % 2}", "NOOJEE"
            known = Call(callerid=caller, extension="056528998", uniqueid=call)
            session = run_fastagi(request, known, conduct=CONDUCT)
            status = session.variables.get(f"{system}STATUS")
            if status in ("OK", "QUEUED"):
                with self._guard:
                    self.promised.add(caller)
            if session.status != "SUCCESS" or not status:
                return


def subjects(seen: list[Seen]) -> Counter[str]:
    """How often the vendors took each caller or recording."""
    taken = (one.query for one in seen if one.verdict == "OK" and one.path != "/Time")
    return Counter(query.get("phonefrom") or query["extenOrUniqueId"] for query in taken)


def test_what_a_call_was_promised_reaches_the_vendor_though_the_server_is_killed_again_and_again(
    product: Product, box: Sandbox
) -> None:
    load, dice = Load(), random.Random()
    for _ in range(KILLS):
        wanted = len(load.promised) + dice.randint(20, 120)
        with ThreadPoolExecutor(CALLERS) as pool:
            callers = [pool.submit(load.calls, product.url) for _ in range(CALLERS)]
            assert eventually(lambda wanted=wanted: len(load.promised) >= wanted)  # type: ignore[misc]
            product.kill()
        assert not any(caller.exception() for caller in callers)
        product.start()
    assert box.wait_for(lambda seen: load.promised <= set(subjects(seen)), 2 * LONG_SECONDS)
    assert product.stop() == 0
    repeats = sum(times - 1 for times in subjects(box.seen).values())
    assert repeats <= KILLS * sum(vendor.concurrency for vendor in VENDORS.values())
    assert len(load.promised) >= KILLS * 20
