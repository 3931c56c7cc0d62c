"""A call that the server places to itself: the only proof that calls are still answered is one that was."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

Address = tuple[str, int]

LOOPBACK_OF = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (where a server that listens everywhere is reached)
PATH = "ping"
BLOCK = b"agi_network: yes\nagi_network_script: ping\nagi_request: agi://own/ping\n\n"
MOST_BYTES = 4096


def is_answered(server: Address, seconds: float, expect: Callable[[Address], None]) -> bool:
    """Whether `server` plays a whole `ping` session within `seconds`.  Never raises.

    `expect` is told, before it comes, the address that the call comes from.
    """
    end = time.monotonic() + seconds
    host = LOOPBACK_OF.get(server[0], server[0])
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            sock.bind((host, 0))
            expect(sock.getsockname()[:2])
            sock.settimeout(seconds)
            sock.connect((host, server[1]))
            sock.sendall(BLOCK)
            return _plays(sock, end)
    except OSError:
        return False


def _plays(sock: socket.socket, end: float) -> bool:
    """Asterisk's half: says yes to each command, until the server closes the connection."""
    told = b""
    while (left := end - time.monotonic()) > 0 and len(told) < MOST_BYTES:
        sock.settimeout(left)
        data = sock.recv(MOST_BYTES)
        if not data:
            return b"STATUS" in told
        told += data
        if data.endswith(b"\n"):
            sock.sendall(b"200 result=0\n" * data.count(b"\n"))
    return False
