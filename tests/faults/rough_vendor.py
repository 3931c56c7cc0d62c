"""A vendor whose line can be made rough and well again while it runs, on one port that stays its own.

Well, it hands each request to the strict stand-ins behind it (`box`) and their answer back, so what they took is
what came through.  Rough, it plays a fault on the wire.  Kept-alive connections live through a change, and their
next request meets what holds then.
"""

from __future__ import annotations

import re
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

from load import Vendors
from ports import held_port
from product import vendor_sections

LATE_SECONDS = 30.0
HUGE_MEGABYTES = 100
HINT_SECONDS = 0.3
LOOK_SECONDS = 0.1
"""How soon a connection's thread sees that the vendor goes away."""

CLOSE_WITH_RESET = struct.pack("ii", 1, 0)


class Line:
    """One connection from the product."""

    def __init__(self, vendor: RoughVendor, sock: socket.socket) -> None:
        self.vendor = vendor
        self.sock = sock

    def read(self) -> bytes:
        """A whole request, head and body.  Raises ConnectionError where none comes."""
        request = b""
        while b"\r\n\r\n" not in request:
            request += self._more()
        length = re.search(rb"(?i)content-length: *([0-9]+)", request)
        whole = request.index(b"\r\n\r\n") + 4 + (int(length[1]) if length else 0)
        while len(request) < whole:
            request += self._more()
        self.vendor.note(request)
        return request

    def _more(self) -> bytes:
        piece = self.sock.recv(65536)
        if not piece:
            raise ConnectionError
        return piece

    def has_closed(self, seconds: float) -> bool:
        """Whether either end goes away within these seconds."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not self.vendor.is_over:
            if select.select([self.sock], [], [], min(left, LOOK_SECONDS))[0]:
                return True
        return self.vendor.is_over


Behaviour = Callable[[Line], None]
"""Plays what follows on a line that has something to read; closes it where that belongs to it."""


def answer(status: str, body: bytes = b"", *headers: str) -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def well(line: Line) -> None:
    line.sock.sendall(line.vendor.pass_on(line.read()))


def refuses(line: Line) -> None:
    """Nobody listens; kept connections are gone as well."""
    line.sock.close()


def resets(line: Line) -> None:
    """At once after the accept; a kept connection when its next request comes."""
    line.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, CLOSE_WITH_RESET)
    line.sock.close()


def answers_503(line: Line) -> None:
    line.read()
    line.sock.sendall(answer("503 Service Unavailable", b"<html>soon</html>"))


def answers_late(line: Line) -> None:
    request = line.read()
    if not line.has_closed(LATE_SECONDS):
        line.sock.sendall(line.vendor.pass_on(request))


def drips(line: Line) -> None:
    line.read()
    for byte in answer("200 OK", b'{"Message":"","Status":"OK","Code":0}'):
        line.sock.sendall(bytes([byte]))
        if line.has_closed(1.0):
            break
    line.sock.close()


def sends_100_megabytes(line: Line) -> None:
    line.read()
    line.sock.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {HUGE_MEGABYTES << 20}\r\n\r\n".encode())
    for _ in range(HUGE_MEGABYTES):
        line.sock.sendall(b" " * (1 << 20))


def sends_garbage(line: Line) -> None:
    line.read()
    line.sock.sendall(bytes(range(256)) * 16)


def closes_in_mid_body(line: Line) -> None:
    """The vendor has taken it, only its yes is cut in two."""
    whole = line.vendor.pass_on(line.read())
    line.sock.sendall(whole[: whole.index(b"\r\n\r\n") + 6])
    line.sock.close()


def redirects(line: Line) -> None:
    """To the stand-ins themselves, who would say yes to whoever follows."""
    target = line.read().split(b" ", 2)[1].decode()
    where = f"Location: http://127.0.0.1:{line.vendor.box.port}{target}"
    line.sock.sendall(answer("307 Temporary Redirect", b"", where))


def hints_first(line: Line) -> None:
    """An interim answer (RFC 8297), and the real one a moment later."""
    request = line.read()
    line.sock.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n")
    if not line.has_closed(HINT_SECONDS):
        line.sock.sendall(line.vendor.pass_on(request))


def answers_twice(line: Line) -> None:
    """The same answer once more in one piece with the first.

    One that comes while the next request is on its way is to any client that request's answer: then it may go again.
    """
    whole = line.vendor.pass_on(line.read())
    line.sock.sendall(whole + whole)


class RoughVendor:
    """Vendors behind one port, by default the first two.  `certificate`: a file with its key, for TLS."""

    def __init__(self, certificate: str = "", box: Any = None) -> None:
        self.box = box or Vendors()
        self._certificate = certificate
        self._behaviour: Behaviour = well
        self._came: list[str] = []
        self._over = threading.Event()
        self._listener: socket.socket | None = None
        self._acceptor: threading.Thread | None = None
        self._threads: list[threading.Thread] = []

    def behave(self, behaviour: Behaviour, certificate: str = "") -> None:
        """From now on."""
        self._behaviour = behaviour
        self._certificate = certificate or self._certificate
        if behaviour is refuses:
            self._deafen()
        elif self._listener is None:
            self._listen()

    @property
    def came(self) -> list[str]:
        """The target of every whole request that came, whatever became of it."""
        return list(self._came)

    @property
    def is_over(self) -> bool:
        return self._over.is_set()

    def sections(self, numbers: str = 'format = "asis"') -> str:
        """The settings that lead the first two vendors here."""
        return self.lead_here(vendor_sections(self.box, numbers=numbers))

    def lead_here(self, there: str) -> str:
        """Settings that led to the stand-ins."""
        scheme = "https" if self._certificate else "http"
        return there.replace(f"http://127.0.0.1:{self.box.port}", f"{scheme}://127.0.0.1:{self.port}")

    def note(self, request: bytes) -> None:
        self._came.append(request.split(b" ", 2)[1].decode())

    def pass_on(self, request: bytes) -> bytes:
        """What the stand-ins answer."""
        with socket.create_connection(("127.0.0.1", self.box.port)) as inner:
            inner.sendall(request)
            inner.shutdown(socket.SHUT_WR)  # the only one: they close when it is answered
            return b"".join(iter(lambda: inner.recv(65536), b""))

    def __enter__(self) -> RoughVendor:
        with ExitStack() as held:
            held.enter_context(self.box)
            self.port = held.enter_context(held_port())
            self._listen()
            self._held = held.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._deafen()
        for thread in self._threads:
            thread.join()
        self._held.close()

    def _listen(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self._acceptor = threading.Thread(target=self._accept, args=(self._listener,), daemon=True)
        self._acceptor.start()

    def _deafen(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
            assert self._acceptor is not None
            self._acceptor.join()
            listener.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._attend, args=(sock,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _attend(self, sock: socket.socket) -> None:
        """One connection, from its accept to its end; the product may break it off at any moment."""
        with suppress(OSError):
            if self._behaviour is resets:
                resets(Line(self, sock))
            elif self._certificate:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(self._certificate)
                sock = context.wrap_socket(sock, server_side=True)
            line = Line(self, sock)
            while sock.fileno() >= 0 and not self.is_over and self._behaviour is not refuses:
                if select.select([sock], [], [], LOOK_SECONDS)[0]:
                    self._behaviour(line)
        sock.close()
