"""The two clocks: the wall clock names a moment to others, the steady one measures how long ago it was."""

from __future__ import annotations

import time
from functools import lru_cache
from pathlib import Path

wall = time.time
"""Epoch seconds.  Jumps when somebody sets the clock."""


def steady() -> float:
    """Seconds since boot, suspend included; the same in every process, never set back (clock_gettime(2))."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@lru_cache(maxsize=1)
def boot_id() -> str:
    """Which boot the steady clock counts from; empty where /proc is not mounted (a chroot)."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def remaining_seconds(deadline: float, boot: str, steady_deadline: float) -> float:
    """How long until `deadline` (epoch seconds), stored together with the steady clock's reading for it.

    Within one boot the steady clock decides, so that a wall clock set back or forward by an hour
    neither kills a job nor lets a stale one live; across boots there is only the wall clock.
    """
    if boot and boot == boot_id():
        return steady_deadline - steady()
    return deadline - wall()
