"""What a test leaves to chance can be had again: the seed is printed, and taken from the environment."""

from __future__ import annotations

import ast
import random
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def test_the_seed_of_the_environment_makes_the_dice_fall_again(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CALLSIGN_TEST_SEED", "1700000000")
    dice: random.Random = request.getfixturevalue("dice")
    assert capsys.readouterr().out == "CALLSIGN_TEST_SEED=1700000000\n"
    assert dice.random() == random.Random("1700000000").random()


def test_the_dice_say_how_they_fell(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CALLSIGN_TEST_SEED", raising=False)
    dice: random.Random = request.getfixturevalue("dice")
    said = re.fullmatch(r"CALLSIGN_TEST_SEED=(\d+)\n", capsys.readouterr().out)
    assert said
    assert dice.random() == random.Random(said[1]).random()


@pytest.mark.parametrize("folder", ["faults", "install", "systemd", "asterisk"])
def test_no_test_of_chance_has_other_dice(folder: str) -> None:
    calls = [
        f"{file.name}: {ast.unparse(node.func)}"
        for file in sorted((HERE / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    ]
    assert calls
    assert [call for call in calls if re.search(r": (random\.|os\.urandom)", call)] == []
