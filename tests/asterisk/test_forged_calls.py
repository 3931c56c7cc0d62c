"""Calls by SIP whose texts hold a line break, on a real Asterisk: nothing is done for them, and they go on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from callsign.sandbox.vendors.sandbox import Sandbox
from chroot_python import write_program
from product import PROJECT, Product, vendor_sections
from real_asterisk import RealAsterisk
from sip_phone import SipPhone
from sip_settings import load_sip, sip_files

FILES = {
    "extensions_callsign.conf": (PROJECT / "dialplan/extensions_callsign.conf").read_text(encoding="utf-8"),
    **sip_files(context="from-sip"),
}

DIALPLAN = r"""
#include extensions_callsign.conf

[from-sip]
exten => _[0-9a-z]!,1,Answer()
 same => n,GotoIf($["${PLAIN}" = "long"]?long)
 same => n,ExecIf($["${PLAIN}" = "yes"]?AGI(callsign.agi,${LINE}))
 same => n,ExecIf($["${PLAIN}" = "no"]?Gosub(callsign-${STEP},s,1(${GIVEN})))
 same => n(told),Set(SAYS=${SKARABEESTATUS}${NOOJEESTATUS}${MORSTATUS}: ${SKARABEEREASON}${NOOJEEREASON}${MORREASON})
 same => n,Log(NOTICE,CALL ${TURN} ${SAYS} job=${SKARABEEJOB}${NOOJEEJOB} balance=${MORBALANCE} WENT ON)
 same => n,Hangup()
 same => n(long),Set(TEXT=${CALLERID(num)})
 same => n,Set(CALLERID(all)=0478123456)
 same => n,Set(PAD=0123456789)
 same => n(double),Set(PAD=${PAD}${PAD})
 same => n,GotoIf($[${LEN(${PAD})} < 4000]?double)
 same => n,GotoIf($["${LINE}" = "script"]?script)
 same => n,AGI(${CALLSIGN_AGI}/mor/balance,alice,${PAD}${TEXT})
 same => n,Goto(told)
 same => n(script),AGI(callsign.agi,mor/balance,alice,${PAD}${TEXT})
 same => n,Goto(told)
"""

CALLER = "0478123456"
ACCOUNTS = {
    "skarabee": {"8103": "office-key"},
    "noojee": {"key": "recorder-key", "auth": "hash"},
    "mor": {"user": "admin", "key": "mor-key"},
}
STEPS = {
    "skarabee": ("skarabee", ""),
    "stop": ("noojee-stop", ""),
    "balance": ("mor-balance", "alice"),
}
_BEHIND_RDNIS = "context: x|extension: 201|priority: 1|enhanced: 0.0|accountcode: |threadid: 139999999999999"
_BEHIND_NUMBER = "calleridname: x|callingpres: 0|callingani2: 0|callington: 0|callingtns: 0|dnid: 201|rdnis: 0|"


def rest(lines: str) -> str:
    """Those lines and the end of the block, as part of a SIP URI."""
    return quote("".join(f"\nagi_{line}" for line in lines.split("|")) + "\n\n")


ALL_THE_REST: dict[str, dict[str, Any]] = {
    # PJSIP keeps 79 characters of a number, but all of a diversion, which chan_sip does not decode
    "22": {"headers": {"Diversion": f"<sip:0{rest(_BEHIND_RDNIS)}@127.0.0.1>;reason=no-answer"}},
    "16": {"caller": CALLER + rest(_BEHIND_NUMBER + _BEHIND_RDNIS)},
}
FORGERIES: dict[str, dict[str, Any]] = {
    "an argument": {"caller": f"{CALLER}%0Aagi_arg_1%3A%20201%0A"},
    "an end": {"caller": f"{CALLER}%0A%0A"},
    "an argument and an end": {"caller": f"{CALLER}%0Aagi_arg_1%3A%20201%0A%0A"},
    "an argument, an end and an answer": {"caller": "0%0Aagi_arg_1%3A%20201%0A%0A200%20result%3D1"},
    "an end and an answer": {"caller": f"{CALLER}%0A%0A200%20result%3D1"},
    "called": {"called": "201%0Aagi_priority%3A1%0A%0A"},
    "all the rest": {},
}


@dataclass
class Stage:
    """Asterisk with a SIP phone, server and vendors."""

    asterisk: RealAsterisk
    box: Sandbox
    server: Product
    turns: count[int]

    def forged(self, forgery: str) -> dict[str, Any]:
        return FORGERIES[forgery] or ALL_THE_REST[self.asterisk.version]

    def call(self, step: str, plain: str = "no", line: str = "skarabee", **what: Any) -> str:
        """What the call's channel held."""
        turn = f"{self.server.port}-{next(self.turns)}"
        name, given = STEPS[step]
        values = {"CALLSIGN_AGI": self.server.url, "STEP": name, "GIVEN": given, "TURN": turn, "PLAIN": plain}
        for variable, value in {**values, "LINE": line}.items():
            self.asterisk.action("Setvar", Variable=variable, Value=value)
        with SipPhone(self.asterisk) as phone:
            assert phone.call(**{"called": "201", "caller": CALLER, **what}).wait_end() == 200
        self.asterisk.wait_log(f"CALL {turn} ")
        (line,) = [line for line in self.asterisk.log_text().splitlines() if f"CALL {turn} " in line]
        return line.partition(f"CALL {turn} ")[2]


@pytest.fixture
def stage(asterisk: RealAsterisk, tmp_path: Path) -> Iterator[Stage]:
    load_sip(asterisk)
    with Sandbox(accounts=ACCOUNTS) as box:
        mor = f'\n[mor]\nurl = "{box.url("mor")}"\nuser = "admin"\nkey = "mor-key"\n'
        sections = vendor_sections(box, numbers='format = "asis"') + mor
        with Product(tmp_path, sections) as server:
            asterisk.install_plain_agi(PROJECT, f'[outbox]\npath = "{{folder}}/outbox-{box.port}.db"\n{sections}')
            yield Stage(asterisk, box, server, count())


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_line_break_that_sip_brings_along_ends_in_error(stage: Stage, step: str, forgery: str) -> None:
    seen_before = len(stage.box.seen)
    says = stage.call(step, **stage.forged(forgery))
    assert says.startswith("ERROR: ")
    assert "line break" in says
    assert says.endswith("job= balance= WENT ON")
    in_dialplan = (step, forgery) == ("skarabee", "called")  # an argument, which the subroutine itself looks at
    if not in_dialplan:
        assert CALLER not in stage.server.wait_log(lambda line: "line break" in line)
    assert stage.call("skarabee").startswith("QUEUED: ")  # whatever the one before had sent would be there first
    assert stage.box.wait_for(lambda seen: len(seen) > seen_before, 30)
    (seen,) = stage.box.seen[seen_before:]
    assert (seen.query["phonefrom"], seen.query["phoneto"]) == (CALLER, "201")
    stage.server.wait_log(lambda line: " QUEUED " in line)
    assert sum("path=" in line for line in stage.server.log) == 2 - in_dialplan


def test_the_plain_script_takes_no_such_call_either(stage: Stage) -> None:
    assert stage.call("skarabee", plain="yes").startswith("QUEUED: ")
    for forgery in FORGERIES:
        says = stage.call("skarabee", plain="yes", **stage.forged(forgery))
        assert says.startswith("ERROR: ")
        assert "line break" in says
    assert stage.box.wait_for(lambda seen: bool(seen), 30)
    assert [seen.query["phonefrom"] for seen in stage.box.seen] == [CALLER]


@pytest.mark.parametrize(("line", "following"), [("server", 3), ("script", 4)])
def test_a_line_break_behind_the_4096th_byte_is_no_further_argument(stage: Stage, line: str, following: int) -> None:
    for caller in (CALLER, f"{CALLER}%0Aagi_arg_{following}%3A%20x"):
        says = stage.call("balance", plain="long", line=line, caller=caller)
        assert says.startswith("ERROR: the arguments could not be checked for a line break")
    assert not stage.box.seen


def test_asterisk_says_who_it_is_to_a_script(stage: Stage) -> None:
    write_program(
        stage.asterisk.folder / "agi-bin/callsign.agi",
        'while read -r line && test -n "$line"; do :; done\n'
        'echo "SET VARIABLE SKARABEESTATUS ${AST_AGI_DIR}"\nread -r line\n',
    )
    assert "/agi-bin: " in stage.call("skarabee", plain="yes")
