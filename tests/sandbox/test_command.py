"""`callsign sandbox`: what goes wrong on purpose, and what the screen shows."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from callsign.sandbox.command import DEMO_ACCOUNTS, Screen, faults_of
from callsign.sandbox.vendors.messages import Trouble
from callsign.sandbox.vendors.record import SeenRequest
from callsign.sandbox.vendors.sandbox import VENDORS
from command_line import callsign_text as run
from product import COMMAND
from settings_file import write

CALLER = "0478123456"


@contextmanager
def sandbox(folder: Path, *arguments: str) -> Iterator[tuple[IO[str], str]]:
    """Its output, and the settings that lead to it."""
    command = [sys.executable, str(COMMAND), "sandbox", "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        text = ""
        while "# sraps:" not in text:
            text += running.stdout.readline()
        try:
            before, found, behind = text.partition('#[outbox]\n#path = "/home/you/')
            assert found, "who has installed nothing is told where the store may lie"
            yield running.stdout, str(write(folder, f'{before}[outbox]\npath = "{folder}/{behind}'))
        finally:
            running.terminate()
            assert running.wait(30) == 0


def line_with(output: IO[str], words: str) -> str:
    return next(line for line in output if words in line)


@pytest.mark.parametrize(
    ("texts", "troubles"),
    [
        ([], {}),
        (["noojee=slow:3"], {"noojee": Trouble(delay_seconds=3)}),
        (["mor=503", "sraps=drop"], {"mor": Trouble(http_status=503), "sraps": Trouble(drop=True)}),
        (["mor=slow:0.5", "mor=500"], {"mor": Trouble(delay_seconds=0.5, http_status=500)}),
    ],
)
def test_a_fault_names_a_vendor_and_what_goes_wrong(texts: list[str], troubles: dict[str, Trouble]) -> None:
    assert faults_of(texts, VENDORS) == troubles


@pytest.mark.parametrize(
    "text", ["noojee", "noojee=", "nojee=503", "noojee=200", "noojee=slow", "noojee=slow:-1", "=503", "noojee=refuse:x"]
)
def test_what_is_no_fault_is_wrong_usage(text: str) -> None:
    done = run("sandbox", "--port", "0", "--fault", text)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"--fault {text}: wanted" in done.stderr


def test_vendors_fail_as_they_were_told_to(tmp_path: Path) -> None:
    faults = [*("--fault", "mor=503"), *("--fault", "sraps=refuse"), *("--fault", "skarabee=refuse")]
    with sandbox(tmp_path, *faults) as (output, settings):
        config = ("--config", settings)
        assert run("call", "mor/balance", "demo", *config).stdout.startswith("MORSTATUS=UNREACHABLE\n")
        assert run("call", "sraps/endpoint", "00:04:13:AA:BB:CC", *config).stdout.startswith("SRAPSSTATUS=REFUSED\n")
        told = run("call", "skarabee?wait=20", "--callerid", CALLER, "--extension", "056528998", *config).stdout
        assert told.splitlines()[0] == "SKARABEESTATUS=REFUSED"
        assert "-> 200 NO_HASH_KEY_AVAILABLE" in line_with(output, "skarabee POST")


@pytest.mark.parametrize(("arguments", "shown"), [([], False), (["--show-numbers"], True)])
def test_numbers_are_shown_where_they_are_asked_for(arguments: list[str], shown: bool, tmp_path: Path) -> None:
    with sandbox(tmp_path, *arguments) as (output, settings):
        run("call", "skarabee?wait=20", "--callerid", CALLER, "--extension", "056528998", "--config", settings)
        line = line_with(output, "skarabee POST")
    assert (CALLER in line) is shown
    assert ("phonefrom=********56" in line) is not shown
    assert DEMO_ACCOUNTS["skarabee"]["8103"] not in line
    assert "hash=[hidden]" in line


def poll(at: float, verdict: str = "OK") -> SeenRequest:
    return SeenRequest(at, "POST", "/rest/cdr/summary", system="kalliope", http_status=200, verdict=verdict)


def test_polls_that_all_end_alike_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(as_json=False, with_numbers=False)
    for at in range(0, 70, 10):
        screen.show(poll(float(at)))
    screen.show(poll(71.0, "HTTP 503"))
    screen.show(SeenRequest(72.0, "POST", "/user_balance_get", system="mor", http_status=200, verdict="OK"))
    screen.show(poll(73.0))
    first, trouble, other, well_again = capsys.readouterr().out.splitlines()
    assert [first[-9:], well_again[-9:]] == ["-> 200 OK"] * 2
    assert (trouble.endswith("HTTP 503"), " mor " in other) == (True, True)
