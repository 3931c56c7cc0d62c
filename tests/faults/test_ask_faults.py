"""Each way in which a vendor can fail, below questions from a real Asterisk: UNREACHABLE in time, and well again."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

import rough_vendor as rough
from callsign.commands.demo import ACTS, CALL, Act
from callsign.sandbox.command import DEMO_ACCOUNTS, settings_for
from callsign.sandbox.vendors.sandbox import Sandbox
from callsign.steps.handlers import HANDLERS
from callsign.vendors.interface import Ask
from product import COMMAND, Product
from real_asterisk import RealAsterisk
from rough_vendor import Behaviour, RoughVendor
from settings_file import write
from store_play import LONG_SECONDS
from test_vendor_faults import DIALPLAN, FAULTS, GRACE_SECONDS, HANG_SECONDS, HANGING, NOWHERE, certificate
from waiting import wait_until

__all__ = ["DIALPLAN"]

pytestmark = pytest.mark.faults

WAIT_SECONDS = 0.5
CALLS = 3  # of each kind: the quickest shows how long the step takes, the slowest that none hangs
QUESTIONS = [act for act in ACTS if isinstance(HANDLERS[act.line], Ask)]


def variables_of(act: Act) -> tuple[str, str, list[str]]:
    """Names of its status, its reason, and its answers."""
    ask = HANDLERS[act.line]
    assert isinstance(ask, Ask)
    system = act.line.partition("/")[0].upper()
    return f"{system}STATUS", f"{system}REASON", list(ask.variables)


class Stage:
    """A server whose vendors of questions are behind one rough line."""

    def __init__(self, asterisk: RealAsterisk, server: Product) -> None:
        self._asterisk = asterisk
        self.server = server

    def ask(self, act: Act, seconds: float) -> tuple[dict[str, str], float]:
        """The channel's variables, and the step's seconds, of a call that must go on."""
        status, reason, answers = variables_of(act)
        line = ",".join([f"{self.server.url}/{act.line}?wait={seconds:g}", *act.arguments])
        report = [status, reason, *answers, "AGISTATUS", "WENTON"]
        caller = ("", CALL.callerid)
        call = self._asterisk.start("go", "step", variables={"LINE": line}, callerid=caller, report=report)
        result = call.wait(LONG_SECONDS)
        assert (result.variables.pop("AGISTATUS"), result.variables.pop("WENTON")) == ("SUCCESS", "yes")
        return result.variables, result.microseconds / 1e6

    def assert_unreachable(self, words: str, wait: float = LONG_SECONDS) -> None:
        """Every question, all at once as calls come, and so several times over; what comes at once needs no wait."""
        rounds = []
        with ThreadPoolExecutor(len(QUESTIONS)) as pool:
            for _ in range(CALLS):
                rounds.append(list(pool.map(lambda act: self.ask(act, wait), QUESTIONS)))
        for act, told in zip(QUESTIONS, zip(*rounds, strict=True), strict=True):
            status, reason, answers = variables_of(act)
            for variables, _ in told:
                assert variables[status] == "UNREACHABLE", variables
                assert [variables[name] for name in answers] == len(answers) * [""]
            reasons = [variables[reason] for variables, _ in told]
            assert any(words in one for one in reasons), reasons
            assert min(seconds for _, seconds in told) <= wait + GRACE_SECONDS
            assert max(seconds for _, seconds in told) <= wait + HANG_SECONDS

    def assert_well(self) -> None:
        for act in QUESTIONS:
            wait_until(lambda act=act: act.variables.items() <= self.ask(act, LONG_SECONDS)[0].items())


@contextmanager
def stage(
    asterisk: RealAsterisk, folder: Path, fault: Behaviour, certificate: str = ""
) -> Iterator[tuple[Stage, RoughVendor]]:
    with RoughVendor(certificate, Sandbox(DEMO_ACCOUNTS)) as vendor:
        vendor.behave(fault)
        with Product(folder, vendor.lead_here(settings_for(vendor.box))) as server:
            yield Stage(asterisk, server), vendor


def assert_weathers(asterisk: RealAsterisk, folder: Path, fault: Behaviour, words: str) -> None:
    with stage(asterisk, folder, fault) as (played, vendor):
        played.assert_unreachable(words)
        assert all(seen.method != "PUT" for seen in vendor.box.seen)
        vendor.behave(rough.well)
        played.assert_well()


@pytest.mark.parametrize(("fault", "words"), FAULTS, ids=[fault.__name__ for fault, _ in FAULTS])
def test_a_vendor_that_fails_at_once_is_unreachable_and_answers_when_it_is_back(
    asterisk: RealAsterisk, tmp_path: Path, fault: Behaviour, words: str
) -> None:
    assert_weathers(asterisk, tmp_path, fault, words)


@pytest.mark.parametrize("fault", [fault for fault, _ in HANGING], ids=[fault.__name__ for fault, _ in HANGING])
def test_a_vendor_that_hangs_is_unreachable_when_the_wait_is_over(
    asterisk: RealAsterisk, tmp_path: Path, fault: Behaviour
) -> None:
    with stage(asterisk, tmp_path, fault) as (played, _):
        played.assert_unreachable(f"within {WAIT_SECONDS:g}", WAIT_SECONDS)


@pytest.mark.parametrize("odd", [rough.hints_first, rough.answers_twice])
def test_a_vendor_that_says_more_than_its_answer_answers_each_call_its_own(
    asterisk: RealAsterisk, tmp_path: Path, odd: Behaviour
) -> None:
    with stage(asterisk, tmp_path, odd) as (played, _):
        played.assert_well()
        for _ in range(CALLS):
            for name, status in (("demo", "OK"), ("unknown", "REFUSED")):
                told, _ = played.ask(Act("", "mor/balance", {}, arguments=(name,)), LONG_SECONDS)
                assert told["MORSTATUS"] == status, told


def test_what_an_administrator_asks_passes_over_interim_answers(tmp_path: Path) -> None:
    with RoughVendor("", Sandbox(DEMO_ACCOUNTS)) as vendor:
        vendor.behave(rough.hints_first)
        sections = vendor.lead_here(settings_for(vendor.box))
        settings = write(tmp_path, f'[outbox]\npath = "{tmp_path}/outbox.db"\n{sections}\n')
        for command in (["check", "--online"], ["cdr", "--from", "2026-01-01", "--to", "2026-01-31"]):
            ran = subprocess.run(
                [sys.executable, str(COMMAND), *command, "--config", str(settings)],
                capture_output=True,
                text=True,
                timeout=LONG_SECONDS,
            )
            assert ran.returncode == 0, ran.stderr + ran.stdout
            assert "HTTP 103" not in ran.stdout + ran.stderr


def test_a_vendor_with_a_bad_certificate_is_asked_nothing(asterisk: RealAsterisk, tmp_path: Path) -> None:
    others = certificate(tmp_path / "others.pem")
    with stage(asterisk, tmp_path, rough.well, others) as (played, vendor):
        played.assert_unreachable("is not trusted")
        assert vendor.came == []


def test_a_vendor_whose_name_leads_nowhere_is_unreachable_until_the_settings_have_the_right_one(
    asterisk: RealAsterisk, tmp_path: Path
) -> None:
    with RoughVendor("", Sandbox(DEMO_ACCOUNTS)) as vendor:
        sections = vendor.lead_here(settings_for(vendor.box))
        with Product(tmp_path, sections.replace("//127.0.0.1:", f"//{NOWHERE}:")) as server:
            played = Stage(asterisk, server)
            played.assert_unreachable("the name of aaaa")
            server.write_settings(sections)
            server.process.send_signal(signal.SIGHUP)
            played.assert_well()
