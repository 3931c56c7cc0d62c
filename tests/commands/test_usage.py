"""--help of every command: its purpose, each argument, examples that it takes, and its exit statuses."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from argparse import ArgumentParser
from contextlib import suppress

import pytest

from callsign.commands import agi_debug
from callsign.commands.main import COMMANDS, parser_of
from command_line import callsign_text as run
from product import bare_environment

PROGRAMS = [*COMMANDS, "agi-debug"]


def parser_for(program: str) -> ArgumentParser:
    return agi_debug.parser() if program == "agi-debug" else parser_of(program)


def examples_of(parser: ArgumentParser) -> list[str]:
    found = re.match(r"examples?:\n((?:  .*\n)+)\n", parser.epilog or "")
    return found[1].splitlines() if found else []


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_command_says_in_one_line_what_it_is_for(program: str) -> None:
    purpose = parser_for(program).description or ""
    assert 10 < len(purpose) < 100
    assert "\n" not in purpose


@pytest.mark.parametrize("program", PROGRAMS)
def test_each_argument_of_a_command_is_described(program: str) -> None:
    actions = parser_for(program)._actions
    assert [action.dest for action in actions if len(action.help or "") < 5] == []


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_may_be_left_out_is_not_called_for(program: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = parser_for(program)
    optional = [action.metavar for action in parser._get_positional_actions() if action.nargs in ("*", "?")]
    with suppress(SystemExit):
        parser.parse_intermixed_args([])
    wanted = capsys.readouterr().err.partition("required: ")[2].strip().split(", ")
    assert not set(wanted) & set(optional)


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_examples_of_a_command_are_such_as_it_takes(program: str) -> None:
    parser = parser_for(program)
    assert examples_of(parser)
    for example in examples_of(parser):
        words = shlex.split(re.split(r" \| | >", example)[0].replace("sudo ", "", 1))
        assert words[: len(parser.prog.split())] == parser.prog.split()
        parser.parse_intermixed_args(words[len(parser.prog.split()) :])


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_command_says_what_its_exit_status_means(program: str) -> None:
    epilog = parser_for(program).epilog or ""
    assert re.search(r"^exit status: 0 .*\b2 ", epilog, re.MULTILINE)
    assert max(map(len, epilog.splitlines())) <= 100


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_all_commands_names_each_and_each_prints_its_own(command: str) -> None:
    assert re.search(rf"^  {command} +{re.escape(COMMANDS[command])}$", run("--help").stdout, re.MULTILINE)
    done = run(command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: callsign {command} ")
    assert COMMANDS[command] in done.stdout


LOADS = """
import os, sys
from callsign.commands.main import COMMANDS, parser_of
for command in COMMANDS:
    if os.fork() == 0:
        parser_of(command)
        print(command, *sys.modules, flush=True)
        os._exit(0)
    assert os.wait()[1] == 0
"""


def test_a_command_loads_no_other() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADS], env=bare_environment(), capture_output=True, text=True, check=True
    )
    lines = [line.split() for line in done.stdout.splitlines()]
    loaded = {command: {name for name in COMMANDS if f"callsign.commands.{name}" in all_} for command, *all_ in lines}
    assert loaded == {command: {command} for command in COMMANDS}
