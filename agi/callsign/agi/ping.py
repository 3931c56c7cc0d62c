"""Plays Asterisk for one `ping`: the only proof that calls are answered is one that was."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import suppress

Address = tuple[str, int]

LOOPBACK_OF = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (where a server that listens everywhere is reached)
PATH = "ping/settings"
"""A ping that also gets CALLSIGNSETTINGS, which changes when the settings are others, of a cluster's host
CALLSIGNLEASE, and CALLSIGNSTORE where the store cannot be written: see `steps/answer`."""

REQUEST = b"agi://own/ping/settings"
BLOCK = b"agi_network: yes\nagi_network_script: ping/settings\nagi_request: %s\n\n" % REQUEST
MOST_BYTES = 4096  # of the commands in a ping, which are two short lines


def is_answered(server: Address, seconds: float, expect: Callable[[Address], None]) -> bool:
    """Whether `server` plays a whole `ping` session within `seconds`.  Never raises."""
    try:
        return "STATUS" in play(server, seconds, expect)
    except OSError:
        return False


def play(server: Address, seconds: float, expect: Callable[[Address], None] | None = None) -> str:
    """The commands of a whole `ping` session; none where `server` closes the connection without.

    `expect` gets the address that the call comes from, before it comes.
    Raises OSError where there is no connection, or no end of the session within `seconds`.
    """
    end = time.monotonic() + seconds
    host = LOOPBACK_OF.get(server[0], server[0])
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.bind((host, 0))
        if expect is not None:
            expect(sock.getsockname()[:2])
        sock.settimeout(seconds)
        sock.connect((host, server[1]))
        with suppress(ConnectionError):
            sock.sendall(BLOCK)
            return _commands(sock, end)
    return ""


def _commands(sock: socket.socket, end: float) -> str:
    """Asterisk's half: answers each command, until the server closes the connection."""
    said = b""
    while (left := end - time.monotonic()) > 0 and len(said) < MOST_BYTES:
        sock.settimeout(left)
        data = sock.recv(MOST_BYTES)
        if not data:
            return said.decode(errors="replace")
        said += data
        if data.endswith(b"\n"):
            sock.sendall(b"".join(map(_answer, data.splitlines())))
    raise TimeoutError("the session did not end in time")


def _answer(command: bytes) -> bytes:
    """What Asterisk says to it: to what makes sure of the block, its text with the variable in it."""
    if command.startswith(b"GET FULL VARIABLE "):
        return b"200 result=1 (%s)\n" % command.split()[-1].replace(b"${CHANNEL(appdata)}", REQUEST)
    return b"200 result=0\n"
