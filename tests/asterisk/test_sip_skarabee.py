"""Whom Skarabee is told of, on calls by SIP: each call once for each phone that it reaches, and no withheld number."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from real_asterisk import RealAsterisk
from sip_phone import headers
from sip_stage import CALLER, TOLD_AND_OVER, Stage, sip_stage, stage_files

FILES = {
    **stage_files("extensions_callsign.conf"),
    "queues.conf": """
[general]
[office]
strategy = ringall
ringinuse = yes
member => Local/201@ring/n,0,Agent,Local/201@ring/n
membergosub = callsign-skarabee-called
""",
}

# Who is dialled by way of `ring` rings untold; the others tell how they are called.
DIALPLAN = (
    TOLD_AND_OVER
    + r"""
#include extensions_callsign.conf

[from-sip]
exten => 056528991,1,Dial(PJSIP/201&PJSIP/202,20,b(callsign-skarabee-called^s^1))
exten => 056528992,1,Dial(PJSIP/201&PJSIP/202,20,b(callsign-skarabee^s^1))
exten => 056528993,1,Dial(PJSIP/201,20,U(callsign-skarabee))
exten => 056528994,1,Dial(PJSIP/201,20,b(named^201^1))
exten => 056528995,1,Dial(PJSIP/201,20,b(given^s^1(056528995)))
exten => 056528996,1,Answer()
 same => n,Queue(office,c,,,20)
exten => 056528997,1,Gosub(callsign-skarabee,s,1)
 same => n,Dial(PJSIP/201,20,g)
 same => n,Gosub(callsign-skarabee,s,1(056528998))
exten => 056528998,1,Dial(Local/056528991@from-sip&Local/203@from-sip,20)
exten => 056528990,1,Gosub(callsign-skarabee,s,1)
 same => n,Dial(PJSIP/201,20,b(callsign-skarabee-called^s^1))
exten => 056528989,1,Gosub(callsign-skarabee,s,1)
 same => n,Dial(PJSIP/201,20,b(callsign-own-host^s^1))
exten => 201,1,Dial(PJSIP/201,20)
exten => 202,1,Gosub(callsign-skarabee,s,1)
 same => n,Dial(PJSIP/202,20)
exten => 203,1,Dial(PJSIP/203,20,b(callsign-skarabee-called^s^1))

[ring]
exten => 056528990,1,Gosub(callsign-skarabee,s,1)
 same => n,Dial(PJSIP/201,20,b(callsign-skarabee-called^s^1))
exten => 201,1,Dial(PJSIP/201,20)

[named]
exten => 201,1,Gosub(callsign-skarabee-called,s,1)
 same => n,Return()
[given]
exten => s,1,Gosub(given-inner,s,1(${ARG1}))
 same => n,Return()
[given-inner]
exten => s,1,Gosub(callsign-skarabee,s,1(${ARG1}))
 same => n,Return()
"""
)

WITHHELD = {
    "P-Asserted-Identity": {"P-Asserted-Identity": f"<sip:{CALLER}@trunk.example>", "Privacy": "id"},
    "Remote-Party-ID": {"Remote-Party-ID": f"<sip:{CALLER}@trunk.example>;party=calling;privacy=full;screen=yes"},
}
ROUTES = {  # what is dialled, and who is told as called
    "056528991": ["201", "202"],
    "056528992": ["201", "202"],
    "056528993": ["201"],
    "056528994": ["201"],
    "056528995": ["056528995"],
    "056528996": ["201"],
    "056528998": ["201", "202", "203"],
}


@pytest.fixture
def stage(asterisk: RealAsterisk, tmp_path: Path) -> Iterator[Stage]:
    with sip_stage(asterisk, tmp_path) as running:
        yield running


def test_the_caller_of_a_called_channel_is_its_connected_line(stage: Stage) -> None:
    for number, called in ROUTES.items():
        call, _ = stage.call(number)
        stage.end(call)
        stage.assert_told(*called)


@pytest.mark.parametrize("header", WITHHELD)
def test_a_number_that_is_withheld_on_the_trunk_is_withheld_on_called_channels(stage: Stage, header: str) -> None:
    for number in ROUTES:
        call, _ = stage.call(number, headers=WITHHELD[header])
        stage.end(call)
        stage.assert_told()


@pytest.mark.parametrize("who", [{"nobody": True}, {"caller": "provider-1"}])
def test_a_call_without_a_callers_number_is_told_nowhere(stage: Stage, who: dict[str, Any]) -> None:
    for number in (*ROUTES, "056528997"):
        call, taken = stage.call(number, **who)
        taken.hang_up()
        stage.end(call)
        stage.assert_told()


def test_who_has_dialled_or_was_transferred_is_a_caller_like_before(stage: Stage) -> None:
    call, taken = stage.call("056528997")
    taken.hang_up()
    call.wait_end()
    stage.assert_told("056528997", "056528998")
    call, taken = stage.call("056528993")
    taken.refer("202")
    stage.phones["202"].wait_call().answer()
    stage.end(call)
    stage.assert_told("201", "202")


def test_who_is_called_and_then_sent_on_by_the_caller_is_a_caller(stage: Stage) -> None:
    call = stage.phones["203"].call("201")
    taken = stage.phones["201"].wait_call()
    taken.answer()
    taken.wait_voice()
    call.refer("202")
    stage.phones["202"].wait_call().answer()
    stage.end(taken)
    stage.assert_told("202", caller="201")


def test_a_phone_that_asterisk_rings_to_place_its_call_is_the_caller(stage: Stage) -> None:
    stage.asterisk.action(
        "Originate", Channel="PJSIP/201", Context="from-sip", Exten="202", Priority="1", CallerID=CALLER, Async="true"
    )
    stage.phones["201"].wait_call().answer()
    other = stage.phones["202"].wait_call()
    other.answer()
    stage.end(other)
    stage.assert_told("202")


# What becomes of a call to DID and 201 that goes on to 202 or 203; None: the caller's number is shown.
SHOWN_OR_WITHHELD = pytest.mark.parametrize("headers", [None, *WITHHELD.values()], ids=["shown", *WITHHELD])
DID = "056528990"


def assert_each_is_told(stage: Stage, headers: dict[str, str] | None, *called: str) -> None:
    stage.assert_told(*(called if headers is None else ()))


@SHOWN_OR_WITHHELD
def test_a_phone_that_sends_its_calls_elsewhere_is_told_and_so_is_that(
    stage: Stage, headers: dict[str, str] | None
) -> None:
    call, sends = stage.ring(DID, headers=headers)
    sends.refuse("302 Moved Temporarily", stage.trunk.uri_of("203"))
    taken = stage.phones["203"].wait_call()
    taken.answer()
    taken.wait_voice()
    stage.end(call)
    assert_each_is_told(stage, headers, DID, "201", "203")


@SHOWN_OR_WITHHELD
def test_a_blind_transfer_tells_who_rings_next(stage: Stage, headers: dict[str, str] | None) -> None:
    call, taken = stage.call(DID, headers=headers)
    taken.refer("203")
    other = stage.phones["203"].wait_call()
    other.answer()
    other.wait_voice()
    stage.end(call)
    assert_each_is_told(stage, headers, DID, "201", "203")


@SHOWN_OR_WITHHELD
def test_an_attended_transfer_tells_the_phones_own_call_and_nobody_new(
    stage: Stage, headers: dict[str, str] | None
) -> None:
    call, taken = stage.call(DID, headers=headers)
    second = stage.phones["201"].call("203")
    other = stage.phones["203"].wait_call()
    other.answer()
    second.wait_status(200)
    other.wait_voice()
    taken.refer("203", replaces=second)
    second.wait_end()
    taken.hang_up()  # Asterisk leaves that one to the phone
    other.wait_voice()
    stage.end(call)
    stage.assert_told(*([DID, "201"] if headers is None else []), also=(("201", "203"),))


@SHOWN_OR_WITHHELD
def test_a_caller_who_gives_up_was_told(stage: Stage, headers: dict[str, str] | None) -> None:
    call, _ = stage.ring(DID, headers=headers)
    call.cancel()
    call.wait_status(487)
    stage.asterisk.wait_channels()
    assert_each_is_told(stage, headers, DID, "201")


def test_a_call_of_an_asterisk_without_systemname_has_no_name_that_could_go_on(stage: Stage) -> None:
    stage.asterisk.action("Setvar", Variable="CALLSIGN_OWN_HOSTS", Value="201")
    call, taken = stage.ring("056528989")
    assert headers(taken.wait_request("INVITE"), "X-Callsign-Call") == []
    stage.asterisk.action("Setvar", Variable="CALLSIGN_OWN_HOSTS", Value="")
    call.cancel()
    stage.assert_told("056528989")
