"""A peer's trouble in the log: once, then a count now and then, for a health probe comes every few seconds."""

from __future__ import annotations

import logging
import threading
import time

from callsign.record import Record

FIRST_PAUSE_SECONDS = 60.0
LONGEST_PAUSE_SECONDS = 3600.0
"""A pause is twice as long as the one before, up to this."""

MOST_PEERS = 100
"""So many have a line of their own; all further ones share one."""

log = logging.getLogger("callsign.server")


class _Entry(Record, frozen=False):
    """One peer and its trouble."""

    pause: float = FIRST_PAUSE_SECONDS
    until: float = 0.0  # monotonic seconds: counted till then
    counted: int = 0


class PeerLog:
    """Says of each peer what is wrong with it, for any thread."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._entries: dict[tuple[str, str], _Entry] = {}

    def closed(self, peer: str, why: str) -> None:
        """The connection of `peer` was closed; `why` goes on behind its address."""
        now = time.monotonic()
        with self._guard:
            if len(self._entries) >= MOST_PEERS and (peer, why) not in self._entries:
                self._entries = {key: entry for key, entry in self._entries.items() if entry.until > now}
            one_of_many = len(self._entries) >= MOST_PEERS and (peer, why) not in self._entries
            entry = self._entries.setdefault(("", "") if one_of_many else (peer, why), _Entry())
            if now < entry.until:
                entry.counted += 1
                return
            counted, entry.counted = entry.counted, 0
            entry.until = now + entry.pause
            entry.pause = min(2 * entry.pause, LONGEST_PAUSE_SECONDS)
        log.warning(
            "peer %s%s%s: closed%s",
            peer,
            " (one of many)" if one_of_many else "",
            why,
            f" ({counted} times more since the last such line)" if counted else "",
        )

    def forget(self) -> None:
        """Of each peer the next trouble is said at once: the settings are new."""
        with self._guard:
            self._entries.clear()
