"""A peer that keeps us waiting gives way when places run short: Asterisk sends its block and its replies at once."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from callsign.agi.lines import BadPeer

PLACES_KEPT = 250
"""Places are short when fewer are free while at least so many sessions wait for their peers."""


class WaitingPeers:
    """The sessions whose next word is the peer's; `free` tells how many places are left."""

    def __init__(self, free: Callable[[], int]) -> None:
        self._free = free
        self._guard = threading.Lock()
        self._waiting: dict[socket.socket, None] = {}  # the longest first

    @contextmanager
    def wait(self, sock: socket.socket) -> Iterator[None]:
        """The body waits for what the peer at `sock` sends.  Raises BadPeer if it had to give way."""
        with self._guard:
            if len(self._waiting) >= PLACES_KEPT > self._free():
                self._send_one_away()
            self._waiting[sock] = None
        try:
            yield
        finally:
            with self._guard:
                gave_way = sock not in self._waiting
                self._waiting.pop(sock, None)
            if gave_way:  # whatever the body took its end for
                raise BadPeer("places ran short, and it had kept us waiting for longest") from None

    def _send_one_away(self) -> None:
        """The one that waits for longest; not one whose bytes are there and only its thread had no turn yet."""
        for sock in self._waiting:
            if is_silent(sock):
                del self._waiting[sock]
                with suppress(OSError):  # reset by now
                    sock.shutdown(socket.SHUT_RDWR)  # wakes its thread, which closes it
                return


def is_silent(sock: socket.socket) -> bool:
    """Whether nothing has come that is not read yet, neither bytes nor an end.  Never waits.

    A read with MSG_DONTWAIT would: Python waits for its socket's timeout first.
    """
    look = select.poll()
    try:
        look.register(sock, select.POLLIN)
    except ValueError:  # closed by us
        return False
    return not look.poll(0)
