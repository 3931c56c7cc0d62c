"""The way to Asterisk, whichever it is, and that of a script, its pipes (plain AGI); every wait ends."""

from __future__ import annotations

import os
import select
from typing import Any, Protocol

RECEIVE_BYTES = 8 * 1024  # of one read: more than an agi_* block has


class Connection(Protocol):
    """What a session runs on: a socket, or the standard streams of a script."""

    def receive(self, seconds: float) -> bytes:
        """Some bytes; empty at end of file.  Raises TimeoutError, OSError."""

    def send(self, data: bytes, seconds: float, last: bool = False) -> None:
        """All of `data`, and if it is the `last`, that nothing follows, where Asterisk listens for that.

        Raises TimeoutError, OSError.
        """

    def finish(self) -> None:
        """Tells Asterisk that the session is over, so that the call goes on.  Never raises."""


class StreamConnection:
    """Plain AGI: the pipes that Asterisk gave a script.  `reader` must hold nothing back in a buffer."""

    def __init__(self, reader: Any, writer: Any) -> None:
        self._reader = reader
        self._writer = writer

    def receive(self, seconds: float) -> bytes:
        readable = select.poll()
        readable.register(self._reader, select.POLLIN)
        if not readable.poll(max(0.0, 1000 * seconds)):
            raise TimeoutError("Asterisk sent nothing")
        return os.read(self._reader.fileno(), RECEIVE_BYTES)

    def send(self, data: bytes, seconds: float, last: bool = False) -> None:
        """A pipe that is writable has room for 4096 bytes (PIPE_BUF), more than a command may have.

        `last` is nothing here: Asterisk waits for the end of the script's process, see script.fork.
        """
        writable = select.poll()
        writable.register(self._writer, select.POLLOUT)
        if not writable.poll(max(0.0, 1000 * seconds)):
            raise TimeoutError("Asterisk reads nothing")
        os.write(self._writer.fileno(), data)

    def finish(self) -> None:
        """Closes our end."""
        try:
            self._writer.close()
        except OSError:
            return
