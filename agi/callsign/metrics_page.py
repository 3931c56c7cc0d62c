"""The page that Prometheus fetches: /metrics over HTTP, one request at a time.

One thread answers all, so that whoever opens a thousand connections takes no thread and no open file
from the calls; they wait in the kernel.  And each request has a deadline, so that a silent peer keeps
the next one waiting for seconds, not for ever.
"""

from __future__ import annotations

import logging
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer

from callsign.fault_place import where

PATH = "/metrics"
REQUEST_SECONDS = 5.0
FAILED_ACCEPT_SECONDS = 0.1
STOP_SECONDS = 1.0

log = logging.getLogger("callsign.metrics")


class MetricsPage(TCPServer):  # HTTPServer would ask the DNS for our own name, and wait for its answer
    """Serves what `page` returns at `address`.  Raises OSError if that cannot be used."""

    allow_reuse_address = True
    request_queue_size = 16

    def __init__(self, address: tuple[str, int], content_type: str, page: Callable[[], bytes]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.content_type = content_type
        self.page = page
        self._stopping = False
        super().__init__(address, _Request)
        self._thread = threading.Thread(target=self._serve, name="metrics", daemon=True)

    @property
    def url(self) -> str:
        """With the port that the kernel chose for port 0."""
        host, port = self.socket.getsockname()[:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}{PATH}"

    def start(self) -> None:
        """Answers from now on; returns at once."""
        try:
            self._thread.start()
        except RuntimeError as fault:  # the calls need the threads more
            log.error("no thread for the metrics: %s; going on without", fault)

    def stop(self) -> bool:
        """Answers no more; a request under way gets `STOP_SECONDS`.  Whether it has ended by then."""
        self._stopping = True
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)  # wakes the thread
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)
        self.server_close()
        return not self._thread.is_alive()

    def _serve(self) -> None:
        while not self._stopping:
            self.handle_request()

    def get_request(self) -> tuple[socket.socket, object]:
        """The next connection; where there is none to be had, not again and again at once."""
        try:
            return super().get_request()
        except OSError:
            if not self._stopping:
                time.sleep(FAILED_ACCEPT_SECONDS)  # out of file descriptors, say
            raise

    def handle_error(self, request: object, client_address: object) -> None:
        """A peer that went away is nobody's trouble."""
        fault = sys.exc_info()[1]
        if fault is not None and not isinstance(fault, OSError):
            log.error("the metrics could not be told: a fault in callsign itself: %s", where(fault))


class _Request(BaseHTTPRequestHandler):
    server: MetricsPage

    def setup(self) -> None:
        self._deadline = threading.Timer(REQUEST_SECONDS, self._cut_off)
        self._deadline.daemon = True
        self._deadline.start()
        super().setup()

    def finish(self) -> None:
        self._deadline.cancel()
        super().finish()

    def _cut_off(self) -> None:
        with suppress(OSError):  # gone by now
            self.connection.shutdown(socket.SHUT_RDWR)

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != PATH:
            self.send_error(404, explain=f"the metrics are at {PATH}")
            return
        page = self.server.page()
        self.send_response(200)
        self.send_header("Content-Type", self.server.content_type)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def version_string(self) -> str:
        return "callsign"

    def log_message(self, *_: object) -> None:
        """Nothing: a scrape is no event."""
