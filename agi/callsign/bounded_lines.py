"""Lines from a peer that may be anybody: bounded in size, and each wait for more in time."""

from __future__ import annotations

import time
from collections import deque

from callsign.agi_connection import Connection

MAX_BLOCK_BYTES = 64 * 1024
"""Of the `agi_*` block, and of one reply."""

MAX_LINE_BYTES = 8 * 1024


class BadPeer(Exception):
    """Whoever connected does not speak AGI; the text is fit for the log."""


class BoundedLines:
    """What comes over `connection`, line by line, decoded with replacement."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._whole: deque[str] = deque()
        self._begun = b""  # a line whose end has not come yet
        self._received_bytes = 0  # of the block or reply that is being read
        self._over = False

    def begin(self) -> None:
        """A block or reply is read from here on, and may have `MAX_BLOCK_BYTES`."""
        self._received_bytes = 0

    def read(self, end: float) -> str:
        """One line without its end, by the moment `end` of time.monotonic().

        Raises EOFError at end of file and behind any fault, TimeoutError, OSError, and BadPeer if too much comes.
        """
        while not self._whole:
            self._receive(end)
        return self._whole.popleft()

    def forget(self) -> list[str]:
        """Leaves out what has come, and returns of it the whole lines."""
        lines = list(self._whole)
        self._whole.clear()
        self._begun = b""
        return lines

    def _receive(self, end: float) -> None:
        if self._over:
            raise EOFError
        left = end - time.monotonic()
        if left <= 0:  # also for a peer that sends without end
            raise TimeoutError("Asterisk did not come to an end")
        try:
            data = self._connection.receive(left)
        except TimeoutError:
            raise
        except OSError:
            self._over = True
            raise
        if not data:
            self._over = True
            raise EOFError
        self._received_bytes += len(data)
        if self._received_bytes > MAX_BLOCK_BYTES:
            raise BadPeer(f"it sent more than {MAX_BLOCK_BYTES} bytes where an agi_ block or a reply should end")
        data = self._begun + data
        if len(data) > MAX_LINE_BYTES and max(map(len, data.split(b"\n"))) > MAX_LINE_BYTES:
            raise BadPeer(f"it sent a line of more than {MAX_LINE_BYTES} bytes")
        whole, line_end, self._begun = data.rpartition(b"\n")
        if line_end:
            self._whole.extend(whole.decode("utf-8", "replace").split("\n"))
