"""Connects to a host by one of its addresses, the one that worked last first.

A name whose first address is dead (broken IPv6, one of several servers) then costs half a second, once.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from itertools import zip_longest
from typing import Any

NEXT_SECONDS = 0.5
"""How long an address gets while there is another one: no network in order takes so long to connect."""

CONNECT_SECONDS = 5.0
"""How long the last one gets."""

_worked: dict[tuple[str, int], Any] = {}


def connect(host: str, port: int, left: Callable[[], float]) -> socket.socket:
    """A connection to the first address that takes one.  Raises OSError, as `left` where it does."""
    addresses = _in_turn(host, port)
    trouble = OSError("no address")
    while addresses:
        family, kind, protocol, _, address = addresses.pop(0)
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as fault:  # this machine has none of that family
            trouble = fault
            continue
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(min(left(), NEXT_SECONDS if addresses else CONNECT_SECONDS))
            sock.connect(address)
        except OSError as fault:
            sock.close()
            trouble = fault
        else:
            _worked[host, port] = address
            return sock
    raise trouble


def _in_turn(host: str, port: int) -> list[Any]:
    """The one that worked, then each family in turn, as getaddrinfo() has them."""
    found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    first = [one for one in found if one[0] == found[0][0]]
    other = [one for one in found if one[0] != found[0][0]]
    mixed = [one for pair in zip_longest(first, other) for one in pair if one is not None]
    return sorted(mixed, key=lambda one: one[4] != _worked.get((host, port)))
