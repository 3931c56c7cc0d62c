"""Calls by SIP that go on to another host of one's own: one call there too, and nobody else has a word in it.

Two Asterisks, pbx1 and pbx2, each with a server and a store of its own; no database knows of both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from callsign.sandbox.vendors.record import SeenRequest
from callsign.sandbox.vendors.sandbox import Sandbox
from product import LONG_SECONDS, Product, vendor_sections
from real_asterisk import RealAsterisk
from sip_phone import SipPhone, headers
from sip_settings import load_pjsip
from sip_stage import ACCOUNTS, CALLER, stage_files

DID = "056528998"
LAST = "056528000"
NAME = "X-Callsign-Call"
OTHERS = "pbx9-1764355000.12"
"""How an own host may name a call."""
OWN_HOSTS = "pbx1&201&pbx2"
"""201 is a phone that stands for a third host."""
ASSERTED = {"P-Asserted-Identity": f"<sip:{CALLER}@pbx1.example>"}

# A number ends where its dialplan says; 9 and a number goes to the other host, 8 and a number to each phone.
DIALPLAN = r"""
#include extensions_callsign.conf

[from-sip]
exten => _0X.,1,Gosub(callsign-skarabee,s,1)
 same => n,Log(NOTICE,TOLD ${EXTEN} ${SKARABEESTATUS} ${SKARABEEREASON})
 same => n,Hangup()
exten => _9X.,1,Gosub(callsign-skarabee,s,1(${EXTEN:1}))
 same => n,Dial(PJSIP/${EXTEN:1}@<other>,20,b(callsign-own-host^s^1))
exten => _8X.,1,Gosub(callsign-skarabee,s,1(${EXTEN:1}))
 same => n,Dial(PJSIP/201&PJSIP/202,20,b(copies^s^1))
exten => 400,1,Gosub(callsign-noojee-start,s,1)
 same => n,Dial(PJSIP/401@<other>,20,b(callsign-own-host^s^1))
exten => 401,1,Gosub(callsign-noojee-stop,s,1)
 same => n,Set(CHANNEL(hangup_handler_push)=callsign-noojee-hangup,s,1)
 same => n,Dial(PJSIP/201,20,b(callsign-noojee-start^s^1))
exten => 402,1,Set(STOP=at the end)
 same => n,Dial(PJSIP/201,20)
exten => h,1,GotoIf($["${STOP}" = ""]?over)
 same => n,Gosub(callsign-noojee-stop,s,1)
 same => n(over),NoOp()

[copies]
exten => s,1,Set(PJSIP_HEADER(add,X-Callsign-Call)=a copy)
 same => n,Set(PJSIP_HEADER(add,X-Other)=stays)
 same => n,Gosub(callsign-own-host,s,1)
 same => n,Return()
"""


def said(text: str) -> dict[str, str]:
    return {NAME: text}


def host_files(name: str) -> dict[str, str]:
    return {**stage_files("extensions_callsign.conf"), "options.conf": f"systemname = {name}\n"}


def sip_port(files: dict[str, str]) -> str:
    found = re.search(r"^bind = 127\.0\.0\.1:(\d+)", files["pjsip.conf"], re.MULTILINE)
    assert found
    return found[1]


def trunk(name: str, calls_itself: str, port: str) -> str:
    """An endpoint for another host: known by the name that it calls itself in From, since all have one address."""
    return f"""
[{name}]
type = endpoint
context = from-sip
disallow = all
allow = ulaw
direct_media = no
media_address = 127.0.0.1
bind_rtp_to_media_address = yes
from_user = {calls_itself}
trust_id_inbound = yes
trust_id_outbound = yes
send_pai = yes
aors = {name}
[{name}]
type = aor
contact = sip:127.0.0.1:{port}
"""


@dataclass
class Hosts:
    """What a test plays with: the phones are 201 and 202 at pbx2."""

    first: RealAsterisk
    second: RealAsterisk
    box: Sandbox
    servers: dict[str, Product]
    outside: SipPhone  # at pbx1
    stranger: SipPhone  # at pbx2
    own: SipPhone  # at pbx2 as pbx1
    phones: list[SipPhone]

    def told(self, count: int) -> list[tuple[str, str]]:
        """The `count` that Skarabee was told of by both hosts; one more call on each is told behind them.

        Their lines are in the log too, and may come before those of the calls that were there.
        """
        self.outside.call(LAST, caller=LAST).wait_end()
        self.stranger.call(LAST, caller=LAST).wait_end()

        def of_skarabee(seen: list[SeenRequest]) -> list[tuple[str, str]]:
            return [(s.query["phonefrom"], s.query["phoneto"]) for s in seen if s.system == "skarabee"]

        assert self.box.wait_for(lambda seen: len(of_skarabee(seen)) >= count + 2, LONG_SECONDS), self.box.seen
        return sorted(one for one in of_skarabee(self.box.seen) if one != (LAST, LAST))

    def call_of(self, server: str, path: str) -> str:
        """How the first step's line in the log names its call."""
        line = self.servers[server].wait_log(lambda line: f" path={path} " in line)
        found = re.search(r"call=(\S+)", line)
        assert found
        return found[1]

    def header_at(self, phone: SipPhone) -> list[str]:
        """What the phone is told of a call's name."""
        ringing = phone.wait_call()
        found = headers(ringing.wait_request("INVITE"), NAME)
        ringing.refuse()
        return found


@pytest.fixture(scope="module")
def pair(asterisk_root: tuple[Path, str]) -> Iterator[tuple[RealAsterisk, RealAsterisk]]:
    files = {name: host_files(name) for name in ("pbx1", "pbx2")}
    for name, other in (("pbx1", "pbx2"), ("pbx2", "pbx1")):
        files[name]["pjsip.conf"] += trunk(other, name, sip_port(files[other]))
    with ExitStack() as stack:
        first, second = (
            stack.enter_context(RealAsterisk(*asterisk_root, _dialplan(other), files[name]))
            for name, other in (("pbx1", "pbx2"), ("pbx2", "pbx1"))
        )
        for asterisk in (first, second):
            load_pjsip(asterisk)
        yield first, second


def _dialplan(other: str) -> str:
    return DIALPLAN.replace("<other>", other)


@pytest.fixture
def hosts(pair: tuple[RealAsterisk, RealAsterisk], tmp_path: Path) -> Iterator[Hosts]:
    marks = [asterisk.mark() for asterisk in pair]
    with ExitStack() as stack:
        box = stack.enter_context(Sandbox(accounts=ACCOUNTS))
        servers = {}
        for name, asterisk in zip(("pbx1", "pbx2"), pair, strict=True):
            folder = tmp_path / name
            folder.mkdir()
            servers[name] = stack.enter_context(Product(folder, vendor_sections(box)))
            asterisk.command(f"dialplan set global CALLSIGN_AGI {servers[name].url}")
            asterisk.action("Setvar", Variable="CALLSIGN_OWN_HOSTS", Value=OWN_HOSTS)
            stack.callback(asterisk.hangup, "/^(PJSIP|Local)/")
        outside, stranger = (stack.enter_context(SipPhone(asterisk, "outside")) for asterisk in pair)
        own = stack.enter_context(SipPhone(pair[1], "pbx1"))
        phones = [stack.enter_context(SipPhone(pair[1], name)) for name in ("201", "202")]
        for phone in phones:
            phone.register()
        yield Hosts(*pair, box, servers, outside, stranger, own, phones)
        for asterisk in pair:
            asterisk.wait_channels()
    for asterisk, mark in zip(pair, marks, strict=True):
        warnings = [line for line in asterisk.warnings(mark) if "[C-" in line]
        assert not warnings, warnings


def test_a_call_that_goes_on_to_another_host_is_told_once_over_both(hosts: Hosts) -> None:
    hosts.outside.call(f"9{DID}", caller=CALLER).wait_end()
    name = hosts.call_of("pbx1", "skarabee")
    assert name.startswith("pbx1-")
    assert hosts.call_of("pbx2", "skarabee") == name
    assert hosts.told(1) == [(CALLER, DID)]
    reason = "SKIPPED this call was notified already, by another host"
    assert f"TOLD {DID} {reason}" in hosts.second.log_text()


def test_what_the_other_host_tells_of_a_further_number_is_told_and_its_own_are_named_too(hosts: Hosts) -> None:
    call = hosts.outside.call(f"98{DID}", caller=CALLER)  # pbx1 tells 8056528998, pbx2 056528998 and rings its phones
    found = hosts.header_at(hosts.phones[0])
    hosts.phones[1].wait_call().refuse()
    call.wait_end()
    assert found == [f"{hosts.call_of('pbx1', 'skarabee')};told=8{DID};told={DID}"]
    assert hosts.told(2) == [(CALLER, DID), (CALLER, f"8{DID}")]


def test_start_on_one_host_and_stop_on_the_other_name_one_call(hosts: Hosts) -> None:
    call = hosts.outside.call("400", caller=CALLER)
    phone = hosts.phones[0].wait_call()
    phone.answer()
    call.wait_status(200)
    call.hang_up()
    phone.wait_end()
    name = hosts.call_of("pbx1", "noojee/start")
    assert name.startswith("pbx1-")
    assert hosts.call_of("pbx2", "noojee/stop") == name
    assert hosts.call_of("pbx2", "noojee/start") == name  # on the phone's channel
    last = hosts.servers["pbx2"].wait_log(lambda line: "path=noojee/stop job=3" in line)  # the hang-up handler's
    assert f"call={name} " in last


def test_what_an_own_host_has_told_is_not_told_in_another_notation(hosts: Hosts) -> None:
    came = {**said(f"{OTHERS};told=201;told=+3256528998"), **ASSERTED}
    hosts.own.call(DID, caller="pbx1", headers=came).wait_end()
    assert hosts.call_of("pbx2", "skarabee") == OTHERS
    assert hosts.told(0) == []


def test_a_strangers_header_is_not_believed(hosts: Hosts) -> None:
    hosts.stranger.call(DID, caller=CALLER, headers=said(f"{OTHERS};told={DID}")).wait_end()
    assert hosts.call_of("pbx2", "skarabee").startswith("pbx2-")
    assert hosts.told(1) == [(CALLER, DID)]


def test_the_header_goes_to_own_hosts_alone(hosts: Hosts) -> None:
    call = hosts.stranger.call(f"8{DID}", caller=CALLER, headers=said(OTHERS))
    own, other = (phone.wait_call() for phone in hosts.phones)
    name = hosts.call_of("pbx2", "skarabee")
    assert headers(own.wait_request("INVITE"), NAME) == [f"{name};told={DID}"]
    assert headers(other.wait_request("INVITE"), NAME) == []
    assert headers(other.wait_request("INVITE"), "X-Other") == ["stays"]
    for phone in (own, other):
        phone.refuse()
    call.wait_end()


@pytest.mark.parametrize("own_hosts", ["", "&", "&&", "202", "2&01&20&2011&x201", "p201"])
def test_who_is_not_named_is_no_own_host(hosts: Hosts, own_hosts: str) -> None:
    hosts.second.action("Setvar", Variable="CALLSIGN_OWN_HOSTS", Value=own_hosts)
    call = hosts.own.call(f"8{DID}", caller="pbx1", headers={**said(f"{OTHERS};told={DID}"), **ASSERTED})
    found = hosts.header_at(hosts.phones[0])
    hosts.phones[1].wait_call().refuse()
    call.wait_end()
    assert found == []
    assert hosts.call_of("pbx2", "skarabee").startswith("pbx2-")
    assert hosts.told(1) == [(CALLER, DID)]


@pytest.mark.parametrize(
    ("came", "goes_on"),
    [
        (f"{OTHERS};told=201", f"{OTHERS};told=201;told={DID}"),
        (f"{OTHERS};told=201;told={'0' * 210}", f"{OTHERS};told=201;told={'0' * 210}"),  # as much as it may hold
    ],
)
def test_what_came_from_an_own_host_goes_on_to_the_next(hosts: Hosts, came: str, goes_on: str) -> None:
    call = hosts.own.call(f"8{DID}", caller="pbx1", headers={**said(came), **ASSERTED})
    found = hosts.header_at(hosts.phones[0])
    hosts.phones[1].wait_call().refuse()
    call.wait_end()
    assert found == [goes_on]
    assert hosts.told(1) == [(CALLER, DID)]


def test_what_is_stopped_when_the_call_has_ended_has_its_name_too(hosts: Hosts) -> None:
    call = hosts.own.call("402", caller="pbx1", headers=said(OTHERS))
    phone = hosts.phones[0].wait_call()
    phone.answer()
    call.wait_status(200)
    call.hang_up()
    phone.wait_end()
    assert hosts.call_of("pbx2", "noojee/stop") == OTHERS


@pytest.mark.parametrize(
    "text",
    [
        OTHERS + ";told=" + "0" * 300,
        "x" * 300,
        f'{OTHERS}"',
        f"{OTHERS},phoneto=201",
        f'"{OTHERS}"',
        f"{OTHERS};told={DID},201",
        f'{OTHERS};told={DID}";told=1',
        f"{OTHERS};told={DID}) & SHELL(id)",
        f"{OTHERS};also={DID}",
        f"${{EXTEN}}-1764355000.12;told={DID}",
        f"$[1/0];told={DID}",
        "1764355000.12;told=" + DID,  # no systemname
        ";told=" + DID,
        "\\",
        "",
    ],
)
def test_what_is_no_such_header_counts_for_nothing_though_an_own_host_sends_it(hosts: Hosts, text: str) -> None:
    hosts.own.call(DID, caller="pbx1", headers={**said(text), **ASSERTED}).wait_end()
    assert hosts.call_of("pbx2", "skarabee").startswith("pbx2-")
    assert hosts.told(1) == [(CALLER, DID)]
