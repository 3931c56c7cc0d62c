"""`callsign help`: each topic is there, fits a terminal, and README names it."""

from __future__ import annotations

import re

import pytest

from callsign.commands.help import topics
from command_line import callsign_text as run
from product import PROJECT

FOLDER = PROJECT / "agi" / "callsign" / "commands" / "help"


def test_without_a_topic_each_is_listed_with_its_title() -> None:
    done = run("help")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.stdout.splitlines()] == sorted(file.stem for file in FOLDER.iterdir())
    assert "callsign on FreePBX 15, 16 and 17" in done.stdout


@pytest.mark.parametrize("topic", topics())
def test_a_topic_is_printed_as_it_is_written(topic: str) -> None:
    done = run("help", topic)
    assert (done.returncode, done.stdout) == (0, (FOLDER / f"{topic}.txt").read_text("utf-8"))


@pytest.mark.parametrize("topic", topics())
def test_a_topic_fits_a_terminal_and_begins_with_its_title(topic: str) -> None:
    lines = (FOLDER / f"{topic}.txt").read_text("utf-8").splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[0].strip()
    assert lines[1] == ""


@pytest.mark.parametrize("topic", topics())
def test_readme_names_the_topic(topic: str) -> None:
    assert f"`callsign help {topic}`" in (PROJECT / "README.md").read_text(encoding="utf-8")


def test_what_is_said_of_a_topic_is_said_of_one_that_there_is() -> None:
    files = [PROJECT / "README.md", PROJECT / "install.sh", *(PROJECT / "agi" / "callsign").rglob("*.py")]
    files += [file for folder in ("conf", "dialplan") for file in (PROJECT / folder).iterdir()]
    named = {
        topic
        for file in [*files, *FOLDER.iterdir()]
        for topic in re.findall(r"callsign help ([a-z][a-z-]+)", file.read_text("utf-8"))
    }
    assert named <= set(topics())


@pytest.mark.parametrize("topic", ["nothing", "../help/freepbx", "freepbx.txt", ""])
def test_an_unknown_topic_is_wrong_usage_and_names_those_there_are(topic: str) -> None:
    done = run("help", topic)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"callsign help: there is no topic {topic!r}")
    assert f" there are: {', '.join(topics())}\n" in done.stderr


def test_a_topic_that_is_nearly_right_is_named() -> None:
    assert "there is no topic 'free-pbx', did you mean freepbx? there are: " in run("help", "free-pbx").stderr
