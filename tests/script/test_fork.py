"""The process that Asterisk waits for ends when it may, and only then."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from store_play import LONG_SECONDS, PROJECT, OtherProcess

PARTS = """
import gc, os, sys
from callsign.script.fork import fork_worker
go_on = fork_worker()
print("second", os.getppid(), os.getpid(), flush=True)
for line in sys.stdin:
    if line.strip() == "go on":
        go_on()
        go_on()
    elif line.strip() == "hush":
        os.close(1)
        continue
    else:
        break
    print("said", gc.isenabled(), flush=True)
"""

ALONE = """
import os, signal
from callsign.script.fork import fork_worker
def none_left():
    raise BlockingIOError(11, "Resource temporarily unavailable")
os.fork = none_left
print(fork_worker(), signal.getsignal(signal.SIGHUP) is signal.SIG_IGN, len(os.listdir("/proc/self/fd")))
"""


@pytest.fixture
def parted() -> Iterator[tuple[OtherProcess, int, int]]:
    """A script that has parted, and the ids of its first and its second process."""
    with OtherProcess(PARTS) as script:
        word, first, second = script.hear().split()
        assert (word, int(first)) == ("second", script.process.pid)
        yield script, int(first), int(second)
        assert script.process.stdin is not None
        script.process.stdin.close()


def test_the_first_process_ends_well_when_the_second_says_so_and_the_second_goes_on(
    parted: tuple[OtherProcess, int, int],
) -> None:
    script, _, _ = parted
    assert script.process.poll() is None
    script.say("go on")
    assert script.hear() == "said True"
    assert script.ended() == 0
    script.say("go on")
    assert script.hear() == "said True"


def test_the_first_process_ends_well_when_the_second_is_killed(parted: tuple[OtherProcess, int, int]) -> None:
    script, _, second = parted
    os.kill(second, signal.SIGKILL)
    assert script.ended() == 0


def test_a_hang_up_ends_neither(parted: tuple[OtherProcess, int, int]) -> None:
    script, first, second = parted
    os.kill(first, signal.SIGHUP)
    os.kill(second, signal.SIGHUP)
    script.say("go on")
    assert script.hear() == "said True"
    assert script.ended() == 0


def test_the_output_has_ended_when_the_second_has_closed_it(parted: tuple[OtherProcess, int, int]) -> None:
    script, _, _ = parted
    script.say("hush")
    assert script.hear() == ""
    assert script.process.poll() is None
    script.say("end")
    assert script.ended() == 0


def test_where_no_process_can_be_had_there_is_none_and_a_hang_up_is_ignored_all_the_same() -> None:
    with OtherProcess(ALONE) as script:
        told = script.hear()
        assert told.startswith("None True ")
        assert script.ended() == 0


def test_parting_needs_nothing_that_takes_time_to_load() -> None:
    code = "import sys; known = set(sys.modules); import callsign.script.fork; print(*set(sys.modules) - known)"
    told = subprocess.run(
        [sys.executable, "-S", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=LONG_SECONDS,
        cwd=PROJECT / "agi",
    ).stdout
    loaded = set(told.split())
    assert not loaded & {"logging", "typing", "re", "json", "socket", "sqlite3", "threading"}
