"""KalliopePBX's subroutine and the ring-back sample on a real Asterisk, against the real server and the stand-in."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from callsign.sandbox.vendors.messages import Trouble
from callsign.sandbox.vendors.sandbox import Sandbox
from product import PROJECT, Product
from real_asterisk import RealAsterisk
from server_stage import Stage

NAMES = ("extensions_callsign.conf", "extensions_sample_ringback.conf")
FILES = {name: (PROJECT / "dialplan" / name).read_text(encoding="utf-8") for name in NAMES}

# The sample's phones and its usual way are played here: what it would dial shows as REACHED.
FILES["extensions_sample_ringback.conf"] = FILES["extensions_sample_ringback.conf"].replace(
    "Dial(PJSIP/200,60)", "Set(REACHED=${REACHED}usual)"
)
FILES["extensions_sample_ringback.conf"] = FILES["extensions_sample_ringback.conf"].replace(
    "Dial(PJSIP/${EXTEN},20)", "Set(REACHED=${EXTEN},then )"
)

DIALPLAN = r"""
#include extensions_callsign.conf
#include extensions_sample_ringback.conf

[ask]
exten => go,1,Set(KALLIOPEEXTEN=old)
 same => n,Set(KALLIOPETIME=old)
 same => n,Set(KALLIOPECALLSTATUS=old)
 same => n,Set(KALLIOPEJOB=old)
 same => n,Gosub(callsign-kalliope-lastcall,s,1)
 same => n,Set(WENTON=yes)

[bare]
exten => go,1,AGI(${CALLSIGN_AGI}/${LINE})
 same => n,Set(WENTON=yes)

[plain]
exten => go,1,AGI(callsign.agi,kalliope/lastcall)
 same => n,Set(WENTON=yes)
"""

ACCOUNT = {"username": "admin", "password": "the-password", "domain": "default", "timezone": "Europe/Rome"}
ANSWERS = ("KALLIOPEEXTEN", "KALLIOPETIME", "KALLIOPECALLSTATUS")
REPORT = ("KALLIOPESTATUS", "KALLIOPEREASON", "KALLIOPEJOB", *ANSWERS, "WENTON", "AGISTATUS")
GOOD = {"KALLIOPESTATUS": "OK", "KALLIOPEREASON": "", "KALLIOPEJOB": "", "WENTON": "yes", "AGISTATUS": "SUCCESS"}
CALLER = ('Bob "x', "+3256528999")
ONE_HOUR_AGO = str((datetime.now(ZoneInfo("Europe/Rome")) - timedelta(hours=1)).replace(tzinfo=None, microsecond=0))
CALLS = f"1.0,local_exten,{ONE_HOUR_AGO},,{ONE_HOUR_AGO},206,206,,056528999,NO ANSWER,,0,0,\n"
FOUND = {"KALLIOPEEXTEN": "206", "KALLIOPETIME": ONE_HOUR_AGO, "KALLIOPECALLSTATUS": "NO ANSWER"}
ACCOUNTS = {"kalliope": {**ACCOUNT, "calls": CALLS}}


def section(box: Sandbox) -> str:
    return f'[kalliope]\nurl = "{box.url("kalliope")}"\nusername = "admin"\npassword = "the-password"\n'


@pytest.fixture
def stage(tmp_path: Path, box: Sandbox) -> Iterator[Stage]:
    with Product(tmp_path, section(box)) as server:
        yield Stage(box, server)


def test_the_extension_that_last_called_the_caller_is_told(asterisk: RealAsterisk, stage: Stage) -> None:
    mark = asterisk.mark()
    result = asterisk.call("go", "ask", variables=stage.agi, callerid=CALLER, report=REPORT)
    assert result.variables == {**GOOD, **FOUND}
    assert {seen.verdict for seen in stage.box.seen} == {"OK"}
    assert asterisk.warnings(mark) == []


def test_a_caller_whom_nobody_called_is_ok_and_empty(asterisk: RealAsterisk, stage: Stage) -> None:
    result = asterisk.call("go", "ask", variables=stage.agi, callerid=("", "056528990"), report=REPORT)
    assert result.variables == {**GOOD, **dict.fromkeys(ANSWERS, "")}


def test_a_withheld_number_is_not_looked_up(asterisk: RealAsterisk, stage: Stage) -> None:
    result = asterisk.call("go", "ask", variables=stage.agi, callerid=CALLER, presentation="prohib", report=REPORT)
    assert (result.variables["KALLIOPESTATUS"], result.variables["KALLIOPEEXTEN"]) == ("SKIPPED", "")
    assert result.variables["WENTON"] == "yes"


def test_arguments_go_before_the_caller(asterisk: RealAsterisk, stage: Stage) -> None:
    for line, status in (("kalliope/lastcall,056528999,1", "OK"), ("kalliope/lastcall,,99", "ERROR")):
        variables = {**stage.agi, "LINE": line}
        result = asterisk.call("go", "bare", variables=variables, callerid=CALLER, report=REPORT)
        assert (result.variables["KALLIOPESTATUS"], result.variables["WENTON"]) == (status, "yes")


def test_a_pbx_that_hangs_is_gone_or_says_no_lets_the_call_go_on(asterisk: RealAsterisk, tmp_path: Path) -> None:
    with Sandbox(accounts={"kalliope": ACCOUNT}) as box:
        for number, (trouble, status) in enumerate(
            [
                (Trouble(delay_seconds=60), "UNREACHABLE"),
                (Trouble(http_status=502), "UNREACHABLE"),
                (Trouble(drop=True), "UNREACHABLE"),
            ]
        ):
            box.trouble["kalliope"] = trouble
            folder = tmp_path / str(number)
            folder.mkdir()
            with Product(folder, section(box)) as server:
                variables = {"CALLSIGN_AGI": server.url}
                result = asterisk.call("go", "ask", variables=variables, callerid=CALLER, report=REPORT)
            assert (result.variables["KALLIOPESTATUS"], result.variables["WENTON"]) == (status, "yes")
            assert result.variables["KALLIOPEREASON"]
            assert [result.variables[name] for name in ANSWERS] == ["", "", ""]


def test_a_server_that_does_not_run_shows_as_error(asterisk: RealAsterisk, stage: Stage) -> None:
    assert stage.server.stop() == 0
    result = asterisk.call("go", "ask", variables=stage.agi, callerid=CALLER, report=REPORT)
    assert result.variables["KALLIOPESTATUS"] == "ERROR"
    assert "did not answer" in result.variables["KALLIOPEREASON"]
    assert [result.variables[name] for name in (*ANSWERS, "KALLIOPEJOB")] == ["", "", "", ""]
    assert result.variables["WENTON"] == "yes"


def test_the_plain_script_reads_the_register_itself(asterisk: RealAsterisk, box: Sandbox) -> None:
    asterisk.install_plain_agi(PROJECT, f'[outbox]\npath = "{{folder}}/outbox.db"\n{section(box)}')
    result = asterisk.call("go", "plain", callerid=CALLER, report=REPORT, timeout=30)
    assert result.variables == {**GOOD, **FOUND}
    assert sum("/cdr/" in seen.path for seen in box.seen) == 1


# -- the sample --------------------------------------------------------------------------------------


def test_the_sample_loads_without_a_warning(asterisk: RealAsterisk) -> None:
    mark = asterisk.mark()
    asterisk.command("dialplan reload")
    assert asterisk.warnings(mark) == []
    assert "callsign-kalliope-lastcall" in asterisk.command("dialplan show callsign-sample-ringback")


@pytest.mark.parametrize(
    ("caller", "reached"), [("056528999", "206,then usual"), ("056528990", "usual"), ("anonymous", "usual")]
)
def test_who_rings_back_reaches_who_called_and_others_go_on_as_usual(
    asterisk: RealAsterisk, stage: Stage, caller: str, reached: str
) -> None:
    result = asterisk.call(
        "056528998", "callsign-sample-ringback", variables=stage.agi, callerid=("", caller), report=["REACHED"]
    )
    assert result.variables == {"REACHED": reached}


def test_without_a_server_the_sample_goes_on_as_usual(asterisk: RealAsterisk, stage: Stage) -> None:
    assert stage.server.stop() == 0
    result = asterisk.call(
        "056528998", "callsign-sample-ringback", variables=stage.agi, callerid=CALLER, report=["REACHED"]
    )
    assert result.variables == {"REACHED": "usual"}
