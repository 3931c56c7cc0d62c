"""What the tests of the hosts share."""

from __future__ import annotations

import pytest

from callsign import clocks
from clocks_play import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The steady one, which goes on when the test says so."""
    clock = Clock()
    monkeypatch.setattr(clocks, "steady", clock)
    return clock
