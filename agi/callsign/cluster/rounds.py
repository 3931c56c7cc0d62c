"""Once a second: a sign of life, who is dead, what is to be taken over, given up or forgotten."""

from __future__ import annotations

import json
import logging
import random
import threading
from collections.abc import Callable, Sequence

from callsign import __version__, clocks
from callsign.cluster import rows
from callsign.cluster import statements as sql
from callsign.cluster.adopting import Adopting
from callsign.cluster.connection import Database, DatabaseFault
from callsign.cluster.figures import Figures
from callsign.cluster.ledger import Ledger
from callsign.cluster.life import Event, Life
from callsign.cluster.membership import BEAT_SECONDS, HostRow, Membership
from callsign.cluster.publishing import Publishing
from callsign.cluster.reconcile import Reconciliation
from callsign.cluster.sharing import Sharing
from callsign.cluster.slots import Slots
from callsign.cluster.trouble import Trouble
from callsign.delivery.gate import Lanes
from callsign.log_text import place_of
from callsign.notification import State

LACK_SECONDS = 0.3
"""Between two rounds, while a host has no slot, or another one waits for one of ours."""

ASKED_SECONDS = 0.05
"""While a command here waits for what another host gets for all: once an hour, for a second at most."""

LOOK_SECONDS = 0.25
"""Between two looks for what hosts without a slot leave to whoever comes first."""

UNSURE_SECONDS = 2.0
"""Behind an outage the others may have sent what they had left to whoever comes first: so long they have to say so."""

MOST_OFFERED = 500
"""In a round."""

RECONCILE_SECONDS = 60.0
PRUNE_SECONDS = 60.0
LEAST_KEEP_SECONDS = 86400.0
"""A call is known as notified for a day at least."""

log = logging.getLogger("callsign.cluster")


class Rounds:
    """One thread's."""

    def __init__(
        self,
        database: Database,
        membership: Membership,
        store: str,
        give_above: Callable[[int], None],
        ledger: Ledger,
        lanes: Lanes,
        publishing: Publishing,
        reconciliation: Reconciliation,
        slots: Slots,
        sharing: Sharing,
        accounts: Callable[[], Sequence[str]],
        keep_seconds: float,
        adopting: Adopting,
        trouble: Trouble,
        figures: Figures,
    ) -> None:
        """`accounts` are those whose jobs this host delivers.

        `give_above` lets the next job of `store` have a higher number.
        """
        self._database, self._membership, self._ledger, self._lanes = database, membership, ledger, lanes
        self._publishing, self._reconciliation, self._accounts = publishing, reconciliation, accounts
        self._slots, self._sharing = slots, sharing
        self._store, self._give_above = store, give_above
        sharing.wake = publishing.answers.set
        self._keep_seconds = max(keep_seconds, LEAST_KEEP_SECONDS)
        self._adopting, self._trouble, self._figures = adopting, trouble, figures
        self._stopping = threading.Event()
        self._server = ""  # which one, since when
        self._opening = 0  # of the connection that was reconciled on
        self._reconcile_at = self._sure_at = 0.0
        self._prune_at = clocks.steady() + random.uniform(0, PRUNE_SECONDS)  # noqa: S311

    def stop(self) -> None:
        """The thread ends with the round under way."""
        self._stopping.set()
        self._publishing.answers.set()

    def run(self) -> None:
        """The thread's work."""
        while not self._stopping.is_set():
            began = clocks.steady()
            try:
                self.round(began)
            except Exception as fault:  # our own fault must not end the thread
                log.error("rounds: a fault in callsign itself: %s", place_of(fault))
            self._publishing.may_begin.set()
            pause = LACK_SECONDS if self._slots.lacks else BEAT_SECONDS
            if self._sharing.is_asked:
                pause = ASKED_SECONDS
            self._pause(began + pause)
            self._publishing.answers.clear()
        self._sharing.go_without()
        self._database.close()

    def _pause(self, end: float) -> None:
        while (left := end - clocks.steady()) > 0:
            if self._publishing.answers.wait(min(left, LOOK_SECONDS) if self._slots.is_crowded else left):
                return
            self.look(clocks.steady())

    def look(self, now: float) -> None:
        """Between two rounds: takes what hosts without a slot have left to whoever comes first."""
        if self._slots.is_crowded and now < self._membership.lease_until:
            try:
                self._adopt(now)
            except DatabaseFault:
                pass  # the next round tells
            except Exception as fault:
                log.error("rounds: a fault in callsign itself: %s", place_of(fault))

    def round(self, now: float) -> None:
        """One of them; what fails is done in the next one."""
        if self._membership.is_out(now):
            self._publishing.is_out = True
            self._sharing.go_without()
            return
        try:
            try:
                self._go_round(now)
            except DatabaseFault as fault:
                if not fault.of_connection:
                    raise
                self._go_round(now)
        except DatabaseFault as fault:
            self._trouble.has("rounds", fault)
            self._go_without(now, fault.timed_out)
        except Exception:
            self._go_without(now, is_silent=False)
            raise
        else:
            self._publishing.is_out = False
            self._trouble.is_over("rounds")

    def _go_without(self, now: float, is_silent: bool) -> None:
        self._sharing.go_without()
        self._publishing.is_out = not self._membership.has_lease(now)
        if is_silent or self._publishing.is_out:
            self._publishing.has_no_answer()

    def _go_round(self, now: float) -> None:
        if self._membership.life is None:
            self._join()
        self._beat(now)
        if now >= self._prune_at:
            self._prune_at = now + PRUNE_SECONDS
            with self._database.exchange() as say:
                found = say(sql.EXPIRE), say(sql.PRUNE, {"keep": self._keep_seconds})
            if any(len(said.fetchall()) == sql.MOST_PRUNED for said in found):
                self._prune_at = now

    def _join(self) -> None:
        with self._database.exchange() as say:
            joined = say(
                sql.JOIN,
                {"me": self._membership.me, "version": __version__, "systems": list(self._accounts())},
            )
            newest = say(sql.NEWEST, {"store": self._store})
        self._membership.joined(joined.fetchall()[0][0])
        self._reconcile_at = 0.0
        for (number,) in newest.fetchall():
            self._give_above(number)

    def _beat(self, now: float) -> None:
        me = self._membership.me
        loads = self._lanes.loads()
        waiting = {account: load.jobs for account, load in loads.items() if load.jobs}
        with self._database.exchange() as say:
            beat = say(
                sql.BEAT,
                {
                    "me": me,
                    "life": self._membership.life,
                    "wants": json.dumps(waiting),
                    "systems": list(self._accounts()),
                    "troubled": [account for account, load in loads.items() if load.vendor_is_away],
                },
            )
            all_hosts = say(sql.HOSTS)
            started = say(sql.STARTED)
            wishes = say(sql.WISHES, {"me": me})
        hosts = [HostRow(*row) for row in all_hosts.fetchall()]
        if not beat.fetchall():
            self._membership.leave(next((host for host in hosts if host.name == me), None), now)
            return
        late = self._membership.look(hosts, now)
        self._hear(wishes.fetchall())
        server = started.fetchall()[0][0]
        if server != self._server or self._database.openings != self._opening or now >= self._reconcile_at:
            self._reconciliation.run(self._database, forgetful=self._server not in ("", server))
            if self._server and (server, self._database.openings) != (self._server, self._opening):
                self._sure_at = now + UNSURE_SECONDS
            self._server, self._opening = server, self._database.openings
            self._reconcile_at = now + RECONCILE_SECONDS
            self._slots.load(self._database)
        self._slots.share(self._database, self._accounts())
        self._offer()
        self._membership.renew(now)
        self._figures.lease_until = self._membership.lease_until
        if late:
            self._bury(late)
        self._adopt(now)
        self._sharing.serve(self._database)

    def _bury(self, late: list[HostRow]) -> None:
        with self._database.exchange() as say:
            declared = [say(sql.DECLARE_DEAD, {"name": it.name, "life": it.life, "beat": it.beat}) for it in late]
        for name in (name for cursor in declared for (name,) in cursor.fetchall()):
            log.warning("host %s has given no sign of life: its jobs go out from the others", name)

    def _offer(self) -> None:
        """What we have no slot for any more goes to whoever comes first; what is under way stays ours."""
        ours = [
            entry
            for entry in self._ledger.all(Life.MINE, Life.BEHIND, Life.EARLY)
            if entry.is_published and not self._slots.has_room(entry.job.notification.system)
        ][:MOST_OFFERED]
        for entry in ours:
            self._ledger.happen(entry, Event.OFFER)
        idle = [entry for entry in ours if entry.life is Life.OFFERED and entry.job.held]
        if idle:
            with self._database.exchange() as say:
                say(sql.HAND_OVER, rows.handing(idle, self._membership.me, None))

    def _adopt(self, now: float) -> None:
        me, systems = self._membership.me, self._slots.with_some(self._accounts())
        with self._adopting.lock:  # no answer may let a job of ours go before these are on their lanes
            with self._database.exchange() as say:
                taken = say(sql.ADOPT, {"me": me, "systems": systems, "ownerless": now >= self._sure_at})
            self._adopting.take_in(taken.fetchall(), self._database)

    def _hear(self, wishes: list[tuple[str, int]]) -> None:
        """What somebody has given up is not sent any more."""
        heard = [(key, self._ledger.get(key)) for key in wishes]
        if not wishes:
            return
        for _, entry in heard:
            if entry is not None:
                word = State.DROPPED, "given up by the administrator"
                self._ledger.happen(entry, Event.TAKEN, word)
        with self._database.exchange() as say:
            say(sql.WISH_HEARD, {"jobs": rows.names(wishes)})
