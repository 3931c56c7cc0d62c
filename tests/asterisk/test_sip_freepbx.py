"""The pieces for FreePBX on calls by SIP, on its trunk context, ring groups and transfers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from freepbx_dialplan import freepbx
from real_asterisk import RealAsterisk
from sip_stage import CALLER, TOLD_AND_OVER, Stage, sip_stage, stage_files

INCLUDED = (
    "extensions_callsign.conf",
    "extensions_callsign_freepbx.conf",
    "extensions_callsign_freepbx_hooks.conf",
)
FILES = stage_files(*INCLUDED)
DIALPLAN = (
    TOLD_AND_OVER
    + r"""
[from-sip]
exten => 056528998,1,Set(ROUTE=ext-group,600,1)
 same => n,Set(STRATEGY=ringall)
 same => n,Set(MEMBERS=201-202-203)
 same => n,Goto(callsign-freepbx-from-trunk,${EXTEN},1)
exten => reception,1,Set(ROUTE=ext-group,600,1)
 same => n,Set(STRATEGY=hunt)
 same => n,Set(MEMBERS=203-201)
 same => n,Goto(callsign-freepbx-from-trunk,${EXTEN},1)
exten => 7,1,Set(__TRUNKCID=Office <056000000>)
 same => n,Set(ROUTE=customdests,record,1)
 same => n,Set(THEN=ext-local,201,1)
 same => n,Goto(from-trunk,${EXTEN},1)
exten => 056528991,1,Set(ROUTE=ext-local,201,1)
 same => n,Goto(callsign-freepbx-from-trunk,${EXTEN},1)
exten => _2XX,1,Goto(from-internal,${EXTEN},1)
exten => _**2XX,1,Goto(from-internal,${EXTEN},1)
exten => sipaccount,1,Goto(callsign-freepbx-from-trunk,${EXTEN},1)
"""
)
GROUP = "056528998"
ONE_PHONE = "056528991"
MOBILE = "0470123456"


@pytest.fixture
def stage(asterisk: RealAsterisk, tmp_path: Path) -> Iterator[Stage]:
    version = "17" if asterisk.version == "22" else "15/16"
    if version != "17" and "app_macro" not in asterisk.command("module show like app_macro"):
        asterisk.action("ModuleLoad", Module="app_macro.so", LoadType="load")
    custom = "".join(f"#tryinclude {name}\n" for name in INCLUDED)
    asterisk.load("freepbx", freepbx(version, custom, phone="Dial(PJSIP/${EXTEN},20)"))
    asterisk.command("dialplan set global TRANSFER_CONTEXT from-internal")
    if version != "17":
        asterisk.load("macro", "[uses-a-macro]\nexten => s,1,Macro(user-callerid)\n")
        asterisk.call("s", "uses-a-macro")  # app_macro warns of its age at its first call alone
    with sip_stage(asterisk, tmp_path) as playing:
        yield playing


def test_a_call_to_a_ring_group_tells_the_did_and_each_phone_that_rings(stage: Stage) -> None:
    call, _ = stage.ring(GROUP, at="203")
    for name in ("201", "202"):
        stage.phones[name].wait_call()
    call.cancel()
    call.wait_end()
    stage.asterisk.wait_channels(0)
    stage.assert_told(GROUP, "201", "202", "203")


def test_a_hunt_tells_who_was_busy_and_who_answered(stage: Stage) -> None:
    call = stage.trunk.call("reception", caller=CALLER)
    stage.phones["203"].wait_call().refuse()
    answers = stage.phones["201"].wait_call()
    answers.answer()
    call.wait_status(200)
    stage.end(call)
    stage.assert_told("reception", "203", "201")


def test_a_client_who_is_transferred_out_by_refer_is_told_and_recorded_to_his_end(stage: Stage) -> None:
    call, taken = stage.call("7")
    taken.refer(MOBILE)
    call.wait_end()
    stage.asterisk.wait_channels(0)
    stage.assert_told("201", MOBILE)
    stage.assert_recorded("start", "stop")


def test_who_picks_up_a_call_is_told_to_nobody(stage: Stage) -> None:
    call, _ = stage.ring(ONE_PHONE)
    other = stage.phones["202"].call("**201")
    other.wait_status(200)
    call.wait_status(200)
    other.wait_voice()
    stage.end(other)
    stage.assert_told(ONE_PHONE, "201")


def test_whom_an_attended_transfer_leads_to_is_told_of_the_consultation_and_of_no_client(stage: Stage) -> None:
    call, taken = stage.call(ONE_PHONE)
    second = stage.phones["201"].call("202")
    other = stage.phones["202"].wait_call()
    other.answer()
    second.wait_status(200)
    taken.refer("202", replaces=second)
    second.wait_end()
    taken.hang_up()
    other.wait_voice()
    stage.end(other)
    call.wait_end()
    stage.assert_told(ONE_PHONE, "201", also=(("201", "202"),))


def test_a_withheld_caller_is_told_to_nobody_and_an_account_is_skipped(stage: Stage) -> None:
    withheld = {"P-Asserted-Identity": f"<sip:{CALLER}@trunk.example>", "Privacy": "id"}
    call, _ = stage.ring(GROUP, at="203", headers=withheld)
    call.cancel()
    call.wait_end()
    stage.trunk.call("sipaccount", caller=CALLER).wait_end()
    stage.asterisk.wait_channels(0)
    stage.assert_told()
