"""Fixtures for tests against a real Asterisk, each of them on 22 and on 16.

A test module says what its Asterisk starts with: `DIALPLAN`, and `FILES` (name -> text) in `/etc/asterisk`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from real_asterisk import RealAsterisk

LEFT_OUT = os.environ.get("CALLSIGN_ASTERISK_22") == "unavailable"


@pytest.fixture(scope="session", params=["16"] if LEFT_OUT else ["22", "16"])
def asterisk_root(request: pytest.FixtureRequest) -> tuple[Path, str]:
    """The root folder that an Asterisk is started in, and its version."""
    version: str = request.param
    name = f"CALLSIGN_ASTERISK_{version}"
    given = os.environ.get(name, "")
    if not given:
        pytest.fail(f"{name} names no Asterisk root: tests/run gets one on Debian; --fast leaves these tests out")
    root = Path(given).resolve()
    if not (root / "usr/sbin/asterisk").exists():
        pytest.fail(f"{name} is {given}: no usr/sbin/asterisk there")
    if os.geteuid() != 0:
        pytest.fail("a real Asterisk is started with chroot, which only root may do; --fast leaves these tests out")
    return root, version


@pytest.fixture(scope="module")
def asterisk(request: pytest.FixtureRequest, asterisk_root: tuple[Path, str]) -> Iterator[RealAsterisk]:
    """A running Asterisk of the module's own."""
    dialplan = getattr(request.module, "DIALPLAN", "")
    with RealAsterisk(*asterisk_root, dialplan, getattr(request.module, "FILES", {})) as running:
        yield running
