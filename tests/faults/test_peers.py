"""Whoever else connects: the next call is served in its usual time, and memory stays where it was.

"Usual" is the best of several calls before; of those beside the peers the best must be near it, and none may
hang.  Where the hard limit of open files is under 2048, fewer peers connect than the tests name.
"""

from __future__ import annotations

import resource
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path

import pytest

from callsign.sandbox.asterisk.behaviour import Conduct
from callsign.sandbox.asterisk.call import Call
from callsign.sandbox.asterisk.play import run_fastagi
from callsign.sandbox.vendors.sandbox import Sandbox
from product import Product, vendor_sections

pytestmark = pytest.mark.faults

MORE_MEMORY = 40 * 1024  # kB
CALLS = 8
HANG_SECONDS = 5.0
"""Half of what a session waits for its block: no call waits for a peer's time to be up."""

SPARE_FILES = 800
CONDUCT = Conduct(timeout_seconds=30.0)
BLOCK = b"agi_network: yes\nagi_network_script: ping\nagi_uniqueid: 1700000000.1\n\n"
HALF_A_BLOCK = b"agi_network: yes\nagi_network_script: skarabee\nagi_uni"

numbers = count(1)


@pytest.fixture
def open_files() -> Iterator[int]:
    """How many this process may have, as many as the system lets it have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = 4096 if hard == resource.RLIM_INFINITY else min(4096, hard)
    if soft != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, limit), hard))
    yield limit
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def server(tmp_path: Path, open_files: int) -> Iterator[Product]:
    with (
        Sandbox(accounts={"skarabee": {"8103": "office-key"}, "noojee": {"key": "k", "auth": "hash"}}) as box,
        Product(tmp_path, vendor_sections(box, numbers='format = "asis"')) as running,
    ):
        yield running


def memory(server: Product, what: str) -> int:
    """VmRSS, or VmHWM, the most that it was: in kB."""
    status = Path(f"/proc/{server.process.pid}/status").read_text(encoding="ascii")
    return int(status.split(f"{what}:")[1].split()[0])


def seconds_of_calls(server: Product) -> list[float]:
    """How long the dialplan waited for each of some calls, one after the other."""
    seconds = []
    for _ in range(CALLS):
        number = next(numbers)
        call = Call(callerid=f"0470{number:06}", extension="056528998", uniqueid=f"1700000000.{number}")
        session = run_fastagi(f"{server.url}/skarabee?wait=0", call, conduct=CONDUCT)
        assert session.ended_well
        assert session.variables["SKARABEESTATUS"] == "QUEUED"
        seconds.append(session.seconds)
    return seconds


@contextmanager
def peers_are_kept(server: Product) -> Iterator[ExitStack]:
    """What is entered in the stack is closed behind the first look: calls go on beside it and after it."""
    seconds_of_calls(server)  # what is loaded late is loaded now
    usual = min(seconds_of_calls(server))
    before = memory(server, "VmRSS")
    with ExitStack() as peers:
        yield peers
        beside = seconds_of_calls(server)
    for seconds in (beside, seconds_of_calls(server)):
        assert max(seconds) < HANG_SECONDS
        assert min(seconds) < 3 * usual + 0.05
    assert memory(server, "VmHWM") <= before + MORE_MEMORY
    assert not [line for line in server.log if "a fault in callsign" in line]


def connect(server: Product) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=30)


@pytest.mark.parametrize("many", [1000, 1200])
def test_silent_ones_take_no_call_its_place(server: Product, open_files: int, many: int) -> None:
    with peers_are_kept(server) as peers:
        for _ in range(min(many, open_files - SPARE_FILES)):
            peers.enter_context(connect(server))


def test_slow_ones_take_no_call_its_place(server: Product, open_files: int) -> None:
    def drip(slow: list[socket.socket], enough: threading.Event) -> None:
        for byte in HALF_A_BLOCK * 100:
            for sock in slow:
                with suppress(OSError):  # closed by now
                    sock.send(bytes([byte]))
            if enough.wait(0.3):
                return

    with ThreadPoolExecutor(1) as pool, peers_are_kept(server) as peers:
        slow = [peers.enter_context(connect(server)) for _ in range(min(1000, open_files - SPARE_FILES))]
        enough = threading.Event()
        dripping = pool.submit(drip, slow, enough)
        peers.callback(dripping.result)  # the last in is the first out
        peers.callback(enough.set)


def client_hello() -> bytes:
    context = ssl.create_default_context()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="pbx.example").do_handshake()
    return outgoing.read()


def says(data: bytes) -> Callable[[socket.socket], None]:
    return lambda sock: sock.sendall(data)


def never_ends(sock: socket.socket) -> None:
    for number in count(1):  # until the server has had enough
        sock.sendall(b"agi_network: yes\n" * 50 + b"agi_arg_%d: x\n" % number)


def closes_its_half(sock: socket.socket) -> None:
    sock.sendall(HALF_A_BLOCK)
    sock.shutdown(socket.SHUT_WR)


def resets(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


@pytest.mark.parametrize(
    ("behave", "many"),
    [
        pytest.param(says(b"x" * 65535), 200, id="65535-bytes-without-a-line-end"),
        pytest.param(says(b"agi_callerid: " + b"1" * 65520 + b"\n"), 200, id="a-line-of-65535-bytes"),
        pytest.param(never_ends, 100, id="an-endless-block"),
        pytest.param(says(bytes(range(256)) * 64), 200, id="binary"),
        pytest.param(says(b"GET / HTTP/1.1\r\nHost: pbx.example\r\n\r\n"), 300, id="http"),
        pytest.param(says(client_hello()), 300, id="tls"),
        pytest.param(closes_its_half, 300, id="half-closed"),
        pytest.param(says(HALF_A_BLOCK), 300, id="half-a-block"),
        pytest.param(says(BLOCK), 1300, id="a-whole-block-and-no-reply"),
        pytest.param(socket.socket.close, 1000, id="scan-that-closes"),
        pytest.param(resets, 1000, id="scan-that-resets"),
    ],
)
def test_those_that_speak_no_agi_do_not_matter_to_calls(
    server: Product, open_files: int, behave: Callable[[socket.socket], None], many: int
) -> None:
    def disturb(peers: ExitStack) -> None:
        sock = peers.enter_context(connect(server))
        with suppress(OSError):  # closed before it had said all
            behave(sock)

    with peers_are_kept(server) as peers, ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(disturb, peers) for _ in range(min(many, open_files - SPARE_FILES))]:
            done.result()
