"""The socket that calls come in by: made here, or the one that systemd has kept from the server before.

Calls that connect while no server runs wait in it, and none is refused (sd_listen_fds(3), FileDescriptorStoreMax=).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

FIRST_DESCRIPTOR = 3  # SD_LISTEN_FDS_START
BACKLOG = 1024  # calls that wait to be accepted; the kernel allows net.core.somaxconn

Address = tuple[str, int]


def kept_by_systemd(environment: Mapping[str, str] = os.environ) -> list[socket.socket]:
    """What it has kept for this process."""
    count = environment.get("LISTEN_FDS", "")
    if environment.get("LISTEN_PID") != str(os.getpid()) or not count.isdecimal():
        return []
    return [socket.socket(fileno=FIRST_DESCRIPTOR + number) for number in range(int(count))]


def at(address: Address, found: list[socket.socket]) -> socket.socket | None:
    """The first of `found` that is at `address`; closes the others."""
    at_hand = None
    for sock in found:
        if at_hand is None and sock.getsockname()[:2] == address:
            at_hand = sock
            sock.setblocking(True)  # the server before has left it otherwise, for whoever shares it
        else:
            sock.close()
    return at_hand


def new(address: Address) -> socket.socket:
    """Listens there from now on.  Raises OSError."""
    sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted ones inherit it
        sock.bind(address)
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def format_address(address: tuple[str, int]) -> str:
    """The address as a URL has it."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
