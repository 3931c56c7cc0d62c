"""The codes pressed during a call, on a real bridge with real DTMF: recording stops and goes on, the call stays."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from ami import EVENTS, Message
from calls import Call
from callsign.sandbox.vendors.sandbox import Sandbox
from product import PROJECT, Product
from real_asterisk import RealAsterisk

NAMES = ("extensions_callsign.conf", "extensions_callsign_features.conf", "features_callsign.conf")
FILES = {name: (PROJECT / "dialplan" / name).read_text(encoding="utf-8") for name in NAMES}
FILES["features.conf"] = """
[general]
featuredigittimeout = 5000
[featuremap]
atxfer => *2
[applicationmap]
apprecord => *1,self,Gosub(apprecord,s,1)
#include features_callsign.conf
"""


# The phones are Local channels that are never optimized away: `;1` is what the PBX sees, `;2` the phone itself.
DIALPLAN = r"""
#include extensions_callsign.conf
#include extensions_callsign_features.conf

[everybody]
exten => _2XX,1,Set(__CALLSIGN_CALL=${CHANNEL(linkedid)})
 same => n,Set(__DYNAMIC_FEATURES=apprecord#callsign-stop#callsign-start)
 same => n,Dial(Local/${EXTEN}@phones/n,20,tTg)
 same => n,Set(WENTON=yes)

[desk]
exten => _2XX,1,Dial(Local/${EXTEN}@phones/n,20,tTb(callsign-features-allow^s^1))

[bare]
exten => _2XX,1,Dial(Local/${EXTEN}@phones/n,20)

[phones]
exten => _2XX,1,Answer()
 same => n,UserEvent(Phone,Number: ${EXTEN})
 same => n,Wait(60)
exten => s,1,Hangup()  ; where a channel that AMI's Bridge took goes on after the other's end

[apprecord]
exten => s,1,UserEvent(AppRecord)
 same => n,Return()
"""


@dataclass
class Stage:
    """A recorder, a server, and the two ends of a conversation."""

    asterisk: RealAsterisk
    box: Sandbox
    server: Product

    def call(self, number: str, context: str = "everybody", report: tuple[str, ...] = ()) -> Conversation:
        since = self.asterisk.mark_events()
        call = self.asterisk.start(number, context, report=report)
        return Conversation(self.asterisk, call.channel, self.answered(number, since), call)

    def answered(self, number: str, since: int) -> str:
        """The channel of the phone that answered, as the PBX sees it."""
        is_it = {"UserEvent": "Phone", "Number": number}.items()
        event = self.asterisk.wait_event(lambda event: is_it <= event.items(), since=since)
        return other_half(event["Channel"])

    def commands(self, count: int) -> list[tuple[str, str]]:
        """What reached the recorder so far: at least `count` commands, each with the unique id it names."""
        assert self.box.wait_for(lambda seen: sum(s.path != "/Time" for s in seen) >= count, 30), self.box.seen
        seen = [s for s in self.box.seen if s.path != "/Time"]
        assert {s.verdict for s in seen} == {"OK"}
        return [(s.path.rpartition("/")[2], s.query["extenOrUniqueId"]) for s in seen]


@dataclass
class Conversation:
    """Two channels in one bridge, and the phones at their far ends."""

    asterisk: RealAsterisk
    caller: str
    called: str
    call: Call

    def press(self, channel: str, digits: str) -> None:
        """One after the other: of digits that come too close together on a busy machine, Asterisk drops some."""
        for digit in digits:
            since = self.asterisk.mark_events()
            self.asterisk.action("PlayDTMF", Channel=other_half(channel), Digit=digit, Duration="80")
            came = {"Event": "DTMFEnd", "Channel": channel, "Digit": digit, "Direction": "Received"}.items()
            self.asterisk.wait_event(lambda event, came=came: came <= event.items(), since=since)

    def command(self, channel: str, code: str, subroutine: str) -> list[str]:
        """Presses a code and waits for the end of its subroutine; the sounds that who pressed heard."""
        since = self.asterisk.mark_events()
        self.press(channel, code)
        done = {"Event": "Newexten", "Channel": channel, "Context": subroutine, "Application": "Return"}.items()
        self.asterisk.wait_event(lambda event: done <= event.items(), since=since)
        played = [e for e in self.asterisk.events(since) if e.get("AppData", "").startswith("1?Playback(")]
        assert {event["Channel"] for event in played} <= {channel}
        return [event["AppData"].removeprefix("1?Playback(").removesuffix(")") for event in played]

    def stop(self, channel: str) -> list[str]:
        return self.command(channel, "*50", "callsign-features-stop")

    def start(self, channel: str) -> list[str]:
        return self.command(channel, "*51", "callsign-features-start")

    def assert_talk(self) -> None:
        """Both are in one bridge, and what one sends the other receives."""
        assert bridge(self.asterisk, self.caller) == bridge(self.asterisk, self.called) != ""
        self.assert_hear_each_other()

    def assert_hear_each_other(self) -> None:
        for sender, receiver in ((self.caller, self.called), (self.called, self.caller)):
            since = self.asterisk.mark_events()
            self.press(sender, "7")
            heard = {"Event": "DTMFEnd", "Channel": receiver, "Digit": "7", "Direction": "Sent"}.items()
            self.asterisk.wait_event(lambda event, heard=heard: heard <= event.items(), since=since)

    def linkedid(self) -> str:
        return self.asterisk.action("Getvar", Channel=self.caller, Variable="CHANNEL(linkedid)")["Value"]


def other_half(channel: str) -> str:
    name, _, half = channel.rpartition(";")
    return f"{name};{3 - int(half)}"


def channels(asterisk: RealAsterisk) -> dict[str, Message]:
    since = asterisk.mark_events()
    asterisk.action("CoreShowChannels")
    asterisk.wait_event(lambda event: event["Event"] == "CoreShowChannelsComplete", since=since)
    return {e["Channel"]: e for e in asterisk.events(since) if e["Event"] == "CoreShowChannel"}


def bridge(asterisk: RealAsterisk, channel: str) -> str:
    return channels(asterisk)[channel]["BridgeId"]


@pytest.fixture
def stage(asterisk: RealAsterisk, tmp_path: Path) -> Iterator[Stage]:
    asterisk.action("Events", EventMask=f"{EVENTS},dtmf,dialplan")
    mark = asterisk.mark()
    with Sandbox(accounts={"noojee": {"key": "recorder-key", "auth": "hash"}}) as box:
        sections = f'[noojee]\nurl = "{box.url("noojee")}"\nkey = "recorder-key"\n'
        with Product(tmp_path, sections) as server:
            asterisk.command(f"dialplan set global CALLSIGN_AGI {server.url}")
            asterisk.command("dialplan set global CALLSIGN_BEEP yes")
            yield Stage(asterisk, box, server)
            asterisk.action("Events", EventMask=EVENTS)
            asterisk.hangup("/^Local/")
    assert [line for line in asterisk.warnings(mark) if "res_agi.c: " not in line] == []  # that no server is there


@pytest.mark.parametrize("who", ["called", "caller"])
def test_either_side_stops_and_starts_recording_and_stays_in_the_call(stage: Stage, who: str) -> None:
    talk = stage.call("201", report=("WENTON",))
    presser = getattr(talk, who)
    assert talk.stop(presser) == ["beep"]
    talk.assert_talk()
    assert talk.start(presser) == ["beep"]
    talk.assert_talk()
    assert stage.commands(2) == [("stop", talk.linkedid()), ("start", talk.linkedid())]
    stage.asterisk.hangup(other_half(talk.called))
    assert talk.call.wait().variables == {"WENTON": "yes"}  # Dial ended as it does without a code


def test_the_beep_is_there_and_can_be_switched_off(stage: Stage) -> None:
    talk = stage.call("201")
    assert talk.stop(talk.called) == ["beep"]
    heard = stage.asterisk.action("Getvar", Channel=talk.called, Variable="PLAYBACKSTATUS")
    assert heard["Value"] == "SUCCESS"
    stage.asterisk.command("dialplan set global CALLSIGN_BEEP no")
    assert talk.start(talk.called) == []
    talk.assert_talk()
    assert [command for command, _ in stage.commands(2)] == ["stop", "start"]


def test_without_a_server_the_error_beep_tells_and_the_call_stays(stage: Stage) -> None:
    talk = stage.call("201")
    assert stage.server.stop() == 0
    assert talk.stop(talk.called) == ["beeperr"]
    talk.assert_talk()
    stage.asterisk.command("dialplan set global CALLSIGN_BEEP no")
    assert talk.start(talk.caller) == []
    talk.assert_talk()


def test_with_a_store_that_takes_nothing_the_error_beep_tells_and_the_call_stays(stage: Stage) -> None:
    talk = stage.call("201")
    with held_by_another_process(stage.server.store):
        assert talk.stop(talk.called) == ["beeperr"]
    talk.assert_talk()
    assert talk.stop(talk.called) == ["beep"]
    assert stage.commands(1) == [("stop", talk.linkedid())]


def test_with_a_recorder_that_is_gone_the_command_is_stored_and_delivered_later(stage: Stage) -> None:
    talk = stage.call("201")
    stage.box.stop()
    assert talk.stop(talk.called) == ["beep"]
    talk.assert_talk()
    stage.server.wait_log(lambda line: "TRY LATER" in line)
    stage.box.start()
    assert stage.commands(1) == [("stop", talk.linkedid())]


def test_after_a_blind_transfer_by_the_phone_that_was_called(stage: Stage) -> None:
    talk = stage.call("201")
    call = talk.linkedid()
    since = stage.asterisk.mark_events()
    stage.asterisk.action("BlindTransfer", Channel=talk.called, Context="everybody", Exten="202")
    talk.called = stage.answered("202", since)
    talk.assert_talk()
    talk.stop(talk.called)
    talk.start(talk.caller)
    talk.assert_talk()
    assert stage.commands(2) == [("stop", call), ("start", call)]


def test_after_a_blind_transfer_by_the_phone_that_called(stage: Stage) -> None:
    talk = stage.call("201")
    call = talk.linkedid()
    since = stage.asterisk.mark_events()
    stage.asterisk.action("BlindTransfer", Channel=talk.caller, Context="everybody", Exten="202")
    talk.caller, talk.called = talk.called, stage.answered("202", since)
    talk.assert_talk()
    talk.stop(talk.caller)
    talk.start(talk.called)
    talk.assert_talk()
    assert stage.commands(2) == [("stop", call), ("start", call)]


def test_after_an_attended_transfer_by_code(stage: Stage) -> None:
    talk = stage.call("201")
    call = talk.linkedid()
    since = stage.asterisk.mark_events()
    stage.asterisk.action("Atxfer", Channel=talk.called, Context="everybody", Exten="202")
    consulted = stage.answered("202", since)
    stage.asterisk.wait_event(lambda e: e["Event"] == "BridgeEnter" and e["Channel"] == consulted, since=since)
    stage.asterisk.hangup(other_half(talk.called))  # who transfers leaves the two alone
    stage.asterisk.wait_event(lambda e: e["Event"] == "AttendedTransfer", since=since)
    talk.called = consulted  # in a bridge of its own: Asterisk keeps the channel between that consulted
    talk.stop(talk.called)
    talk.start(talk.caller)
    talk.assert_hear_each_other()
    assert stage.commands(2) == [("stop", call), ("start", call)]


@pytest.mark.parametrize("older", ["the caller's", "the consultation"])
def test_after_an_attended_transfer_by_the_phone_both_recordings_are_meant(stage: Stage, older: str) -> None:
    """A phone that transfers has two calls, unknown to each other; Asterisk then bridges their far ends."""
    if older == "the caller's":
        talk, consultation = stage.call("201"), stage.call("202")
    else:
        consultation, talk = stage.call("202"), stage.call("201")
    call, other = talk.linkedid(), consultation.linkedid()
    since = stage.asterisk.mark_events()
    stage.asterisk.action("Bridge", Channel1=talk.caller, Channel2=consultation.called)
    for channel in (talk.caller, consultation.called):
        stage.asterisk.wait_event(
            lambda e, channel=channel: e["Event"] == "BridgeEnter" and e["Channel"] == channel, since=since
        )
    talk.called = consultation.called
    assert talk.linkedid() == min(call, other, key=lambda uniqueid: int(uniqueid.rpartition(".")[2]))
    talk.stop(talk.called)
    talk.start(talk.caller)
    talk.assert_talk()
    commands = stage.commands(4)
    assert sorted(commands[:2]) == sorted([("stop", call), ("stop", other)])
    assert sorted(commands[2:]) == sorted([("start", call), ("start", other)])


def test_the_caller_outside_has_no_codes_where_only_the_phone_is_allowed_them(stage: Stage) -> None:
    talk = stage.call("201", "desk")
    since = stage.asterisk.mark_events()
    talk.press(talk.caller, "*50")
    heard = {"Event": "DTMFEnd", "Channel": talk.called, "Digit": "0", "Direction": "Sent"}.items()
    stage.asterisk.wait_event(lambda event: heard <= event.items(), since=since)  # the phone hears the tones instead
    talk.stop(talk.called)
    talk.assert_talk()
    assert stage.commands(1) == [("stop", talk.linkedid())]  # by linkedid, since no CALLSIGN_CALL was set


def test_a_global_gives_the_codes_to_everybody_as_in_freepbx(stage: Stage) -> None:
    stage.asterisk.action("Setvar", Variable="DYNAMIC_FEATURES", Value="apprecord#callsign-stop#callsign-start")
    try:
        talk = stage.call("201", "bare")
        talk.stop(talk.called)
        talk.start(talk.caller)
        talk.assert_talk()
    finally:
        stage.asterisk.action("Setvar", Variable="DYNAMIC_FEATURES", Value="")
    assert stage.commands(2) == [("stop", talk.linkedid()), ("start", talk.linkedid())]


def test_recording_that_the_subroutine_started_is_what_a_code_stops(stage: Stage) -> None:
    stage.asterisk.load(
        "recorded",
        "[recorded]\nexten => _2XX,1,Gosub(callsign-noojee-start,s,1)\n same => n,Goto(desk,${EXTEN},1)\n",
    )
    talk = stage.call("201", "recorded")
    talk.stop(talk.called)
    (_, started), (_, stopped) = stage.commands(2)
    assert started == stopped


def test_the_code_of_freepbx_stays_freepbx(stage: Stage) -> None:
    talk = stage.call("201")
    since = stage.asterisk.mark_events()
    talk.press(talk.called, "*1")
    stage.asterisk.wait_event(lambda event: event.get("UserEvent") == "AppRecord", since=since)
    talk.assert_talk()
    talk.stop(talk.called)
    assert [command for command, _ in stage.commands(1)] == ["stop"]


def test_the_codes_are_loaded_without_a_warning(asterisk: RealAsterisk) -> None:
    mark = asterisk.mark()
    asterisk.command("module reload features")
    asterisk.command("dialplan reload")
    shown = [line.split() for line in asterisk.command("features show").splitlines()]
    assert {tuple(line[:1] + line[-1:]) for line in shown if line and line[0].startswith("callsign")} == {
        ("callsign-stop", "*50"),
        ("callsign-start", "*51"),
    }
    assert asterisk.warnings(mark) == []


@contextmanager
def held_by_another_process(store: Path) -> Iterator[None]:
    """The lock that every write takes, held as by a process that hangs: the store takes nothing meanwhile."""
    with open(f"{store}.lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
