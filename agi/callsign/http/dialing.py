"""Connects to a host: the next of its addresses is tried before the one before it has failed (RFC 8305).

A name whose first address is dead (broken IPv6, one of several servers) then costs a quarter of a second, once:
the address that worked is the first one next time.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable
from itertools import zip_longest
from typing import Any

NEXT_SECONDS = 0.25
"""So long after one address the next is tried (RFC 8305 5), at once where that one has failed."""

CONNECT_SECONDS = 5.0
"""How long they may take once all are tried."""

_worked: dict[tuple[str, int], Any] = {}


def connect(host: str, port: int, left: Callable[[], float]) -> socket.socket:
    """A connection to the first address that takes one; it does not block.  Raises OSError, as `left` where it does."""
    addresses = _in_turn(host, port)
    tried: dict[int, tuple[socket.socket, Any]] = {}
    ready = select.poll()
    trouble = OSError("no address")
    try:
        while addresses or tried:
            if addresses:
                family, kind, protocol, _, address = addresses.pop(0)
                try:
                    sock = _begun(family, kind, protocol, address)
                except OSError as fault:
                    trouble = fault
                    continue
                tried[sock.fileno()] = sock, address
                ready.register(sock, select.POLLOUT)
            settled = ready.poll(1000 * min(left(), NEXT_SECONDS if addresses else CONNECT_SECONDS))
            if not settled and not addresses:
                raise TimeoutError("no address takes a connection")
            for number, _ in settled:
                ready.unregister(number)
                sock, address = tried.pop(number)
                error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if not error:
                    _worked[host, port] = address
                    return sock
                sock.close()
                trouble = OSError(error, os.strerror(error))
        raise trouble
    finally:
        for sock, _ in tried.values():
            sock.close()


def _in_turn(host: str, port: int) -> list[Any]:
    """The one that worked, then each family in turn, as getaddrinfo() has them."""
    found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    first = [one for one in found if one[0] == found[0][0]]
    other = [one for one in found if one[0] != found[0][0]]
    mixed = [one for pair in zip_longest(first, other) for one in pair if one is not None]
    return sorted(mixed, key=lambda one: one[4] != _worked.get((host, port)))


def _begun(family: int, kind: int, protocol: int, address: Any) -> socket.socket:
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        sock.connect(address)
    except BlockingIOError:
        pass
    except OSError:
        sock.close()
        raise
    return sock
