"""^C, SIGTERM and a terminal that closes, where something has to be cleaned up or said before the end."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Such a signal is a KeyboardInterrupt with its number meanwhile (see `shell.end`), but not under nohup."""

    def end(number: int, _: object) -> None:
        raise KeyboardInterrupt(number)

    heard = [number for number in NUMBERS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, end) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
