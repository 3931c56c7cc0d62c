"""Fixtures for tests under a real systemd.  Skipped only where the kernel refuses what a machine needs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from systemd_machine import SystemdMachine, refusal


@pytest.fixture(scope="session")
def systemd_root() -> Path:
    """The root folder that a machine looks like."""
    given = os.environ.get("CALLSIGN_SYSTEMD", "")
    if not given:
        pytest.fail("CALLSIGN_SYSTEMD names no root: tests/run gets one on Debian; --fast leaves these tests out")
    if os.geteuid() != 0:
        pytest.fail("a machine is made of mounts, which only root may make; --fast leaves these tests out")
    if why := refusal():
        pytest.skip(f"NOT TESTED UNDER A REAL SYSTEMD: the kernel refuses what a machine is made of: {why}")
    return Path(given).resolve()


@pytest.fixture(scope="module")
def systemd_machine(systemd_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SystemdMachine]:
    """A machine of the module's own."""
    with SystemdMachine(systemd_root, tmp_path_factory.mktemp("machine")) as machine:
        yield machine
