"""This host among the others: its life, its lease, and who of them is dead.  Without a thread or a clock of its own.

Nobody's clock is compared with another's: a host is dead whose row has not changed for so long by our own steady clock,
while we ourselves looked all the time.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Mapping, Sequence

from callsign.record import Record

BEAT_SECONDS = 1.0
GAP_SECONDS = 2 * BEAT_SECONDS + 0.5
"""So long without a look of ours, and all watches begin again: an outage of the database kills nobody."""

EARLY_SECONDS = 0.5
"""So long before the others may take our jobs we stop sending them."""

RIVAL_SECONDS = 60.0
MOST_REJOINS = 3
"""In so many seconds, because of another host of our name; then we stay out for as long."""

log = logging.getLogger("callsign.cluster")


class HostRow(Record):
    """A host as the database has it."""

    name: str
    life: int
    beat: int
    dead: bool
    wants: Mapping[str, int]  # how many jobs wait there, by account
    systems: Sequence[str]  # the accounts that it delivers
    troubled: Sequence[str] = ()  # those whose vendor seems to be away


class Membership:
    """For one thread, but `lease_until` and `is_out`."""

    def __init__(self, me: str, lease_seconds: float) -> None:
        self.me = me
        self.life: int | None = None
        """None: it has to join, and to reconcile before its lease is valid."""
        self.lease_until = -math.inf
        """Steady seconds; not before all is known that others did meanwhile."""
        self.living: dict[str, HostRow] = {}
        self._lease_seconds = lease_seconds
        self._watched: dict[str, tuple[tuple[int, int], float]] = {}  # (life, beat), and since when it is so
        self._looked_at = -math.inf
        self._rejoins: deque[float] = deque()
        self._out_until = -math.inf

    def has_lease(self, now: float) -> bool:
        """Whether we may send what the others know of: who may not holds what it tells, and so tells nothing."""
        return now < self.lease_until

    def is_out(self, now: float) -> bool:
        """Whether another host of our name keeps us from joining."""
        return now < self._out_until

    def joined(self, life: int) -> None:
        """The database has us as alive; what others took meanwhile is not known yet."""
        self.life, self.lease_until = life, -math.inf

    def renew(self, began: float) -> None:
        """A round that began then went through, and what others took is known."""
        self.lease_until = began + self._lease_seconds - EARLY_SECONDS

    def leave(self, row: HostRow | None, now: float) -> None:
        """Our beat was not heard: somebody has declared us dead, or is called as we are."""
        rival = row is not None and row.life != self.life
        self.life, self.lease_until = None, -math.inf
        if not rival:
            log.warning("[cluster] host: %s was declared dead, and joins again", self.me)
            return
        while self._rejoins and self._rejoins[0] < now - RIVAL_SECONDS:
            self._rejoins.popleft()
        self._rejoins.append(now)
        if len(self._rejoins) >= MOST_REJOINS:
            self._out_until = now + RIVAL_SECONDS
            log.error(
                "[cluster] host: another host calls itself %s: until it has a name of its own, this one works alone",
                self.me,
            )

    def look(self, hosts: Sequence[HostRow], now: float) -> list[HostRow]:
        """Whom to declare dead; `hosts` are all there are, seen at `now`."""
        if now - self._looked_at > GAP_SECONDS:
            self._watched.clear()
        self._looked_at = now
        late, watched = [], {}
        for host in hosts:
            if host.name == self.me or host.dead:
                continue
            sign = host.life, host.beat
            seen, since = self._watched.get(host.name, (None, now))
            watched[host.name] = sign, since if seen == sign else now
            if seen == sign and now - since >= self._lease_seconds:
                late.append(host)
        self._watched = watched
        self.living = {host.name: host for host in hosts if not host.dead}
        return late
