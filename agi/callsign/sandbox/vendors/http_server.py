"""The sockets of the sandbox: HTTP/1.1 with keep-alive, one thread a connection, a quick stop."""

from __future__ import annotations

import re
import socket
import ssl
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any
from urllib.parse import parse_qsl

from callsign.sandbox.vendors.messages import Answer, Request

LARGEST_BODY_BYTES = 16 * 1024 * 1024
"""More than any vendor takes (snom names 10 MB), so that a vendor's own limit can be tried."""

STOP_POLL_SECONDS = 0.02
"""How long `stop` may wait for the accepting thread to notice."""


class HttpSide(ThreadingTCPServer):  # an HTTPServer would ask the DNS for its own name
    """Reads requests, has them answered by `attend`, and sends that answer when its time has come.

    Raises:
        OSError: the address cannot be had, or the certificate cannot be read.
    """

    daemon_threads = False  # those it joins in `server_close`
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(
        self,
        listen: tuple[str, int],
        attend: Callable[[Request], Answer],
        clock: Callable[[], float],
        certificate: tuple[str, str] | None,
    ) -> None:
        self.attend = attend
        self.clock = clock
        self.stopping = threading.Event()
        self._tls: ssl.SSLContext | None = None
        if certificate is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(*certificate)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._acceptor = threading.Thread(
            target=self.serve_forever, args=(STOP_POLL_SECONDS,), name="sandbox-accept", daemon=True
        )
        self.address_family = socket.AF_INET6 if ":" in listen[0] else socket.AF_INET
        super().__init__(listen, _Connection)

    def start(self) -> None:
        """Accept connections from now on."""
        self._acceptor.start()

    def stop(self) -> None:
        """End everything under way and join all threads."""
        self.stopping.set()
        self.shutdown()
        self._acceptor.join()
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            # Not SSLSocket's own shutdown: that one pulls the TLS state from under the reading thread.
            with suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
        self.server_close()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept one connection; its TLS handshake takes place in its own thread, at the first read."""
        connection, address = self.socket.accept()
        if self._tls is not None:
            connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        with self._lock:
            self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        """A connection has ended."""
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up or speaks no TLS is nothing to report; anything else is our fault."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    default_request_version = "HTTP/1.1"  # else a broken request line is answered without a status line
    server_version = "callsign-sandbox"
    sys_version = ""
    disable_nagle_algorithm = True  # head and body are two writes; the second must not wait for an acknowledgement
    server: HttpSide

    def _exchange(self) -> None:
        request = self._read()
        if request is None:
            return
        answer = self.server.attend(request)
        stopped = self.server.stopping.wait(answer.after_seconds) if answer.after_seconds > 0 else False
        # Before the bytes leave: the client may follow at once, and must not meet its own previous request.
        answer.when_answered()
        if stopped or answer.status == 0:
            self.close_connection = True
            return
        self._send(answer)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _exchange

    def _read(self) -> Request | None:
        """The whole request; None if it is none, in which case the answer is sent already."""
        announced = self.headers.get("Content-Length", "0").strip()
        if "Transfer-Encoding" in self.headers or not re.fullmatch(r"[0-9]{1,12}", announced):
            self.send_error(411, "A body must come with its Content-Length")
            return None
        if int(announced) > LARGEST_BODY_BYTES:
            self.send_error(413)
            return None
        body = self.rfile.read(int(announced))
        if len(body) < int(announced):
            self.close_connection = True
            return None
        path, _, query = self.path.partition("?")
        headers: dict[str, str] = {}
        for name, value in self.headers.items():
            known = headers.get(name.lower())
            headers[name.lower()] = value if known is None else f"{known}, {value}"
        return Request(
            at=self.server.clock(),
            method=self.command,
            path=path,
            pairs=tuple(parse_qsl(query, keep_blank_values=True)),
            body=body,
            headers=headers,
            target=self.path,
        )

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status not in (204, 304):
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD" and answer.status not in (204, 304):
            self.wfile.write(answer.body)

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The `Date` header, by the sandbox's clock."""
        return formatdate(self.server.clock() if timestamp is None else timestamp, usegmt=True)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on stderr: the request line holds numbers and a live signature."""
