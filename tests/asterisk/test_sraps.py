"""SRAPS on a real Asterisk: the shipped subroutine and the hot-desk sample, against the server and the stand-in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from callsign.sandbox.vendors.messages import Trouble
from callsign.sandbox.vendors.sandbox import Sandbox
from product import PROJECT, Product
from real_asterisk import RealAsterisk

NAMES = ("extensions_callsign.conf", "extensions_sample_hotdesk.conf")
FILES = {name: (PROJECT / "dialplan" / name).read_text(encoding="utf-8") for name in NAMES}

DIALPLAN = r"""
#include extensions_callsign.conf
#include extensions_sample_hotdesk.conf

[assign]
exten => go,1,Gosub(callsign-sraps-assign,s,1(${MAC},${PROFILE}))
 same => n,Set(WENTON=yes)
exten => comma,1,Gosub(callsign-sraps-assign,s,1(${MAC},Default, big))
exten => none,1,Gosub(callsign-sraps-assign,s,1)
 same => n,Set(WENTON=yes)
exten => nested,1,Gosub(assign-outer,s,1(000413aabbcc,Hot desk))
exten => ask,1,Gosub(callsign-sraps-endpoint,s,1(${MAC}))
 same => n,Set(WENTON=yes)
[assign-outer]
exten => s,1,Gosub(callsign-sraps-assign,s,1)
 same => n,Set(WENTON=yes)
 same => n,Return()

[bare]
exten => go,1,AGI(${CALLSIGN_AGI}/${LINE})
 same => n,Set(WENTON=yes)

[plain]
exten => go,1,AGI(callsign.agi,sraps/endpoint?wait=10,000413-aabbcc)
 same => n,Set(WENTON=yes)
"""

SRAPS = ("SRAPSSTATUS", "SRAPSREASON", "SRAPSJOB", "SRAPSNAME", "SRAPSPROFILE")
ANSWERED = ("WENTON", "AGISTATUS")
MAC = "00:04:13:AA:BB:CC"
ACCOUNT = {
    "key_id": "ck_1",
    "key_secret": "the-secret",
    "profiles": 'Default\nHot desk\nBüro (2. OG), "A" $x\nDefault\nDefault, big\nVIP ${EPOCH} $[1+1]',
}
DONE = {"SRAPSSTATUS": "OK", "SRAPSREASON": "", "SRAPSJOB": "", "SRAPSNAME": "Reception"}


def section(box: Sandbox) -> str:
    return f'[sraps]\nurl = "{box.url("sraps")}"\nkey_id = "ck_1"\nkey_secret = "the-secret"\n'


@dataclass
class Stage:
    """The service and the server, fresh for each test."""

    asterisk: RealAsterisk
    box: Sandbox
    server: Product

    def call(self, exten: str, context: str = "assign", number: str = "201", **variables: str) -> dict[str, str]:
        given = {"CALLSIGN_AGI": self.server.url, **variables}
        report = [*SRAPS, *ANSWERED]
        return self.asterisk.call(exten, context, variables=given, callerid=("Desk", number), report=report).variables

    def puts(self) -> int:
        return sum(seen.method == "PUT" for seen in self.box.seen)


@pytest.fixture
def stage(asterisk: RealAsterisk, tmp_path: Path) -> Iterator[Stage]:
    with Sandbox(accounts={"sraps": ACCOUNT}) as box, Product(tmp_path, section(box)) as server:
        yield Stage(asterisk, box, server)


def test_the_subroutine_gives_the_phone_the_profile(stage: Stage) -> None:
    mark = stage.asterisk.mark()
    told = stage.call("go", MAC=MAC, PROFILE="hot desk")
    assert told == {**DONE, "SRAPSPROFILE": "Hot desk", "WENTON": "yes", "AGISTATUS": "SUCCESS"}
    assert stage.puts() == 1
    assert stage.call("go", MAC=MAC, PROFILE="hot desk")["SRAPSSTATUS"] == "OK"
    assert stage.puts() == 1
    assert stage.asterisk.warnings(mark) == []


def test_a_profile_may_be_called_anything(stage: Stage) -> None:
    name = 'Büro (2. OG), "A" $x'
    told = stage.call("go", MAC="000413-aabbcc", PROFILE=name)
    assert (told["SRAPSSTATUS"], told["SRAPSPROFILE"], told["WENTON"]) == ("OK", name, "yes")


@pytest.mark.parametrize("expands", ["no", "yes"])
def test_a_name_that_looks_like_an_expression_is_a_name(stage: Stage, expands: str) -> None:
    name = "VIP ${EPOCH} $[1+1]"
    told = stage.call("go", MAC=MAC, PROFILE=name, AGIEXECFULL=expands)
    assert (told["SRAPSSTATUS"], told["SRAPSPROFILE"]) == ("OK", name)


def test_the_rest_behind_a_comma_belongs_to_the_profile(stage: Stage) -> None:
    told = stage.call("comma", MAC=MAC)
    assert (told["SRAPSSTATUS"], told["SRAPSPROFILE"]) == ("OK", "Default, big")


def test_what_cannot_be_done_ends_in_error_with_a_reason_and_changes_nothing(stage: Stage) -> None:
    for variables, words in (
        ({"MAC": "000413aabbc", "PROFILE": "Hot desk"}, "12 hex digits"),
        ({"MAC": "", "PROFILE": "Hot desk"}, "mac is missing"),
        ({"MAC": MAC, "PROFILE": ""}, "profile is missing"),
        ({"MAC": MAC, "PROFILE": "Hot dog"}, "did you mean Hot desk?"),
        ({"MAC": MAC, "PROFILE": "Default"}, "2 are called so"),
    ):
        told = stage.call("go", **variables)
        assert (told["SRAPSSTATUS"], told["SRAPSNAME"], told["WENTON"]) == ("ERROR", "", "yes"), told
        assert words in told["SRAPSREASON"]
    assert stage.puts() == 0


@pytest.mark.parametrize("exten", ["none", "nested"])
def test_without_arguments_of_its_own_nothing_is_asked(stage: Stage, exten: str) -> None:
    told = stage.call(exten)
    assert (told["SRAPSSTATUS"], told["WENTON"]) == ("ERROR", "yes")
    assert "missing" in told["SRAPSREASON"]
    assert stage.box.seen == []


def test_a_phone_that_is_not_there_is_refused(stage: Stage) -> None:
    told = stage.call("go", MAC="000413000000", PROFILE="Hot desk")
    assert (told["SRAPSSTATUS"], told["WENTON"]) == ("REFUSED", "yes")
    assert told["SRAPSREASON"].startswith("HTTP 404: no such phone 000413000000")


def test_the_endpoint_is_asked_from_the_dialplan(stage: Stage) -> None:
    told = stage.call("go", "bare", LINE=f"sraps/endpoint,{MAC}")
    assert told == {**DONE, "SRAPSPROFILE": "Default", "WENTON": "yes", "AGISTATUS": "SUCCESS"}


def test_a_service_that_says_nothing_holds_the_call_for_its_wait(stage: Stage) -> None:
    stage.box.trouble["sraps"] = Trouble(delay_seconds=60)
    told = stage.call("go", "bare", LINE=f"sraps/endpoint?wait=0.5,{MAC}")
    assert (told["SRAPSSTATUS"], told["SRAPSNAME"], told["WENTON"]) == ("UNREACHABLE", "", "yes")


def test_a_server_that_does_not_run_shows_as_error_and_old_answers_are_gone(stage: Stage) -> None:
    assert stage.server.stop() == 0
    told = stage.call("go", MAC=MAC, PROFILE="Hot desk", SRAPSNAME="old", SRAPSPROFILE="old", SRAPSJOB="7")
    assert (told["SRAPSSTATUS"], told["WENTON"], told["AGISTATUS"]) == ("ERROR", "yes", "FAILURE")
    assert (told["SRAPSNAME"], told["SRAPSPROFILE"], told["SRAPSJOB"]) == ("", "", "")
    assert "did not answer" in told["SRAPSREASON"]


def test_the_plain_script_asks_too(stage: Stage) -> None:
    config = f'[outbox]\npath = "{{folder}}/outbox.db"\n{section(stage.box)}'
    stage.asterisk.install_plain_agi(PROJECT, config)
    told = stage.call("go", "plain")
    assert told == {**DONE, "SRAPSPROFILE": "Default", "WENTON": "yes", "AGISTATUS": "SUCCESS"}


def test_the_sample_loads_without_a_warning(asterisk: RealAsterisk) -> None:
    mark = asterisk.mark()
    asterisk.command("dialplan reload")
    assert asterisk.warnings(mark) == []
    assert "callsign-sample-hotdesk-assign" in asterisk.command("dialplan show callsign-sample-hotdesk")


def test_a_phone_is_asked_for_by_its_subroutine_and_left_as_it_is(stage: Stage) -> None:
    asked = stage.call("ask", MAC=MAC)
    assert asked == {**DONE, "SRAPSPROFILE": "Default", "WENTON": "yes", "AGISTATUS": "SUCCESS"}
    assert stage.puts() == 0


def test_who_sits_down_at_a_desk_gets_his_profile_and_leaves_the_common_one(stage: Stage) -> None:
    stage.asterisk.command("database put callsign-mac 201 000413AABBCC")
    stage.asterisk.command('database put callsign-profile 230 "Büro (2. OG), \\"A\\" $x"')
    came = stage.call("*55230", "callsign-sample-hotdesk")
    assert (came["SRAPSSTATUS"], came["SRAPSPROFILE"]) == ("OK", 'Büro (2. OG), "A" $x')
    left = stage.call("*55", "callsign-sample-hotdesk", number="201;npdi=yes;rn=+3247@pbx.example")
    assert (left["SRAPSSTATUS"], left["SRAPSPROFILE"]) == ("OK", "Hot desk")
    assert stage.puts() == 2


def test_a_desk_or_a_person_that_the_database_does_not_know_changes_no_phone(stage: Stage) -> None:
    stage.asterisk.command("database put callsign-mac 201 000413AABBCC")
    for exten, number, missing in (("*55999", "201", "profile"), ("*55", "299", "mac"), ("*55", "", "mac")):
        told = stage.call(exten, "callsign-sample-hotdesk", number=number)
        assert told["SRAPSSTATUS"] == "ERROR"
        assert f"{missing} is missing" in told["SRAPSREASON"]
    assert stage.puts() == 0
