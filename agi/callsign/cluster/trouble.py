"""What the log says of the database: an outage by a line for each cause, its end by one."""

from __future__ import annotations

import logging
import threading

from callsign.cluster.connection import DatabaseFault

MOST_LINES = 3
"""Of one outage."""

log = logging.getLogger("callsign.cluster")


class Trouble:
    """Of all who talk to it; for any thread."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._failing: set[str] = set()
        self._told: set[str] = set()

    def has(self, who: str, fault: DatabaseFault) -> None:
        """`who`, of those that talk to it, has no answer."""
        with self._guard:
            self._failing.add(who)
            if str(fault) in self._told or len(self._told) >= MOST_LINES:
                return
            self._told.add(str(fault))
        log.error("[cluster] database: %s; jobs go out without the other hosts' word", fault)

    def is_over(self, who: str) -> None:
        """`who` has an answer."""
        with self._guard:
            if who not in self._failing:
                return
            self._failing.remove(who)
            if self._failing:
                return
            self._told.clear()
        log.warning("[cluster] database: it answers again")
