"""The commented sample for inbound calls loads beside the subroutines, and notifies; see test_sip_recording too."""

from __future__ import annotations

from pathlib import Path

from callsign.sandbox.vendors.sandbox import Sandbox
from product import PROJECT, Product
from real_asterisk import RealAsterisk

NAMES = ("extensions_callsign.conf", "extensions_sample_inbound.conf")
FILES = {name: (PROJECT / "dialplan" / name).read_text(encoding="utf-8") for name in NAMES}

DIALPLAN = """
#include extensions_callsign.conf
#include extensions_sample_inbound.conf
"""


def test_the_sample_loads_without_a_warning(asterisk: RealAsterisk) -> None:
    assert asterisk.warnings() == []
    mark = asterisk.mark()
    asterisk.command("dialplan reload")
    assert asterisk.warnings(mark) == []
    for context in ("callsign-sample-from-trunk", "callsign-sample-ring"):
        assert "callsign-sample" in asterisk.command(f"dialplan show {context}")


def test_an_inbound_call_of_the_sample_is_notified_with_its_did(asterisk: RealAsterisk, tmp_path: Path) -> None:
    with Sandbox(accounts={"skarabee": {"8103": "office-key"}}) as box:
        sections = f'[skarabee]\nurl = "{box.url("skarabee")}"\nbusinessid = "8103"\nkey = "office-key"\n'
        with Product(tmp_path, sections) as server:
            given = {"CALLSIGN_AGI": server.url}
            asterisk.call("056528998", "callsign-sample-from-trunk", variables=given, callerid=("Bob", "056528999"))
            assert box.wait_for(lambda seen: bool(seen), 30)
            assert (box.seen[0].verdict, box.seen[0].query["phoneto"]) == ("OK", "056528998")
