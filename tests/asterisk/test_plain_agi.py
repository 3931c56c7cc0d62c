"""The plain script on a real Asterisk: the same variables, with no server and beside one."""

from __future__ import annotations

import pytest

from callsign.sandbox.vendors.sandbox import Sandbox
from product import PROJECT, vendor_sections
from real_asterisk import RealAsterisk

DIALPLAN = r"""
[plain]
exten => _[0-9].,1,AGI(callsign.agi,skarabee)
 same => n,Set(WENTON=yes)
exten => start,1,AGI(callsign.agi,noojee/start?wait=10,,tag=plain)
 same => n,Set(WENTON=yes)
exten => long,1,AGI(callsign.agi,noojee/start?wait=60)
 same => n,Set(WENTON=yes)
exten => unknown,1,AGI(callsign.agi,nonsense)
 same => n,Set(WENTON=yes)
exten => nothing,1,AGI(callsign.agi)
 same => n,Set(WENTON=yes)
"""

ANSWERED = ("WENTON", "AGISTATUS")
CALLER = ('O\'Brien "Bob" (x, é \\', "+3256528999")


@pytest.fixture
def plain(asterisk: RealAsterisk, box: Sandbox) -> RealAsterisk:
    # A store of its own: the script of the test before may still deliver, by that test's settings.
    config = f'[outbox]\npath = "{{folder}}/outbox-{box.port}.db"\n{vendor_sections(box)}'
    asterisk.install_plain_agi(PROJECT, config)
    return asterisk


def test_without_a_server_the_script_stores_answers_and_delivers(plain: RealAsterisk, box: Sandbox) -> None:
    report = ["SKARABEESTATUS", "SKARABEEREASON", "SKARABEEJOB", *ANSWERED]
    result = plain.call("056528998", "plain", callerid=CALLER, report=report, timeout=30)
    job = result.variables.pop("SKARABEEJOB")
    assert result.variables == {
        "SKARABEESTATUS": "QUEUED",
        "SKARABEEREASON": "",
        "WENTON": "yes",
        "AGISTATUS": "SUCCESS",
    }
    assert job.isdecimal()
    assert box.wait_for(lambda seen: bool(seen), 30)
    assert (box.seen[0].verdict, box.seen[0].query["phonefrom"]) == ("OK", "056528999")


def test_the_script_waits_for_the_outcome_as_the_server_does(plain: RealAsterisk, box: Sandbox) -> None:
    report = ["NOOJEESTATUS", "NOOJEEREASON", *ANSWERED]
    result = plain.call("start", "plain", report=report, timeout=30)
    assert result.variables == {"NOOJEESTATUS": "OK", "NOOJEEREASON": "", "WENTON": "yes", "AGISTATUS": "SUCCESS"}
    assert [seen.path for seen in box.seen] == ["/Time", "/CallManagementAPI/start"]
    assert box.seen[1].query["tag"] == "plain"


def test_the_script_does_not_wait_for_a_recorder_that_refuses_connections(plain: RealAsterisk, box: Sandbox) -> None:
    box.stop()
    result = plain.call("long", "plain", report=["NOOJEESTATUS", *ANSWERED], timeout=30)
    assert result.variables == {"NOOJEESTATUS": "QUEUED", "WENTON": "yes", "AGISTATUS": "SUCCESS"}


@pytest.mark.parametrize("exten", ["unknown", "nothing"])
def test_what_the_script_does_not_know_ends_in_error(plain: RealAsterisk, exten: str) -> None:
    result = plain.call(exten, "plain", report=["CALLSIGNSTATUS", "CALLSIGNREASON", *ANSWERED], timeout=30)
    assert result.variables["CALLSIGNSTATUS"] == "ERROR"
    assert "known are" in result.variables["CALLSIGNREASON"]
    assert (result.variables["WENTON"], result.variables["AGISTATUS"]) == ("yes", "SUCCESS")


def test_faulty_settings_end_in_error_with_the_fault(asterisk: RealAsterisk) -> None:
    asterisk.install_plain_agi(PROJECT, '[skarabee]\nurll = "https://host/"\n')
    result = asterisk.call(
        "056528998", "plain", callerid=CALLER, report=["SKARABEESTATUS", "SKARABEEREASON", *ANSWERED]
    )
    assert result.variables["SKARABEESTATUS"] == "ERROR"
    assert "[skarabee] urll" in result.variables["SKARABEEREASON"]
    assert result.variables["WENTON"] == "yes"
