"""A clock that stands where a test sets it."""

from __future__ import annotations


class Clock:
    """Seconds; `now` is the test's to set."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
