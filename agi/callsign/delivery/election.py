"""Which process delivers: the one that has the lock beside the store, and the socket at which the others ring."""

from __future__ import annotations

import logging

from callsign.outbox.doorbell import Doorbell, doorbell_of
from callsign.outbox.lock import FileLock
from callsign.outbox.outbox import Outbox

log = logging.getLogger("callsign.delivery")


class Election:
    """One process's part in it; the kernel frees the lock when its holder dies."""

    def __init__(self, outbox: Outbox) -> None:
        self.one_has_died = False
        """Whether who was elected before left its socket behind: an attempt was cut off perhaps.

        Where there can be no socket, there is no such sign: then perhaps too.
        """
        self._outbox = outbox
        self._lock = FileLock(outbox.path.with_name(outbox.path.name + ".deliver"))
        self._doorbell: Doorbell | None = None

    def is_won(self) -> bool:
        """Whether this process delivers from now on.  False where another one does, or the store is broken."""
        try:
            if not self._lock.try_now():
                return False
        except OSError as fault:
            log.debug("no delivery: %s", fault)
            return False
        left_behind = doorbell_of(self._outbox.path).exists()
        self._open_doorbell()
        self.one_has_died = left_behind or self._doorbell is None
        return True

    def hold_again(self) -> None:
        """The store was lost and made again: our lock and our socket may have gone the same way."""
        try:
            if not self._lock.try_now():
                log.error("another process has begun to deliver beside this one: some jobs may go out twice")
        except OSError as fault:
            log.warning("another process may begin to deliver beside this one: %s", fault)
        if not doorbell_of(self._outbox.path).exists():
            self._open_doorbell()

    def lose(self, leave_sign: bool = False) -> None:
        """Another process may deliver; with `leave_sign` it takes what it finds for cut off."""
        if self._doorbell is not None:
            self._doorbell.close(leave_sign)
            self._doorbell = None
        self._lock.close()

    def _open_doorbell(self) -> None:
        try:
            if self._doorbell is not None:
                self._doorbell.close()
            self._doorbell = Doorbell(self._outbox.path, self._outbox.poll)
        except (OSError, RuntimeError) as fault:  # the writer's look every second still finds all
            log.info("no socket beside the store (%s): jobs of other processes start up to 1 s later", fault)
