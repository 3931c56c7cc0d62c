"""The FastAGI server: idle threads wait in accept(), one session each.

Each thread that accepts a call makes sure that another one waits in accept() before it begins, up to
`MAX_SESSIONS` (places); the next connection then stays in the kernel's backlog.  No hand-over between threads
lies on a call's path.
"""

from __future__ import annotations

import logging
import select
import socket
import struct
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

from callsign import thread_starts
from callsign.agi import fault_status, ping
from callsign.agi.block import ProvenThreads
from callsign.agi.connection import Connection
from callsign.agi.peer_log import PeerLog
from callsign.agi.places import Places
from callsign.agi.session import AgiSession, BadPeer
from callsign.agi.socket_connection import SocketConnection
from callsign.agi.waiting_peers import WaitingPeers
from callsign.log_text import own_fault

FAILED_ACCEPT_SECONDS = 0.1

LOOK_UP_SECONDS = 0.25
"""How often a thread in accept() looks whether the server stops: no thread can be woken from it, and to shut the
listener down would shut it for the next server too, to which systemd hands it.  The kernel keeps this limit, for
with a timeout of Python's own every call would wake all threads that wait for one."""

LOOK_UP = struct.pack("ll", 0, int(1_000_000 * LOOK_UP_SECONDS))

LAST_SECONDS = 0.25
"""How long the last sessions get when nobody is accepted any more; the calls that connect meanwhile wait."""

log = logging.getLogger("callsign.server")

Networks = tuple[IPv4Network | IPv6Network, ...]
Peer = tuple[str, int] | tuple[str, int, int, int]
"""As accept() gives it for IPv4 and IPv6."""


Attend = Callable[[Connection, Callable[[AgiSession], None], Callable[[], AbstractContextManager[None]], bool], None]
"""Reads, answers and ends a session; see steps.attend, whose first arguments these are."""


class FastAgiServer:
    """Answers AGI sessions at one address."""

    def __init__(
        self,
        listener: socket.socket,
        allow: Callable[[], Networks],
        attend: Attend,
        are_in_time: Callable[[], bool],
    ) -> None:
        """`listener` is a blocking socket; it may outlive the server.

        `are_in_time`: whether any of the calls that wait has not waited for longer than it may.
        """
        self._listener = listener
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, LOOK_UP)
        host, port = listener.getsockname()[:2]
        self.address: tuple[str, int] = host, port
        """Where it listens, with the port that the kernel chose for port 0."""
        self._allow = allow
        self._attend = attend
        self._are_in_time = are_in_time
        self._threads = ProvenThreads()  # of the Asterisks that call
        self._places = Places()
        self._ended = 0  # calls so far that were not our own
        self._waiting = WaitingPeers(lambda: self._places.free)
        self.peers = PeerLog()
        """What the log has said of whom."""
        self._stopping = False
        self._trouble = ""  # why accept() failed last
        self._own_call: ping.Address | None = None  # where the one of our own that is expected comes from

    @property
    def sessions(self) -> int:
        """How many are under way."""
        return self._places.taken

    def start(self) -> None:
        """Answers from now on; returns at once."""
        for _ in range(self._places.open()):
            self._start_idle_thread()

    def answers(self, seconds: float) -> bool:
        """Pings itself: True if the ping was answered within `seconds`.  For one thread at a time.

        A full server answers no new call.  It is well all the same while its calls end, or none waits for longer
        than it may: a restart would cut them all.
        """
        ended = self._ended
        try:
            if ping.is_answered(self.address, seconds, lambda caller: setattr(self, "_own_call", caller)):
                return True
            return self._places.free <= 0 and (self._ended > ended or self._are_in_time())
        finally:
            self._own_call = None

    def wait_quiet(self, seconds: float) -> None:
        """Waits until no call is under way and none waits to be accepted, at most `seconds`."""
        self._places.wait_free(seconds, lambda: not select.select([self._listener], [], [], 0)[0])

    def finish(self, seconds: float) -> None:
        """Waits until the sessions that run now have ended, at most `seconds`; new ones are answered meanwhile."""
        self._places.wait_for_those_there(seconds)

    def stop(self, seconds: float = LAST_SECONDS) -> int:
        """Takes no new call, answers those that wait already, gives all `seconds`.  Returns how many were cut off."""
        self._stopping = True
        self._places.close(4 * LOOK_UP_SECONDS)
        self._answer_backlog()
        self._listener.close()
        return self._places.wait_free(seconds)

    def _answer_backlog(self) -> None:
        """Asterisk has connected already: where no server follows, a reset would cost these calls their status."""
        with suppress(OSError):  # closed by an earlier stop
            self._listener.setblocking(False)
        while (accepted := self._accept()) is not None:
            sock, peer = accepted
            self._places.begin_last(sock)
            if not thread_starts.begin("agi-last", self._whole_session, sock, peer):  # no time to wait for one
                log.warning("a call could not be answered any more")
                sock.close()
                self._places.end(sock)

    def _whole_session(self, sock: socket.socket, peer: Peer) -> bool:
        """One session and its end, whatever happens in it.  False where the thread is not needed any more."""
        try:
            self._session(sock, peer)
        except Exception as fault:  # it may cost the pool neither a thread nor a place, and the call no status
            log.error("%s", own_fault(fault))
            fault_status.leave(SocketConnection(sock))
            sock.close()
        return self._places.end(sock)

    def _start_idle_thread(self) -> None:
        """The caller has counted it among the idle ones already."""
        if not thread_starts.begin("agi", self._serve):  # the others look again for a call after their sessions
            self._places.leave()

    def _serve(self) -> None:
        going_on = True
        while going_on:
            accepted = self._accept()
            if accepted is None:
                self._places.leave()
                return
            if self._places.begin(accepted[0]):
                self._start_idle_thread()
            going_on = self._whole_session(*accepted)

    def _accept(self) -> tuple[socket.socket, Peer] | None:
        """The next call; None when the server stops."""
        while True:
            try:
                sock, peer = self._listener.accept()
            except BlockingIOError:  # nobody has come
                if self._stopping:
                    return None
                continue
            except Exception as fault:
                if self._stopping:
                    return None
                words = str(fault.strerror) if isinstance(fault, OSError) else own_fault(fault)
                if self._trouble != words:
                    self._trouble = words
                    log.error("calls cannot be accepted: %s; they wait", words)
                time.sleep(FAILED_ACCEPT_SECONDS)  # out of file descriptors, say: let sessions end
                continue
            if self._trouble:
                self._trouble = ""
                log.warning("calls are accepted again")
            return sock, peer

    def _is_own(self, address: Peer) -> bool:
        """Whether it is the expected call of our own; the next connection from there is somebody else's."""
        if address[:2] != self._own_call:
            return False
        self._own_call = None
        return True

    def _session(self, sock: socket.socket, address: Peer) -> None:
        peer = address[0]
        is_own = self._is_own(address)
        if not is_own and not is_allowed(peer, self._allow()):
            self.peers.closed(peer, " is not in [server] allow")
            sock.close()
            return

        def confirm(session: AgiSession) -> None:
            if not is_own:
                session.confirm(self._threads, peer)
            elif session.env.get("agi_network_script") != ping.PATH:
                raise BadPeer("it came from where our own call comes from, and is none")

        try:
            self._attend(SocketConnection(sock), confirm, lambda: self._waiting.wait(sock), not is_own)
        except BadPeer as fault:
            self.peers.closed(peer, f": {fault}")
            sock.close()  # at once: what it may still send is nobody's
        else:
            self._ended += not is_own


@lru_cache(maxsize=256)
def is_allowed(peer: str, networks: Networks) -> bool:
    """Whether `peer`, an address as accept() gives it, lies in one of `networks`."""
    address = ip_address(peer)
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        mapped = address.ipv4_mapped
        return any(address in network or mapped in network for network in networks)
    return any(address in network for network in networks)
