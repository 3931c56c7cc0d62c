"""What the delivery sees of the other hosts: its jobs pass here, and go on by what the database says of them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from callsign import clocks, thread_starts
from callsign.cluster.adopting import Adopting
from callsign.cluster.connection import LIMIT_SECONDS, Database
from callsign.cluster.figures import Figures
from callsign.cluster.known import Known
from callsign.cluster.ledger import Entry, Ledger, Note
from callsign.cluster.life import Event
from callsign.cluster.membership import Membership
from callsign.cluster.patience import Patience
from callsign.cluster.publishing import Publishing
from callsign.cluster.reconcile import Reconciliation
from callsign.cluster.rounds import Rounds
from callsign.cluster.sharing import OfAccount, Sharing
from callsign.cluster.slots import Slots
from callsign.cluster.telling import Telling
from callsign.cluster.trouble import Trouble
from callsign.delivery.gate import Gate, Lanes
from callsign.log_text import place_of
from callsign.notification import State
from callsign.outbox.jobs import digest_of
from callsign.outbox.outbox import Job, OutboxError
from callsign.outbox.reader import OutboxReader
from callsign.settings.accounts import system_of
from callsign.settings.sections import Settings
from callsign.vendors.registry import VENDORS

TICK_SECONDS = 0.1

LookUp = Callable[[int], "tuple[State, str] | None"]

log = logging.getLogger("callsign.cluster")


class ClusterGate(Gate):
    """This host's."""

    holds = True

    def __init__(
        self,
        settings: Callable[[], Settings],
        write_known: Callable[[int | None], None],
        give_above: Callable[[int], None],
    ) -> None:
        """[cluster] is as it is now, the accounts whose jobs are delivered as they are later.

        `write_known` as for Known, `give_above` as for Rounds.
        """
        section = settings().cluster
        assert section is not None  # noqa: S101
        self.figures = Figures()
        self._section = section
        self._sharing = Sharing(section.host, min(section.patience, LIMIT_SECONDS))
        self._store = settings().outbox
        self._settings = settings
        self._reader = OutboxReader(self._store.path)
        self.known = Known(write_known)
        self._give_above = give_above
        self._stopping = threading.Event()
        self._is_given_up = False

    def look(self) -> None:
        """What lies in the store; before a call is answered.  Where that cannot be told the others may know of all."""
        with suppress(OutboxError):
            self.known.found(*self._reader.known())

    def start(self, lanes: Lanes) -> None:
        """Joins the others beside the calls."""
        databases = Database(self._section, self.figures), Database(self._section, self.figures)
        with self._or_alone():
            self.wire(lanes, self._reader.store_id(), self._state_of, *databases)
            works = {"clock": self._run, "publish": self.publishing.run, "rounds": self.rounds.run}
            if not all(thread_starts.begin(f"cluster-{name}", work) for name, work in works.items()):
                raise RuntimeError("no thread for it")

    @contextmanager
    def _or_alone(self) -> Iterator[None]:
        """Whatever is wrong in here, no job waits for it: this host then works as if there were no others."""
        try:
            yield
        except Exception as fault:
            if not self._is_given_up:
                words = fault if isinstance(fault, OutboxError | RuntimeError) else place_of(fault)
                log.error("[cluster]: a fault in callsign itself: %s; this host works alone from now on", words)
            self._is_given_up, self.holds = True, False
            self._stopping.set()
            if hasattr(self, "rounds"):
                self.rounds.stop()
                self.publishing.stop()

    def wire(self, lanes: Lanes, store: str, look_up: LookUp, publish: Database, beat: Database) -> None:
        """Puts the parts together; `look_up` tells where a job of our own store stands."""
        self._lanes = lanes
        me, figures, lock, trouble = self._section.host, self.figures, threading.Lock(), Trouble()
        self._store_id = store
        self.ledger = Ledger(lanes, figures)
        self.membership = Membership(me, self._section.lease)
        self._slots = Slots(self.membership, lanes, _limit_of, figures)
        telling = Telling(publish, self.known, me, self._digest_of, self._slots.has_room)
        self.publishing = Publishing(telling, self.ledger, me, lock, trouble, figures, self.known)
        self.patience = Patience(self._section, self.ledger, self.membership, self.publishing, self._slots, self.known)
        adopting = Adopting(me, self.ledger, lanes, self.publishing, lock, self.patience.ends, figures)
        self.rounds = Rounds(
            beat,
            self.membership,
            store,
            self._give_above,
            self.ledger,
            lanes,
            self.publishing,
            Reconciliation(me, store, self.ledger, self.publishing, adopting, look_up),
            self._slots,
            self._sharing,
            self._accounts,
            86400 * self._store.keep_days,
            adopting,
            trouble,
            figures,
        )

    def shared(self, account: str) -> OfAccount:
        """What the hosts have in common of it, while the database answers."""
        return self._sharing.of(account)

    def stop(self, seconds: float) -> None:
        """What has ended is told within `seconds`."""
        self._stopping.set()
        if not self._is_given_up:
            self.rounds.stop()
            self.publishing.stop()
            self.publishing.has_stopped.wait(seconds)
            self.known.silence()
        self._reader.close()

    def admit(self, jobs: Sequence[Job]) -> None:
        """They are told to the others, and go on by the answer, or without one when their patience is over."""
        with self._or_alone():
            if not self._is_given_up:
                self._admit(jobs)
                return
        for job in jobs:
            self._lanes.let_go(job)

    def _admit(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            is_found = job.recovered and self.known.is_found(job.id)
            patience_ends = self.patience.ends_of(job, is_found)
            entry = Entry(job, (self._store_id, job.id), self._section.host, patience_ends, is_found=is_found)
            self.ledger.add(entry)
            if self.patience.is_over(entry, clocks.steady()):
                self.ledger.happen(entry, Event.SILENCE)
            self.publishing.publish(entry)

    def may_send(self, job: Job) -> bool:
        """Looks at the lease as late as possible."""
        with self._or_alone():
            if not self._is_given_up:
                return self.ledger.may_send(job, clocks.steady() < self.membership.lease_until)
        return True

    def put_off(self, job: Job, seconds: float, reason: str) -> None:
        """The others would go on from there."""
        if self._is_given_up:
            return
        entry = self.ledger.of(job)
        if entry is not None and entry.is_published:
            self.publishing.note(Note(entry, clocks.steady() + seconds, reason))

    def ended(self, job: Job, state: State, reason: str) -> None:
        """So the others need not, and what stands behind it at one of them goes on."""
        with self._or_alone():
            if self._is_given_up:
                return
            entry = self.ledger.end(job, state, reason)
            if entry is not None and entry.is_published:
                self.publishing.end(entry)

    def wait_known(self, job: Job) -> None:
        """While the database answers."""
        if self._is_given_up:
            return
        entry = self.ledger.of(job)
        if entry is not None and entry.is_published:
            self.ledger.wait_known(job, self._section.patience, lambda: self.publishing.is_silent)

    def _accounts(self) -> list[str]:
        """Whose jobs this host delivers."""
        return [account for account in self._settings().accounts if VENDORS[system_of(account)].converse]

    # -- by the clock ----------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.wait(TICK_SECONDS):
            with self._or_alone():
                self.patience.tick(clocks.steady())
        if self._is_given_up:
            for entry in self.ledger.all():
                self._lanes.let_go(entry.job)

    def _state_of(self, job: int) -> tuple[State, str] | None:
        """Where a job of our own store stands; waiting, where that cannot be told."""
        try:
            return self._reader.state_of(job)
        except OutboxError:
            return State.WAITING, ""

    def _digest_of(self, entry: Entry) -> str | None:
        if entry.job.home or not entry.job.recovered:
            return digest_of(entry.job.notification) or None
        try:
            return self._reader.digest_of(entry.job.id) or None
        except OutboxError:
            return None


def _limit_of(account: str) -> int:
    return VENDORS[system_of(account)].concurrency
