"""Waiting for what must come, bounded: a test that waits for long has failed."""

from __future__ import annotations

import time
from collections.abc import Callable

WAIT_SECONDS = 30.0
LOOK_SECONDS = 0.005


def wait_until(true: Callable[[], bool], seconds: float = WAIT_SECONDS) -> None:
    """Returns when `true` is; fails after `seconds`."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not true within {seconds:g} s"
        time.sleep(LOOK_SECONDS)
