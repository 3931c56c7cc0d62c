"""The page that Prometheus fetches: /metrics over HTTP, by prometheus_client, one request at a time.

One thread answers all, and takes up only requests that are there whole; so whoever opens a thousand connections
takes no thread and hardly an open file from the calls, and a silent peer keeps nobody waiting.  Where the places
run short the peer that has been silent for longest makes room.
"""

from __future__ import annotations

import logging
import re
import select
import socket
import time
from contextlib import suppress
from http import HTTPStatus
from ipaddress import ip_address
from socketserver import TCPServer

from prometheus_client import CollectorRegistry, MetricsHandler

from callsign import thread_starts
from callsign.log_text import own_fault
from callsign.server.listening import format_address

PATH = "/metrics"
MOST_PEERS = 16
MOST_BYTES = 8192
"""Of a request."""

PEER_SECONDS = 1.0
"""How long a peer that reads nothing may hold the thread, where the kernel does not take the whole page."""

FAILED_ACCEPT_SECONDS = 0.1  # a pause when files run short
STOP_SECONDS = 1.0  # for a request under way

log = logging.getLogger("callsign.metrics")


class MetricsPage(TCPServer):  # HTTPServer would ask the DNS for our own name, and wait for its answer
    """Serves what `registry` collects at `address`.  Raises OSError if that cannot be used."""

    allow_reuse_address = True
    request_queue_size = 16

    def __init__(self, address: tuple[str, int], registry: CollectorRegistry) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._stopping = False
        super().__init__(address, _Request.factory(registry))
        self.socket.setblocking(False)
        self._peers: dict[int, tuple[socket.socket, object]] = {}  # whose requests are not there yet
        self._events = select.epoll()
        self._events.register(self.socket, select.EPOLLIN)
        self._thread = thread_starts.Thread("metrics", self._serve)

    @property
    def url(self) -> str:
        """With the port that the kernel chose for port 0."""
        return f"http://{format_address(self.socket.getsockname()[:2])}{PATH}"

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
        listener = self.socket.fileno()
        while not self._stopping:
            for number, event in self._events.poll():
                if number == listener:
                    self._accept()
                elif number in self._peers and _is_there(self._peers[number][0], event):
                    self._answer(*self._peers.pop(number))
        for sock, _ in self._peers.values():
            sock.close()

    def _accept(self) -> None:
        try:
            sock, peer = self.socket.accept()
        except OSError:
            if not self._stopping:
                time.sleep(FAILED_ACCEPT_SECONDS)  # out of file descriptors, say
            return
        if len(self._peers) == MOST_PEERS:
            oldest = next(iter(self._peers))
            self._peers.pop(oldest)[0].close()
        self._peers[sock.fileno()] = sock, peer
        self._events.register(sock, select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET)  # when more has come

    def _answer(self, sock: socket.socket, peer: object) -> None:
        self._events.unregister(sock)
        try:
            self.finish_request(sock, peer)
        except OSError:
            pass  # a peer that went away is nobody's trouble
        except Exception as fault:  # our own must not end the thread
            log.error("the metrics could not be told: %s", own_fault(fault))
        self.shutdown_request(sock)


class _Request(MetricsHandler):
    timeout = PEER_SECONDS

    def do_GET(self) -> None:
        if not _is_own_name(self.headers.get("Host", "localhost")):
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST, explain="ask by address or by this machine's own name")
        elif self.path.partition("?")[0] != PATH:
            self.send_error(HTTPStatus.NOT_FOUND, explain=f"the metrics are at {PATH}")
        else:
            super().do_GET()

    def version_string(self) -> str:
        return "callsign"


def _is_there(sock: socket.socket, event: int) -> bool:
    """Whether the request can be read without waiting for its peer."""
    if event & ~select.EPOLLIN:  # nothing more will come
        return True
    with suppress(BlockingIOError):
        head = sock.recv(MOST_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        return len(head) == MOST_BYTES or b"\r\n\r\n" in head or b"\n\n" in head
    return False


def _is_own_name(host: str) -> bool:
    """Whether it is no name that somebody else gave our address, to read the page by a browser here (DNS rebinding)."""
    name = re.sub(r":[0-9]*$", "", host).strip("[]").lower()
    with suppress(ValueError):
        ip_address(name)
        return True
    return name in ("localhost", socket.gethostname().lower())
