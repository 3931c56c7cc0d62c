"""What all tests share: how thorough they are, which need a real Asterisk or systemd, and these themselves.

CALLSIGN_TESTS_BRIEF asks the property tests for few examples, for one more Python, say.
"""

from __future__ import annotations

import gc
import os
import random
import resource
import signal
import threading
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from asterisk_fixtures import LEFT_OUT, asterisk, asterisk_root
from box_fixture import box
from postgres_fixtures import (
    database,
    databases,
    full_disk,
    own_postgres,
    pgbouncer_program,
    postgres_programs,
    postgres_server,
)
from store_fixtures import outbox, path, reader
from systemd_fixtures import systemd_machine, systemd_root

__all__ = [
    "asterisk",
    "asterisk_root",
    "box",
    "database",
    "databases",
    "full_disk",
    "outbox",
    "own_postgres",
    "path",
    "pgbouncer_program",
    "postgres_programs",
    "postgres_server",
    "reader",
    "systemd_machine",
    "systemd_root",
]

HERE = Path(__file__).parent

MADE_ONCE = frozenset({"busy_desk", "certificates", "page", "project", "samples", "standing"})
"""Fixtures of a module: tests that share one run in one process, or each process would make it once more."""

for ignored_in_the_background in (
    signal.SIGINT,
    signal.SIGHUP,
):  # `tests/run &`, nohup: what tests start would inherit it
    if signal.getsignal(ignored_in_the_background) is signal.SIG_IGN:
        signal.signal(ignored_in_the_background, signal.default_int_handler)

settings.register_profile("whole", deadline=None)  # a busy machine is no fault
settings.register_profile("brief", deadline=None, max_examples=15)
settings.load_profile("brief" if os.environ.get("CALLSIGN_TESTS_BRIEF") else "whole")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """All that is collected stays to the end: nobody looks in it for what could go, now or later."""
    gc.disable()
    collected = yield
    gc.freeze()
    gc.enable()
    return collected


LONGEST_NAME = 100


def pytest_make_parametrize_id(val: object) -> str | None:
    """A value of a megabyte is no name: each process would tell it at each step."""
    if isinstance(val, (str, bytes)) and len(val) > LONGEST_NAME:
        return f"{val[:LONGEST_NAME]!a}... of {len(val)}"
    return None


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = item.path.parts[len(HERE.parts)]
        if folder == "faults":
            item.add_marker("faults")
        needed = item.fixturenames if isinstance(item, pytest.Function) else ()
        if "own_postgres" in needed or "full_disk" in needed:
            item.add_marker("faults")
        if "postgres_server" in needed:  # one for all of them
            item.add_marker(pytest.mark.xdist_group("postgres"))
        for shared in MADE_ONCE.intersection(needed):
            item.add_marker(pytest.mark.xdist_group(f"{item.path.stem}-{shared}"))
        if "systemd_root" in needed:
            item.add_marker("systemd")
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
        if "asterisk_root" in needed or folder in ("asterisk", "install"):
            params = item.callspec.params if hasattr(item, "callspec") else {}
            item.add_marker("asterisk")
            one_each = params.get("pbx") or params.get("asterisk_root")
            item.add_marker(pytest.mark.xdist_group(f"{item.path.stem}-{one_each}"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if LEFT_OUT:
        terminalreporter.write_line("not tested with Asterisk 22: tests/run could not install it today")


@pytest.fixture
def dice() -> random.Random:
    """All chance that a test takes; what a failure shows with it, given as CALLSIGN_TEST_SEED, lets them fall again."""
    seed = os.environ.get("CALLSIGN_TEST_SEED") or str(random.SystemRandom().getrandbits(32))
    print(f"CALLSIGN_TEST_SEED={seed}")
    return random.Random(seed)


HUGE_STACK = 1 << 40
"""In bytes: more than a limited address space has room for."""


@pytest.fixture
def no_more_threads() -> Iterator[None]:
    """The kernel has no room for the stack of another thread in this process."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    usual = threading.stack_size(HUGE_STACK)
    resource.setrlimit(resource.RLIMIT_AS, (HUGE_STACK // 2, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, limits)
    threading.stack_size(usual)
