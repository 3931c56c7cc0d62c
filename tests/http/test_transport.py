"""The door to HTTP, against little servers on 127.0.0.1 that do what servers should not."""

from __future__ import annotations

import errno
import gzip
import itertools
import logging
import os
import re
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from callsign.http import connections, dialing
from callsign.http.connections import READ_BYTES
from callsign.http.messages import Answer, NoAnswer, Reply, Request
from callsign.http.transport import HttpTransport
from callsign.record import replace

NUMBER = "056528999"
HASH = "fce3bd3536e69f7fe78b15db89464f1979d06beef6d33f2477e641fbecd61d43"
QUERY = (("phonefrom", NUMBER), ("hash", HASH))
LONG_SECONDS = 30.0  # for what happens at once: only a fault makes anybody wait so long
SHORT_SECONDS = 0.5  # for a server that never comes to an end
PAUSE_SECONDS = 0.02  # between the drops of a dripping server
DROPS = 1500  # after which it gives its answer after all: then the deadline was not held
MEGABYTE = 1 << 20


class Line:
    """The server's end of one connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._read = b""

    def request(self) -> bytes:
        """The next request, head and body; empty when the client has closed."""
        while b"\r\n\r\n" not in self._read:
            data = self.sock.recv(65536)
            if not data:
                return b""
            self._read += data
        head, _, self._read = self._read.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        wanted = int(length[1]) if length else 0
        while len(self._read) < wanted:
            self._read += self.sock.recv(65536)
        body, self._read = self._read[:wanted], self._read[wanted:]
        return head + b"\r\n\r\n" + body

    def answer(self, body: bytes = b"ok", status: str = "200 OK", *headers: str) -> None:
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
        self.sock.sendall("\r\n".join(lines).encode("latin-1") + body)

    def reset(self) -> None:
        """Closes so that the client gets a RST (socket(7), SO_LINGER with 0)."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.sock.close()

    def wait_until_closed(self) -> None:
        """Returns when the client has closed; raises TimeoutError if it keeps the connection."""
        self.sock.settimeout(LONG_SECONDS)
        try:
            while self.sock.recv(65536):
                pass
        except ConnectionError:
            pass


Play = Callable[[Line], None]


class Peer:
    """A server on 127.0.0.1; every connection is handed to `play` in a thread of its own."""

    def __init__(self, play: Play, tls: ssl.SSLContext | None = None) -> None:
        self._play = play
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}/api/"
        self.connections = 0
        self.saw_close = threading.Event()  # a play has ended because the client had closed
        self.stopping = threading.Event()
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            if self.stopping.is_set():
                sock.close()
                return
            self.connections += 1
            self._open.append(sock)
            self._threads.append(threading.Thread(target=self._serve, args=(sock,)))
            self._threads[-1].start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
                self._open.append(sock)
            self._play(Line(sock))
        except TimeoutError:
            raise
        except OSError:
            self.saw_close.set()
        finally:
            sock.close()

    def drip(self, line: Line, drop: bytes) -> None:
        """Sends `drop` again and again until the client has closed, or for DROPS times."""
        for _ in range(DROPS):
            if self.stopping.wait(PAUSE_SECONDS):
                return
            line.sock.sendall(drop)

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        with socket.socket() as waker:  # create_connection() would ask for addresses that a test has replaced
            waker.connect(("127.0.0.1", self.port))
        self._listener.close()
        for sock in self._open:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        for thread in self._threads:
            thread.join(LONG_SECONDS)
            assert not thread.is_alive()


def well(line: Line) -> None:
    """Answers every request with 200 and "ok"."""
    while line.request():
        line.answer()


def request_to(peer: Peer, method: str = "POST", **more: Any) -> Request:
    return Request(method, peer.url, **{"query": QUERY, **more})


@pytest.fixture
def transport() -> Iterator[HttpTransport]:
    made = HttpTransport()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def nothing_told(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No test of this file may leave a number or a hash in a log, however talkative that is set."""
    caplog.set_level(logging.DEBUG)
    yield
    for record in caplog.get_records("call"):
        whole = logging.Formatter().format(record)
        assert NUMBER not in whole
        assert HASH not in whole


def no_answer(reply: Reply, words: str, sent: bool) -> None:
    assert isinstance(reply, NoAnswer)
    assert words in reply.reason
    assert reply.sent is sent
    for secret in (NUMBER, HASH, "phonefrom", "/api/"):
        assert secret not in repr(reply)


@dataclass(frozen=True)
class Certificates:
    """A home-made CA, and certificates of a server by it and by another one that is no CA's."""

    folder: Path

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    def server_context(self, name: str = "good") -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        return context


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*args: str) -> None:
        subprocess.run(["openssl", *args], cwd=folder, check=True, capture_output=True)

    def new_key(name: str) -> None:
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key")

    def new_ca(name: str) -> None:
        new_key(name)
        extensions = (
            "-addext",
            "basicConstraints=critical,CA:TRUE",
            "-addext",
            "keyUsage=critical,keyCertSign,cRLSign",
        )
        subject = ("-subj", f"/CN={name} of the test", "-days", "2")
        openssl("req", "-x509", "-new", "-key", f"{name}.key", "-out", f"{name}.pem", *subject, *extensions)

    def new_server(name: str, names: str, days: int = 2) -> None:
        new_key(name)
        openssl("req", "-new", "-key", f"{name}.key", "-out", f"{name}.csr", "-subj", "/CN=recorder")
        (folder / f"{name}.ext").write_text(
            f"subjectAltName={names}\nauthorityKeyIdentifier=keyid\nbasicConstraints=CA:FALSE\n", encoding="utf-8"
        )
        openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-set_serial", "7"),
            *("-days", f"{days}", "-extfile", f"{name}.ext", "-out", f"{name}.pem"),
        )

    new_ca("ca")
    new_ca("other")
    new_server("good", "IP:127.0.0.1,DNS:recorder.invalid")
    new_server("misnamed", "DNS:recorder.example,IP:192.0.2.1")
    new_server("expired", "IP:127.0.0.1", days=-1)
    return Certificates(folder)


# -- a good exchange ---------------------------------------------------------------------------------


class Noting:
    """Plays well and keeps the requests."""

    def __init__(self, *headers: str) -> None:
        self.requests: list[bytes] = []
        self._headers = headers

    def __call__(self, line: Line) -> None:
        while request := line.request():
            self.requests.append(request)
            line.answer(b"ok", "200 OK", *self._headers)


def test_the_answer_has_status_body_headers_in_lower_case_and_our_time(transport: HttpTransport) -> None:
    def play(line: Line) -> None:
        line.request()
        line.answer(b'{"Status":"OK"}', "203 Fine", "DATE: Fri, 03 May 2019 13:57:10 GMT")

    before = time.time()
    with Peer(play) as peer:
        reply = transport.send(request_to(peer), LONG_SECONDS)
    assert isinstance(reply, Answer)
    assert (reply.status, reply.body) == (203, b'{"Status":"OK"}')
    assert reply.headers["date"] == "Fri, 03 May 2019 13:57:10 GMT"
    assert before <= reply.at <= time.time()


def test_links_that_come_in_lines_of_their_own_are_all_there(transport: HttpTransport) -> None:
    with Peer(Noting('Link: </?page=2>; rel="next"', 'link: </?page=9>; rel="last"')) as peer:
        reply = transport.send(request_to(peer, "GET"), LONG_SECONDS)
    assert isinstance(reply, Answer)
    assert reply.headers["link"] == '</?page=2>; rel="next", </?page=9>; rel="last"'


def test_a_post_with_an_empty_body_says_so(transport: HttpTransport) -> None:
    play = Noting()
    with Peer(play) as peer:
        transport.send(request_to(peer), LONG_SECONDS)
        transport.send(request_to(peer, body=b"four"), LONG_SECONDS)
        transport.send(request_to(peer, "GET"), LONG_SECONDS)
    empty, full, get = (request.lower() for request in play.requests)
    assert b"content-length: 0\r\n" in empty
    assert b"content-length: 4\r\n" in full
    assert full.endswith(b"\r\n\r\nfour")
    assert b"content-length" not in get
    assert b"content-type" not in empty


def test_the_product_names_itself_and_a_requests_own_headers_win(transport: HttpTransport) -> None:
    play = Noting()
    with Peer(play) as peer:
        transport.send(request_to(peer, headers={"Accept": "application/json", "X-Own": "1"}), LONG_SECONDS)
    head = play.requests[0].decode()
    assert re.search(r"User-Agent: callsign/\d", head)
    assert "Accept: application/json\r\n" in head
    assert "*/*" not in head
    assert "X-Own: 1\r\n" in head


@pytest.fixture(scope="module")
def noting() -> Iterator[tuple[Peer, Noting]]:
    play = Noting()
    with Peer(play) as peer:
        yield peer, play


@given(st.lists(st.tuples(st.text(min_size=1), st.text()), min_size=1, max_size=4))
@hypothesis_settings(max_examples=60, deadline=None)
def test_the_url_goes_out_exactly_as_built(noting: tuple[Peer, Noting], pairs: list[tuple[str, str]]) -> None:
    peer, play = noting
    query = tuple((n.encode("utf-8", "replace").decode(), v.encode("utf-8", "replace").decode()) for n, v in pairs)
    request = Request("POST", peer.url, query)
    transport = HttpTransport()
    transport.send(request, LONG_SECONDS)
    transport.close()
    target = request.full_url().removeprefix(f"http://127.0.0.1:{peer.port}")
    assert play.requests[-1].startswith(f"POST {target} HTTP/1.1\r\n".encode())


@pytest.mark.parametrize("path", ["", "/", "/api", "/api/", "/a/../b/./c", "/%7Efoo/", "/a%2Fb"])
def test_the_path_goes_out_exactly_as_configured(transport: HttpTransport, path: str) -> None:
    # A vendor that signs the URL signs the one that was written.
    play = Noting()
    with Peer(play) as peer:
        transport.send(Request("POST", f"http://127.0.0.1:{peer.port}{path}", (("a", "~b"),)), LONG_SECONDS)
    assert play.requests[0].startswith(f"POST {path or '/'}?a=~b HTTP/1.1\r\n".encode())


def test_a_connection_is_kept_and_used_again(transport: HttpTransport) -> None:
    with Peer(well) as peer:
        replies = [transport.send(request_to(peer), LONG_SECONDS) for _ in range(5)]
        assert peer.connections == 1
    assert all(isinstance(reply, Answer) for reply in replies)


@pytest.mark.parametrize(("is_safe", "comes"), [(True, 2), (False, 1)])
def test_a_safe_request_that_meets_the_end_of_a_kept_connection_goes_out_once_more(
    transport: HttpTransport, is_safe: bool, comes: int
) -> None:
    connections = itertools.count()

    def hangs_up_on_the_second(line: Line) -> None:
        if next(connections):
            line.request()
            line.answer(b"new")
            return
        line.request()
        line.answer()
        line.request()  # and no answer: its time for this connection was over as the request came

    with Peer(hangs_up_on_the_second) as peer:
        assert isinstance(transport.send(request_to(peer), LONG_SECONDS), Answer)
        reply = transport.send(replace(request_to(peer), is_safe=is_safe), LONG_SECONDS)
        assert peer.connections == comes
    assert isinstance(reply, Answer) is is_safe


@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
def test_a_safe_request_that_a_new_connection_loses_is_not_repeated(transport: HttpTransport, method: str) -> None:
    with Peer(lambda line: line.request() and None) as peer:
        reply = transport.send(replace(request_to(peer, method), is_safe=True), LONG_SECONDS)
        assert peer.connections == 1
    assert isinstance(reply, NoAnswer)


def test_a_request_that_is_to_be_repeated_later_is_not_repeated_here(transport: HttpTransport) -> None:
    came = []

    def play(line: Line) -> None:
        while request := line.request():
            came.append(request)
            line.answer(b"", "503 Busy", "Retry-After: 0")

    with Peer(play) as peer:
        reply = transport.send(request_to(peer, "GET"), LONG_SECONDS)
    assert isinstance(reply, Answer)
    assert len(came) == 1


def test_a_kept_connection_that_the_server_has_closed_is_replaced(transport: HttpTransport) -> None:
    closed = threading.Event()

    def once(line: Line) -> None:
        line.request()
        line.answer()
        line.sock.shutdown(socket.SHUT_RDWR)
        closed.set()

    with Peer(once) as peer:
        for n in range(3):
            closed.clear()
            assert isinstance(transport.send(request_to(peer), LONG_SECONDS), Answer)
            assert closed.wait(LONG_SECONDS)
            assert peer.connections == n + 1


def test_a_connection_that_has_rested_for_long_is_not_used_again(
    transport: HttpTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deaf_behind_the_first(line: Line) -> None:  # as behind a NAT that has forgotten the connection
        line.request()
        line.answer()
        peer.stopping.wait(LONG_SECONDS)

    monkeypatch.setattr(connections, "REST_SECONDS", 0.0)
    with Peer(deaf_behind_the_first) as peer:
        for _ in range(2):
            assert isinstance(transport.send(request_to(peer), SHORT_SECONDS), Answer)
        assert peer.connections == 2


def test_an_exchange_that_ended_late_does_not_hurry_the_next_one(transport: HttpTransport) -> None:
    slow = threading.Event()

    def play(line: Line) -> None:
        while line.request():
            if slow.is_set():
                peer.stopping.wait(2 * SHORT_SECONDS)  # longer than the first exchange had altogether
            line.answer()

    with Peer(play) as peer:
        assert isinstance(transport.send(request_to(peer), SHORT_SECONDS), Answer)
        slow.set()
        assert isinstance(transport.send(request_to(peer), LONG_SECONDS), Answer)
        assert peer.connections == 1


def test_every_thread_gets_the_answer_to_its_own_request(transport: HttpTransport) -> None:
    def echo(line: Line) -> None:
        while request := line.request():
            line.answer(request.split(b" ")[1])

    def ask(n: int) -> bytes:
        reply = transport.send(Request("POST", f"{peer.url}{n}"), LONG_SECONDS)
        assert isinstance(reply, Answer)
        return reply.body

    with Peer(echo) as peer, ThreadPoolExecutor(20) as pool:
        assert list(pool.map(ask, range(200))) == [f"/api/{n}".encode() for n in range(200)]


def test_of_many_hosts_only_so_many_have_connections_that_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST_HOSTS", 12)
    transport = HttpTransport()
    ended = threading.Semaphore(0)

    def play(line: Line) -> None:
        well(line)
        ended.release()

    with ExitStack() as opened:
        opened.callback(transport.close)
        peers = [opened.enter_context(Peer(play)) for _ in range(15)]
        for peer in (*peers, *peers[-12:]):  # those of the latest are used again
            assert isinstance(transport.send(request_to(peer), LONG_SECONDS), Answer)
        for _ in peers[:3]:  # the others' are closed
            assert ended.acquire(timeout=LONG_SECONDS)
        assert [peer.connections for peer in peers] == [1] * 15
        assert isinstance(transport.send(request_to(peers[0]), LONG_SECONDS), Answer)
        assert peers[0].connections == 2


def test_after_close_nothing_is_kept() -> None:
    transport = HttpTransport()
    ended = threading.Event()

    def play(line: Line) -> None:
        well(line)
        ended.set()

    with Peer(play) as peer:
        transport.send(request_to(peer), LONG_SECONDS)
        transport.close()
        assert ended.wait(LONG_SECONDS)


# -- an answer reaches the request that it answers, or nobody ----------------------------------------


SMALL = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
INTERIM = {
    "100": b"HTTP/1.1 100 Continue\r\n\r\n",
    "102": b"HTTP/1.1 102 Processing\r\nContent-Length: 5\r\n\r\n",
    "103": HINTS,
    "199, unknown to all": b"HTTP/1.1 199 Thinking\r\nConnection: close\r\n\r\n",
    "several": HINTS + b"HTTP/1.1 100 Continue\r\n\r\n" + HINTS,
}
UNASKED = {
    "a second answer": SMALL + SMALL,
    "a second answer, begun": SMALL + b"HTTP/1.1 2",
    "a byte behind the body": SMALL + b"\n",
    "bytes behind an empty body": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nmore",
    "an answer behind one that fills a read": (
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (READ_BYTES - 41, b"x" * (READ_BYTES - 41)) + SMALL
    ),
    "bytes behind the chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1",
    "interim behind the answer": SMALL + HINTS,
    "a body where none can be": b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok",
}
ODD = {
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
    "a body that is yet to come": b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n",
    "the length of what is not there": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n",
    "two framings": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "the same length twice": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "a length with a sign": b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
    "an encoding below the chunks": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    ),
    "a header that is none": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nno colon here\r\n\r\nok",
}


class FirstOdd:
    """Answers the first request as the test says, the first of every other connection with "own"; all else is wrong."""

    def __init__(self, answer: Callable[[Line], object]) -> None:
        self._answer = answer
        self._connections = itertools.count()
        self.went = threading.Event()

    def __call__(self, line: Line) -> None:
        first = next(self._connections) == 0
        line.request()
        if first:
            self._answer(line)
            self.went.set()
        else:
            line.answer(b"own")
        while line.request():
            line.answer(b"wrong" if first else b"own")


def bodies(transport: HttpTransport, peer: Peer, play: FirstOdd, **more: Any) -> list[bytes | None]:
    """Of an exchange that meets something odd, and of two behind it."""
    replies = [transport.send(request_to(peer, **more), LONG_SECONDS)]
    assert play.went.wait(LONG_SECONDS)
    replies += [transport.send(request_to(peer, **more), LONG_SECONDS) for _ in range(2)]
    return [reply.body if isinstance(reply, Answer) else None for reply in replies]


@pytest.fixture(params=["http", "https"])
def secured(request: pytest.FixtureRequest, certificates: Certificates) -> tuple[ssl.SSLContext | None, dict[str, Any]]:
    """What the peer and the request need for that scheme."""
    if request.param == "http":
        return None, {}
    return certificates.server_context(), {"verify": str(certificates.ca)}


Secured = tuple[ssl.SSLContext | None, dict[str, Any]]


@pytest.mark.parametrize("interim", INTERIM.values(), ids=INTERIM)
@pytest.mark.parametrize("at_once", [True, False])
def test_an_interim_answer_is_passed_over_and_the_connection_kept(
    transport: HttpTransport, secured: Secured, interim: bytes, at_once: bool
) -> None:
    replies = itertools.count()

    def play(line: Line) -> None:
        while line.request():
            if at_once:
                line.sock.sendall(interim + f"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{next(replies)}".encode())
                continue
            line.sock.sendall(interim)
            peer.stopping.wait(PAUSE_SECONDS)
            line.answer(b"%d" % next(replies))

    context, more = secured
    with Peer(play, context) as peer:
        told = [transport.send(request_to(peer, **more), LONG_SECONDS) for _ in range(3)]
        assert [reply.body for reply in told if isinstance(reply, Answer)] == [b"0", b"1", b"2"]
        assert peer.connections == 1


def test_a_close_behind_an_interim_answer_is_no_answer(transport: HttpTransport) -> None:
    def play(line: Line) -> None:
        line.request()
        line.sock.sendall(HINTS)

    with Peer(play) as peer:
        no_answer(transport.send(request_to(peer), LONG_SECONDS), "broke off", sent=True)


@pytest.mark.parametrize("raw", UNASKED.values(), ids=UNASKED)
def test_a_connection_with_anything_left_over_is_not_used_again(
    transport: HttpTransport, secured: Secured, raw: bytes
) -> None:
    play = FirstOdd(lambda line: line.sock.sendall(raw))
    context, more = secured
    with Peer(play, context) as peer:
        assert bodies(transport, peer, play, **more)[1:] == [b"own", b"own"]
        assert peer.connections == 2


@pytest.mark.parametrize("late", [SMALL, HINTS, b"\n"])
def test_what_comes_unasked_while_a_connection_waits_spoils_it(
    transport: HttpTransport, secured: Secured, late: bytes
) -> None:
    read = threading.Event()

    def twice(line: Line) -> None:
        line.answer()
        assert read.wait(LONG_SECONDS)
        line.sock.sendall(late)

    play = FirstOdd(twice)
    context, more = secured
    with Peer(play, context) as peer:
        assert isinstance(transport.send(request_to(peer, **more), LONG_SECONDS), Answer)
        read.set()
        assert play.went.wait(LONG_SECONDS)
        reply = transport.send(request_to(peer, **more), LONG_SECONDS)
        assert isinstance(reply, Answer)
        assert reply.body == b"own"


@pytest.mark.parametrize("raw", ODD.values(), ids=ODD)
def test_a_connection_on_which_anything_odd_was_seen_is_not_used_again(
    transport: HttpTransport, secured: Secured, raw: bytes
) -> None:
    def odd(line: Line) -> None:
        line.sock.sendall(raw)

    play = FirstOdd(odd)
    context, more = secured
    with Peer(play, context) as peer:
        first, *others = bodies(transport, peer, play, **more)
        assert first is not None
        assert others == [b"own", b"own"]
        assert peer.connections == 2


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",  # taken for "all that comes"
        b"HTTP/1.1 100 Continue\r\n",  # and headers without end
    ],
)
def test_bytes_without_end_are_cut_whatever_they_are_meant_to_be(transport: HttpTransport, raw: bytes) -> None:
    def play(line: Line) -> None:
        line.request()
        while True:
            line.sock.sendall(raw + b"HTTP/1.1 103 Early Hints\r\n\r\n" * 10_000)

    with Peer(play) as peer:
        reply = transport.send(request_to(peer, max_bytes=MEGABYTE // 16), 10 * LONG_SECONDS)
        assert isinstance(reply, NoAnswer)
        assert peer.saw_close.wait(LONG_SECONDS)


# -- not clever --------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_a_redirect_is_an_answer_and_is_not_followed(transport: HttpTransport, status: str) -> None:
    with Peer(well) as other:

        def play(line: Line) -> None:
            line.request()
            line.answer(b"there", status, f"Location: {other.url}")

        with Peer(play) as peer:
            reply = transport.send(request_to(peer), LONG_SECONDS)
        assert isinstance(reply, Answer)
        assert (reply.status, reply.body) == (int(status[:3]), b"there")
        assert other.connections == 0


def test_the_environments_proxies_and_passwords_are_ignored(
    transport: HttpTransport, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login administrator password swordfish\n", encoding="utf-8")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    play = Noting()
    with Peer(well) as proxy, Peer(play) as peer:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert isinstance(transport.send(request_to(peer), LONG_SECONDS), Answer)
        assert isinstance(
            transport.send(request_to(peer, headers={"Authorization": "Hawk ours"}), LONG_SECONDS), Answer
        )
        assert proxy.connections == 0
    assert b"authorization" not in play.requests[0].lower()
    assert b"Authorization: Hawk ours\r\n" in play.requests[1]


def test_cookies_are_not_kept(transport: HttpTransport) -> None:
    play = Noting("Set-Cookie: JSESSIONID=1; Path=/")
    with Peer(play) as peer:
        for _ in range(2):
            transport.send(request_to(peer), LONG_SECONDS)
    assert len(play.requests) == 2
    assert b"cookie" not in play.requests[1].lower()


# -- servers that are not well -----------------------------------------------------------------------


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_a_refused_connection_has_sent_nothing(transport: HttpTransport) -> None:
    port = free_port()
    reply = transport.send(Request("POST", f"http://127.0.0.1:{port}/api/", QUERY), LONG_SECONDS)
    no_answer(reply, f"127.0.0.1:{port} refuses connections", sent=False)


def test_a_name_that_does_not_resolve_has_sent_nothing(
    transport: HttpTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    for scheme in ("http", "https"):
        reply = transport.send(Request("POST", f"{scheme}://crm.invalid/api/", QUERY), LONG_SECONDS)
        no_answer(reply, "the name of crm.invalid cannot be resolved (Name or service not known)", sent=False)


def addresses(monkeypatch: pytest.MonkeyPatch, *found: tuple[str, int]) -> None:
    """Lets every name stand for these addresses."""
    known = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in found]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: known)


def test_the_next_address_of_a_host_is_tried(transport: HttpTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    with Peer(well) as peer:
        addresses(monkeypatch, ("127.0.0.1", free_port()), ("127.0.0.1", peer.port))
        reply = transport.send(Request("POST", "http://crm.invalid/api/", QUERY), LONG_SECONDS)
        assert isinstance(reply, Answer)


class Dead:
    """An address that takes no connection and refuses none: its queue is full, the kernel drops what comes."""

    def __init__(self, family: int = socket.AF_INET) -> None:
        host = "::1" if family == socket.AF_INET6 else "127.0.0.1"
        self._listener = socket.create_server((host, 0), family=family, backlog=0)
        self.address = self._listener.getsockname()
        self.entry = (family, socket.SOCK_STREAM, 6, "", self.address)
        self._waiting = [socket.socket(family) for _ in range(4)]
        for sock in self._waiting:
            sock.setblocking(False)
            sock.connect_ex(self.address)

    def close(self) -> None:
        for sock in (*self._waiting, self._listener):
            sock.close()


@pytest.fixture
def dead() -> Iterator[Callable[..., Dead]]:
    made: list[Dead] = []

    def make(family: int = socket.AF_INET) -> Dead:
        made.append(Dead(family))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The addresses to which a connection was begun, in order."""
    monkeypatch.setattr(dialing, "_worked", {})
    found: list[Any] = []
    connect = socket.socket.connect

    def noting(sock: socket.socket, address: Any) -> None:
        found.append(address)
        connect(sock, address)

    monkeypatch.setattr(socket.socket, "connect", noting)
    return found


ASK_SECONDS = 3.0  # what a question has, unless it says otherwise


def test_a_dead_address_costs_no_exchange_and_the_one_that_worked_is_the_first_next_time(
    transport: HttpTransport, dead: Callable[..., Dead], tried: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def once(line: Line) -> None:
        line.request()
        line.answer(b"ok", "200 OK", "Connection: close")

    with Peer(once) as peer:
        gone, here = dead().address, ("127.0.0.1", peer.port)
        addresses(monkeypatch, gone, here)
        for _ in range(3):
            assert isinstance(transport.send(Request("POST", "http://crm.invalid/", QUERY), ASK_SECONDS), Answer)
        assert tried == [gone, here, here, here]


def test_where_the_one_that_worked_is_dead_another_is_found(
    transport: HttpTransport, dead: Callable[..., Dead], tried: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Peer(well) as peer:
        gone, here = dead().address, ("127.0.0.1", peer.port)
        addresses(monkeypatch, here, gone)
        dialing._worked["crm.invalid", 80] = gone
        assert isinstance(transport.send(Request("POST", "http://crm.invalid/", QUERY), ASK_SECONDS), Answer)
        assert tried == [gone, here]
        assert dialing._worked["crm.invalid", 80] == here


def test_a_dead_address_before_one_with_tls(
    transport: HttpTransport,
    certificates: Certificates,
    dead: Callable[..., Dead],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Peer(well, certificates.server_context()) as peer:
        addresses(monkeypatch, dead().address, ("127.0.0.1", peer.port))
        request = Request("POST", "https://recorder.invalid/rest/", QUERY, verify=str(certificates.ca))
        assert isinstance(transport.send(request, ASK_SECONDS), Answer)


def test_the_other_family_is_tried_second_however_many_the_first_one_has(
    transport: HttpTransport, dead: Callable[..., Dead], tried: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = [dead(socket.AF_INET6) for _ in range(3)]
    with Peer(well) as peer:
        here = ("127.0.0.1", peer.port)
        found = [*(one.entry for one in gone), (socket.AF_INET, socket.SOCK_STREAM, 6, "", here)]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        assert isinstance(transport.send(Request("POST", "http://crm.invalid/", QUERY), ASK_SECONDS), Answer)
        assert tried == [gone[0].address, here]


def test_where_all_addresses_are_dead_the_deadline_holds(
    transport: HttpTransport, dead: Callable[..., Dead], tried: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = [dead().address for _ in range(2)]
    addresses(monkeypatch, *gone)
    reply = transport.send(Request("POST", "http://crm.invalid/", QUERY), 1.0)
    no_answer(reply, "no connection to crm.invalid within 1.0 s", sent=False)
    assert tried == gone


def test_addresses_that_all_refuse_are_a_host_that_refuses(
    transport: HttpTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses(monkeypatch, ("127.0.0.1", free_port()), ("127.0.0.1", free_port()))
    reply = transport.send(Request("POST", "http://crm.invalid/", QUERY), LONG_SECONDS)
    no_answer(reply, "crm.invalid refuses connections", sent=False)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EHOSTUNREACH, "No route to host"),
        (errno.ENETUNREACH, "Network is unreachable"),
        (errno.EMFILE, "Too many open files"),
        (errno.ECONNRESET, "Connection reset by peer"),  # urllib3 takes these two for a server that answers early
        (errno.EPIPE, "Broken pipe"),
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_connection_that_fails_in_another_way_has_sent_nothing(
    transport: HttpTransport, monkeypatch: pytest.MonkeyPatch, scheme: str, number: int, words: str
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(socket.socket, "connect", failing)  # no packet of a test leaves this machine
    reply = transport.send(Request("POST", f"{scheme}://127.0.0.1:9/api/", QUERY), LONG_SECONDS)
    no_answer(reply, f"127.0.0.1:9: {words}", sent=False)


@pytest.mark.parametrize(
    "url", ["http://[::1/api/", "http://a..b/api/", f"http://{'a' * 64}.example/api/", "ftp://h/x"]
)
def test_an_unusable_address_has_sent_nothing(transport: HttpTransport, url: str) -> None:
    no_answer(transport.send(Request("POST", url, QUERY), LONG_SECONDS), "check url in the settings", sent=False)


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_without_any_time_nothing_is_sent(transport: HttpTransport, seconds: float) -> None:
    with Peer(well) as peer:
        no_answer(transport.send(request_to(peer), seconds), "no connection to", sent=False)
        assert isinstance(transport.send(request_to(peer), LONG_SECONDS), Answer)
        no_answer(transport.send(request_to(peer), seconds), "no connection to", sent=False)


def test_a_reset_after_the_request_may_have_been_an_acceptance(transport: HttpTransport) -> None:
    def play(line: Line) -> None:
        line.request()
        line.reset()

    with Peer(play) as peer:
        no_answer(transport.send(request_to(peer), LONG_SECONDS), f"127.0.0.1:{peer.port}", sent=True)


def test_a_reset_at_once_is_no_answer(transport: HttpTransport) -> None:
    with Peer(Line.reset) as peer:
        reply = transport.send(request_to(peer), LONG_SECONDS)
    assert isinstance(reply, NoAnswer)  # who is faster decides whether the request was out


def test_a_close_instead_of_an_answer(transport: HttpTransport) -> None:
    with Peer(lambda line: line.request() and None) as peer:
        no_answer(transport.send(request_to(peer), LONG_SECONDS), "broke off", sent=True)


@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhalf",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n\x1f\x8b\x08",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 2",
    ],
)
def test_a_close_in_the_middle_of_the_answer(transport: HttpTransport, start: bytes) -> None:
    # http.client takes the end of the connection for the end of the headers, and a recorder's empty 200 is a yes.
    def play(line: Line) -> None:
        line.request()
        line.sock.sendall(start)

    with Peer(play) as peer:
        reply = transport.send(request_to(peer), LONG_SECONDS)
    assert isinstance(reply, NoAnswer)
    assert reply.sent


def test_garbage_instead_of_http_is_told_from_a_broken_line(transport: HttpTransport) -> None:
    def play(line: Line) -> None:
        line.request()
        line.sock.sendall(f"220 mail.example ESMTP {NUMBER} {HASH}\r\n".encode())

    with Peer(play) as peer:
        no_answer(transport.send(request_to(peer), LONG_SECONDS), "is no HTTP; check url", sent=True)


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nno colon here\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\n: no name\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: two\r\nConnection: close\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\nConnection: close\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\nConnection: close\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 500 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"b" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\xff\xfe: \x00\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\nContent-Length: 4\r\n\r\n\xff\xff\xff\xff",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 20_000 + b"\r\n",
        b"HTTP/1.1 999 \xff\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 000 x\r\n\r\n",
        b"HTTP/1.1 -1 x\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 1000,
        b"HTTP/1.1 204 None\r\nContent-Length: 5\r\n\r\nhello",
        b"\r\n\r\n",
        b"\x15\x03\x03\x00\x02\x02\x28",
        b"",
    ],
)
def test_a_malformed_answer_neither_raises_nor_shows_the_url(transport: HttpTransport, raw: bytes) -> None:
    # urllib3 writes the whole URL into its warning about headers that it cannot read.
    def play(line: Line) -> None:
        line.request()
        line.sock.sendall(raw)
        line.sock.shutdown(socket.SHUT_WR)
        line.wait_until_closed()

    with Peer(play) as peer:
        reply = transport.send(request_to(peer), LONG_SECONDS)
        transport.close()
    assert isinstance(reply, Answer | NoAnswer)
    for secret in (NUMBER, HASH):
        assert secret not in repr(reply)
    if isinstance(reply, NoAnswer):
        assert reply.sent


# -- the deadline of the whole exchange --------------------------------------------------------------


DRIPS = {
    "headers": (b"HTTP/1.1 200 OK\r\nX-Long: ", b"x", b"\r\nContent-Length: 0\r\n\r\n"),
    "status line": (b"HTTP/1.1 200 ", b"x", b"\r\nContent-Length: 0\r\n\r\n"),
    "interim answers": (
        b"HTTP/1.1 103 Early Hints\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ),
    "body": (f"HTTP/1.1 200 OK\r\nContent-Length: {DROPS}\r\n\r\n".encode(), b"x", b""),
    "body without length": (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b"x", b""),
    "chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", b"0\r\n\r\n"),
    "length of a chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0", b"\r\n\r\n"),
}


@pytest.mark.parametrize("where", DRIPS)
@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_a_server_that_drips_is_cut_off_at_the_deadline(
    transport: HttpTransport, certificates: Certificates, where: str, secure: bool
) -> None:
    """A limit for each read would never end this one; without the deadline the answer would come, after DROPS."""
    start, drop, end = DRIPS[where]

    def play(line: Line) -> None:
        line.request()
        line.answer()
        line.request()
        line.sock.sendall(start)
        peer.drip(line, drop)
        line.sock.sendall(end)

    with Peer(play, certificates.server_context() if secure else None) as peer:
        request = request_to(peer, verify=str(certificates.ca) if secure else True)
        assert isinstance(transport.send(request, LONG_SECONDS), Answer)  # so that the connection is there
        reply = transport.send(request, SHORT_SECONDS)
        no_answer(reply, f"no answer from 127.0.0.1:{peer.port} within {SHORT_SECONDS} s", sent=True)
        assert peer.saw_close.wait(LONG_SECONDS)


@pytest.mark.parametrize("first", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel"])
@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_a_server_that_falls_silent_is_cut_off_at_the_deadline(
    transport: HttpTransport, certificates: Certificates, first: bytes, secure: bool
) -> None:
    closed = threading.Event()

    def play(line: Line) -> None:
        line.request()
        line.answer()
        line.request()
        line.sock.sendall(first)
        line.wait_until_closed()
        closed.set()

    with Peer(play, certificates.server_context() if secure else None) as peer:
        request = request_to(peer, verify=str(certificates.ca) if secure else True)
        assert isinstance(transport.send(request, LONG_SECONDS), Answer)
        no_answer(transport.send(request, SHORT_SECONDS), "no answer from", sent=True)
        assert closed.wait(LONG_SECONDS)


def test_a_silent_tls_handshake_has_sent_nothing_and_ends_at_the_deadline(transport: HttpTransport) -> None:
    closed = threading.Event()

    def play(line: Line) -> None:
        line.wait_until_closed()
        closed.set()

    with Peer(play) as peer:
        url = peer.url.replace("http:", "https:")
        no_answer(transport.send(Request("POST", url, QUERY), SHORT_SECONDS), "no connection to", sent=False)
        assert closed.wait(LONG_SECONDS)


def test_a_tls_handshake_that_drips_ends_at_the_deadline(transport: HttpTransport) -> None:
    def play(line: Line) -> None:
        line.sock.sendall(b"\x16\x03\x03\x40\x00")  # a handshake record of 16 KiB begins (RFC 8446 5.1)
        peer.drip(line, b"\x02")

    with Peer(play) as peer:
        url = peer.url.replace("http:", "https:")
        no_answer(transport.send(Request("POST", url, QUERY), SHORT_SECONDS), "no connection to", sent=False)
        assert peer.saw_close.wait(LONG_SECONDS)


def test_a_server_that_takes_no_bytes_is_cut_off_at_the_deadline(transport: HttpTransport) -> None:
    in_time = threading.Event()

    def play(line: Line) -> None:
        line.request()
        line.answer()
        if peer.stopping.wait(LONG_SECONDS):  # reads nothing more: the client's request fills both buffers
            in_time.set()

    with Peer(play) as peer:
        assert isinstance(transport.send(request_to(peer), 10 * LONG_SECONDS), Answer)
        reply = transport.send(request_to(peer, body=b"x" * 64 * MEGABYTE), SHORT_SECONDS)
        no_answer(reply, "no answer from", sent=True)
    assert in_time.is_set()


# -- the size of the answer --------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["200 OK", "302 Found", "500 Broken"])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_huge_answer_is_cut_without_reading_it_all(transport: HttpTransport, status: str, chunked: bool) -> None:
    whole = 100
    sent = 0

    def play(line: Line) -> None:
        nonlocal sent
        line.request()
        size = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {whole * MEGABYTE}"
        line.sock.sendall(f"HTTP/1.1 {status}\r\nLocation: {peer.url}\r\n{size}\r\n\r\n".encode())
        for _ in range(whole):
            line.sock.sendall((b"100000\r\n" if chunked else b"") + b"x" * MEGABYTE + (b"\r\n" if chunked else b""))
            sent += 1

    with Peer(play) as peer:
        reply = transport.send(request_to(peer, max_bytes=MEGABYTE), LONG_SECONDS)
        no_answer(reply, f"the answer is larger than {MEGABYTE} bytes", sent=True)
        assert peer.saw_close.wait(LONG_SECONDS)
    assert sent < whole


def test_an_answer_of_just_the_permitted_size_is_whole(transport: HttpTransport) -> None:
    def play(line: Line) -> None:
        while line.request():
            line.answer(b"x" * 1000)

    with Peer(play) as peer:
        reply = transport.send(request_to(peer, max_bytes=1000), LONG_SECONDS)
        assert isinstance(reply, Answer)
        assert reply.body == b"x" * 1000
        no_answer(transport.send(request_to(peer, max_bytes=999), LONG_SECONDS), "larger than 999", sent=True)


def test_a_gzip_body_is_unpacked(transport: HttpTransport) -> None:
    def play(line: Line) -> None:
        assert b"Accept-Encoding: gzip" in line.request()
        line.answer(gzip.compress(b'{"Status":"OK"}'), "200 OK", "Content-Encoding: gzip")

    with Peer(play) as peer:
        reply = transport.send(request_to(peer), LONG_SECONDS)
    assert isinstance(reply, Answer)
    assert reply.json() == {"Status": "OK"}


def test_a_gzip_bomb_is_cut(transport: HttpTransport) -> None:
    bomb = gzip.compress(bytes(64 * MEGABYTE))
    assert len(bomb) < MEGABYTE / 10

    def play(line: Line) -> None:
        line.request()
        line.answer(bomb, "200 OK", "Content-Encoding: gzip")
        line.wait_until_closed()

    with Peer(play) as peer:
        no_answer(transport.send(request_to(peer, max_bytes=MEGABYTE), LONG_SECONDS), "larger than", sent=True)


# -- TLS ---------------------------------------------------------------------------------------------


def test_an_unknown_ca_is_refused_and_the_reason_names_verify(
    transport: HttpTransport, certificates: Certificates
) -> None:
    play = Noting()
    with Peer(play, certificates.server_context()) as peer:
        reply = transport.send(request_to(peer), LONG_SECONDS)
        no_answer(reply, "is not trusted", sent=False)
        assert isinstance(reply, NoAnswer)
        assert "set verify to the file of its CA" in reply.reason
    assert play.requests == []


def test_the_given_ca_file_makes_the_server_trusted(transport: HttpTransport, certificates: Certificates) -> None:
    play = Noting()
    with Peer(play, certificates.server_context()) as peer:
        for _ in range(2):
            assert isinstance(transport.send(request_to(peer, verify=str(certificates.ca)), LONG_SECONDS), Answer)
        assert peer.connections == 1
        no_answer(transport.send(request_to(peer), LONG_SECONDS), "is not trusted", sent=False)
    assert len(play.requests) == 2


def test_the_certificates_of_the_environment_are_ignored(
    transport: HttpTransport, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(certificates.ca))
    with Peer(well, certificates.server_context()) as peer:
        no_answer(transport.send(request_to(peer), LONG_SECONDS), "is not trusted", sent=False)


def test_a_wrong_host_name_is_refused_although_the_ca_is_right(
    transport: HttpTransport, certificates: Certificates
) -> None:
    play = Noting()
    with Peer(play, certificates.server_context("misnamed")) as peer:
        reply = transport.send(request_to(peer, verify=str(certificates.ca)), LONG_SECONDS)
        no_answer(reply, "url must have a name that the certificate has", sent=False)
    assert play.requests == []


def test_an_expired_certificate_is_refused_and_the_reason_names_our_clock(
    transport: HttpTransport, certificates: Certificates
) -> None:
    with Peer(well, certificates.server_context("expired")) as peer:
        reply = transport.send(request_to(peer, verify=str(certificates.ca)), LONG_SECONDS)
        no_answer(reply, "(certificate has expired); or is this machine's clock ahead?", sent=False)


def test_a_certificate_is_good_for_the_name_in_it(
    transport: HttpTransport, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Peer(well, certificates.server_context()) as peer:
        addresses(monkeypatch, ("127.0.0.1", peer.port))
        for name, good in (("recorder.invalid", True), ("other.invalid", False)):
            reply = transport.send(
                Request("POST", f"https://{name}/rest/", QUERY, verify=str(certificates.ca)), LONG_SECONDS
            )
            assert isinstance(reply, Answer) is good


def test_the_file_of_another_ca_is_named(transport: HttpTransport, certificates: Certificates) -> None:
    wrong = str(certificates.folder / "other.pem")
    with Peer(well, certificates.server_context()) as peer:
        no_answer(transport.send(request_to(peer, verify=wrong), LONG_SECONDS), f"is {wrong}, named by verify", False)


def test_a_ca_file_that_is_gone_or_is_none_is_named(
    transport: HttpTransport, certificates: Certificates, tmp_path: Path
) -> None:
    empty = tmp_path / "empty.pem"
    empty.touch()
    faults = {
        str(tmp_path / "gone.pem"): "gone.pem named by verify cannot be read (No such file or directory)",
        str(tmp_path): "named by verify cannot be read (Is a directory)",
        str(empty): "empty.pem named by verify holds no CA certificate",
        str(certificates.folder / "ca.key"): "ca.key named by verify holds no CA certificate",
    }
    with Peer(well, certificates.server_context()) as peer:
        for path, words in faults.items():
            no_answer(transport.send(request_to(peer, verify=path), LONG_SECONDS), words, sent=False)


def test_a_server_that_speaks_no_tls_has_been_sent_nothing(transport: HttpTransport) -> None:
    with Peer(lambda line: line.sock.sendall(b"HTTP/1.1 400 No TLS\r\n\r\n")) as peer:
        url = peer.url.replace("http:", "https:")
        no_answer(transport.send(Request("POST", url, QUERY), LONG_SECONDS), "TLS: ", sent=False)


def test_a_server_that_closes_in_the_handshake_has_been_sent_nothing(transport: HttpTransport) -> None:
    for play in (Line.reset, lambda line: line.sock.recv(1) and None):
        with Peer(play) as peer:
            url = peer.url.replace("http:", "https:")
            reply = transport.send(Request("POST", url, QUERY), LONG_SECONDS)
            no_answer(reply, f"127.0.0.1:{peer.port}", sent=False)


def test_a_server_that_speaks_tls_under_http_is_no_http(transport: HttpTransport, certificates: Certificates) -> None:
    with Peer(well, certificates.server_context()) as peer:
        url = peer.url.replace("https:", "http:")
        reply = transport.send(Request("POST", url, QUERY), LONG_SECONDS)
    assert isinstance(reply, NoAnswer)
    assert reply.sent
