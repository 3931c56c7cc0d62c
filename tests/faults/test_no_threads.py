"""The system gives the server no more threads: calls and deliveries share those there are, and the log stays short."""

from __future__ import annotations

import resource
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from callsign.sandbox.asterisk.behaviour import Conduct, Session
from callsign.sandbox.asterisk.call import Call
from callsign.sandbox.asterisk.play import run_fastagi
from callsign.sandbox.vendors.sandbox import Sandbox
from product import Product, vendor_sections
from store_play import eventually

CALLS = 200
CALLERS = 20
ROOM_BYTES = 6 << 20
"""For what the calls need, and less than the stack of another thread."""


def test_calls_and_deliveries_share_the_threads_that_are_there_and_the_end_is_orderly(tmp_path: Path) -> None:
    accounts = {"skarabee": {"8103": "office-key"}, "noojee": {"key": "k", "auth": "hash"}}
    with (
        Sandbox(accounts=accounts) as box,
        Product(tmp_path, vendor_sections(box, numbers='format = "asis"')) as server,
    ):

        def place(number: int) -> Session:
            call = Call(callerid=f"0470{number:06}", extension="056528998", uniqueid=f"1700000000.{number}")
            return run_fastagi(f"{server.url}/skarabee?wait=0", call, conduct=Conduct(timeout_seconds=30.0))

        assert place(0).variables["SKARABEESTATUS"] == "QUEUED"
        assert eventually(lambda: len(box.seen) == 1)  # each part has one thread at least
        size = int(Path(f"/proc/{server.process.pid}/statm").read_text(encoding="ascii").split()[0])
        limit = size * resource.getpagesize() + ROOM_BYTES
        resource.prlimit(server.process.pid, resource.RLIMIT_AS, (limit, limit))
        with ThreadPoolExecutor(CALLERS) as callers:
            sessions = list(callers.map(place, range(1, CALLS)))
        assert {session.variables["SKARABEESTATUS"] for session in sessions} == {"QUEUED"}
        assert eventually(lambda: len(box.seen) == CALLS)
        assert server.stop() == 0
        assert len([line for line in server.log if "no more threads to be had" in line]) == 1
        assert "Traceback" not in "\n".join(server.log)
        assert "callsign has stopped" in server.log[-1]


def test_a_thread_without_memory_to_begin_holds_no_call_and_all_is_well_once_there_is_some(
    tmp_path: Path,
) -> None:
    accounts = {"skarabee": {"8103": "office-key"}, "noojee": {"key": "k", "auth": "hash"}}
    with (
        Sandbox(accounts=accounts) as box,
        Product(tmp_path, vendor_sections(box, numbers='format = "asis"')) as server,
        ThreadPoolExecutor(CALLERS) as callers,
    ):

        def place(number: int) -> str:
            call = Call(callerid=f"0470{number:06}", extension="056528998", uniqueid=f"1700000000.{number}")
            conduct = Conduct(timeout_seconds=30.0)
            return run_fastagi(f"{server.url}/skarabee?wait=0", call, conduct=conduct).variables["SKARABEESTATUS"]

        assert set(callers.map(place, range(CALLS))) == {"QUEUED"}  # the stacks of some ended threads are left of it
        hard = resource.prlimit(server.process.pid, resource.RLIMIT_AS)[1]
        resource.prlimit(server.process.pid, resource.RLIMIT_AS, (resource.getpagesize(), hard))
        assert set(callers.map(place, range(CALLS, 2 * CALLS))) <= {"QUEUED", "ERROR"}
        resource.prlimit(server.process.pid, resource.RLIMIT_AS, (hard, hard))
        assert place(2 * CALLS) == "QUEUED"
        assert server.stop() == 0
        assert "callsign has stopped" in server.log[-1]
