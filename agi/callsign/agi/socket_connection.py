"""The way to Asterisk over a socket (FastAGI); every wait ends."""

from __future__ import annotations

import socket
import time

from callsign.agi.connection import RECEIVE_BYTES

DRAIN_SECONDS = 1.0  # for what Asterisk still sends when the session is over
MAX_DRAIN_BYTES = 64 * 1024  # of that; a peer that sends more is cut off


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
