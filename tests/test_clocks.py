"""A deadline is kept by the steady clock within one boot, by the wall clock across boots."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from callsign import clocks

HOUR = 3600.0


@pytest.fixture
def noon(monkeypatch: pytest.MonkeyPatch) -> float:
    """Wall clock and steady clock stand still: at noon, 5000 s after the boot "this-boot"."""
    monkeypatch.setattr(clocks, "wall", lambda: 1_700_000_000.0)
    monkeypatch.setattr(clocks, "steady", lambda: 5000.0)
    monkeypatch.setattr(clocks, "boot_id", lambda: "this-boot")
    return 1_700_000_000.0


@pytest.mark.parametrize("jump", [-HOUR, -1.0, 0.0, 1.0, HOUR])
def test_within_one_boot_a_jump_of_the_wall_clock_changes_nothing(
    noon: float, jump: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clocks, "wall", lambda: noon + jump)
    assert clocks.remaining_seconds(noon + 60, "this-boot", 5060.0) == 60.0


def test_within_one_boot_a_deadline_that_has_passed_stays_passed(noon: float) -> None:
    assert clocks.remaining_seconds(noon + HOUR, "this-boot", 4990.0) == -10.0


def test_after_another_boot_only_the_wall_clock_can_tell(noon: float) -> None:
    assert clocks.remaining_seconds(noon + 60, "an-earlier-boot", 999_999.0) == 60.0


def test_without_a_boot_id_only_the_wall_clock_can_tell(noon: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clocks, "boot_id", lambda: "")
    assert clocks.remaining_seconds(noon + 60, "", 999_999.0) == 60.0


def test_the_wall_clock_is_the_epoch() -> None:
    before = time.time()
    assert before <= clocks.wall() <= time.time()


def test_the_steady_clock_never_goes_back_and_another_process_reads_the_same_one() -> None:
    code = "from callsign import clocks; print(clocks.steady(), clocks.boot_id())"
    agi = Path(__file__).resolve().parents[1] / "agi"
    before = clocks.steady()
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=agi).stdout
    after = clocks.steady()
    reading, _, boot = told.strip().partition(" ")
    assert before <= float(reading) <= after
    assert boot == clocks.boot_id()


def test_where_proc_is_not_mounted_there_is_no_boot_id(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    assert clocks.boot_id.__wrapped__() == ""
