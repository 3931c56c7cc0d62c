"""A vendor's limit over all hosts: it has so many slots, and a host attempts no more at once than it holds.

Each works out the same shares from the same rows.  Who has too many gives back, who has too few takes what is free.
None is kept free: a host that joins has its first one as soon as another host has heard of it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence

from callsign.cluster import statements as sql
from callsign.cluster.connection import Database
from callsign.cluster.figures import Figures
from callsign.cluster.membership import Membership
from callsign.cluster.trying import Trying
from callsign.delivery.gate import Lanes


def shares(limit: int, wants: Mapping[str, int]) -> dict[str, int]:
    """How many of `limit` slots each host is to have, by how many jobs wait there.

    One for each, as far as they go, by name, so that who has one keeps it.  The rest evenly, or where some have more to
    do than all slots can take, by that.
    """
    heavy = {host: number if number >= limit else 0 for host, number in wants.items()}
    order = sorted(wants, key=lambda host: (-heavy[host], host))
    found = {host: int(place < limit) for place, host in enumerate(sorted(wants))}
    for _ in range(limit - len(order)):
        found[min(order, key=lambda host: (found[host] / (heavy[host] + 0.5), order.index(host)))] += 1
    return found


class Slots:
    """Those of this host, by account; for the thread of the rounds, but `fall_back`."""

    def __init__(self, membership: Membership, lanes: Lanes, limit_of: Callable[[str], int], figures: Figures) -> None:
        self._membership, self._lanes, self._limit_of, self._figures = membership, lanes, limit_of, figures
        self._held: dict[str, set[int]] = {}
        self._made: set[str] = set()
        self._guard = threading.Lock()
        self._is_alone = False
        self._trying = Trying(membership.me)
        self._with: frozenset[str] | None = None  # None: that is not known yet
        self.is_crowded = False
        """Whether some account has more hosts than slots: those without one leave their jobs to whoever comes first."""
        self.lacks = False
        """Whether it is urgent: we have no slot of some account yet, or one that is to go to another host."""

    def load(self, database: Database) -> None:
        """Which ones are ours: behind a join, or another connection.  Raises DatabaseFault."""
        with database.exchange() as say:
            mine = say(sql.MY_SLOTS, {"me": self._membership.me})
        self._held = {}
        for account, n in mine.fetchall():
            self._held.setdefault(account, set()).add(n)
        self._made.clear()

    def share(self, database: Database, accounts: Sequence[str]) -> None:
        """Gives back and takes, until our share is ours.  Raises DatabaseFault."""
        new = [account for account in accounts if account not in self._made]
        if new:
            with database.exchange() as say:
                say(sql.MAKE_SLOTS, {"systems": new, "most": [self._limit_of(account) for account in new]})
            self._made.update(new)
        me, living = self._membership.me, self._membership.living
        targets, manners, is_crowded = {}, {}, False
        for account in dict.fromkeys((*accounts, *self._held)):
            self._held.setdefault(account, set())
            if account not in accounts:  # the settings name it no more
                targets[account], manners[account] = 0, (1, False)
                continue
            wants = {name: host.wants.get(account, 0) for name, host in living.items() if account in host.systems}
            wants.setdefault(me, 0)
            is_crowded |= len(wants) > self._limit_of(account)
            targets[account] = shares(self._limit_of(account), wants)[me]
            manners[account] = min(len(wants), self._limit_of(account)), self._trying.stands_aside(account, living)
        many = [it for it, most in targets.items() if len(self._held[it]) > most or it not in accounts]
        self._give(database, {account: targets[account] for account in many}, manners)
        self._take(database, {it: most - len(self._held[it]) for it, most in targets.items()})
        self.lacks = any(len(self._held[it]) > most or (most and not self._held[it]) for it, most in targets.items())
        self.is_crowded = is_crowded
        self._with = frozenset(it for it, most in targets.items() if most and self._held[it])
        with self._guard:
            self._is_alone = False
            for account in targets:
                self._figures.slots[account] = len(self._held[account])
            for account in accounts:
                self._lanes.limit(account, min(len(self._held[account]), targets[account]), *manners[account])

    def _give(self, database: Database, targets: Mapping[str, int], manners: Mapping[str, tuple[int, bool]]) -> None:
        """All in one exchange: at 500 accounts one for each would take longer than a lease."""
        if not targets:
            return
        for account in targets.keys() & self._lanes.loads().keys():  # elsewhere nothing is, or can be, under way
            self._lanes.limit(account, targets[account], *manners[account])
        loads = self._lanes.loads()  # now that they are limited
        spare = {}
        for account, target in targets.items():
            under_way = loads[account].under_way if account in loads else 0
            if numbers := sorted(self._held[account])[max(target, under_way) :]:
                spare[account] = numbers
                self._held[account].difference_update(numbers)
        if spare:
            with database.exchange() as say:
                for account, numbers in spare.items():
                    say(sql.GIVE_SLOTS, {"me": self._membership.me, "system": account, "n": numbers})

    def _take(self, database: Database, lacking: Mapping[str, int]) -> None:
        if all(number <= 0 for number in lacking.values()):
            return
        mine = {"me": self._membership.me, "life": self._membership.life}
        with database.exchange() as say:
            taken = [
                say(sql.TAKE_SLOTS, {**mine, "system": account, "number": (number + 1) // 2})  # others join, too
                for account, number in lacking.items()
                if number > 0
            ]
        for account, n in (slot for cursor in taken for slot in cursor.fetchall()):
            self._held[account].add(n)

    def has_room(self, account: str) -> bool:
        """Whether we can attempt something of it.  For any thread."""
        return self._with is None or account in self._with

    def with_some(self, accounts: Collection[str]) -> list[str]:
        """Those of which we can attempt something."""
        return [account for account in accounts if self.has_room(account)]

    def fall_back(self) -> None:
        """The database is silent: the slots are divided by the hosts that were known last."""
        with self._guard:
            if self._is_alone:
                return
            self._is_alone = True
            hosts = max(1, len(self._membership.living))
            for account in tuple(self._made):
                self._lanes.limit(account, max(1, self._limit_of(account) // hosts), hosts, stands_aside=False)
