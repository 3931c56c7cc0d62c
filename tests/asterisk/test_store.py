"""The store is lost under a real Asterisk: each call goes on with QUEUED, and all are told when the vendor is back."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from callsign.sandbox.vendors.sandbox import Sandbox
from product import ACCOUNTS, PROJECT, Product, vendor_sections
from real_asterisk import RealAsterisk

FILES = {"extensions_callsign.conf": (PROJECT / "dialplan/extensions_callsign.conf").read_text(encoding="utf-8")}

DIALPLAN = r"""
#include extensions_callsign.conf

[inbound]
exten => _[0-9+].,1,Gosub(callsign-skarabee,s,1)
 same => n,Set(WENTON=yes)
"""

DEEDS: dict[str, Callable[[Path], object]] = {
    "the WAL is removed": lambda store: os.unlink(f"{store}-wal"),
    "the WAL is emptied": lambda store: os.truncate(f"{store}-wal", 0),
    "the folder is removed": lambda store: shutil.rmtree(store.parent),
}


@pytest.mark.parametrize("deed", DEEDS.values(), ids=DEEDS.keys())
def test_a_store_that_is_lost_costs_no_call_its_notification(
    asterisk: RealAsterisk, tmp_path: Path, deed: Callable[[Path], object]
) -> None:
    callers = [f"0565289{number:02}" for number in range(6)]
    sandbox = Sandbox(accounts=ACCOUNTS)
    with sandbox as box, Product(tmp_path, vendor_sections(box), store=tmp_path / "store" / "outbox.db") as server:
        box.stop()
        for number, caller in enumerate(callers):
            if number == 4:
                deed(server.store)
            result = asterisk.call(
                "056528998",
                "inbound",
                variables={"CALLSIGN_AGI": server.url},
                callerid=("", caller),
                report=["SKARABEESTATUS", "WENTON"],
            )
            assert result.variables == {"SKARABEESTATUS": "QUEUED", "WENTON": "yes"}
        server.wait_log(lambda line: line.startswith("ERROR") and "while in use" in line)
        server.wait_log(lambda line: line.startswith("WARNING") and "is a new one" in line)  # and committed
        server.kill()
        box.start()
        server.start()
        assert box.wait_for(lambda seen: {request.query["phonefrom"] for request in seen} == set(callers), 30)
        assert all(seen.verdict == "OK" for seen in box.seen)
