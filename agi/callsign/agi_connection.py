"""The two ways to reach Asterisk: a socket (FastAGI), and the pipes of a script (plain AGI); every wait ends."""

from __future__ import annotations

import os
import select
import socket
import time
from contextlib import suppress
from typing import Any, Protocol

RECEIVE_BYTES = 8 * 1024
DRAIN_SECONDS = 1.0
MAX_DRAIN_BYTES = 64 * 1024


class Connection(Protocol):
    """What a session runs on: a socket, or the standard streams of a script."""

    def receive(self, seconds: float) -> bytes:
        """Some bytes; empty at end of file.  Raises TimeoutError, OSError."""

    def send(self, data: bytes, seconds: float) -> None:
        """All of `data`.  Raises TimeoutError, OSError."""

    def finish(self) -> None:
        """Tells Asterisk that the session is over, so that the call goes on.  Never raises."""


class SocketConnection:
    """FastAGI: a TCP connection from Asterisk."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)  # once: settimeout() before each read would be a system call more
        self._sock = sock
        self._readable = select.poll()
        self._readable.register(sock, select.POLLIN)

    def receive(self, seconds: float) -> bytes:
        if not self._readable.poll(max(0.0, 1000 * seconds)):
            raise TimeoutError("Asterisk sent nothing")
        return self._sock.recv(RECEIVE_BYTES)

    def send(self, data: bytes, seconds: float) -> None:
        end = time.monotonic() + seconds
        while True:
            with suppress(BlockingIOError):
                data = data[self._sock.send(data) :]
            if not data:
                return
            _await_writable(self._sock, end - time.monotonic())

    def finish(self) -> None:
        """Half-closes, and only then reads to the end: a HANGUP that Asterisk still sends finds us there."""
        try:
            self._sock.shutdown(socket.SHUT_WR)
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

    def send(self, data: bytes, seconds: float) -> None:
        """A pipe that is writable has room for 4096 bytes (PIPE_BUF), more than a command may have."""
        _await_writable(self._writer, seconds)
        os.write(self._writer.fileno(), data)

    def finish(self) -> None:
        """Closes our end."""
        try:
            self._writer.close()
        except OSError:
            return


def _await_writable(where: Any, seconds: float) -> None:
    writable = select.poll()
    writable.register(where, select.POLLOUT)
    if seconds <= 0 or not writable.poll(1000 * seconds):
        raise TimeoutError("Asterisk reads nothing")
