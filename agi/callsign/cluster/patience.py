"""What happens to a job when nobody says anything: how long each waits for the database, and what it does then.

Seconds count while this process runs: in those in which it stood still it could hear no answer.
"""

from __future__ import annotations

import logging
import math

from callsign import clocks
from callsign.cluster import rows
from callsign.cluster.known import Known
from callsign.cluster.ledger import Entry, Ledger
from callsign.cluster.life import Event, Life
from callsign.cluster.membership import Membership
from callsign.cluster.publishing import Publishing
from callsign.cluster.slots import Slots
from callsign.outbox.outbox import Job
from callsign.settings.sections import Cluster

MOST_OF_A_TICK_SECONDS = 0.3
"""What is longer does not count as waiting."""

BLIND_SECONDS = 1.0
"""So long after the first fault nobody waits for another host's job any more."""

LAPSED_SECONDS = 2.0
"""So long without a lease, and a job whose time is nearly over goes out: one that has just woken first joins again."""

log = logging.getLogger("callsign.cluster")


class Patience:
    """`tick` is for one thread, which calls it ten times a second."""

    def __init__(
        self,
        section: Cluster,
        ledger: Ledger,
        membership: Membership,
        publishing: Publishing,
        slots: Slots,
        known: Known,
    ) -> None:
        self._section, self._ledger, self._membership = section, ledger, membership
        self._publishing, self._slots, self._known = publishing, slots, known
        self._ticked = clocks.steady()
        self._awake = 0.0  # seconds in which this process ran
        self._answered = self._leased = 0.0  # when it was so last, in these seconds
        self._has_said_who_waits = False

    def ends(self) -> float:
        """Of a job that was taken over now."""
        return self._awake + self._section.patience

    def ends_of(self, job: Job, is_found: bool) -> float:
        """Of one of our own, which lay in the store before a call was answered if `is_found`."""
        if is_found:  # others may have taken it over: it waits as long as it can
            return math.inf if self._known.has(job.id) else self._awake + 2 * self._section.lease
        if rows.may_undo(job.notification):  # its start, elsewhere, waits as long, and maybe for one of those before it
            return self._awake + 2 * self._section.patience
        return self._awake + self._section.patience

    def is_over(self, entry: Entry, now: float) -> bool:
        """Whether a new job waits no longer for its answer.

        A stop does in the first seconds of a silence: its start may wait at a host that has not noticed it yet.
        """
        if self._awake >= entry.patience_ends:
            return True
        if not self._publishing.is_silent:
            return False
        if entry.is_found:
            return self._membership.is_out(now) or entry.is_last_call(now)
        return not (self._publishing.is_silent_for_us_alone and rows.may_undo(entry.job.notification))

    def tick(self, now: float) -> None:
        """What has been waited for long enough happens."""
        self._awake += min(now - self._ticked, MOST_OF_A_TICK_SECONDS)
        self._ticked = now
        silent = self._publishing.is_silent
        for entry in self._ledger.all(Life.NEW):
            if self.is_over(entry, now):
                self._ledger.happen(entry, Event.SILENCE)
        for entry in self._ledger.all(Life.EARLY):
            if self._awake >= entry.patience_ends:
                self._ledger.happen(entry, Event.SILENCE)
        if not silent:
            self._answered = self._awake
        elif self._awake > self._answered + BLIND_SECONDS:
            self._go_blind()
        is_valid = now < self._membership.lease_until
        if is_valid:
            self._leased = self._awake
        else:
            self._slots.fall_back()
        for entry in self._ledger.all(Life.HELD):
            if is_valid:
                self._ledger.happen(entry, Event.RETURN)
            elif self._membership.is_out(now):  # for a minute no lease is to be had
                self._ledger.happen(entry, Event.SILENCE)
            elif entry.is_last_call(now) and self._awake > self._leased + LAPSED_SECONDS:
                self._ledger.happen(entry, Event.LAST_CALL)

    def _go_blind(self) -> None:
        for entry in self._ledger.all(Life.BEHIND):
            self._ledger.happen(entry, Event.SILENCE)
        for entry in self._ledger.all(Life.OFFERED):
            self._ledger.happen(entry, Event.SILENCE)
            self._publishing.claim(entry)
        found = sum(entry.is_found for entry in self._ledger.all(Life.NEW))
        if found and not self._has_said_who_waits:
            log.warning(
                "[cluster] jobs that lay in the store at the start wait for the database, up to near their end: %d; "
                "other hosts may have delivered them",
                found,
            )
            self._has_said_who_waits = True
