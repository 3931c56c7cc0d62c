"""Who waits for the next item of a queue goes on when his time is over."""

from __future__ import annotations

import queue
import threading
from contextlib import suppress

import pytest

from callsign.timed_get import get_within

LONG_SECONDS = 60.0
ROUNDS = 30_000  # Python's own `get` came to hang within 16,000 rounds in 3.10 to 3.12, within 163,000 in 3.13 and 3.14


def test_it_takes_what_is_there_and_waits_for_what_comes() -> None:
    items: queue.SimpleQueue[int] = queue.SimpleQueue()
    items.put(1)
    assert get_within(items, 0) == 1
    with pytest.raises(queue.Empty):
        get_within(items, 0)
    threading.Timer(0.01, items.put, (2,)).start()
    assert get_within(items, LONG_SECONDS) == 2


def test_however_short_the_time_it_comes_to_its_end() -> None:
    items: queue.SimpleQueue[int] = queue.SimpleQueue()

    def take_in_vain() -> None:
        for _ in range(ROUNDS):
            items.put(1)
            get_within(items, 0)
            with suppress(queue.Empty):
                get_within(items, 1e-6)

    taking = threading.Thread(target=take_in_vain, daemon=True)
    taking.start()
    taking.join(LONG_SECONDS)
    assert not taking.is_alive()
