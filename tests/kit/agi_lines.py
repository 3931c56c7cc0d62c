"""What Asterisk says, for tests: steps as its `agi_*` lines and arguments give them, and its first answer."""

from __future__ import annotations

import socket

from callsign.steps.step import Step, read_step

CALLER = "0478123456"
UNIQUE_ID = "1700000000.1"


def a_step(request: str, *args: str, **env: str) -> Step:
    """`AGI(agi://…/request,args…)` on an inbound call to extension 201; `env` changes its `agi_*` lines."""
    lines = {
        "agi_network_script": request,
        "agi_callerid": CALLER,
        "agi_callingpres": "0",
        "agi_dnid": "unknown",
        "agi_extension": "201",
        "agi_uniqueid": UNIQUE_ID,
    }
    return read_step({**lines, **env}, args)


def say_that_it_was_all(sock: socket.socket) -> None:
    """Asterisk's answer to the command that makes sure of its block."""
    command = sock.recv(200)
    assert command.startswith(b"GET FULL VARIABLE ")
    sock.sendall(b"200 result=1 (" + command.split()[-1].replace(b"${CHANNEL(appdata)}", b"agi://x/ping") + b")\n")
