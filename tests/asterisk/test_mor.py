"""MOR's subroutines and the balance sample on a real Asterisk, against the real server and the stand-in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl

import pytest

from ami import EVENTS, Message
from callsign.sandbox.vendors.messages import Trouble
from callsign.sandbox.vendors.sandbox import Sandbox
from product import PROJECT, Product
from real_asterisk import RealAsterisk
from server_stage import Stage

NAMES = ("extensions_callsign.conf", "extensions_sample_balance.conf")
FILES = {name: (PROJECT / "dialplan" / name).read_text(encoding="utf-8") for name in NAMES}

DIALPLAN = r"""
#include extensions_callsign.conf
#include extensions_sample_balance.conf

[balance]
exten => go,1,Set(MORBALANCE=old)
 same => n,Gosub(callsign-mor-balance,s,1(${USER}))
 same => n,Set(WENTON=yes)
exten => nobody,1,Gosub(callsign-mor-balance,s,1)
 same => n,Set(WENTON=yes)

[caller]
exten => go,1,Set(MORUSERID=old)
 same => n,Set(MORDEVICEID=old)
 same => n,Gosub(callsign-mor-caller,s,1)
 same => n,Set(WENTON=yes)

[say]
exten => go,1,Answer()
 same => n,Gosub(callsign-sample-say-amount,s,1(${AMOUNT}))
 same => n,Set(WENTON=yes)

[plain]
exten => go,1,AGI(callsign.agi,mor/balance,bob,USD)
 same => n,Set(FIRST=${MORBALANCE})
 same => n,AGI(callsign.agi,mor/caller)
 same => n,Set(WENTON=yes)
"""

KEY = "the-key-of-mor"
ANSWERED = ("MORSTATUS", "MORREASON", "MORJOB", "WENTON", "AGISTATUS")
BALANCE = ("MORBALANCE", *ANSWERED)
OWNER = ("MORUSERID", "MORDEVICEID", *ANSWERED)
GOOD = {"MORSTATUS": "OK", "MORREASON": "", "MORJOB": "", "WENTON": "yes", "AGISTATUS": "SUCCESS"}
ACCOUNTS = {"mor": {"user": "admin", "key": KEY}}


def section(box: Sandbox) -> str:
    return f'[mor]\nurl = "{box.url("mor")}"\nuser = "admin"\nkey = "{KEY}"\n'


@pytest.fixture
def stage(tmp_path: Path, box: Sandbox) -> Iterator[Stage]:
    with Product(tmp_path, section(box)) as server:
        yield Stage(box, server)


@pytest.mark.parametrize("user", ["bob", 'O\'Brien "x" (y) \\ z', "=", "username=bob", "currency=USD", "demo,EUR"])
def test_the_balance_of_a_user_of_any_name(asterisk: RealAsterisk, stage: Stage, user: str) -> None:
    mark = asterisk.mark()
    result = asterisk.call("go", "balance", variables={**stage.agi, "USER": user}, report=BALANCE)
    assert result.variables == {**GOOD, "MORBALANCE": "12.3400"}
    (seen,) = stage.box.seen
    assert (seen.verdict, dict(parse_qsl(seen.body.decode()))["username"]) == ("OK", user)
    assert asterisk.warnings(mark) == []


@pytest.mark.parametrize(("exten", "user"), [("nobody", ""), ("go", "")])
def test_without_a_user_nothing_is_asked(asterisk: RealAsterisk, stage: Stage, exten: str, user: str) -> None:
    result = asterisk.call(exten, "balance", variables={**stage.agi, "USER": user}, report=BALANCE)
    assert (result.variables["MORSTATUS"], result.variables["MORBALANCE"]) == ("ERROR", "")
    assert "username" in result.variables["MORREASON"]
    assert result.variables["WENTON"] == "yes"
    assert stage.box.seen == []


def test_mors_no_reaches_the_dialplan_in_its_words(asterisk: RealAsterisk, stage: Stage) -> None:
    result = asterisk.call("go", "balance", variables={**stage.agi, "USER": "unknown"}, report=BALANCE)
    assert (result.variables["MORSTATUS"], result.variables["MORBALANCE"]) == ("REFUSED", "")
    assert result.variables["MORREASON"].startswith("User was not found; ")


def test_the_owner_of_the_callers_number_comes_from_a_gzipped_file(asterisk: RealAsterisk, stage: Stage) -> None:
    caller = ('Bob "x', "+3256528999")
    result = asterisk.call("go", "caller", variables=stage.agi, callerid=caller, report=OWNER)
    assert result.variables == {**GOOD, "MORUSERID": "2", "MORDEVICEID": "7"}
    assert dict(pair.split("=") for pair in stage.box.seen[0].body.decode().split("&"))["cli"] == "056528999"


def test_a_number_that_is_nobodys_is_ok_and_empty(asterisk: RealAsterisk, stage: Stage) -> None:
    result = asterisk.call("go", "caller", variables=stage.agi, callerid=("", "056528990"), report=OWNER)
    assert result.variables == {**GOOD, "MORUSERID": "", "MORDEVICEID": "", "MORREASON": "CLI not found"}


def test_a_withheld_number_is_not_asked_about(asterisk: RealAsterisk, stage: Stage) -> None:
    caller = ("Bob", "056528999")
    result = asterisk.call("go", "caller", variables=stage.agi, callerid=caller, presentation="prohib", report=OWNER)
    assert (result.variables["MORSTATUS"], result.variables["MORUSERID"]) == ("SKIPPED", "")
    assert result.variables["WENTON"] == "yes"
    assert stage.box.seen == []


def test_a_vendor_that_hangs_or_is_gone_lets_the_call_go_on(asterisk: RealAsterisk, stage: Stage) -> None:
    stage.box.trouble["mor"] = Trouble(delay_seconds=60)
    result = asterisk.call("go", "balance", variables={**stage.agi, "USER": "bob"}, report=BALANCE)
    assert (result.variables["MORSTATUS"], result.variables["MORBALANCE"]) == ("UNREACHABLE", "")
    stage.box.stop()
    gone = asterisk.call("go", "caller", variables=stage.agi, callerid=("", "056528999"), report=OWNER)
    assert (gone.variables["MORSTATUS"], gone.variables["MORUSERID"]) == ("UNREACHABLE", "")
    assert (result.variables["WENTON"], gone.variables["WENTON"]) == ("yes", "yes")


def test_a_server_that_does_not_run_shows_as_error(asterisk: RealAsterisk, stage: Stage) -> None:
    assert stage.server.stop() == 0
    result = asterisk.call("go", "balance", variables={**stage.agi, "USER": "bob"}, report=BALANCE)
    assert (result.variables["MORSTATUS"], result.variables["MORBALANCE"]) == ("ERROR", "")
    assert "did not answer" in result.variables["MORREASON"]
    owner = asterisk.call("go", "caller", variables=stage.agi, callerid=("", "056528999"), report=OWNER)
    assert (owner.variables["MORSTATUS"], owner.variables["MORUSERID"], owner.variables["WENTON"]) == (
        "ERROR",
        "",
        "yes",
    )


def test_the_plain_script_asks_too(asterisk: RealAsterisk, box: Sandbox) -> None:
    asterisk.install_plain_agi(PROJECT, f'[outbox]\npath = "{{folder}}/outbox.db"\n{section(box)}')
    report = [*OWNER, "FIRST"]
    result = asterisk.call("go", "plain", callerid=("", "056528999"), report=report, timeout=30)
    assert result.variables == {**GOOD, "FIRST": "13.5740", "MORUSERID": "2", "MORDEVICEID": "7"}


# -- the sample --------------------------------------------------------------------------------------

DIAL = "Dial(PJSIP/056528998@trunk,60)"


@pytest.fixture
def watched(asterisk: RealAsterisk) -> Iterator[RealAsterisk]:
    """It tells each dialplan step: there are no sound files to hear, and no trunk that would be dialled."""
    asterisk.action("Events", EventMask=f"{EVENTS},dialplan")
    yield asterisk
    asterisk.action("Events", EventMask=EVENTS)


def steps(asterisk: RealAsterisk, mark: int, last: str) -> list[str]:
    """What of the sample's steps can be heard, since `mark` and until `last` has begun."""
    found: list[str] = []

    def hears(event: Message) -> bool:
        step = f"{event.get('Application')}({event.get('AppData')})"
        if event["Event"] == "Newexten" and event["Application"] in ("SayNumber", "Playback", "Dial"):
            found.append(step)
        return step == last

    asterisk.wait_event(hears, since=mark)
    return found


def test_the_sample_loads_without_a_warning(asterisk: RealAsterisk) -> None:
    mark = asterisk.mark()
    asterisk.command("dialplan reload")
    assert asterisk.warnings(mark) == []
    assert "callsign-mor-balance" in asterisk.command("dialplan show callsign-sample-balance")


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        ("12.3400", ["SayNumber(12)", "SayNumber(34)"]),
        ("-0.5", ["Playback(digits/minus)", "SayNumber(0)", "SayNumber(50)"]),
        ("7", ["SayNumber(7)", "SayNumber(00)"]),
        ("-349282.089", ["Playback(digits/minus)", "SayNumber(349282)", "SayNumber(08)"]),
    ],
)
def test_an_amount_is_said_in_units_and_cents(watched: RealAsterisk, amount: str, said: list[str]) -> None:
    mark = watched.mark_events()
    result = watched.call("go", "say", variables={"AMOUNT": amount}, report=["WENTON"])
    assert result.variables["WENTON"] == "yes"
    assert steps(watched, mark, said[-1]) == said


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (None, ["SayNumber(12)", "SayNumber(34)"]),
        (Trouble(refuse_status="Feature disabled"), []),
        (Trouble(http_status=502), []),
    ],
)
def test_the_sample_dials_whatever_becomes_of_the_balance(
    watched: RealAsterisk, stage: Stage, trouble: Trouble | None, said: list[str]
) -> None:
    stage.box.trouble["mor"] = trouble
    mark = watched.mark_events()
    variables = {**stage.agi, "CHANNEL(accountcode)": "bob"}
    watched.call("056528998", "callsign-sample-balance", variables=variables)
    assert steps(watched, mark, DIAL) == [*said, DIAL]
    assert b"username=bob" in stage.box.seen[0].body


def test_nothing_comes_before_an_emergency_call(watched: RealAsterisk, stage: Stage) -> None:
    mark = watched.mark_events()
    watched.call("112", "callsign-sample-balance", variables=stage.agi)
    assert steps(watched, mark, "Dial(PJSIP/112@trunk,60)") == ["Dial(PJSIP/112@trunk,60)"]
    assert stage.box.seen == []
