"""Stopping, restarting, reloading and taking over while calls run: nothing accepted is lost, no call fails."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from calls import Result
from callsign.sandbox.vendors.messages import Trouble
from callsign.sandbox.vendors.record import SeenRequest
from load import CALLERS, Load, Told, Vendors, assert_sound, word
from ports import held_port
from product import PROJECT, Product, vendor_sections
from real_asterisk import RealAsterisk
from store_play import LONG_SECONDS
from waiting import wait_until

RESTARTS = 5
TAKEOVERS = 4

FILES = {"extensions_callsign.conf": (PROJECT / "dialplan/extensions_callsign.conf").read_text(encoding="utf-8")}
DIALPLAN = r"""
#include extensions_callsign.conf

[inbound]
exten => _[0-9].,1,Gosub(callsign-skarabee,s,1)
 same => n,Gosub(callsign-noojee-start,s,1)
 same => n,Set(STARTED=${NOOJEESTATUS})
 same => n,Gosub(callsign-noojee-stop,s,1)
 same => n,Set(WENTON=yes)
"""
REPORT = ("SKARABEESTATUS", "STARTED", "NOOJEESTATUS", "WENTON")


def sections_for(box: Vendors) -> str:
    return vendor_sections(box, numbers='format = "asis"')


@pytest.fixture
def product(tmp_path: Path, box: Vendors) -> Iterator[Product]:
    with held_port() as port, Product(tmp_path, sections_for(box), listen=f"127.0.0.1:{port}") as running:
        yield running


def assert_well(told: list[Told]) -> None:
    """Each of these calls got a status, and its AGI() ended well."""
    assert told
    assert [one for one in told if one.agistatus != "SUCCESS" or not one.status] == []


def test_sigterm_while_calls_run_and_jobs_wait_fails_no_call_and_loses_nothing(product: Product, box: Vendors) -> None:
    box.trouble = {"skarabee": Trouble(http_status=503), "noojee": Trouble(delay_seconds=0.1)}
    with Load(product.url) as load:
        load.wait_for_more(50)
        signalled_at = time.monotonic()
        assert product.stop() == 0
        assert not any("did not end in time" in line for line in product.log)
        wait_until(lambda: sum(one.connected_at is None for one in load.told) > 5)
        box.trouble = {}
        product.start()
        served_again_at = time.monotonic()
        load.wait_for_more(50)
    connected = [(one.connected_at, one) for one in load.told if one.connected_at]
    assert_well([one for at, one in connected if at < signalled_at])
    assert_well([one for at, one in connected if at > served_again_at])
    refused = [one for one in load.told if one.connected_at is None]
    assert {(one.status, one.agistatus) for one in refused} == {("", "FAILURE")}, "the dialplan's preset ERROR stays"
    box.wait_for_all(load.promised)
    box.assert_in_order()


def test_sighup_with_a_faulty_file_changes_nothing_and_one_with_another_vendor_leads_there(
    product: Product, box: Vendors
) -> None:
    listen = f"127.0.0.1:{product.port}"

    def reload(words: str) -> None:
        product.process.send_signal(signal.SIGHUP)
        product.wait_log(lambda line: words in line)

    with Vendors() as other:
        with Load(product.url) as load:
            load.wait_for_more(50)
            product.write_settings(sections_for(other).replace("key =", "keys ="), listen)
            reload("the settings stay as they were")
            load.wait_for_more(50)
            assert not other.seen
            product.write_settings(sections_for(other), listen)
            reload("the settings were read again")
            reloaded_at = time.monotonic()
            load.wait_for_more(50)
        assert_well(load.told)
        for section in ("skarabee", "noojee"):
            assert sum(section in line and "keys" in line for line in product.log) == 1, product.log
        late = {one.wanted for one in load.told if one.connected_at and one.connected_at > reloaded_at}
        wait_until(lambda: not set(box.lost(load.promised)) & set(other.lost(load.promised)))
        assert late & set(other.taken)
        assert not late & set(box.taken)
        assert box.repeats == other.repeats == len(set(box.taken) & set(other.taken)) == 0


def test_a_server_restarted_five_times_under_load_loses_and_repeats_nothing(product: Product, box: Vendors) -> None:
    slow = Trouble(delay_seconds=0.03)  # so that several are in flight at any moment
    box.trouble = {"skarabee": slow, "noojee": slow}
    with Load(product.url) as load:
        for _ in range(RESTARTS):
            load.wait_for_more(30)
            assert product.stop() == 0
            product.start()
        load.wait_for_more(30)
    box.wait_for_all(load.promised)
    assert product.stop() == 0
    assert box.repeats == 0
    box.assert_in_order()
    assert_sound(product.store)


def test_a_server_that_stands_by_takes_over_when_the_other_is_killed(tmp_path: Path, box: Vendors) -> None:
    sections = sections_for(box)
    came: dict[str, float] = {}

    def note(seen: SeenRequest) -> None:
        came.setdefault(word(seen), time.monotonic())

    def pauses_since(moment: float) -> list[float]:
        """How long after it each job came to a vendor that was stored after it, and so by the other server."""
        later = [one.wanted for one in list(load.told) if one.connected_at and one.connected_at > moment]
        return [came[wanted] - moment for wanted in later if wanted in came]

    box.watch = note
    killed_at: list[float] = []
    with held_port() as port, held_port() as other_port, ExitStack() as running:
        # both on one store; the first has read its settings when the second's are written in their place
        servers = [
            running.enter_context(Product(tmp_path, sections, listen=f"127.0.0.1:{each}"))
            for each in (port, other_port)
        ]
        with Load(*(server.url for server in servers)) as load:
            for _ in range(TAKEOVERS):
                load.wait_for_more(20)
                servers[0].kill()
                killed_at.append(time.monotonic())
                wait_until(lambda: bool(pauses_since(killed_at[-1])))
                servers[0].write_settings(sections, listen=f"127.0.0.1:{servers[0].port}")
                servers[0].start()
                servers.reverse()
        box.wait_for_all(load.promised)
    box.assert_in_order()
    assert_sound(servers[0].store)
    pauses = [min(pauses_since(moment)) for moment in killed_at]
    assert min(pauses) < 2.0, pauses
    assert max(pauses) < 15.0, pauses


def test_calls_on_a_real_asterisk_go_on_with_a_status_while_the_server_is_stopped_killed_and_started(
    asterisk: RealAsterisk, product: Product, box: Vendors
) -> None:
    placed: list[tuple[str, Result]] = []
    over = threading.Event()

    def call_on(number: int) -> None:
        while not over.is_set():
            number += CALLERS
            caller, variables = f"0565{number:05}", {"CALLSIGN_AGI": product.url}
            call = asterisk.start(
                "056528998", "inbound", variables=variables, callerid=("An office", caller), report=REPORT
            )
            placed.append((caller, call.wait(LONG_SECONDS)))

    def wait_for_more(calls: int) -> None:
        wanted = len(placed) + calls
        wait_until(lambda: len(placed) >= wanted or any(caller.done() for caller in callers))

    with ThreadPoolExecutor(CALLERS) as pool:
        callers = [pool.submit(call_on, first) for first in range(CALLERS)]
        try:
            for end in (product.stop, product.kill, product.stop):
                wait_for_more(20)
                end()
                wait_for_more(10)
                product.start()
            wait_for_more(20)
        finally:
            over.set()
    for caller in callers:
        caller.result()
    assert {"QUEUED", "ERROR"} <= {result.variables["SKARABEESTATUS"] for _, result in placed}
    promised = set()
    for number, result in placed:
        assert result.variables["WENTON"] == "yes"
        wanted = (f"skarabee {number}", f"start {result.uniqueid}", f"stop {result.uniqueid}")
        for one, status in zip(wanted, REPORT, strict=False):
            assert result.variables[status] in ("OK", "QUEUED", "SKIPPED", "ERROR")
            if result.variables[status] in ("OK", "QUEUED"):
                promised.add(one)
    box.wait_for_all(promised)
    box.assert_in_order()
