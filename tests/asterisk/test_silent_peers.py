"""Peers that never reply take a real Asterisk's calls no place, and a call that is slow to reply keeps its own."""

from __future__ import annotations

import re
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from agi_lines import say_that_it_was_all
from callsign.sandbox.asterisk.call import Call
from product import Product
from real_asterisk import RealAsterisk

DIALPLAN = r"""
[beside]
exten => go,1,AGI(${CALLSIGN_AGI}/ping)
 same => n,Set(WENTON=yes)
"""

BLOCK = "".join(f"{line}\n" for line in Call().environment("agi://x/ping", (), network=True)).encode() + b"\n"
PEERS = 1300
CALLS = 20
REPORT = ("CALLSIGNSTATUS", "AGISTATUS", "WENTON")
WELL = {"CALLSIGNSTATUS": "OK", "AGISTATUS": "SUCCESS", "WENTON": "yes"}
LONG_SECONDS = 30.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Product]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(4096, hard)), hard))
    with Product(tmp_path, "") as running:
        yield running
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("to", ["the first command", "the last command"])
def test_beside_peers_that_never_reply_each_call_has_its_status(
    asterisk: RealAsterisk, server: Product, to: str
) -> None:
    with ExitStack() as peers:
        for number in range(PEERS):
            sock = peers.enter_context(socket.create_connection(("127.0.0.1", server.port), LONG_SECONDS))
            sock.sendall(re.sub(rb"(?<=agi_threadid: ).*", b"%d" % number, BLOCK))  # a thread not known yet is asked
            if to == "the last command":
                say_that_it_was_all(sock)
        given = {"CALLSIGN_AGI": server.url}
        calls = [asterisk.start("go", "beside", variables=given, report=REPORT) for _ in range(CALLS)]
        assert [call.wait(LONG_SECONDS).variables for call in calls] == [WELL] * CALLS
        server.wait_log(lambda line: "places ran short" in line)
