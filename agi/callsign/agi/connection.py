"""The two ways to reach Asterisk: a socket (FastAGI), and the pipes of a script (plain AGI); every wait ends."""

from __future__ import annotations

import os
import select
import socket
import time
from typing import Any, Protocol

RECEIVE_BYTES = 8 * 1024  # of one read: more than an agi_* block has
DRAIN_SECONDS = 1.0  # for what Asterisk still sends when the session is over
MAX_DRAIN_BYTES = 64 * 1024  # of that; a peer that sends more is cut off


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


class SocketConnection:
    """FastAGI: a TCP connection from Asterisk."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._is_half_closed = False

    def receive(self, seconds: float) -> bytes:
        try:
            self._limit(seconds)
            return self._sock.recv(RECEIVE_BYTES)
        except TimeoutError:
            raise TimeoutError("Asterisk sent nothing") from None

    def send(self, data: bytes, seconds: float, last: bool = False) -> None:
        end = time.monotonic() + seconds
        flags = socket.MSG_MORE if last else 0  # the end goes with it, in one packet
        try:
            while data:
                self._limit(end - time.monotonic())
                data = data[self._sock.send(data, flags) :]
            if last:
                self._half_close()
        except TimeoutError:
            raise TimeoutError("Asterisk reads nothing") from None

    def _half_close(self) -> None:
        if not self._is_half_closed:
            self._is_half_closed = True
            self._sock.shutdown(socket.SHUT_WR)

    def _limit(self, seconds: float) -> None:
        """The next read or write may take so long.  Raises TimeoutError where no time is left."""
        if seconds <= 0:
            raise TimeoutError
        self._sock.settimeout(seconds)

    def finish(self) -> None:
        """Half-closes, and only then reads to the end: a HANGUP that Asterisk still sends finds us there."""
        try:
            self._half_close()
            end = time.monotonic() + DRAIN_SECONDS
            drained = 0
            while drained < MAX_DRAIN_BYTES and (data := self.receive(end - time.monotonic())):
                drained += len(data)
        except OSError:  # whatever the peer does now, the session is over
            return
        finally:
            self._sock.close()


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
