"""Ports of the loopback address that stay a test's own."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def held_port() -> Iterator[int]:
    """A port for a server that comes back to it: nobody else is given it while that one is down."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))  # bound and never listening: a connection is refused, a server may bind too
        yield holder.getsockname()[1]
