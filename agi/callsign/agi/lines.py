"""Lines from a peer that may be anybody: bounded in size, and each wait for more in time."""

from __future__ import annotations

import time
from collections import deque

from callsign.agi.connection import Connection

MAX_BLOCK_BYTES = 64 * 1024
"""Of the `agi_*` block, and of one reply."""

MAX_LINE_BYTES = 8 * 1024

MAX_CUT_BLOCK_BYTES = 1024 * 1024
"""Of a block that is read to its end although it is too long: the call is to have its status."""

CUT = "\0"
"""Instead of a line that is too long, or goes beyond `MAX_BLOCK_BYTES`."""

TOO_LONG = f"a text of this call is too long: wanted lines of at most {MAX_LINE_BYTES} bytes, {MAX_BLOCK_BYTES} in all"


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
        self._cut = False
        self._line_has_come = False

    def begin(self, cut: bool = False) -> None:
        """A block or reply is read from here on.  With `cut`, what is too long is no BadPeer but `CUT`.

        The very first line must fit in any case: whoever sends such a one is no Asterisk.
        """
        self._received_bytes = 0
        self._cut = cut

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
        most = MAX_CUT_BLOCK_BYTES if self._cut else MAX_BLOCK_BYTES
        if self._received_bytes > most:
            raise BadPeer(f"it sent more than {most} bytes where an agi_ block or a reply should end")
        data = self._begun + data
        whole, line_end, self._begun = data.rpartition(b"\n")
        lines = whole.split(b"\n") if line_end else []
        longest = 0 if self._received_bytes > MAX_BLOCK_BYTES else MAX_LINE_BYTES
        if len(data) > longest and max(map(len, [*lines, self._begun])) > longest:
            is_first = not self._line_has_come and len((lines or [self._begun])[0]) > MAX_LINE_BYTES
            if is_first or not self._cut:
                raise BadPeer(f"it sent a line of more than {MAX_LINE_BYTES} bytes")
            lines = [line if len(line) <= longest else CUT.encode() for line in lines]
            self._begun = self._begun[: longest + 1]  # so long that it stays too long
        if line_end:
            self._line_has_come = True
            self._whole.extend(b"\n".join(lines).decode("utf-8", "replace").split("\n"))
