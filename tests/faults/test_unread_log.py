"""Calls of a real Asterisk while nobody reads the server's log: each has its status, each vendor its notification."""

from __future__ import annotations

from pathlib import Path

import pytest

from callsign.sandbox.vendors.sandbox import Sandbox
from product import ACCOUNTS
from real_asterisk import RealAsterisk
from script_play import vendor_sections
from store_play import LONG_SECONDS
from test_vendor_faults import DIALPLAN
from unread import Unread
from waiting import wait_until

__all__ = ["DIALPLAN"]

pytestmark = pytest.mark.faults

CALLS = 60  # say more than the pipe holds


def test_a_log_that_nobody_reads_holds_up_no_call(asterisk: RealAsterisk, tmp_path: Path) -> None:
    with Sandbox(ACCOUNTS) as box, Unread(tmp_path, vendor_sections(box)) as server:
        try:
            placed = []
            for n in range(CALLS):
                variables = {"LINE": f"{server.url}/skarabee,,056528998"}
                report = ["SKARABEESTATUS", "AGISTATUS", "WENTON"]
                caller = ("", f"0470{n:06}")
                placed.append(asterisk.start("go", "step", variables=variables, callerid=caller, report=report))
            told = {tuple(call.wait(LONG_SECONDS).variables.values()) for call in placed}
            assert told == {("QUEUED", "SUCCESS", "yes")}
            wait_until(lambda: len(box.seen) == CALLS)
        finally:
            server.read_on()
            server.kill()
