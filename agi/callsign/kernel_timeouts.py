"""Time limits for the reads and writes of a blocking socket, kept by the kernel: SO_RCVTIMEO, SO_SNDTIMEO (socket(7)).

With a timeout of Python's own each read and write is a poll() first, and to change that timeout is a call too;
at each of them another thread may take the interpreter, and a call wait for it.
"""

from __future__ import annotations

import math
import socket
import struct

HUNDREDTH_MICROSECONDS = 10_000


class KernelTimeouts:
    """The limits of `sock`, in hundredths of a second upwards; set only where they change.

    A read or write that takes longer raises BlockingIOError.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._hundredths = {socket.SO_RCVTIMEO: 0, socket.SO_SNDTIMEO: 0}

    def read_within(self, seconds: float) -> None:
        """Each read from now on.  Raises TimeoutError where there are none left."""
        self._limit(socket.SO_RCVTIMEO, seconds)

    def write_within(self, seconds: float) -> None:
        """Each write from now on.  Raises TimeoutError where there are none left."""
        self._limit(socket.SO_SNDTIMEO, seconds)

    def _limit(self, which: int, seconds: float) -> None:
        if seconds <= 0:
            raise TimeoutError("no time is left")
        hundredths = math.ceil(100 * seconds)
        if self._hundredths[which] != hundredths:
            self._hundredths[which] = hundredths
            whole, rest = divmod(hundredths, 100)
            self._sock.setsockopt(socket.SOL_SOCKET, which, struct.pack("ll", whole, rest * HUNDREDTH_MICROSECONDS))
