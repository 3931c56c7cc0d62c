"""The pieces for FreePBX, included as there and called as there: by Macro in 15 and 16, by Gosub alone in 17."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from asterisk_fixtures import LEFT_OUT
from calls import Call
from callsign.sandbox.vendors.record import SeenRequest
from callsign.sandbox.vendors.sandbox import Sandbox
from freepbx_dialplan import FROM_QUEUE, HOOKS, freepbx
from product import ACCOUNTS, LONG_SECONDS, PROJECT, Product, vendor_sections
from real_asterisk import RealAsterisk
from waiting import wait_until

INCLUDED = (
    "extensions_callsign.conf",
    "extensions_callsign_freepbx.conf",
    "extensions_callsign_freepbx_hooks.conf",
)
FILES = {name: (PROJECT / "dialplan" / name).read_text(encoding="utf-8") for name in INCLUDED}
FILES["queues.conf"] = """
[general]
[400]
strategy = ringall
member => Local/201@from-queue/n,0,Agent,Local/201@from-queue/n
[400](+)
membergosub=callsign-freepbx-queue-answered
"""
FILES["options.conf"] = "systemname = pbx1\n"
DIALPLAN = FROM_QUEUE
CUSTOM = "".join(f"#tryinclude {name}\n" for name in INCLUDED)


SKARABEE = ("SKARABEESTATUS", "SKARABEEREASON", "SKARABEEJOB")
CALLER = ("A client", "056528999")
CLIENT = "056528999"
DID = "056528998"
MOBILE = "0470123456"
ROUTES = {
    **{name: f"customdests,{name},1" for name in ("notify", "given", "record")},
    "queue": "ext-queues,400,1",
    "phone": "ext-local,201,1",
    "group": "ext-group,600,1",
    "followme": "ext-findmefollow,250,1",
    "mobile": f"from-internal,{MOBILE},1",
}
OFFICE = {"__TRUNKCID": "Office <056000000>"}
"""A trunk that shows the office's number for every call."""
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
        variables = {"ROUTE": ROUTES.get(route, route), **(given or {})}
        return self.asterisk.call(
            exten, "from-trunk", variables=variables, callerid=CALLER, report=[*report, "WENTON"]
        ).variables

    def record(self, **given: str) -> Call:
        """A call from outside whose route records it, and goes on to THEN."""
        report = ["NOOJEESTATUS", "CALLSIGN_CALL", "WENTON"]
        return self.asterisk.start(DID, "from-trunk", variables={"ROUTE": ROUTES["record"], **given}, report=report)

    def told(self, count: int) -> list[tuple[str, str]]:
        """Who called whom, as Skarabee was told.  One more is sent behind, whose job has the next number."""
        last = self.asterisk.call(
            "056520000", "callsign-freepbx-from-trunk", callerid=("Last", "056520001"), report=["SKARABEEJOB"]
        ).variables["SKARABEEJOB"]
        assert last == str(count + 1), f"{last} notifications were stored, {count + 1} expected"

        def told(seen: list[SeenRequest]) -> list[SeenRequest]:
            return [s for s in seen if s.system == "skarabee"]

        assert self.box.wait_for(lambda seen: len(told(seen)) > count, LONG_SECONDS), self.box.seen
        seen = told(self.box.seen)
        assert [s.verdict for s in seen] == ["OK"] * (count + 1)
        pairs = [(s.query["phonefrom"], s.query["phoneto"]) for s in seen]
        return sorted(one for one in pairs if one != ("056520001", "056520000"))

    def recorded(self, count: int) -> list[tuple[str, str]]:
        """What the recorder was told, and of which unique id, once there are so many commands."""
        return self.recorded_when(lambda told: len(told) >= count)

    def recorded_when(self, complete: Callable[[list[tuple[str, str]]], bool]) -> list[tuple[str, str]]:
        def told(seen: list[SeenRequest]) -> list[tuple[str, str]]:
            mine = [s for s in seen if s.system == "noojee" and s.path != "/Time"]
            return [(s.path.rpartition("/")[2], s.query["extenOrUniqueId"]) for s in mine]

        assert self.box.wait_for(lambda seen: complete(told(seen)), LONG_SECONDS), self.box.seen
        return told(self.box.seen)


@pytest.fixture
def stage(
    request: pytest.FixtureRequest, asterisk: RealAsterisk, asterisk_root: tuple[Path, str], tmp_path: Path
) -> Iterator[Stage]:
    """On a FreePBX of the version that a test names, else of the one that goes with this Asterisk."""
    version = getattr(request, "param", "17" if asterisk_root[1] == "22" else "15/16")
    if version != "17" and "app_macro" not in asterisk.command("module show like app_macro"):
        asterisk.action("ModuleLoad", Module="app_macro.so", LoadType="load")  # warns that it is deprecated
    asterisk.load("freepbx", freepbx(version, CUSTOM))
    with Sandbox(accounts=ACCOUNTS) as box:
        sections = vendor_sections(box, numbers='internal = ["2XX"]')
        with Product(tmp_path, sections) as server:
            asterisk.command(f"dialplan set global CALLSIGN_AGI {server.url}")
            yield Stage(asterisk, box, server)


on_each_freepbx = pytest.mark.parametrize(
    ("asterisk_root", "stage"),
    [("16", "15/16"), ("16", "17")] if LEFT_OUT else [("22", "17"), ("16", "15/16"), ("16", "17")],
    indirect=True,
)
"""Asterisk 21 and later have no Macro, hence no FreePBX 15 or 16; FreePBX 17 runs on older ones too."""


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


@pytest.mark.parametrize("did", ["reception", "*5600", "+3256528998", "7"])
def test_a_did_of_any_characters_is_told(stage: Stage, did: str) -> None:
    seen = stage.call(did, "callsign-freepbx-from-trunk", "SKARABEESTATUS", "FROM_DID", "WENTON")
    assert seen == {"SKARABEESTATUS": "QUEUED", "FROM_DID": did, "WENTON": "yes"}
    assert stage.told(1) == [(CLIENT, DID if did.startswith("+") else did)]


@pytest.mark.parametrize("context", ["callsign-freepbx-from-trunk", "from-trunk"])
@pytest.mark.parametrize(("exten", "reason"), [("sipaccount", "account"), ("s", "no DID")])
def test_a_trunk_that_sends_no_did_is_skipped_without_a_warning(
    stage: Stage, context: str, exten: str, reason: str
) -> None:
    mark = stage.asterisk.mark()
    result = stage.asterisk.call(
        exten, context, variables={"ROUTE": ROUTES["notify"] if context == "from-trunk" else ""}, callerid=CALLER,
        dnid=exten, report=["SKARABEESTATUS", "SKARABEEREASON", "FROM_DID", "WENTON"],
    ).variables  # fmt: skip
    assert reason in result.pop("SKARABEEREASON")
    assert result == {"SKARABEESTATUS": "SKIPPED", "FROM_DID": exten, "WENTON": "yes"}
    assert stage.told(0) == []
    assert stage.asterisk.warnings(mark) == []
    assert [line for line in stage.server.log if "ERROR" in line] == []


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
        ("ext-queues", "400", {}),
    ):
        asked = stage.asterisk.call(exten, context, variables=given, callerid=caller, report=["WENTON"])
        assert asked.variables == {"WENTON": "yes"}
    assert stage.told(3) == [("056528999", "056528997"), ("056528999", "056528998"), ("056528999", "201")]


# Recording


def test_a_custom_destination_starts_recording_and_names_the_call_for_the_codes(stage: Stage) -> None:
    call = stage.record().wait()
    assert call.variables == {"NOOJEESTATUS": "QUEUED", "CALLSIGN_CALL": call.uniqueid, "WENTON": "yes"}
    assert stage.recorded(1)[0][1] == call.uniqueid


@pytest.mark.parametrize("goes_to", ["", "queue", "phone", "record", "mobile"])
def test_a_recording_ends_once_with_its_call_wherever_it_was_transferred_to(stage: Stage, goes_to: str) -> None:
    stage.asterisk.load("parked", "[parked]\nexten => s,1,UserEvent(Parked)\n same => n,Wait(60)\n")
    since = stage.asterisk.mark_events()
    call = stage.record(THEN="parked,s,1")
    stage.asterisk.wait_event(lambda event: event.get("UserEvent") == "Parked", since=since)
    assert [action for action, _ in stage.recorded(1)] == ["start"]
    context, exten, _ = ROUTES.get(goes_to, "from-trunk,nobody,1").split(",")
    stage.asterisk.action("Redirect", Channel=call.channel, Context=context, Exten=exten, Priority="1")
    stopped = ("stop", call.wait().uniqueid)
    assert stage.recorded_when(lambda told: stopped in told).count(stopped) == 1
    behind = ("stop", stage.record().wait().uniqueid)  # until that comes, a stray command has had its time
    told = [action for action, whose in stage.recorded_when(lambda told: behind in told) if whose == stopped[1]]
    assert (told[0], told[-1], told.count("stop")) == ("start", "stop", 1)


def test_who_hangs_up_while_his_recording_is_started_has_it_stopped(stage: Stage) -> None:
    stage.server.process.send_signal(signal.SIGSTOP)
    call = stage.record()
    wait_until(lambda: "!AGI!" in stage.asterisk.command("core show channels concise"))
    call.hangup()
    stage.server.process.send_signal(signal.SIGCONT)
    stopped = ("stop", call.wait().uniqueid)
    assert stage.recorded_when(lambda told: stopped in told)[-1] == stopped


def test_what_freepbx_never_records_is_not_recorded(stage: Stage) -> None:
    never = stage.inbound("record", "NOOJEESTATUS", "NOOJEEREASON", given={"REC_POLICY_MODE": "never"})
    assert (never["NOOJEESTATUS"], never["WENTON"]) == ("SKIPPED", "yes")
    assert "REC_POLICY_MODE" in never["NOOJEEREASON"]
    assert stage.inbound("record", "NOOJEESTATUS", given={"REC_POLICY_MODE": "YES"})["NOOJEESTATUS"] == "QUEUED"
    assert len({whose for _, whose in stage.recorded(1)}) == 1


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
def test_trunk_context_and_hooks_together_tell_the_did_and_then_the_extension(stage: Stage) -> None:
    called = {"ROUTE": ROUTES["phone"]}
    seen = stage.call(DID, "callsign-freepbx-from-trunk", "SKARABEESTATUS", "WENTON", **called)
    assert seen == {"SKARABEESTATUS": "QUEUED", "WENTON": "yes"}
    assert stage.told(2) == [(CLIENT, DID), (CLIENT, "201")]


@on_each_freepbx
def test_the_hook_before_a_phone_tells_whose_phone_rings(stage: Stage) -> None:
    result = stage.inbound("phone", "SKARABEESTATUS", "DIALLED")
    dialled = "201 for 20 s as allowed_not_screened"
    assert result == {"SKARABEESTATUS": "QUEUED", "DIALLED": dialled, "WENTON": "yes"}
    assert stage.told(1) == [("056528999", "201")]


@on_each_freepbx
@pytest.mark.parametrize("given", WITHHELD)
def test_the_hooks_do_not_tell_a_withheld_number(stage: Stage, given: dict[str, str]) -> None:
    for route, dialled in (("phone", "201 for 20 s as "), ("mobile", f"9{MOBILE} by 3 as {CLIENT} ")):
        result = stage.inbound(route, "SKARABEESTATUS", "DIALLED", given=given)
        dialled = f"{dialled}allowed_not_screened"
        assert result == {"SKARABEESTATUS": "SKIPPED", "DIALLED": dialled, "WENTON": "yes"}
    for strategy in ("ringall", "hunt"):
        group = {**given, **OFFICE, "STRATEGY": strategy, "MEMBERS": f"201-202-{MOBILE}#"}
        assert stage.inbound("group", given=group) == {"WENTON": "yes"}
    assert stage.inbound("mobile", "SKARABEESTATUS", given={**given, **OFFICE})["SKARABEESTATUS"] == "SKIPPED"
    assert stage.told(0) == []


STRATEGIES = (
    "ringall", "ringall-prim", "ringallv2", "hunt", "hunt-prim", "memoryhunt", "memoryhunt-prim", "firstavailable",
    "firstnotonphone", "random",
)  # fmt: skip


@on_each_freepbx
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_each_member_of_a_ring_group_is_told_and_a_forward_as_what_it_leads_to(stage: Stage, strategy: str) -> None:
    given = {**OFFICE, "STRATEGY": strategy, "MEMBERS": f"201-9{MOBILE}#-202-203"}
    assert stage.inbound("group", given=given) == {"WENTON": "yes"}
    outside = [] if strategy == "ringallv2" else [(CLIENT, MOBILE)]  # its Local legs are not played here
    expected = [(CLIENT, "201"), (CLIENT, "202"), (CLIENT, "203"), *outside]
    assert stage.told(len(expected)) == sorted(expected)


@on_each_freepbx
@pytest.mark.parametrize("strategy", ["ringall", "hunt-prim"])
def test_each_member_of_a_follow_me_list_is_told(stage: Stage, strategy: str) -> None:
    given = {"STRATEGY": strategy, "MEMBERS": "201-202"}
    assert stage.inbound("followme", given=given) == {"WENTON": "yes"}
    assert stage.told(2) == [(CLIENT, "201"), (CLIENT, "202")]


@on_each_freepbx
def test_a_group_waits_for_a_server_that_is_gone_once_and_not_for_each_member(stage: Stage) -> None:
    mark = stage.asterisk.mark()
    gone = {"CALLSIGN_AGI": "agi://127.0.0.1:1", "CALLSIGN_FALLBACK": "no"}
    group = {"STRATEGY": "ringall", "MEMBERS": f"9{MOBILE}#-201-202-203", **{f"__{name}": gone[name] for name in gone}}
    assert stage.inbound("group", given=group) == {"WENTON": "yes"}
    tried = stage.asterisk.log_text(mark).count("Couldn't connect to any host")
    assert tried == 2  # for the trunk that the forward leads to, too


@on_each_freepbx
def test_a_group_that_nobody_is_left_of_tells_nobody(stage: Stage) -> None:
    assert stage.inbound("group", given={"STRATEGY": "ringall"}) == {"WENTON": "yes"}
    assert stage.told(0) == []


@on_each_freepbx
def test_a_phone_that_is_tried_twice_is_told_once(stage: Stage) -> None:
    assert stage.inbound("group", given={"STRATEGY": "hunt", "MEMBERS": "201-202"})["WENTON"] == "yes"
    stage.asterisk.load(
        "twice", "[twice]\nexten => go,1,Gosub(again,s,1)\n same => n,Gosub(again,s,1)\n same => n,Set(WENTON=yes)\n"
        "[again]\nexten => s,1,Set(DEXTEN=201)\n same => n,Gosub(callsign-freepbx-ringing,s,1)\n same => n,Return()\n",
    )  # fmt: skip
    assert stage.call("go", "twice", "SKARABEESTATUS", "WENTON") == {"SKARABEESTATUS": "SKIPPED", "WENTON": "yes"}
    assert stage.told(3) == [(CLIENT, "201"), (CLIENT, "201"), (CLIENT, "202")]


# Calls that came from outside and leave again


@on_each_freepbx
@pytest.mark.parametrize("trunk", [OFFICE, {}], ids=["its own number", "any number"])
def test_a_phone_that_is_forwarded_to_a_mobile_tells_the_client(stage: Stage, trunk: dict[str, str]) -> None:
    stage.asterisk.command(f"database put CF 201 {MOBILE}")
    try:
        assert stage.inbound("phone", "DIALLED", given=trunk)["DIALLED"].startswith(f"{MOBILE}# for")
    finally:
        stage.asterisk.command("database del CF 201")
    assert stage.told(1) == [(CLIENT, MOBILE)]


@on_each_freepbx
def test_a_client_who_is_transferred_out_is_told_though_the_trunk_shows_the_office(stage: Stage) -> None:
    result = stage.inbound("mobile", "SKARABEESTATUS", "DIALLED", given=OFFICE)
    dialled = f"9{MOBILE} by 3 as 056000000 allowed_not_screened"
    assert result == {"SKARABEESTATUS": "QUEUED", "DIALLED": dialled, "WENTON": "yes"}
    assert stage.told(1) == [(CLIENT, MOBILE)]


@on_each_freepbx
def test_where_freepbx_puts_the_did_in_place_of_the_client_nobody_is_told_as_the_client(stage: Stage) -> None:
    given = {**OFFICE, "REALCALLERIDNUM": DID}
    result = stage.inbound("mobile", "SKARABEESTATUS", "SKARABEEREASON", given=given)
    assert result["SKARABEESTATUS"] == "SKIPPED"
    assert "Use Dialed Number" in result["SKARABEEREASON"]
    assert stage.told(0) == []


@pytest.mark.parametrize("number", ['056"528', "05(6528", "056,528", "0${X}]", 'abcd"e', "05)6?:"])
def test_a_hostile_client_who_is_forwarded_does_no_harm(stage: Stage, number: str) -> None:
    mark = stage.asterisk.mark()
    result = stage.inbound("mobile", "SKARABEESTATUS", given={**OFFICE, "REALCALLERIDNUM": number})
    assert result == {"SKARABEESTATUS": "QUEUED", "WENTON": "yes"}
    assert [line for line in stage.asterisk.warnings(mark) if "app_macro" not in line] == []  # says that it is old


@on_each_freepbx
def test_the_hook_before_a_trunk_tells_the_number_called_without_the_trunks_prefix(stage: Stage) -> None:
    seen = stage.call(MOBILE, "from-internal", "SKARABEESTATUS", "DIALLED", "WENTON")
    dialled = f"9{MOBILE} by 3 as {CLIENT} allowed_not_screened"
    assert seen == {"SKARABEESTATUS": "QUEUED", "DIALLED": dialled, "WENTON": "yes"}
    assert stage.told(1) == [(CLIENT, MOBILE)]


@on_each_freepbx
def test_where_a_trunk_fails_and_the_next_is_tried_the_first_ones_number_is_told_once(stage: Stage) -> None:
    shown = {"OUTCID_3": "Office <056000001>", "OUTCID_4": "Spare <056000002>"}
    seen = stage.call("0811223344", "from-internal", "DIALLED", "WENTON", **shown)
    assert seen == {"DIALLED": "90811223344 by 4 as 056000002 allowed_not_screened", "WENTON": "yes"}
    assert stage.told(1) == [("056000001", "0811223344")]


def test_a_call_that_is_placed_here_has_the_number_that_the_trunk_shows(stage: Stage) -> None:
    stage.call(MOBILE, "from-internal", **OFFICE)
    assert stage.told(1) == [("056000000", MOBILE)]


@on_each_freepbx
def test_nothing_stands_before_an_emergency_call(stage: Stage) -> None:
    seen = stage.call("112", "from-internal", "SKARABEESTATUS", "DIALLED", "WENTON")
    assert seen.pop("DIALLED").startswith("9112 by 3")
    assert seen == {"SKARABEESTATUS": "", "WENTON": "yes"}


OWN_TRUNKS = [  # CALLSIGN_OWN_HOSTS, the trunk's OUT_3 and OUT_3_SUFFIX
    ("pbx2", "PJSIP", "@pbx2"),
    ("pbx9&pbx2&pbx7", "PJSIP", "@pbx2"),
]
OTHER_TRUNKS = [
    ("pbx2", "PJSIP", "@provider"),
    ("pbx2", "SIP/pbx2", ""),
    ("pbx2", "SIP/provider", "@pbx2"),
    ("pbx2", "AMP:PJSIP/$OUTNUM$@pbx2", ""),
    ("", "PJSIP", "@pbx2"),
]


@on_each_freepbx
@pytest.mark.parametrize("trunk", [*OWN_TRUNKS, *OTHER_TRUNKS])
def test_the_hook_before_a_trunk_names_the_call_for_an_own_host_and_for_no_other(
    stage: Stage, trunk: tuple[str, str, str]
) -> None:
    for name, value in zip(("CALLSIGN_OWN_HOSTS", "OUT_3", "OUT_3_SUFFIX"), trunk, strict=True):
        stage.asterisk.action("Setvar", Variable=name, Value=value)
    header = "HASH(SIPHEADERS,X-Callsign-Call)"  # in FreePBX's list for whatever it dials from then on
    before = {f"HASH(__{header[5:]}": "what an own host was told that did not answer"}
    for variables, without in (({}, ""), (before, "unset")):
        given = {"variables": variables, "callerid": CALLER, "report": [header, "WENTON"]}
        result = stage.asterisk.call(MOBILE, "from-internal", **given)
        named = f"{result.linkedid};told={MOBILE}"
        assert named.startswith("pbx1-")
        assert result.variables == {header: named if trunk in OWN_TRUNKS else without, "WENTON": "yes"}


def test_of_freepbxs_blank_hooks_only_the_known_warning_is_heard(stage: Stage) -> None:
    mark = stage.asterisk.mark()
    stage.asterisk.command("dialplan reload")
    warnings = stage.asterisk.warnings(mark)
    refused = [line for line in warnings if "predial-hook" in line and "already in use" in line]
    where = [line for line in warnings if "Unable to register extension at line" in line]
    assert (len(refused), len(where), len(warnings)) == (len(HOOKS), len(HOOKS), 2 * len(HOOKS)), warnings


# Without a server


def test_without_the_files_the_dialplan_behind_their_includes_is_there(stage: Stage) -> None:
    lost = "".join(f"#tryinclude gone/{name}\n" for name in INCLUDED)
    stage.asterisk.load("freepbx", freepbx("17", f"{lost}[behind]\nexten => s,1,Set(WENTON=yes)\n"))
    assert stage.call("s", "behind", "WENTON") == {"WENTON": "yes"}
    assert stage.inbound("", "SKARABEESTATUS") == {"SKARABEESTATUS": "", "WENTON": "yes"}


@on_each_freepbx
@pytest.mark.parametrize("route", ["notify", "given", "record", "queue", "phone", "mobile"])
def test_without_a_server_every_piece_lets_the_call_go_on(stage: Stage, route: str) -> None:
    assert stage.server.stop() == 0
    result = stage.inbound(route, "SKARABEESTATUS", "NOOJEESTATUS", "QUEUESTATUS")
    assert result["WENTON"] == "yes"
    if route == "queue":
        assert result["QUEUESTATUS"] == "CONTINUE"  # after the talk with the agent, whose channel has the status
    else:
        assert result["NOOJEESTATUS" if route == "record" else "SKARABEESTATUS"] == "ERROR"
    trunk = stage.call(DID, "callsign-freepbx-from-trunk", "SKARABEESTATUS", "WENTON")
    assert trunk == {"SKARABEESTATUS": "ERROR", "WENTON": "yes"}


def test_loaded_the_file_touches_no_call_that_does_not_ask(stage: Stage) -> None:
    assert stage.inbound("", *SKARABEE) == {**dict.fromkeys(SKARABEE, ""), "WENTON": "yes"}
