"""^C, SIGTERM and a terminal that closes, where something has to be cleaned up or said before the end."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Such a signal is a KeyboardInterrupt with its number meanwhile; see `shell.end`."""

    def end(number: int, _: object) -> None:
        raise KeyboardInterrupt(number)

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
