"""Connections to a vendor: found once and kept alive, each read and write held to the deadline of its exchange.

urllib3's pools find them and make the exchange; whom to trust is requests' list.  They know a timeout for each read
only, so that a server that drips a byte a second would hold one for ever; here every step gets only what is
left of the whole exchange.  Name resolution alone cannot be bounded from here.

And a connection is used again only while nothing is in doubt: what lies in it would be taken for the next answer.
"""

from __future__ import annotations

import errno
import io
import logging
import select
import socket
import ssl
import threading
from typing import Any

from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3 import PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NewConnectionError

from callsign import clocks
from callsign.http import dialing
from callsign.http.answers import FinalAnswer

READ_BYTES = 8192

REST_SECONDS = 60.0
"""A connection that was not used for longer is not used again.

Something on the way (a NAT, a load balancer) may have forgotten it without a word to either end.
"""

MOST_HOSTS = 256
"""Have kept connections, which are open files; with more accounts than that those used longest ago are closed."""

logging.getLogger("urllib3").setLevel(logging.CRITICAL)  # its warnings hold the URL, and with it the signature


class Exchange(threading.local):
    """The exchange that this thread is in."""

    deadline = 0.0  # steady seconds
    sent = False  # a byte of the request may be on its way
    connected = False  # over a connection made for it, none that was kept alive
    ended = False  # the peer has closed
    most_bytes = 0  # that may still come, headers and all

    def left(self) -> float:
        """Seconds until the deadline.  Raises TimeoutError when there are none."""
        left = self.deadline - clocks.steady()
        if left <= 0:
            raise TimeoutError("the deadline of the exchange has passed")
        return left


exchange = Exchange()


class _BoundedReads(io.RawIOBase):
    """The reading side of a socket; each read may take what is left until this thread's deadline."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.is_over = False
        self._held_open: Any = sock.makefile("rb", buffering=0)  # also when the connection has let go of it

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self.is_over:
            return None  # there may be more; nobody is to wait for it
        self._sock.settimeout(exchange.left())
        count = self._sock.recv_into(buffer)
        exchange.ended = count == 0
        exchange.most_bytes -= count
        if exchange.most_bytes < 0:
            raise OSError(errno.EFBIG, "it answers without end")
        return count

    def close(self) -> None:
        self._held_open.close()
        super().close()


class _OneAnswer(io.BufferedReader):
    """Reads one answer of `sock`, and tells it when there was more than that."""

    def __init__(self, sock: _BoundedSocket, reads: _BoundedReads) -> None:
        super().__init__(reads, READ_BYTES)
        self._of, self._reads = sock, reads

    def close(self) -> None:
        if not self.closed:
            self._reads.is_over = True
            if self.peek():
                self._of.is_in_doubt = True
        super().close()


class _BoundedSocket:
    """A connected socket whose reads and writes end at the deadline; everything else is the socket's own."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.is_in_doubt = False
        self._used_at = clocks.steady()
        self._unasked = select.poll()
        self._unasked.register(sock, select.POLLIN)

    def makefile(self, *_: object, **__: object) -> io.BufferedReader:
        return _OneAnswer(self, _BoundedReads(self._sock))

    def is_quiet(self) -> bool:
        """Whether it may carry a request: nothing was left over, and nothing has come since, the end neither."""
        if clocks.steady() - self._used_at > REST_SECONDS:
            return False
        if self.is_in_doubt or (isinstance(self._sock, ssl.SSLSocket) and self._sock.pending()):
            return False
        return not self._unasked.poll(0)

    def sendall(self, data: Any) -> None:
        self._sock.settimeout(exchange.left())
        exchange.sent = True
        self._used_at = clocks.steady()
        self._sock.sendall(data)

    def settimeout(self, seconds: float | None) -> None:
        """What urllib3 wants for each read is nothing to us."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


class _Connection(HTTPConnection):
    response_class = FinalAnswer

    @property
    def is_connected(self) -> bool:
        """Asked before it is used again."""
        return self.sock is not None and self.sock.is_quiet()

    def _new_conn(self) -> socket.socket:
        try:
            sock = dialing.connect(self._dns_host, self.port or self.default_port, exchange.left)
            sock.settimeout(exchange.left())  # for the TLS handshake
        except OSError as fault:
            raise NewConnectionError(self, "no connection") from fault
        return sock

    def connect(self) -> None:
        exchange.connected = True
        super().connect()
        self.sock: Any = _BoundedSocket(self.sock)


class _TlsConnection(_Connection, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class Connections(PoolManager):
    """Those of one transport, for any thread: at most `each` are kept for a host, of MOST_HOSTS hosts."""

    def __init__(self, each: int) -> None:
        super().__init__(MOST_HOSTS, maxsize=each, cert_reqs="CERT_REQUIRED")
        self.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def to(self, url: str, verify: bool | str) -> Any:
        """Those to a URL's host that trust what `verify` says.  Raises LocationParseError."""
        return self.connection_from_url(url, {"ca_certs": DEFAULT_CA_BUNDLE_PATH if verify is True else verify})
