"""The one door to HTTP: urllib3's pools: no redirects, cookies or proxies, one overall deadline.

requests' upper layers are left out: a session takes proxies and passwords from the environment (a .netrc replaced our
Authorization), keeps cookies and reads the whole body of a redirect; and to prepare a request and to
wrap a response took a third of a delivery's processor time.

Name resolution cannot be bounded: nothing on a call's path waits for this module without a limit of its own.
"""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

from urllib3.exceptions import HTTPError
from urllib3.util import Retry

from callsign import __version__, clocks
from callsign.http.connections import Connections, exchange
from callsign.http.faults import is_closed_by_peer, what_happened
from callsign.http.messages import Answer, NoAnswer, Reply, Request

NO_RETRIES = Retry(False, redirect=False)

MOST_BESIDE = 1 << 20
"""Bytes of headers, and of what frames chunks, beside twice as many as the answer may have."""

HEADERS = {"User-Agent": f"callsign/{__version__}", "Accept": "*/*", "Accept-Encoding": "gzip, deflate"}


class HttpTransport:
    """Sends requests over kept-alive connections, for any thread."""

    def __init__(self, connections: int = 32) -> None:
        self._connections = Connections(connections)

    def send(self, request: Request, seconds: float) -> Reply:
        """One exchange, over within `seconds`.  Never raises for anything that a peer or a network does."""
        exchange.deadline = clocks.steady() + seconds
        while True:
            exchange.most_bytes = 2 * request.max_bytes + MOST_BESIDE
            exchange.sent = exchange.ended = exchange.connected = False
            try:
                return self._exchanged(request)
            except (HTTPError, http.client.HTTPException, OSError, ValueError) as fault:
                if request.is_safe and not exchange.connected and is_closed_by_peer(fault):
                    continue  # it closed the kept-alive connection as we took it; the next one is new in the end
                return NoAnswer(what_happened(fault, request, exchange.sent, seconds), exchange.sent)

    def _exchanged(self, request: Request) -> Reply:
        if isinstance(request.verify, str):
            open(request.verify, "rb").close()  # requests' complaint would not tell it from the peer's faults
        url = urlsplit(request.url)
        target = request.full_url()[len(f"{url.scheme}://{url.netloc}") :]  # nothing puts it in order: some is signed
        headers = {**HEADERS, **request.headers}
        if request.body or request.method != "GET":
            headers["Content-Length"] = str(len(request.body))
        pool = self._connections.to(request.url, request.verify)
        response = pool.urlopen(
            request.method,
            target if target.startswith("/") else f"/{target}",
            request.body or None,
            headers,
            retries=NO_RETRIES,
            redirect=False,
            preload_content=False,
        )
        try:
            if exchange.ended:  # http.client takes that for the end of the headers
                raise ConnectionResetError("in the headers")
            body = bytearray()
            for chunk in response.stream(65536, decode_content=True):
                body += chunk
                if len(body) > request.max_bytes:
                    return NoAnswer(f"the answer is larger than {request.max_bytes} bytes", sent=True)
            lower = {name.lower(): value for name, value in response.headers.items()}
            if "link" in lower:
                lower["link"] = response.headers["Link"]  # of all its lines: each has links of its own (RFC 8288 3)
            return Answer(response.status, lower, bytes(body), clocks.wall())
        finally:
            response.close()  # and with it a connection whose answer was not read to its end

    def close(self) -> None:
        """Closes the kept-alive connections."""
        self._connections.clear()
