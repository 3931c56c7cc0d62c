"""Recording of calls by SIP: start and stop name one channel, in order, once, whatever becomes of the call's legs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from callsign.delivery.pace import AWAY_AFTER
from callsign.sandbox.vendors.messages import Trouble
from real_asterisk import RealAsterisk
from sip_phone import Dialog
from sip_stage import TOLD_AND_OVER, Stage, sip_stage, stage_files
from waiting import wait_until

FILES = {
    **stage_files(
        "extensions_callsign.conf",
        "extensions_sample_inbound.conf",
        "extensions_callsign_features.conf",
        "features_callsign.conf",
    ),
    "features.conf": """
[general]
featuredigittimeout = 5000
[applicationmap]
#include features_callsign.conf
""",
}

DIALPLAN = (
    TOLD_AND_OVER
    + r"""
#include extensions_callsign.conf
#include extensions_sample_inbound.conf
#include extensions_callsign_features.conf

[from-sip]
exten => 056528989,1,Set(CALLSIGN_WAIT=0)
 same => n,Gosub(callsign-noojee-start,s,1)
 same => n,Dial(PJSIP/201,20)
exten => 056528990,1,Set(CHANNEL(hangup_handler_push)=callsign-noojee-hangup,s,1)
 same => n,Gosub(callsign-noojee-start,s,1)
 same => n,Dial(PJSIP/201,20,b(callsign-features-allow^s^1))
exten => 056528991,1,Goto(recorded,201,1)
exten => 056528992,1,Dial(Local/201@recorded,20)
exten => 056528993,1,Dial(Local/201@recorded/n,20)
exten => 056528994,1,Dial(Local/201@twice,20)
exten => 056528995,1,Set(CHANNEL(hangup_handler_push)=callsign-noojee-hangup,s,1)
 same => n,Gosub(callsign-noojee-start,s,1)
 same => n,Gosub(callsign-noojee-stop,s,1)
 same => n,Dial(PJSIP/201,20)
exten => 056528996,1,Set(CHANNEL(hangup_handler_push)=callsign-noojee-hangup,s,1)
 same => n,Set(__CALLSIGN_WAIT=60)
 same => n,Dial(PJSIP/201,20,b(callsign-noojee-start^s^1))
exten => 056528997,1,Set(CHANNEL(hangup_handler_push)=callsign-noojee-hangup,s,1)
 same => n,Gosub(callsign-noojee-start,s,1)
 same => n,Dial(PJSIP/201,20)
exten => 056528998,1,Set(CALLSIGN_WAIT=60)
 same => n,Gosub(callsign-noojee-start,s,1)
 same => n,Dial(PJSIP/201,20)
exten => 202,1,Dial(PJSIP/202,20)
exten => 201,1,Goto(callsign-sample-ring,201,1)

[recorded]
exten => 201,1,Set(CHANNEL(hangup_handler_push)=callsign-noojee-hangup,s,1)
 same => n,Gosub(callsign-noojee-start,s,1(an inner leg))
 same => n,Dial(PJSIP/201,20)

[twice]
exten => 201,1,Dial(Local/201@recorded,20)
"""
)


@pytest.fixture
def stage(asterisk: RealAsterisk, tmp_path: Path) -> Iterator[Stage]:
    with sip_stage(asterisk, tmp_path) as running:
        yield running


def press(phone: Dialog, code: str) -> None:
    for digit in code:
        phone.press(digit)


def channels_in(stage: Stage, *applications: str) -> bool:
    """Whether a channel is in one of these applications."""
    lines = stage.asterisk.command("core show channels concise").splitlines()
    return any(line.split("!")[5] in applications for line in lines)


LEGS = {  # what is dialled, and how many channels stay once both have answered
    "056528991": 2,  # no inner leg
    "056528992": 2,  # one that is optimised away
    "056528993": 4,  # one that stays: /n
    "056528994": 2,  # two that are optimised away
}


def test_what_an_inner_leg_starts_is_recorded_until_the_call_ends(stage: Stage) -> None:
    for number, channels in LEGS.items():
        call, taken = stage.call(number)
        stage.asterisk.wait_channels(channels)
        stage.assert_recorded("start")
        stage.end(taken)
        call.wait_end()
        stage.assert_recorded("stop")
        call, taken = stage.call(number)
        stage.asterisk.wait_channels(channels)
        stage.end(call)
        taken.wait_end()
        stage.assert_recorded("start", "stop")


def test_a_call_that_nobody_answers_is_recorded_until_it_is_given_up(stage: Stage) -> None:
    for number in LEGS:
        call, _ = stage.ring(number)
        call.cancel()
        call.wait_status(487)
        stage.asterisk.wait_channels()
        stage.assert_recorded("start", "stop")


def test_the_sample_records_from_the_answer_to_the_end(stage: Stage) -> None:
    call, taken = stage.call("201")
    stage.end(call)
    taken.wait_end()
    stage.assert_recorded("start", "stop", of="PJSIP/201")


def test_the_sample_gives_no_command_for_a_call_that_nobody_answers(stage: Stage) -> None:
    call, _ = stage.ring("201")
    call.cancel()
    stage.asterisk.wait_channels()
    stage.assert_recorded()


def test_a_start_that_the_recorder_refuses_is_not_stopped(stage: Stage) -> None:
    stage.box.trouble["noojee"] = Trouble(refuse_status="Authentication failed")
    call, _ = stage.call("056528997")
    stage.end(call)
    stage.trunk.call("056528000", caller="0478999999").wait_end()
    stage.server.wait_log(lambda line: "path=skarabee job=2 QUEUED" in line)


def test_what_was_stopped_is_not_stopped_again(stage: Stage) -> None:
    call, _ = stage.call("056528995")
    stage.end(call)
    stage.assert_recorded("start", "stop")


def test_the_handler_holds_nobody_however_long_a_recorder_may_hold_others(stage: Stage) -> None:
    call, taken = stage.call("056528996")
    stage.assert_recorded("start", of="PJSIP/201")
    stage.box.trouble["noojee"] = Trouble(delay_seconds=120)
    call.hang_up()
    taken.wait_end()
    stage.asterisk.wait_channels()  # not for 60 s


def test_a_recorder_that_refuses_connections_holds_nobody_however_long_it_might(stage: Stage) -> None:
    stage.box.stop()
    for _ in range(3):
        call, _ = stage.call("056528998")  # rings, and not after 60 s
        stage.end(call)
    stage.box.start()


def test_a_recorder_that_is_known_to_be_away_holds_nobody_however_long_it_might(stage: Stage) -> None:
    stage.box.trouble["noojee"] = Trouble(http_status=503)
    for _ in range(AWAY_AFTER):
        call, _ = stage.call("056528989")
        stage.end(call)
    wait_until(lambda: sum("TRY LATER" in line for line in stage.server.log) >= AWAY_AFTER)
    stage.box.trouble["noojee"] = Trouble(delay_seconds=120)  # an attempt is over no more at once
    call, _ = stage.call("056528998")  # rings, and not after 60 s
    stage.end(call)


def test_a_blind_transfer_goes_on_being_recorded(stage: Stage) -> None:
    call, taken = stage.call("056528997")
    taken.refer("202")
    other = stage.phones["202"].wait_call()
    other.answer()
    other.wait_voice()
    stage.assert_recorded("start")
    stage.end(other)
    call.wait_end()
    stage.assert_recorded("stop")


def test_the_codes_come_by_info_and_what_they_start_again_is_stopped_at_the_end(stage: Stage) -> None:
    call, taken = stage.call("056528990")
    stage.assert_recorded("start")
    for code, command in (("*50", "stop"), ("*51", "start")):
        press(taken, code)
        stage.assert_recorded(command)
        wait_until(lambda: not channels_in(stage, "Gosub", "AGI", "Playback"))  # no code meanwhile
    stage.end(call)
    stage.assert_recorded("stop")


def test_what_a_code_has_stopped_is_not_stopped_again_at_the_end(stage: Stage) -> None:
    call, taken = stage.call("056528990")
    press(taken, "*50")
    stage.assert_recorded("start", "stop")
    taken.wait_voice()
    stage.end(call)
    stage.assert_recorded()


def test_an_attended_transfer_goes_on_being_recorded(stage: Stage) -> None:
    call, taken = stage.call("056528997")
    second = stage.phones["201"].call("202")
    other = stage.phones["202"].wait_call()
    other.answer()
    second.wait_status(200)
    taken.refer("202", replaces=second)
    second.wait_end()
    taken.hang_up()
    other.wait_voice()
    stage.assert_recorded("start")
    stage.end(other)
    call.wait_end()
    stage.assert_recorded("stop")


def test_a_caller_who_gives_up_in_the_middle_of_a_step_leaves_nothing(stage: Stage) -> None:
    stage.box.trouble["noojee"] = Trouble(delay_seconds=1)
    call = stage.trunk.call("056528997")
    wait_until(lambda: channels_in(stage, "AGI"))
    call.cancel()
    call.wait_status(487)
    stage.asterisk.wait_channels()
    assert stage.phones["201"].waiting == 0
    assert [command for command, _ in stage.recorded(2)] == ["start", "stop"]
