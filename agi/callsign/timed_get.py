"""Takes from a queue that one thread alone reads, within a time."""

from __future__ import annotations

import queue
from typing import TypeVar

Item = TypeVar("Item")


def get_within(items: queue.SimpleQueue[Item], seconds: float) -> Item:
    """The next item; waits up to `seconds` for it.  Raises queue.Empty.

    It looks before it waits: Python's own `get` (seen in 3.10 to 3.14, Modules/_queuemodule.c) waits without end where
    the last item was there without a wait, and its time is over before it begins to wait: half a millisecond, say, in
    which a busy machine let others run.
    """
    try:
        return items.get_nowait()
    except queue.Empty:
        if seconds <= 0:
            raise
    return items.get(timeout=seconds)
