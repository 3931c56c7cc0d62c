"""A socket beside the store: a datagram to it tells the deliverer that another process stored something."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from pathlib import Path

from callsign import thread_starts
from callsign.outbox.lock import share

log = logging.getLogger("callsign.delivery")


def doorbell_of(store: Path) -> Path:
    """The socket at which the deliverer of this store listens."""
    return store.with_name(store.name + ".sock")


def ring(store: Path) -> None:
    """Tells the deliverer of this store, if there is one, that something was stored.  Never raises."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bell:
            bell.setblocking(False)
            bell.sendto(b"!", str(doorbell_of(store)))
    except OSError as fault:  # nobody delivers, or not yet: then the store is read whole at the start
        log.debug("nobody listens at the store's socket: %s", fault)


class Doorbell:
    """The deliverer's end; only the elected one may have it, for it takes the name from whoever had it before."""

    def __init__(self, store: Path, on_ring: Callable[[], None]) -> None:
        """Raises OSError, say for a path of more than 107 bytes."""
        self._path = doorbell_of(store)
        self._on_ring = on_ring
        self._stopping = False
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._path.unlink(missing_ok=True)
            self._socket.bind(str(self._path))
            share(self._path, self._path.parent)
        except OSError:
            self._socket.close()
            raise
        self._thread = thread_starts.Thread("delivery-bell", self._run)
        self._thread.start()

    def close(self, leave_sign: bool = False) -> None:
        """Takes the socket away, before the next deliverer is elected; its name stays where that is to be a sign."""
        self._stopping = True
        self._socket.shutdown(socket.SHUT_RDWR)  # a plain close would leave the thread in recv() for ever
        self._thread.join(1)
        self._socket.close()
        if leave_sign:
            return
        try:
            self._path.unlink(missing_ok=True)
        except OSError as fault:
            log.debug("the store's socket stays behind: %s", fault)

    def _run(self) -> None:
        while True:
            try:
                self._socket.recv(16)
            except OSError:
                return
            if self._stopping:
                return
            self._on_ring()
