"""The commented sample for inbound calls: it loads beside the subroutines, and its pieces do what it says."""

from __future__ import annotations

from pathlib import Path

from callsign.sandbox.vendors.sandbox import Sandbox
from product import PROJECT, Product
from real_asterisk import RealAsterisk

NAMES = ("extensions_callsign.conf", "extensions_sample_inbound.conf")
FILES = {name: (PROJECT / "dialplan" / name).read_text(encoding="utf-8") for name in NAMES}

# The sample dials a PJSIP phone; here a Local channel plays the phone that answers.
DIALPLAN = r"""
#include extensions_callsign.conf
#include extensions_sample_inbound.conf

[ring]
exten => 201,1,Set(CHANNEL(hangup_handler_push)=callsign-sample-hung-up,s,1)
 same => n,Dial(Local/answer@ring,10,U(callsign-sample-answered))
exten => answer,1,Answer()
 same => n,Wait(60)
"""


def test_the_sample_loads_without_a_warning(asterisk: RealAsterisk) -> None:
    assert asterisk.warnings() == []
    mark = asterisk.mark()
    asterisk.command("dialplan reload")
    assert asterisk.warnings(mark) == []
    for context in ("callsign-sample-from-trunk", "callsign-sample-ring"):
        assert "callsign-sample" in asterisk.command(f"dialplan show {context}")


def test_recording_starts_when_the_phone_answers_and_stops_at_the_end(asterisk: RealAsterisk, tmp_path: Path) -> None:
    with Sandbox(accounts={"noojee": {"key": "recorder-key", "auth": "hash"}}) as box:
        sections = f'[noojee]\nurl = "{box.url("noojee")}"\nkey = "recorder-key"\n'
        with Product(tmp_path, sections) as server:
            asterisk.command(f"dialplan set global CALLSIGN_AGI {server.url}")  # the phone's channel inherits nothing
            call = asterisk.start("201", "ring")
            assert box.wait_for(lambda seen: any(s.path.endswith("/start") for s in seen), 30)
            call.hangup()
            result = call.wait()
            assert box.wait_for(lambda seen: any(s.path.endswith("/stop") for s in seen), 30)
            recordings = [s for s in box.seen if s.path != "/Time"]
    assert [s.path.rpartition("/")[2] for s in recordings] == ["start", "stop"]
    assert {s.query["extenOrUniqueId"] for s in recordings} == {result.linkedid}


def test_an_inbound_call_of_the_sample_is_notified_with_its_did(asterisk: RealAsterisk, tmp_path: Path) -> None:
    with Sandbox(accounts={"skarabee": {"8103": "office-key"}}) as box:
        sections = f'[skarabee]\nurl = "{box.url("skarabee")}"\nbusinessid = "8103"\nkey = "office-key"\n'
        with Product(tmp_path, sections) as server:
            given = {"CALLSIGN_AGI": server.url}
            asterisk.call("056528998", "callsign-sample-from-trunk", variables=given, callerid=("Bob", "056528999"))
            assert box.wait_for(lambda seen: bool(seen), 30)
            assert (box.seen[0].verdict, box.seen[0].query["phoneto"]) == ("OK", "056528998")
