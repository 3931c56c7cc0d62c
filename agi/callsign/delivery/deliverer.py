"""Delivers what the store holds: one process at a time (`election`), a lane per account, a worker per conversation."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from callsign import clocks
from callsign.delivery.attempts import Attempts
from callsign.delivery.conversation import Send
from callsign.delivery.doubts import DOUBT_SECONDS, MOST_DOUBTS
from callsign.delivery.election import Election
from callsign.delivery.gate import Gate, Load
from callsign.delivery.lane import Lane
from callsign.delivery.outcomes import LOOK_SECONDS, Outcomes
from callsign.delivery.workers import AFTER_FAULT_SECONDS, LaneWorkers
from callsign.log_text import own_fault
from callsign.notification import State
from callsign.outbox.outbox import Job, Outbox, OutboxError
from callsign.outbox.reader import OutboxReader
from callsign.settings.accounts import system_of
from callsign.settings.sections import Settings
from callsign.vendors.registry import VENDORS

STANDBY_SECONDS = 0.1
LOAD_SECONDS = 10.0
WRITE_DOWN_SECONDS = 2.0
"""How long the next deliverer may have to wait until we have written down what we delivered."""

log = logging.getLogger("callsign.delivery")


class Delivery:
    """One process's share in the delivery."""

    def __init__(self, outbox: Outbox, settings: Callable[[], Settings], send: Send, gate: Gate | None = None) -> None:
        self._outbox = outbox
        self._reader = OutboxReader(outbox.path, patience_seconds=LOOK_SECONDS)
        self._election = Election(outbox)
        self._gate = gate or Gate()
        self._standby: threading.Thread | None = None
        self._stopping = threading.Event()
        self._loaded = threading.Event()
        self._workers: dict[str, LaneWorkers] = {}  # by account; of a further one from its first job on
        self._hiring = threading.Lock()
        self._without_thread: list[LaneWorkers] = []
        self._outcomes = Outcomes(self._look_up)
        self.attempts = Attempts(outbox, settings, send, self._outcomes, self._look_up, self._gate)
        for system, vendor in VENDORS.items():
            if vendor.converse:
                self._workers_of(system)
        self.newest_seen = 0
        """The highest id of all jobs that the store has handed us and that are on their lanes."""

    def _workers_of(self, account: str) -> LaneWorkers | None:
        """Its lane and threads; None where this callsign does not know the vendor."""
        vendor = VENDORS.get(system_of(account))
        with self._hiring:
            if account not in self._workers and vendor is not None and vendor.converse:
                lane = Lane(vendor.concurrency, vendor.keys_of, vendor.undoes)
                self.attempts.begin(account)
                self._workers[account] = LaneWorkers(account, vendor.concurrency, lane, self.attempts.deal_with)
            return self._workers.get(account)

    def start(self) -> None:
        """Delivers from the moment on that no other process does; returns at once."""
        self._standby = threading.Thread(target=self._stand_by, name="delivery-standby", daemon=True)
        self._standby.start()
        for workers in tuple(self._workers.values()):
            workers.have_one()

    def try_start(self) -> bool:
        """Delivers from now on if no other process does.  False where another one does, or the store is broken."""
        if not self._election.is_won():
            return False
        self._outcomes.delivers_here = True
        self._remember_doubts()
        self._gate.start(self)
        self._outbox.listen(self._admit, self._election.hold_again)
        return True

    def _remember_doubts(self) -> None:
        """What others attempted until it expired may still be carried out."""
        with suppress(Exception):  # where that cannot be read what waits goes out all the same
            for expired in self._reader.expired_lately(clocks.wall() - DOUBT_SECONDS, MOST_DOUBTS):
                vendor, workers = VENDORS.get(system_of(expired.system)), self._workers_of(expired.system)
                if vendor is not None and vendor.in_order and workers is not None:
                    with workers.lane.guard:
                        workers.lane.doubts.note(expired)

    @property
    def hangs(self) -> bool:
        """Whether an attempt does not come to its end, and what stands behind it never to its turn."""
        return any(workers.hang for workers in tuple(self._workers.values()))

    def wait_for(self, job: int, seconds: float) -> tuple[State, str] | None:
        """The job's end, None if it has not ended within `seconds`, or at once while its vendor is away."""
        return self._outcomes.wait_for(job, seconds)

    def let_calls_go(self) -> None:
        """From now on no call waits for an outcome: the server is about to end, and each is to have a status."""
        self._outcomes.let_calls_go()

    def seconds_to_next(self) -> float | None:
        """How long until something is to do, 0 while something is; None if nothing is open, or the store is broken."""
        if not self._stopping.is_set():
            self._loaded.wait(LOAD_SECONDS)
        now = clocks.steady()
        soonest = None
        for lane in [workers.lane for workers in tuple(self._workers.values())]:
            with lane.guard:
                soon = 0.0 if lane.in_flight else lane.seconds_to_next(now)
            if soon is not None:
                soonest = soon if soonest is None else min(soon, soonest)
        return soonest

    def stop(self, seconds: float) -> None:
        """Begins no attempt any more, lets those under way end for up to `seconds`, lets others deliver."""
        self._stopping.set()
        if self._standby is not None:
            self._standby.join(STANDBY_SECONDS + 1)
        end = time.monotonic() + seconds
        for workers in tuple(self._workers.values()):
            workers.stop()
        for workers in tuple(self._workers.values()):
            workers.wait_until_idle(end)
        if self._outcomes.delivers_here:
            self._gate.stop(max(0.0, end - time.monotonic()))
        not_looked = self._election.one_has_died and not self._loaded.is_set()
        leave_sign = not_looked or any(workers.leave_doubt for workers in tuple(self._workers.values()))
        if self._outcomes.delivers_here:
            self._outbox.stop_listening(WRITE_DOWN_SECONDS)
        self._outcomes.delivers_here = False
        self._election.lose(leave_sign)
        self._reader.close()

    def _stand_by(self) -> None:
        pause = 0.0
        while not self._stopping.wait(pause):
            try:
                if self.try_start():
                    return
                pause = STANDBY_SECONDS
            except Exception as fault:  # our own fault must not leave all that is stored where it is
                log.error("delivery has not begun: %s", own_fault(fault))
                self._outcomes.delivers_here = False
                self._election.lose(leave_sign=self._election.one_has_died)
                pause = AFTER_FAULT_SECONDS

    # -- the jobs --------------------------------------------------------------------------------------

    def _admit(self, jobs: list[Job]) -> None:
        """In a thread of the outbox's: jobs onto their lanes; the first call brings what was open, maybe nothing."""
        admitted = [job for job in jobs if self._is_on_its_lane(job)]
        self._gate.admit(admitted)
        called = [self._workers[job.notification.system] for job in admitted]
        to_call = dict.fromkeys([*called, *self._without_thread])
        self._without_thread = []
        for workers in to_call:
            with workers.lane.guard:
                workers.call()  # it calls the next one
                if workers.lack_thread:
                    self._without_thread.append(workers)
        self.newest_seen = max(self.newest_seen, jobs[-1].id if jobs else 0)
        self._loaded.set()

    def _is_on_its_lane(self, job: Job) -> bool:
        """Puts it there; False where it makes no sense, and then it holds up no other."""
        try:
            workers = self._workers_of(job.notification.system)
            if workers is None:
                self._leave(job)
                return False
            job.in_doubt = job.recovered and (job.attempts > 0 or self._election.one_has_died)
            job.held = self._gate.holds
            with workers.lane.guard:
                workers.lane.add(job)
                self._outcomes.put_off(workers.lane.held_up(job))
        except Exception as fault:
            log.error("job=%s is left alone: %s", job.shown, own_fault(fault))
            return False
        return True

    # -- what a gate does with them (Lanes) ------------------------------------------------------------

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
                found[account] = Load(workers.lane.open_jobs, workers.lane.in_flight, workers.lane.pace.vendor_is_away)
        return found

    @contextmanager
    def _calling(self, account: str) -> Iterator[Lane]:
        """Its lane, with the guard held; what has changed there is seen to."""
        workers = self._workers_of(account)
        assert workers is not None  # noqa: S101
        with workers.lane.guard:
            yield workers.lane
            workers.call()

    def _leave(self, job: Job) -> None:
        """A job of a vendor that only another version of callsign knows: it waits for that, but not for ever."""
        system = job.notification.system
        log.error("job=%d is for %s, which this callsign does not know", job.id, system)
        if clocks.steady() >= job.steady_deadline:
            self._outbox.end(job, State.EXPIRED, f"this callsign does not know {system}")

    def _look_up(self, job: int, at: float | None = None) -> tuple[State, str] | None:
        """What the store says of a job that has ended; None where it waits, or is not to be found."""
        try:
            found = self._reader.state_of(job, at)
        except OutboxError:
            return None
        return None if found is None or found[0] is State.WAITING else found
