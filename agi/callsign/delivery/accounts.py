"""Each account's lane with its threads, and what a gate does with the jobs there; for any thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from callsign import clocks
from callsign.delivery.attempts import Attempts
from callsign.delivery.gate import Load
from callsign.delivery.lane import Lane
from callsign.delivery.outcomes import Outcomes
from callsign.delivery.workers import LaneWorkers
from callsign.notification import State
from callsign.outbox.outbox import Job
from callsign.settings.accounts import system_of
from callsign.vendors.registry import VENDORS


class AccountLanes:
    """One process's; those of a vendor's own section are there at once, of a further account from its first job on."""

    def __init__(self, attempts: Attempts, outcomes: Outcomes) -> None:
        self._attempts = attempts
        self._outcomes = outcomes
        self._workers: dict[str, LaneWorkers] = {}
        self._making = threading.Lock()
        for system in VENDORS:
            self.of(system)

    def of(self, account: str) -> LaneWorkers | None:
        """Its lane and threads; None where this callsign does not know the vendor, or delivers nothing to it."""
        vendor = VENDORS.get(system_of(account))
        with self._making:
            if account not in self._workers and vendor is not None and vendor.converse:
                lane = Lane(vendor.concurrency, vendor.keys_of, vendor.undoes)
                self._attempts.begin(account)
                self._workers[account] = LaneWorkers(account, vendor.concurrency, lane, self._attempts.deal_with)
            return self._workers.get(account)

    def all(self) -> tuple[LaneWorkers, ...]:
        """Of all accounts that there are by now."""
        return tuple(self._workers.values())

    def seconds_to_next(self) -> float | None:
        """How long until something is to do, 0 while something is; None if nothing is open."""
        now = clocks.steady()
        found = []
        for lane in [workers.lane for workers in self.all()]:
            with lane.guard:
                found.append(0.0 if lane.in_flight else lane.seconds_to_next(now))
        return min((seconds for seconds in found if seconds is not None), default=None)

    def stop(self, end: float) -> None:
        """Begins no attempt any more, lets those under way end until that moment of time.monotonic()."""
        for workers in self.all():
            workers.stop()
        for workers in self.all():
            workers.wait_until_idle(end)

    # -- what a gate does with them (gate.Lanes) -------------------------------------------------------

    def let_go(self, job: Job) -> None:
        """The job may be attempted, in its turn."""
        with self._calling(job.notification.system) as lane:
            lane.let_go(job)

    def hold(self, job: Job) -> None:
        """Not before it is let go; an attempt under way goes on."""
        with self._calling(job.notification.system) as lane:
            lane.hold(job)

    def leave(self, job: Job) -> None:
        """The same, and maybe another host sends it: no call here waits for its end."""
        self._outcomes.put_off([job.id])
        self.hold(job)

    def give_up(self, job: Job, state: State, reason: str) -> None:
        """It ends so, unless an attempt is under way."""
        with self._calling(job.notification.system) as lane:
            lane.give_up(job, state, reason)

    def take_in(self, jobs: Sequence[Job]) -> None:
        """Jobs of another host: by their age, before those of ours that were not tried."""
        for job in jobs:
            with self._calling(job.notification.system) as lane:
                lane.add(job)

    def limit(self, account: str, most: int, hosts: int, stands_aside: bool) -> None:
        """What this host may do at a vendor that it shares with others."""
        with self._calling(account) as lane:
            lane.pace.limit(most, hosts, stands_aside)

    def loads(self) -> dict[str, Load]:
        """By account: what is to do."""
        found = {}
        for account, workers in tuple(self._workers.items()):
            with workers.lane.guard:
                lane = workers.lane
                found[account] = Load(lane.open_jobs, lane.in_flight, lane.pace.vendor_is_away)
        return found

    @contextmanager
    def _calling(self, account: str) -> Iterator[Lane]:
        """Its lane, with the guard held; what has changed there is seen to."""
        workers = self.of(account)
        assert workers is not None  # noqa: S101
        with workers.lane.guard:
            yield workers.lane
            workers.call()
