"""The stage of tests by SIP: a trunk, three phones, a server, Skarabee and a recorder; at the end nothing is left.

A test's dialplan dials its phones as PJSIP/201 and has `056528000@from-sip`, a call that is told and ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ami import Message
from callsign.sandbox.vendors.record import SeenRequest
from callsign.sandbox.vendors.sandbox import Sandbox
from product import ACCOUNTS, PROJECT, Product, vendor_sections
from real_asterisk import RealAsterisk
from sip_phone import Dialog, SipPhone
from sip_settings import load_pjsip, sip_files

CALLER = "0478123456"
PHONES = ("201", "202", "203")
LAST = ("0478999999", "056528000")
TOLD_AND_OVER = """
[from-sip]
exten => 056528000,1,Gosub(callsign-skarabee,s,1)
 same => n,Hangup()
"""


def stage_files(*names: str) -> dict[str, str]:
    """SIP, and those files of dialplan/; the trunk's headers about the caller are believed."""
    shipped = {name: (PROJECT / "dialplan" / name).read_text(encoding="utf-8") for name in names}
    return {**shipped, **sip_files(context="from-sip", trunk="trust_id_inbound = yes\n")}


@dataclass
class Stage:
    """What a test plays with."""

    asterisk: RealAsterisk
    box: Sandbox
    server: Product
    phones: dict[str, SipPhone]
    trunk: SipPhone
    _since: int = 0  # where the last call's events begin
    _called: str = ""  # and what it dialled
    _told: int = 0
    _recorded: int = 0

    def ring(self, called: str, at: str = "201", **what: Any) -> tuple[Dialog, Dialog]:
        """A call from outside that has reached the phone `at`: both ends."""
        self._since, self._called = self.asterisk.mark_events(), called
        call = self.trunk.call(called, **{"caller": CALLER, **what})
        taken = self.phones[at].wait_call()
        taken.ring()
        return call, taken

    def call(self, called: str, at: str = "201", **what: Any) -> tuple[Dialog, Dialog]:
        """A call from outside that the phone `at` answers: both ends, once they are bridged."""
        call, taken = self.ring(called, at, **what)
        taken.answer()
        call.wait_status(200)
        taken.wait_voice()
        return call, taken

    def end(self, call: Dialog) -> None:
        """That end hangs up; everything that this call was is gone."""
        call.hang_up()
        self.asterisk.wait_channels(0)

    def assert_told(self, *called: str, caller: str = CALLER, also: tuple[tuple[str, str], ...] = ()) -> None:
        """Since the last look Skarabee was told that `caller` calls each of `called`, once, and of nobody else.

        `also`: and of these, who calls whom.  One more call is told behind them, so that a stray one has had its time.
        """
        expected = [*((caller, phone) for phone in called), *also, LAST]
        before, self._told = self._told, self._told + len(expected)
        self.trunk.call(LAST[1], caller=LAST[0]).wait_end()
        seen = self._seen("skarabee", self._told)[before:]
        told = sorted((s.query["phonefrom"], s.query["phoneto"]) for s in seen)
        assert told == sorted(expected), f"told {told}, expected {expected}"

    def assert_recorded(self, *commands: str, of: str = "PJSIP/trunk") -> None:
        """Since the last look the recorder was given these commands, in this order, for that channel of the last call.

        One more call is told behind them, whose job has the next number.
        """
        before, self._recorded = self._recorded, self._recorded + len(commands)
        self.recorded(self._recorded)
        self._told += 1
        self.trunk.call(LAST[1], caller=LAST[0]).wait_end()
        last = f"path=skarabee job={self._told + self._recorded} QUEUED"
        self.server.wait_log(lambda line: last in line)
        given = self.recorded(self._recorded)[before:]
        expected = [(command, self.unique_id(of)) for command in commands]
        assert given == expected, f"given {given}, expected {expected}"

    def recorded(self, count: int) -> list[tuple[str, str]]:
        """The commands that reached the recorder, at least `count`, each with the unique id it names."""
        return [(s.path.rpartition("/")[2], s.query["extenOrUniqueId"]) for s in self._seen("noojee", count)]

    def unique_id(self, endpoint: str) -> str:
        """Of the first channel of that endpoint in the last call."""
        caller = self._new_channel(lambda event: event["Exten"] == self._called)
        if caller["Channel"].startswith(f"{endpoint}-"):
            return caller["Uniqueid"]
        return self._new_channel(
            lambda event: event["Linkedid"] == caller["Uniqueid"] and event["Channel"].startswith(f"{endpoint}-")
        )["Uniqueid"]

    def _new_channel(self, is_it: Callable[[Message], bool]) -> Message:
        return self.asterisk.wait_event(lambda e: e["Event"] == "Newchannel" and is_it(e), since=self._since)

    def _seen(self, system: str, count: int) -> list[SeenRequest]:
        def those(seen: list[SeenRequest]) -> list[SeenRequest]:
            return [s for s in seen if s.system == system and s.path != "/Time"]

        assert self.box.wait_for(lambda seen: len(those(seen)) >= count, 30), self.box.seen
        assert {s.verdict for s in those(self.box.seen)} <= {"OK"}
        return those(self.box.seen)


@contextmanager
def sip_stage(asterisk: RealAsterisk, folder: Path) -> Iterator[Stage]:
    load_pjsip(asterisk)
    mark = asterisk.mark()
    with ExitStack() as stack:
        box = stack.enter_context(Sandbox(accounts=ACCOUNTS))
        server = stack.enter_context(Product(folder, vendor_sections(box)))
        trunk = stack.enter_context(SipPhone(asterisk))
        phones = {name: stack.enter_context(SipPhone(asterisk, name)) for name in PHONES}
        asterisk.command(f"dialplan set global CALLSIGN_AGI {server.url}")
        for phone in phones.values():
            phone.register()
        stack.callback(asterisk.hangup, "/^(PJSIP|Local)/")  # what a test that failed has left
        yield Stage(asterisk, box, server, phones, trunk)
        asterisk.wait_channels()
    warnings = [line for line in asterisk.warnings(mark) if "[C-" in line]  # of calls: names are looked up at start
    assert not warnings, warnings
