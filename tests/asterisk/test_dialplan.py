"""The shipped dialplan file on a real Asterisk, against the real server and the stand-in vendors."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from callsign.sandbox.vendors.messages import Trouble
from callsign.sandbox.vendors.record import SeenRequest
from callsign.sandbox.vendors.sandbox import Sandbox
from product import ACCOUNTS, PROJECT, Product, vendor_sections
from real_asterisk import RealAsterisk

FILES = {"extensions_callsign.conf": (PROJECT / "dialplan/extensions_callsign.conf").read_text(encoding="utf-8")}

DIALPLAN = r"""
#include extensions_callsign.conf

[inbound]
exten => _[0-9+].,1,Gosub(callsign-skarabee,s,1)
 same => n,Set(WENTON=yes)

[twice]
exten => _[0-9].,1,Gosub(callsign-skarabee,s,1)
 same => n,Set(FIRST=${SKARABEESTATUS})
 same => n,Gosub(callsign-skarabee,s,1)
 same => n,Set(WENTON=yes)

[given]
exten => go,1,Gosub(callsign-skarabee,s,1(${TO}))
 same => n,Set(WENTON=yes)

[nested]
exten => go,1,Gosub(nested-outer,s,1(not-a-phoneto))
[nested-outer]
exten => s,1,Gosub(nested-inner,056528998,1)
 same => n,Return()
[nested-inner]
exten => 056528998,1,Gosub(callsign-skarabee,s,1)
 same => n,Gosub(callsign-noojee-start,s,1)
 same => n,Return()

[record]
exten => start,1,Gosub(callsign-noojee-start,s,1(${TAG}))
 same => n,Set(WENTON=yes)
exten => bare,1,Gosub(callsign-noojee-start,s,1(Doe, John))
exten => quoted,1,Gosub(callsign-noojee-start,s,1("Doe, John"))
exten => escaped,1,Gosub(callsign-noojee-start,s,1(Doe\, John))
exten => both,1,Gosub(callsign-noojee-start,s,1)
 same => n,Set(FIRST=${NOOJEESTATUS})
 same => n,Gosub(callsign-noojee-stop,s,1)
 same => n,Set(WENTON=yes)

[every]
exten => skarabee,1,Gosub(callsign-skarabee,s,1(056528998))
exten => skarabee-called,1,Gosub(callsign-skarabee-called,s,1(056528998))
exten => noojee-start,1,Gosub(callsign-noojee-start,s,1)
exten => noojee-stop,1,Gosub(callsign-noojee-stop,s,1)
exten => mor-balance,1,Gosub(callsign-mor-balance,s,1(alice))
exten => mor-caller,1,Gosub(callsign-mor-caller,s,1)
exten => kalliope-lastcall,1,Gosub(callsign-kalliope-lastcall,s,1)
exten => sraps-endpoint,1,Gosub(callsign-sraps-endpoint,s,1(000413AABBCC))
exten => sraps-assign,1,Gosub(callsign-sraps-assign,s,1(000413AABBCC,Default))

[bare]
exten => go,1,AGI(${CALLSIGN_AGI}/${LINE})
 same => n,Set(WENTON=yes)

[quiet]
exten => go,1,Set(WENTON=yes)
"""

SKARABEE = ("SKARABEESTATUS", "SKARABEEREASON", "SKARABEEJOB")
NOOJEE = ("NOOJEESTATUS", "NOOJEEREASON", "NOOJEEJOB")
ANSWERED = ("WENTON", "AGISTATUS")
CALLER = ("An office", "056528999")
SUBROUTINES = [
    ("skarabee", "skarabee"),
    ("skarabee-called", "skarabee"),
    ("noojee-start", "noojee/start"),
    ("noojee-stop", "noojee/stop"),
    ("mor-balance", "mor/balance"),
    ("mor-caller", "mor/caller"),
    ("kalliope-lastcall", "kalliope/lastcall"),
    ("sraps-endpoint", "sraps/endpoint"),
    ("sraps-assign", "sraps/assign"),
]


@dataclass
class Stage:
    """Vendors and server, fresh for each test."""

    box: Sandbox
    server: Product

    @property
    def agi(self) -> dict[str, str]:
        return {"CALLSIGN_AGI": self.server.url}

    def told(self, path: str, count: int) -> list[SeenRequest]:
        """The `count` requests that reached a vendor at `path`, with time for them to come and to be too many."""
        assert self.box.wait_for(lambda seen: sum(s.path == path for s in seen) >= count, 30), self.box.seen
        return [seen for seen in self.box.seen if seen.path == path]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Sandbox(accounts=ACCOUNTS) as box:
        sections = vendor_sections(box, numbers='internal = ["2XX"]')
        with Product(tmp_path, sections) as server:
            yield Stage(box, server)


def test_an_inbound_call_tells_skarabee_who_calls_whom(asterisk: RealAsterisk, stage: Stage) -> None:
    mark = asterisk.mark()
    result = asterisk.call(
        "056528998", "inbound", variables=stage.agi, callerid=("Bob", "+3256528999"), report=[*SKARABEE, *ANSWERED]
    )
    assert result.variables == {
        "SKARABEESTATUS": "QUEUED",
        "SKARABEEREASON": "",
        "SKARABEEJOB": "1",
        "WENTON": "yes",
        "AGISTATUS": "SUCCESS",
    }
    (seen,) = stage.told("/", 1)
    assert (seen.verdict, seen.query["phonefrom"], seen.query["phoneto"]) == ("OK", "056528999", "056528998")
    assert asterisk.warnings(mark) == []


def test_a_call_whose_gosub_runs_twice_is_notified_once(asterisk: RealAsterisk, stage: Stage) -> None:
    report = [*SKARABEE, "FIRST", "WENTON"]
    result = asterisk.call("056528998", "twice", variables=stage.agi, callerid=CALLER, report=report)
    assert (result.variables["FIRST"], result.variables["SKARABEESTATUS"]) == ("QUEUED", "SKIPPED")
    assert "already" in result.variables["SKARABEEREASON"]
    assert result.variables["SKARABEEJOB"] == "1"
    asterisk.call("056528997", "inbound", variables=stage.agi, callerid=CALLER)  # gives a second one time to come
    assert sorted(seen.query["phoneto"] for seen in stage.told("/", 2)) == ["056528997", "056528998"]


@pytest.mark.parametrize("name", ['O\'Brien "Bob" (x, é \\', 'agi_arg_1: "', "HANGUP", "${SHELL(id)}", "a]b[,(", ""])
def test_any_caller_name_is_harmless(asterisk: RealAsterisk, stage: Stage, name: str) -> None:
    result = asterisk.call(
        "056528998", "inbound", variables=stage.agi, callerid=(name, "056528999"), report=[*SKARABEE, "WENTON"]
    )
    assert result.variables["SKARABEESTATUS"] == "QUEUED"
    assert result.variables["WENTON"] == "yes"
    (seen,) = stage.told("/", 1)
    assert (seen.verdict, seen.query["phonefrom"]) == ("OK", "056528999")


def test_a_withheld_number_is_not_passed_on(asterisk: RealAsterisk, stage: Stage) -> None:
    report = [*SKARABEE, "WENTON"]
    withheld = asterisk.call(
        "056528998", "inbound", variables=stage.agi, callerid=CALLER, presentation="prohib", report=report
    )
    nameless = asterisk.call("056528998", "inbound", variables=stage.agi, callerid=("", "anonymous"), report=report)
    for result in (withheld, nameless):
        assert (result.variables["SKARABEESTATUS"], result.variables["WENTON"]) == ("SKIPPED", "yes")
        assert result.variables["SKARABEEJOB"] == ""
    asterisk.call("056528997", "inbound", variables=stage.agi, callerid=CALLER)
    assert [s.query["phoneto"] for s in stage.told("/", 1)] == ["056528997"]


def test_a_call_between_internal_numbers_is_skipped(asterisk: RealAsterisk, stage: Stage) -> None:
    result = asterisk.call(
        "202", "inbound", variables=stage.agi, callerid=("Desk", "201"), report=[*SKARABEE, "WENTON"]
    )
    assert (result.variables["SKARABEESTATUS"], result.variables["WENTON"]) == ("SKIPPED", "yes")


def test_phoneto_may_be_given(asterisk: RealAsterisk, stage: Stage) -> None:
    variables = {**stage.agi, "TO": "056 52 89 97"}
    asterisk.call("go", "given", variables=variables, callerid=CALLER)
    assert stage.told("/", 1)[0].query["phoneto"] == "056528997"


@pytest.mark.parametrize("leftover", ["{};npdi=yes;rn=+3247", "{}@192.0.2.1", "{};phone-context=+32", "{}\u202c"])
def test_what_sip_leaves_in_a_number_is_cut_off(asterisk: RealAsterisk, stage: Stage, leftover: str) -> None:
    called, caller = leftover.format("+3256528998"), leftover.format("+056528999")
    given = asterisk.call(called, "inbound", variables=stage.agi, callerid=("Bob", caller), report=SKARABEE)
    assert given.variables["SKARABEESTATUS"] == "QUEUED"
    asterisk.call("go", "given", variables={**stage.agi, "TO": f"tel:{called}"}, callerid=("Bob", caller))
    told = [(seen.query["phonefrom"], seen.query["phoneto"]) for seen in stage.told("/", 2)]
    assert told == [("056528999", "056528998")] * 2
    nobody = asterisk.call(called, "inbound", variables=stage.agi, callerid=("Bob", "asterisk"), report=SKARABEE)
    assert nobody.variables["SKARABEESTATUS"] == "SKIPPED"


def test_a_hostile_phoneto_stays_one_argument(asterisk: RealAsterisk, stage: Stage) -> None:
    report = [*SKARABEE, "WENTON"]
    variables = {**stage.agi, "TO": '056528997"(\\'}
    result = asterisk.call("go", "given", variables=variables, callerid=CALLER, report=report)
    assert (result.variables["SKARABEESTATUS"], result.variables["WENTON"]) == ("QUEUED", "yes")
    assert stage.told("/", 1)[0].query["phoneto"] == "056528997"


def test_arguments_of_an_outer_subroutine_are_not_taken_for_ours(asterisk: RealAsterisk, stage: Stage) -> None:
    asterisk.call("go", "nested", variables=stage.agi, callerid=CALLER)
    assert stage.told("/", 1)[0].query["phoneto"] == "056528998"
    assert "tag" not in stage.told("/CallManagementAPI/start", 1)[0].query


@pytest.mark.parametrize("tag", ["", "case 17", 'a "quoted", (bracketed) \\ tag', "(open", "x=1&y=2"])
def test_recording_starts_with_any_tag(asterisk: RealAsterisk, stage: Stage, tag: str) -> None:
    report = [*NOOJEE, *ANSWERED]
    result = asterisk.call("start", "record", variables={**stage.agi, "TAG": tag}, report=report)
    assert result.variables == {
        "NOOJEESTATUS": "OK",
        "NOOJEEREASON": "",
        "NOOJEEJOB": "1",
        "WENTON": "yes",
        "AGISTATUS": "SUCCESS",
    }
    (seen,) = stage.told("/CallManagementAPI/start", 1)
    assert seen.verdict == "OK"
    assert seen.query.get("tag", "") == tag
    assert re.fullmatch(r"\d+\.\d+", seen.query["extenOrUniqueId"])


@pytest.mark.parametrize("written", ["bare", "quoted", "escaped"])
def test_a_tag_with_a_comma_arrives_however_it_is_written(asterisk: RealAsterisk, stage: Stage, written: str) -> None:
    mark = asterisk.mark()
    asterisk.call(written, "record", variables=stage.agi)
    assert stage.told("/CallManagementAPI/start", 1)[0].query["tag"] == "Doe, John"
    assert asterisk.warnings(mark) == []


@pytest.mark.parametrize("forged", ["agi_arg_3: agentLoginName=x", "agi_arg_2: extenOrUniqueId=201", "", '"(['])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_line_break_in_an_argument_is_refused(asterisk: RealAsterisk, stage: Stage, forged: str, end: str) -> None:
    report = [*NOOJEE, "WENTON"]
    result = asterisk.call("start", "record", variables={**stage.agi, "TAG": f"x{end}{forged}"}, report=report)
    variables = {**stage.agi, "TO": f"056528998{end}{forged}"}
    given = asterisk.call("go", "given", variables=variables, callerid=CALLER, report=[*SKARABEE, "WENTON"])
    for system, told in (("NOOJEE", result.variables), ("SKARABEE", given.variables)):
        assert (told[f"{system}STATUS"], told["WENTON"]) == ("ERROR", "yes")
        assert told[f"{system}REASON"].startswith("a line break")
    assert stage.box.seen == []
    assert "056528998" not in "".join(stage.server.log)


@pytest.mark.parametrize("rest", [",y", '"(x', ";x=1", "\\,", '@${X}")', "\u202e"])
def test_a_called_number_with_anything_behind_it_is_that_number(
    asterisk: RealAsterisk, stage: Stage, rest: str
) -> None:
    mark = asterisk.mark()
    asterisk.call(f"056528998{rest}", "inbound", variables=stage.agi, callerid=CALLER)
    assert asterisk.warnings(mark) == []
    assert stage.told("/", 1)[0].query["phoneto"] == "056528998"


def test_callsign_wait_says_how_long_the_call_is_held(asterisk: RealAsterisk, stage: Stage) -> None:
    stage.box.trouble["noojee"] = Trouble(delay_seconds=60)
    for wait, status, words in (("0", "QUEUED", ""), ("soon", "ERROR", "option wait=soon")):
        given = {**stage.agi, "CALLSIGN_WAIT": wait}
        result = asterisk.call("start", "record", variables=given, report=NOOJEE).variables
        assert result["NOOJEESTATUS"] == status
        assert words in result["NOOJEEREASON"]
    stage.box.trouble["skarabee"] = Trouble(refuse_status="NO_HASH_KEY_AVAILABLE")
    given = {**stage.agi, "CALLSIGN_WAIT": "9"}
    result = asterisk.call("056528998", "inbound", variables=given, callerid=CALLER, report=SKARABEE).variables
    assert result["SKARABEESTATUS"] == "REFUSED"


@pytest.mark.parametrize("wait", ["2,5", "1/2", "2'", "1 0", '"2"', "2)"])
def test_a_wait_is_not_taken_for_another_one(asterisk: RealAsterisk, stage: Stage, wait: str) -> None:
    mark = asterisk.mark()
    result = asterisk.call("start", "record", variables={**stage.agi, "CALLSIGN_WAIT": wait}, report=NOOJEE).variables
    assert (result["NOOJEESTATUS"], result["NOOJEEJOB"]) == ("ERROR", "")
    assert result["NOOJEEREASON"] == "CALLSIGN_WAIT: wanted seconds such as 2 or 0.5"
    assert asterisk.warnings(mark) == []
    assert not stage.box.seen


@pytest.mark.parametrize(("subroutine", "path"), SUBROUTINES)
def test_a_step_of_every_subroutine_is_logged_with_its_calls_linkedid(
    asterisk: RealAsterisk, stage: Stage, subroutine: str, path: str
) -> None:
    result = asterisk.call(subroutine, "every", variables=stage.agi, callerid=CALLER, report=["WENTON"])
    assert result.linkedid != result.uniqueid
    told = stage.server.wait_log(lambda line: f" path={path} " in line)
    assert f"call={result.linkedid} channel={result.uniqueid} " in told


@pytest.mark.parametrize(("subroutine", "path"), SUBROUTINES)
def test_every_subroutine_heeds_how_long_it_may_wait_and_that_no_script_is_wanted(
    asterisk: RealAsterisk, subroutine: str, path: str
) -> None:
    mark = asterisk.mark()
    given = {"CALLSIGN_AGI": "agi://127.0.0.1:1", "CALLSIGN_WAIT": "7", "CALLSIGN_FALLBACK": "no"}
    status = f"{path.partition('/')[0].upper()}STATUS"
    result = asterisk.call(subroutine, "every", variables=given, callerid=CALLER, report=[status, "AGISTATUS"])
    assert result.variables == {status: "ERROR", "AGISTATUS": "FAILURE"}
    log = asterisk.log_text(mark)
    assert f"agi://127.0.0.1:1/{path}?wait=7" in log
    assert "callsign.agi" not in log


@pytest.mark.parametrize("name", ["antwerp", "gent-2.be_x", "liège"])
def test_callsign_account_names_the_account_that_is_meant(asterisk: RealAsterisk, tmp_path: Path, name: str) -> None:
    main, other = ({"noojee": {"key": key, "auth": "hash"}} for key in ("recorder-key", "other-key"))
    with Sandbox(accounts=main) as box, Sandbox(accounts=other) as further:
        sections = f"""
            [noojee]
            url = "{box.url("noojee")}"
            key = "recorder-key"
            [noojee."{name}"]
            url = "{further.url("noojee")}"
            key = "other-key"
        """
        with Product(tmp_path, sections) as server:
            agi = {"CALLSIGN_AGI": server.url}
            for given in ({"CALLSIGN_ACCOUNT": name}, {"CALLSIGN_ACCOUNT": name, "CALLSIGN_WAIT": "9"}):
                result = asterisk.call("start", "record", variables={**agi, **given}, report=NOOJEE)
                assert (result.variables["NOOJEESTATUS"], result.variables["NOOJEEREASON"]) == ("OK", "")
            assert sum(seen.path == "/CallManagementAPI/start" for seen in further.seen) == 2
            assert not box.seen
            result = asterisk.call("start", "record", variables={**agi, "CALLSIGN_ACCOUNT": ""}, report=NOOJEE)
            assert result.variables["NOOJEESTATUS"] == "OK"
            assert box.seen
            unknown = {**agi, "CALLSIGN_ACCOUNT": "x&wait=0,y?"}
            result = asterisk.call("start", "record", variables=unknown, report=NOOJEE)
            assert result.variables["NOOJEESTATUS"] == "ERROR"
            assert "account xwait0y: the settings have no section" in result.variables["NOOJEEREASON"]
            assert f"known are {name}" in result.variables["NOOJEEREASON"]


def test_start_and_stop_name_the_same_recording(asterisk: RealAsterisk, stage: Stage) -> None:
    result = asterisk.call("both", "record", variables=stage.agi, report=[*NOOJEE, "FIRST", "WENTON"])
    assert (result.variables["FIRST"], result.variables["NOOJEESTATUS"]) == ("OK", "OK")
    (start,) = stage.told("/CallManagementAPI/start", 1)
    (stop,) = stage.told("/CallManagementAPI/stop", 1)
    assert start.query["extenOrUniqueId"] == stop.query["extenOrUniqueId"]


def test_fifty_calls_at_once_start_and_stop_recording_in_order_with_one_time(
    asterisk: RealAsterisk, stage: Stage
) -> None:
    calls = [asterisk.start("both", "record", variables=stage.agi, report=["WENTON"]) for _ in range(50)]
    assert [call.wait(60).variables["WENTON"] for call in calls] == ["yes"] * 50
    assert stage.box.wait_for(lambda seen: sum(s.path.endswith("/stop") for s in seen) >= 50, 30)
    assert sum(seen.path == "/Time" for seen in stage.box.seen) == 1
    order: dict[str, list[str]] = {}
    for seen in stage.box.seen:
        if seen.path != "/Time":
            assert seen.verdict == "OK"
            order.setdefault(seen.query["extenOrUniqueId"], []).append(seen.path.rpartition("/")[2])
    assert sorted(order.values()) == [["start", "stop"]] * 50


def test_a_slow_vendor_does_not_hold_the_notification(asterisk: RealAsterisk, stage: Stage) -> None:
    stage.box.trouble["skarabee"] = Trouble(delay_seconds=60)
    report = [*SKARABEE, "WENTON"]
    result = asterisk.call("056528998", "inbound", variables=stage.agi, callerid=CALLER, report=report)
    assert (result.variables["SKARABEESTATUS"], result.variables["WENTON"]) == ("QUEUED", "yes")


def test_a_slow_recorder_ends_in_queued(asterisk: RealAsterisk, stage: Stage) -> None:
    stage.box.trouble["noojee"] = Trouble(delay_seconds=60)
    result = asterisk.call("start", "record", variables=stage.agi, report=[*NOOJEE, "WENTON"])
    assert (result.variables["NOOJEESTATUS"], result.variables["WENTON"]) == ("QUEUED", "yes")
    assert result.variables["NOOJEEJOB"] == "1"


def test_a_refusal_reaches_the_dialplan_with_the_vendors_word(asterisk: RealAsterisk, stage: Stage) -> None:
    stage.box.trouble["skarabee"] = Trouble(refuse_status="NO_HASH_KEY_AVAILABLE")
    line = "skarabee?wait=5,,056528998"
    report = [*SKARABEE, "WENTON"]
    variables = {**stage.agi, "LINE": line}
    result = asterisk.call("go", "bare", variables=variables, callerid=CALLER, report=report)
    assert (result.variables["SKARABEESTATUS"], result.variables["WENTON"]) == ("REFUSED", "yes")
    assert result.variables["SKARABEEREASON"].startswith("NO_HASH_KEY_AVAILABLE")


def test_a_vendor_that_is_gone_gets_it_when_it_is_back(asterisk: RealAsterisk, stage: Stage) -> None:
    stage.box.stop()
    report = [*SKARABEE, "WENTON"]
    result = asterisk.call("056528998", "inbound", variables=stage.agi, callerid=CALLER, report=report)
    assert (result.variables["SKARABEESTATUS"], result.variables["WENTON"]) == ("QUEUED", "yes")
    stage.server.wait_log(lambda line: "TRY LATER" in line)
    stage.box.start()
    assert stage.told("/", 1)[0].verdict == "OK"


def test_a_server_that_does_not_run_shows_as_error_and_the_call_goes_on(asterisk: RealAsterisk, stage: Stage) -> None:
    assert stage.server.stop() == 0
    report = [*SKARABEE, *ANSWERED]
    result = asterisk.call("056528998", "inbound", variables=stage.agi, callerid=CALLER, report=report)
    assert (result.variables["SKARABEESTATUS"], result.variables["WENTON"]) == ("ERROR", "yes")
    assert result.variables["AGISTATUS"] == "FAILURE"
    assert "did not answer" in result.variables["SKARABEEREASON"]
    recording = asterisk.call("both", "record", variables=stage.agi, report=[*NOOJEE, "WENTON"])
    assert (recording.variables["NOOJEESTATUS"], recording.variables["WENTON"]) == ("ERROR", "yes")


def test_a_caller_who_hangs_up_in_the_step_is_still_served(asterisk: RealAsterisk, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # a recorder that takes the connection and says nothing
        silent.settimeout(10)
        port = silent.getsockname()[1]
        sections = f"""
[noojee]
url = "http://127.0.0.1:{port}/noojee/servicemanager/rest"
key = "recorder-key"
"""
        with Product(tmp_path, sections) as server:
            call = asterisk.start("start", "record", variables={"CALLSIGN_AGI": server.url}, report=["WENTON"])
            attempt, _ = silent.accept()  # so the step is in the middle of its wait
            asterisk.hangup(call.channel)
            assert call.wait(30).variables["WENTON"] == ""
            silent.close()
            attempt.close()
            accounts = {"noojee": {"key": "recorder-key", "auth": "hash"}}
            with Sandbox(accounts=accounts, listen=("127.0.0.1", port)) as box:
                assert box.wait_for(lambda seen: any(s.path.endswith("/start") for s in seen), 30)
            after = asterisk.call(
                "go", "bare", variables={"CALLSIGN_AGI": server.url, "LINE": "ping"}, report=["WENTON"]
            )
            assert after.variables["WENTON"] == "yes"


@pytest.mark.parametrize(
    ("line", "variable", "words"),
    [
        ("nonsense", "CALLSIGN", "known are"),
        ("noojee/begin", "NOOJEE", "noojee/start"),
        ("mor/balance", "MOR", "[mor]"),
        ("noojee/stop,a,b,c,d", "NOOJEE", "at most 3"),
        ("skarabee?wait=soon", "SKARABEE", "wait"),
        ("skarabee,,,9999", "SKARABEE", "9999"),
    ],
)
def test_what_cannot_be_done_ends_in_error_with_a_reason(
    asterisk: RealAsterisk, stage: Stage, line: str, variable: str, words: str
) -> None:
    report = [f"{variable}STATUS", f"{variable}REASON", *ANSWERED]
    given = {**stage.agi, "LINE": line}
    result = asterisk.call("go", "bare", variables=given, callerid=CALLER, dnid="056528998", report=report)
    assert result.variables[f"{variable}STATUS"] == "ERROR"
    assert words in result.variables[f"{variable}REASON"]
    assert (result.variables["WENTON"], result.variables["AGISTATUS"]) == ("yes", "SUCCESS")


def test_ping_says_which_version_answers(asterisk: RealAsterisk, stage: Stage) -> None:
    report = ["CALLSIGNSTATUS", "CALLSIGNVERSION"]
    result = asterisk.call("go", "bare", variables={**stage.agi, "LINE": "ping"}, report=report)
    assert result.variables["CALLSIGNSTATUS"] == "OK"
    assert re.fullmatch(r"\d+\.\d+\.\d+", result.variables["CALLSIGNVERSION"])


def test_the_default_address_is_the_documented_one(asterisk: RealAsterisk) -> None:
    mark = asterisk.mark()
    result = asterisk.call("056528998", "inbound", callerid=CALLER, report=["SKARABEESTATUS", "WENTON"])
    assert (result.variables["SKARABEESTATUS"], result.variables["WENTON"]) == ("ERROR", "yes")
    assert "agi://127.0.0.1:4591/skarabee" in asterisk.log_text(mark)


def test_the_file_loads_silently_and_touches_no_call_that_does_not_ask(asterisk: RealAsterisk) -> None:
    mark = asterisk.mark()
    asterisk.command("dialplan reload")
    result = asterisk.call("go", "quiet", report=["WENTON", "SKARABEESTATUS", "NOOJEESTATUS"])
    assert result.variables == {"WENTON": "yes", "SKARABEESTATUS": "", "NOOJEESTATUS": ""}
    assert asterisk.warnings(mark) == []
    assert "CALLSIGN" not in asterisk.command("dialplan show globals")
