"""Waiting for what must come, bounded: a test that waits for long has failed."""

from __future__ import annotations

import time
from collections.abc import Callable

WAIT_SECONDS = 30.0
LOOK_SECONDS = 0.005
PAUSE_TIMES = 3
"""A look that takes long is not taken all the time: the pause behind it is so many times as long."""


def wait_until(true: Callable[[], bool], seconds: float = WAIT_SECONDS) -> None:
    """Returns when `true` is; fails after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        begun = time.monotonic()
        if true():
            return
        now = time.monotonic()
        assert now < end, f"not true within {seconds:g} s"
        time.sleep(max(LOOK_SECONDS, PAUSE_TIMES * (now - begun)))
