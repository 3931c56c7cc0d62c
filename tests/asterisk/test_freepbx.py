"""The pieces for FreePBX, included as there and called as there: by Macro in 15 and 16, by Gosub alone in 17."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from asterisk_fixtures import LEFT_OUT
from callsign.sandbox.vendors.record import Seen
from callsign.sandbox.vendors.sandbox import Sandbox
from product import PROJECT, Product, vendor_sections
from real_asterisk import RealAsterisk

BOTH = ("extensions_callsign.conf", "extensions_callsign_freepbx.conf")
HOOKS = {"15/16": "extensions_callsign_freepbx_15_16.conf", "17": "extensions_callsign_freepbx_17.conf"}
FILES = {name: (PROJECT / "dialplan" / name).read_text(encoding="utf-8") for name in (*BOTH, *HOOKS.values())}
FILES["queues.conf"] = """
[general]
[400]
strategy = ringall
member => Local/201@from-queue/n,0,Agent,Local/201@from-queue/n
[400](+)
membergosub=callsign-freepbx-queue-answered
"""

# What FreePBX's own contexts do, as far as a call of ours meets them (core, functions.inc.php and Dialplan/,
# releases 15 to 17).  ROUTE stands for the inbound route's destination.
DIALPLAN = r"""
#include extensions_callsign.conf
#include extensions_callsign_freepbx.conf

[from-trunk]
exten => _[0-9+]!,1,Set(__FROM_DID=${EXTEN})
 same => n,Goto(inbound-route,s,1)
exten => s,1,Set(__FROM_DID=s)
 same => n,Goto(inbound-route,s,1)
exten => _sip[a-m]!,1,Set(__FROM_DID=${EXTEN})
 same => n,Goto(inbound-route,s,1)

[inbound-route]
exten => s,1,Set(ARRIVED=${CALLERID(num-pres)})
 same => n,Set(__CALLINGNAMEPRES_SV=${CALLERID(name-pres)})
 same => n,Set(__CALLINGNUMPRES_SV=${CALLERID(num-pres)})
 same => n,Set(CALLERID(name-pres)=allowed_not_screened)
 same => n,Set(CALLERID(num-pres)=allowed_not_screened)
 same => n,GotoIf($["${ROUTE}" != ""]?customdests,${ROUTE},1)
 same => n,Set(WENTON=yes)

[customdests]
exten => notify,1,Gosub(callsign-freepbx-notify,s,1())
 same => n,Set(WENTON=yes)
exten => given,1,Gosub(callsign-freepbx-tell,s,1(056528997))
 same => n,Set(WENTON=yes)
exten => record,1,Gosub(callsign-freepbx-record,s,1())
 same => n,Set(WENTON=yes)
exten => queue,1,Answer()
 same => n,Queue(400,tc,,,10)
 same => n,Set(WENTON=yes)
exten => phone,1,Goto(phone,201,1)
exten => mobile,1,Goto(out,0470123456,1)

[from-queue]
exten => _2XX,1,Answer()
 same => n,Wait(0.2)
"""


def freepbx(version: str) -> str:
    """extensions_custom.conf, then what FreePBX generates and, last, its blank hooks."""
    if version == "17":
        call, end = "Gosub(macro-{},s,1({}))", "Return()"
    else:
        call, end = "Macro({},{})", "MacroExit()"
    return f"""
#include {HOOKS[version]}

[phone]
exten => _2XX,1,{call.format("dial-one", "20,tr,${EXTEN}")}
 same => n,Set(WENTON=yes)
exten => forwarded,1,{call.format("dial-one", "20,tr,0470123456#")}
 same => n,Set(WENTON=yes)
[macro-dial-one]
exten => s,1,Set(DEXTEN=${{ARG3}})
 same => n,{call.format("dialout-one-predial-hook", "")}
 same => n,Set(DIALLED=${{DEXTEN}} for ${{ARG1}} s as ${{CALLERID(num-pres)}})
 same => n,{end}

[out]
exten => _0X.,1,{call.format("dialout-trunk", "3,${EXTEN},,on")}
 same => n,Set(WENTON=yes)
[macro-dialout-trunk]
exten => s,1,Set(DIAL_TRUNK=${{ARG1}})
 same => n,Set(DIAL_NUMBER=${{ARG2}})
 same => n,Set(OUTNUM=9${{DIAL_NUMBER}})
 same => n,{call.format("dialout-trunk-predial-hook", "")}
 same => n,GotoIf($["${{PREDIAL_HOOK_RET}}" = "BYPASS"]?bypass)
 same => n,Set(DIALLED=${{OUTNUM}} by ${{ARG1}} as ${{CALLERID(num-pres)}})
 same => n(bypass),{end}

[macro-dialout-trunk-predial-hook]
exten => s,1,{end}
[macro-dialout-one-predial-hook]
exten => s,1,{end}
"""


SKARABEE = ("SKARABEESTATUS", "SKARABEEREASON", "SKARABEEJOB")
CALLER = ("A client", "056528999")
DID = "056528998"
WITHHELD = [
    {"CALLERID(pres)": "prohib"},
    {"CALLERID(num-pres)": "prohib_passed_screen"},
    {"CALLERID(num-pres)": "unavailable"},
    {"CALLERID(name-pres)": "prohib_not_screened"},
]


@dataclass
class Stage:
    """Vendors and server, fresh for each test, and an Asterisk with FreePBX's contexts."""

    asterisk: RealAsterisk
    box: Sandbox
    server: Product

    def call(self, exten: str, context: str, *report: str, **variables: str) -> dict[str, str]:
        """A call to any context, and what its channel holds at the end."""
        return self.asterisk.call(exten, context, variables=variables, callerid=CALLER, report=report).variables

    def inbound(
        self, route: str, *report: str, exten: str = DID, given: dict[str, str] | None = None
    ) -> dict[str, str]:
        """A call from outside on a trunk in FreePBX's own context, and what its channel holds at the end."""
        variables = {"ROUTE": route, **(given or {})}
        return self.asterisk.call(
            exten, "from-trunk", variables=variables, callerid=CALLER, report=[*report, "WENTON"]
        ).variables

    def told(self, count: int) -> list[tuple[str, str]]:
        """Who called whom, as Skarabee was told.  One more is sent behind, so that a stray one has had its time."""
        self.asterisk.call("056520000", "callsign-freepbx-from-trunk", callerid=("Last", "056520001"))
        seen = self._seen("skarabee", count + 1)
        assert [s.verdict for s in seen] == ["OK"] * (count + 1)
        told = [(s.query["phonefrom"], s.query["phoneto"]) for s in seen]
        return sorted(one for one in told if one != ("056520001", "056520000"))

    def recorded(self, count: int) -> list[tuple[str, str]]:
        seen = [s for s in self._seen("noojee", count) if s.path != "/Time"]
        return [(s.path.rpartition("/")[2], s.query["extenOrUniqueId"]) for s in seen]

    def _seen(self, system: str, count: int) -> list[Seen]:
        def those(seen: list[Seen]) -> list[Seen]:
            return [s for s in seen if s.system == system]

        assert self.box.wait_for(lambda seen: sum(s.path != "/Time" for s in those(seen)) >= count, 30), self.box.seen
        return those(self.box.seen)


@pytest.fixture
def stage(asterisk: RealAsterisk, tmp_path: Path) -> Iterator[Stage]:
    accounts = {"skarabee": {"8103": "office-key"}, "noojee": {"key": "recorder-key", "auth": "hash"}}
    with Sandbox(accounts=accounts) as box:
        sections = vendor_sections(box, numbers='internal = ["2XX"]')
        with Product(tmp_path, sections) as server:
            asterisk.command(f"dialplan set global CALLSIGN_AGI {server.url}")
            yield Stage(asterisk, box, server)


@pytest.fixture
def hooked(request: pytest.FixtureRequest, asterisk: RealAsterisk, stage: Stage) -> Stage:
    """The stage with the hooks of a FreePBX included, and its macros."""
    version: str = request.param
    if version != "17" and "app_macro" not in asterisk.command("module show like app_macro"):
        asterisk.action("ModuleLoad", Module="app_macro.so", LoadType="load")  # warns that it is deprecated
    asterisk.load("freepbx", freepbx(version))
    return stage


on_each_freepbx = pytest.mark.parametrize(
    ("asterisk_root", "hooked"),
    [("16", "15/16"), ("16", "17")] if LEFT_OUT else [("22", "17"), ("16", "15/16"), ("16", "17")],
    indirect=True,
)
"""Asterisk 21 and later have no Macro, hence no FreePBX 15 or 16."""


# Calls from outside


def test_the_trunk_context_tells_skarabee_and_goes_on_to_from_trunk(stage: Stage) -> None:
    mark = stage.asterisk.mark()
    seen = stage.call(DID, "callsign-freepbx-from-trunk", "SKARABEESTATUS", "FROM_DID", "WENTON")
    assert seen == {"SKARABEESTATUS": "QUEUED", "FROM_DID": DID, "WENTON": "yes"}
    assert stage.told(1) == [("056528999", DID)]
    assert stage.asterisk.warnings(mark) == []


@pytest.mark.parametrize("given", WITHHELD)
def test_a_withheld_number_on_the_trunk_is_not_told_and_reaches_freepbx_as_it_came(
    stage: Stage, given: dict[str, str]
) -> None:
    (function, presentation), *_ = given.items()
    if given == {"CALLERID(num-pres)": "unavailable"}:
        given = {"CALLERID(pres)": "unavailable"}  # Asterisk lets an allowed name win over an unavailable number
    result = stage.asterisk.call(
        DID, "callsign-freepbx-from-trunk", variables=given, callerid=CALLER,
        report=["SKARABEESTATUS", "CALLINGNUMPRES_SV", "CALLINGNAMEPRES_SV", "WENTON"],
    ).variables  # fmt: skip
    assert (result["SKARABEESTATUS"], result["WENTON"]) == ("SKIPPED", "yes")
    saved = "CALLINGNAMEPRES_SV" if "name" in function else "CALLINGNUMPRES_SV"
    assert result[saved].startswith(presentation.partition("_")[0])
    assert stage.told(0) == []


def test_a_trunk_without_a_did_tells_the_number_dialled(stage: Stage) -> None:
    result = stage.asterisk.call(
        "s", "callsign-freepbx-from-trunk", callerid=CALLER, dnid=DID, report=["SKARABEESTATUS", "FROM_DID", "WENTON"]
    ).variables
    assert result == {"SKARABEESTATUS": "QUEUED", "FROM_DID": "s", "WENTON": "yes"}
    assert stage.told(1) == [("056528999", DID)]


def test_a_did_that_the_trunk_context_does_not_know_goes_on_untold(stage: Stage) -> None:
    seen = stage.call("sipaccount", "callsign-freepbx-from-trunk", "SKARABEESTATUS", "FROM_DID", "WENTON")
    assert seen == {"SKARABEESTATUS": "", "FROM_DID": "sipaccount", "WENTON": "yes"}


def test_a_custom_destination_tells_skarabee_the_did_and_returns(stage: Stage) -> None:
    result = stage.inbound("notify", "SKARABEESTATUS", "CALLERID(num-pres)")
    assert result == {"SKARABEESTATUS": "QUEUED", "CALLERID(num-pres)": "allowed_not_screened", "WENTON": "yes"}
    assert stage.told(1) == [("056528999", DID)]


def test_a_custom_destination_may_name_the_number(stage: Stage) -> None:
    assert stage.inbound("given")["WENTON"] == "yes"
    assert stage.told(1) == [("056528999", "056528997")]


def test_a_custom_destination_that_is_reached_from_inside_is_skipped(stage: Stage) -> None:
    seen = stage.call("notify", "customdests", *SKARABEE, "WENTON")
    assert (seen["SKARABEESTATUS"], seen["WENTON"]) == ("SKIPPED", "yes")
    assert "FROM_DID" in seen["SKARABEEREASON"]


@pytest.mark.parametrize("given", WITHHELD)
@pytest.mark.parametrize("route", ["notify", "given"])
def test_behind_an_inbound_route_a_withheld_number_stays_withheld(
    stage: Stage, route: str, given: dict[str, str]
) -> None:
    result = stage.inbound(route, "SKARABEESTATUS", "CALLERID(num-pres)", "CALLERID(name-pres)", given=given)
    assert result == {
        "SKARABEESTATUS": "SKIPPED",
        "CALLERID(num-pres)": "allowed_not_screened",  # FreePBX's own is back
        "CALLERID(name-pres)": "allowed_not_screened",
        "WENTON": "yes",
    }
    assert stage.told(0) == []


@pytest.mark.parametrize("exten", ['056"528', "05(6528", "056,528", "056;528)", "0${X}]", "05)6", '0",1\n2'])
def test_a_hostile_did_does_no_harm(stage: Stage, exten: str) -> None:
    variables = {"FROM_DID": exten}
    result = stage.asterisk.call(
        "notify", "customdests", variables=variables, callerid=CALLER, report=["SKARABEESTATUS", "WENTON"]
    ).variables
    assert result == {"SKARABEESTATUS": "ERROR" if "\n" in exten else "QUEUED", "WENTON": "yes"}


LEFTOVERS = ";npdi=yes;rn=+3247"


def test_what_sip_leaves_in_a_number_is_not_told(stage: Stage) -> None:
    caller = ("A client", f"+3256528999{LEFTOVERS}")
    for context, exten, given in (
        ("callsign-freepbx-from-trunk", f"+3256528998{LEFTOVERS}", {}),
        ("customdests", "notify", {"FROM_DID": f"056528997{LEFTOVERS}"}),
        ("customdests", "queue", {}),
    ):
        asked = stage.asterisk.call(exten, context, variables=given, callerid=caller, report=["WENTON"])
        assert asked.variables == {"WENTON": "yes"}
    assert stage.told(3) == [("056528999", "056528997"), ("056528999", "056528998"), ("056528999", "201")]


# Recording


def test_a_custom_destination_starts_recording_and_names_the_call_for_the_codes(stage: Stage) -> None:
    result = stage.asterisk.call(
        DID, "from-trunk", variables={"ROUTE": "record"}, report=["NOOJEESTATUS", "CALLSIGN_CALL", "WENTON"]
    )
    assert result.variables == {"NOOJEESTATUS": "QUEUED", "CALLSIGN_CALL": result.linkedid, "WENTON": "yes"}
    assert stage.recorded(1) == [("start", result.linkedid)]


def test_what_freepbx_never_records_is_not_recorded(stage: Stage) -> None:
    never = stage.inbound("record", "NOOJEESTATUS", "NOOJEEREASON", given={"REC_POLICY_MODE": "never"})
    assert (never["NOOJEESTATUS"], never["WENTON"]) == ("SKIPPED", "yes")
    assert "REC_POLICY_MODE" in never["NOOJEEREASON"]
    assert stage.inbound("record", "NOOJEESTATUS", given={"REC_POLICY_MODE": "YES"})["NOOJEESTATUS"] == "QUEUED"
    assert len(stage.recorded(1)) == 1


# Queues


def test_the_agent_who_takes_a_queues_call_is_told(stage: Stage) -> None:
    stage.inbound("queue")
    assert stage.told(1) == [("056528999", "201")]


@pytest.mark.parametrize("given", WITHHELD)
def test_a_withheld_caller_of_a_queue_is_not_told(stage: Stage, given: dict[str, str]) -> None:
    stage.inbound("queue", given=given)
    assert stage.told(0) == []


# The hooks


@on_each_freepbx
def test_the_hook_before_a_phone_tells_whose_phone_rings(hooked: Stage) -> None:
    result = hooked.inbound("phone", "SKARABEESTATUS", "DIALLED")
    dialled = "201 for 20 s as allowed_not_screened"
    assert result == {"SKARABEESTATUS": "QUEUED", "DIALLED": dialled, "WENTON": "yes"}
    assert hooked.told(1) == [("056528999", "201")]


@on_each_freepbx
@pytest.mark.parametrize("given", WITHHELD)
def test_the_hooks_do_not_tell_a_withheld_number(hooked: Stage, given: dict[str, str]) -> None:
    for route, dialled in (("phone", "201 for 20 s"), ("mobile", "90470123456 by 3")):
        result = hooked.inbound(route, "SKARABEESTATUS", "DIALLED", given=given)
        dialled = f"{dialled} as allowed_not_screened"
        assert result == {"SKARABEESTATUS": "SKIPPED", "DIALLED": dialled, "WENTON": "yes"}
    assert hooked.told(0) == []


@on_each_freepbx
def test_a_phone_that_is_tried_twice_is_told_once(hooked: Stage) -> None:
    hooked.asterisk.load(
        "twice", "[twice]\nexten => go,1,Gosub(again,s,1)\n same => n,Gosub(again,s,1)\n same => n,Set(WENTON=yes)\n"
        "[again]\nexten => s,1,Set(DEXTEN=201)\n same => n,Gosub(callsign-freepbx-ringing,s,1)\n same => n,Return()\n",
    )  # fmt: skip
    assert hooked.call("go", "twice", "SKARABEESTATUS", "WENTON") == {"SKARABEESTATUS": "SKIPPED", "WENTON": "yes"}
    assert hooked.told(1) == [("056528999", "201")]


@on_each_freepbx
def test_a_call_forward_is_left_to_what_it_leads_to(hooked: Stage) -> None:
    seen = hooked.call("forwarded", "phone", "SKARABEESTATUS", "WENTON")
    assert seen == {"SKARABEESTATUS": "", "WENTON": "yes"}


@on_each_freepbx
def test_the_hook_before_a_trunk_tells_the_number_called_without_the_trunks_prefix(hooked: Stage) -> None:
    seen = hooked.call("0470123456", "out", "SKARABEESTATUS", "DIALLED", "WENTON")
    dialled = "90470123456 by 3 as allowed_not_screened"
    assert seen == {"SKARABEESTATUS": "QUEUED", "DIALLED": dialled, "WENTON": "yes"}
    assert hooked.told(1) == [("056528999", "0470123456")]


@on_each_freepbx
def test_nothing_stands_before_an_emergency_call(hooked: Stage) -> None:
    seen = hooked.call("0112", "out", "SKARABEESTATUS", "WENTON", EMERGENCYROUTE="YES")
    assert seen == {"SKARABEESTATUS": "", "WENTON": "yes"}


@on_each_freepbx
def test_of_freepbxs_blank_hooks_only_the_known_warning_is_heard(hooked: Stage) -> None:
    mark = hooked.asterisk.mark()
    hooked.asterisk.command("dialplan reload")
    warnings = hooked.asterisk.warnings(mark)
    refused = [line for line in warnings if "predial-hook" in line and "already in use" in line]
    where = [line for line in warnings if "Unable to register extension at line" in line]
    assert (len(refused), len(where), len(warnings)) == (2, 2, 4), warnings


# Without a server


@on_each_freepbx
@pytest.mark.parametrize("route", ["notify", "given", "record", "queue", "phone", "mobile"])
def test_without_a_server_every_piece_lets_the_call_go_on(hooked: Stage, route: str) -> None:
    assert hooked.server.stop() == 0
    result = hooked.inbound(route, "SKARABEESTATUS", "NOOJEESTATUS", "QUEUESTATUS")
    assert result["WENTON"] == "yes"
    if route == "queue":
        assert result["QUEUESTATUS"] == "CONTINUE"  # after the talk with the agent, whose channel has the status
    else:
        assert result["NOOJEESTATUS" if route == "record" else "SKARABEESTATUS"] == "ERROR"
    trunk = hooked.call(DID, "callsign-freepbx-from-trunk", "SKARABEESTATUS", "WENTON")
    assert trunk == {"SKARABEESTATUS": "ERROR", "WENTON": "yes"}


def test_loaded_the_file_touches_no_call_that_does_not_ask(stage: Stage) -> None:
    assert stage.inbound("", *SKARABEE) == {**dict.fromkeys(SKARABEE, ""), "WENTON": "yes"}
