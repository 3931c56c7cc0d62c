"""The one door to HTTP: requests, told not to be clever, and held to an overall deadline.

requests' own timeout is per read, so that a server that drips a byte a second holds it for ever; here
every step gets only what is left of the whole exchange.  Name resolution alone cannot be bounded from
here: nothing on a call's path waits for this module without a limit of its own.

Its adapter finds the connection and settles TLS, and urllib3 below it makes the exchange.  The layers above
are left out: a session takes proxies and passwords from the environment (a .netrc replaced our
Authorization), keeps cookies and reads the whole body of a redirect; and what prepares a request and
dresses up a response took a third of a delivery's processor time.
"""

from __future__ import annotations

import http.client
import io
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import DecodeError, HTTPError, NewConnectionError
from urllib3.util import Retry

from callsign import __version__, clocks
from callsign.http_messages import Answer, NoAnswer, Reply, Request
from callsign.kernel_timeouts import KernelTimeouts

CONNECT_SECONDS = 5.0
"""For one address of a host; the next one is tried after that."""

LEAST_SECONDS = 0.001

NO_RETRIES = Retry(False, redirect=False)

HEADERS = {"User-Agent": f"callsign/{__version__}", "Accept": "*/*", "Accept-Encoding": "gzip, deflate"}

UNKNOWN_CA = frozenset((2, 18, 19, 20, 21))
WRONG_NAME = frozenset((62, 64))
"""OpenSSL's X509_V_ERR_ codes (x509_vfy.h): issuer not found, self-signed; name or address mismatch."""

logging.getLogger("urllib3").setLevel(logging.CRITICAL)  # its warnings hold the URL, and with it the signature


def _nothing() -> None:
    """What is to be done around a wait where nobody cares."""


class _Exchange(threading.local):
    """The exchange that this thread is in."""

    before_wait: Callable[[], None] = staticmethod(_nothing)
    after_wait: Callable[[], None] = staticmethod(_nothing)
    deadline = 0.0  # steady seconds
    sent = False  # a byte of the request may be on its way
    connected = False  # over a connection made for it, none that was kept alive
    ended = False  # the peer has closed

    def left(self) -> float:
        """Seconds until the deadline.  Raises TimeoutError when there are none."""
        left = self.deadline - clocks.steady()
        if left <= 0:
            raise TimeoutError("the deadline of the exchange has passed")
        return left


_exchange = _Exchange()


class _TlsTimeouts:
    """What `KernelTimeouts` is, for a TLS connection: it would try for ever where a read of its socket ends in vain."""

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self.read_within = self.write_within = sock.settimeout


class _BoundedReads(io.RawIOBase):
    """The reading side of a socket; each read may take what is left until this thread's deadline."""

    def __init__(self, sock: socket.socket, limits: KernelTimeouts | _TlsTimeouts) -> None:
        self._sock = sock
        self._limits = limits
        self._held_open: Any = sock.makefile("rb", buffering=0)  # also when the connection has let go of it

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._limits.read_within(_exchange.left())
        _exchange.before_wait()
        try:
            count = self._sock.recv_into(buffer)
        except BlockingIOError:
            raise TimeoutError("nothing came") from None
        finally:
            _exchange.after_wait()
        _exchange.ended = count == 0
        return count

    def close(self) -> None:
        self._held_open.close()
        super().close()


class _BoundedSocket:
    """A connected socket whose reads and writes end at the deadline; everything else is the socket's own."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._limits: KernelTimeouts | _TlsTimeouts
        if isinstance(sock, ssl.SSLSocket):
            self._limits = _TlsTimeouts(sock)
        else:
            sock.settimeout(None)
            self._limits = KernelTimeouts(sock)

    def makefile(self, *_: object, **__: object) -> io.BufferedReader:
        return io.BufferedReader(_BoundedReads(self._sock, self._limits))

    def sendall(self, data: Any) -> None:
        self._limits.write_within(_exchange.left())
        _exchange.sent = True
        try:
            self._sock.sendall(data)
        except BlockingIOError:
            raise TimeoutError("not all was taken") from None

    def settimeout(self, seconds: float | None) -> None:
        """What urllib3 wants for each read is nothing to us."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


def _connected(host: str, port: int) -> socket.socket:
    """A connection to the first address of `host` that takes one.  Raises OSError."""
    trouble: OSError | None = None
    for family, kind, protocol, _, address in socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM):
        sock = None
        try:
            sock = socket.socket(family, kind, protocol)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(min(CONNECT_SECONDS, _exchange.left()))
            sock.connect(address)
            sock.settimeout(_exchange.left())  # for the TLS handshake
            return sock
        except OSError as fault:
            trouble = fault
            if sock is not None:
                sock.close()
    raise trouble or OSError("no address")


class _Connection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        try:
            return _connected(self._dns_host, self.port or self.default_port)
        except OSError as fault:
            raise NewConnectionError(self, "no connection") from fault

    def connect(self) -> None:
        _exchange.connected = True
        _exchange.before_wait()
        try:
            super().connect()
        finally:
            _exchange.after_wait()
        self.sock: Any = _BoundedSocket(self.sock)


class _TlsConnection(_Connection, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class _Adapter(HTTPAdapter):
    def __init__(self, connections: int) -> None:
        super().__init__(pool_maxsize=connections, max_retries=0)
        self._pools: dict[tuple[str, str, bool | str], Any] = {}

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def pool_for(self, scheme: str, host: str, verify: bool | str) -> Any:
        """The connections to `host` that trust what `verify` says.  Raises requests.InvalidURL."""
        which = scheme, host, verify
        pool = self._pools.get(which)
        if pool is None:  # to find it anew for each request takes as long as signing it
            target = requests.PreparedRequest()
            target.url = f"{scheme}://{host}/"
            pool = self.get_connection_with_tls_context(target, verify)
            self.cert_verify(pool, target.url, verify, None)  # type: ignore[no-untyped-call]
            self._pools[which] = pool
        return pool

    def close(self) -> None:
        for pool in list(self._pools.values()):
            pool.close()
        super().close()


class HttpTransport:
    """Sends requests over kept-alive connections, for any thread.

    `before_wait` and `after_wait` are called around every wait for the network, in the thread that waits.
    """

    def __init__(
        self,
        connections: int = 32,
        before_wait: Callable[[], None] = _nothing,
        after_wait: Callable[[], None] = _nothing,
    ) -> None:
        self._before_wait, self._after_wait = before_wait, after_wait
        self._adapter = _Adapter(connections)

    def send(self, request: Request, seconds: float) -> Reply:
        """One exchange, over within `seconds`.  Never raises for anything that a peer or a network does."""
        _exchange.deadline = clocks.steady() + seconds
        _exchange.before_wait, _exchange.after_wait = self._before_wait, self._after_wait
        while True:
            _exchange.sent = _exchange.ended = _exchange.connected = False
            try:
                return self._exchanged(request, max(LEAST_SECONDS, seconds))
            except (requests.RequestException, HTTPError, http.client.HTTPException, OSError, ValueError) as fault:
                if request.is_safe and not _exchange.connected and _is_closed_by_peer(fault):
                    continue  # it closed the kept-alive connection as we took it; the next one is new in the end
                return NoAnswer(_what_happened(fault, request, seconds), _exchange.sent)

    def _exchanged(self, request: Request, seconds: float) -> Reply:
        if isinstance(request.verify, str):
            open(request.verify, "rb").close()  # requests' complaint would not tell it from the peer's faults
        url = urlsplit(request.url)
        target = request.full_url()[len(f"{url.scheme}://{url.netloc}") :]  # nothing puts it in order: some is signed
        headers = {**HEADERS, **request.headers}
        if request.body or request.method != "GET":
            headers["Content-Length"] = str(len(request.body))
        pool = self._adapter.pool_for(url.scheme, url.netloc, request.verify)
        response = pool.urlopen(
            request.method,
            target if target.startswith("/") else f"/{target}",
            request.body or None,
            headers,
            retries=NO_RETRIES,
            redirect=False,
            timeout=seconds,
            preload_content=False,
        )
        try:
            if _exchange.ended:  # http.client takes that for the end of the headers
                raise ConnectionResetError("in the headers")
            body = bytearray()
            for chunk in response.stream(65536, decode_content=True):
                body += chunk
                if len(body) > request.max_bytes:
                    return NoAnswer(f"the answer is larger than {request.max_bytes} bytes", sent=True)
            lower = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status, lower, bytes(body), clocks.wall())
        finally:
            response.close()  # and with it a connection whose answer was not read to its end

    def close(self) -> None:
        """Closes the kept-alive connections."""
        self._adapter.close()


def _chain(fault: BaseException) -> Iterator[BaseException]:
    """The fault and what caused it: requests and urllib3 wrap the socket's error in several layers."""
    seen: set[int] = set()
    todo: list[object] = [fault]
    while todo:
        item = todo.pop(0)
        if isinstance(item, BaseException) and id(item) not in seen:
            seen.add(id(item))
            yield item
            todo += [item.__cause__, item.__context__, getattr(item, "reason", None), *item.args]


def _is_closed_by_peer(fault: BaseException) -> bool:
    """http.client.RemoteDisconnected is a ConnectionResetError too."""
    return any(isinstance(cause, ConnectionResetError | BrokenPipeError) for cause in _chain(fault))


def _what_happened(fault: BaseException, request: Request, seconds: float) -> str:
    """Tells the fault in our own words: the libraries' texts hold the URL, and with it the signature."""
    host = request.host()
    causes = list(_chain(fault))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"TLS: the certificate of {host} is not trusted ({cause.verify_message}){_tls_hint(cause, request)}"
        if isinstance(cause, OSError) and cause.filename and cause.filename == request.verify:
            return f"the CA file {cause.filename} named by verify cannot be read ({cause.strerror})"
        if isinstance(cause, ssl.SSLError) and cause.library in ("X509", "PEM"):
            return f"the file {request.verify} named by verify holds no CA certificate"
        if isinstance(cause, socket.gaierror):
            return f"the name of {host} cannot be resolved ({cause.strerror})"
        if isinstance(cause, ConnectionRefusedError):
            return f"{host} refuses connections"
    for cause in causes:
        if isinstance(cause, TimeoutError | requests.Timeout):
            return f"no {'answer from' if _exchange.sent else 'connection to'} {host} within {seconds:.1f} s"
        if isinstance(cause, ssl.SSLError):
            return f"TLS: {host}: {cause.reason or 'the handshake failed'}"
        if isinstance(cause, http.client.BadStatusLine) and not isinstance(cause, http.client.RemoteDisconnected):
            return f"what {host} answers is no HTTP; check url in the settings"
        if isinstance(cause, DecodeError):
            return f"the answer of {host} cannot be unpacked"
        if isinstance(cause, OSError) and cause.errno and cause.strerror:
            return f"{host}: {cause.strerror}"
        if isinstance(cause, ValueError) and not _exchange.sent:
            return f"the address of {host} is not usable: check url in the settings"
    return f"{host} broke off before its answer was whole"


def _tls_hint(fault: ssl.SSLCertVerificationError, request: Request) -> str:
    if fault.verify_code in WRONG_NAME:
        return "; url must have a name that the certificate has"
    if fault.verify_code not in UNKNOWN_CA:
        return ""
    if isinstance(request.verify, str):
        return f"; is {request.verify}, named by verify, the file of its CA?"
    return "; for a home-made certificate set verify to the file of its CA"
