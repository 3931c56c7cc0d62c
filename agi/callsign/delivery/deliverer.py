"""Delivers what the store holds: one process at a time (`election`), a lane per account, a worker per conversation."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from callsign import clocks, thread_starts
from callsign.delivery.accounts import AccountLanes
from callsign.delivery.attempts import Attempts
from callsign.delivery.conversation import Send
from callsign.delivery.doubts import DOUBT_SECONDS, MOST_DOUBTS
from callsign.delivery.election import Election
from callsign.delivery.gate import Gate
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
        self._without_thread: list[LaneWorkers] = []
        self.outcomes = Outcomes(self._look_up)
        """Where calls wait for a job's end."""
        self.attempts = Attempts(outbox, settings, send, self.outcomes, self._look_up, self._gate)
        self.lanes = AccountLanes(self.attempts, self.outcomes)
        self.newest_seen = 0
        """The highest id of all jobs that the store has handed us and that are on their lanes."""

    def start(self) -> None:
        """Delivers from the moment on that no other process does; returns at once."""
        self._standby = thread_starts.Thread("delivery-standby", self._stand_by)
        self._standby.start()
        for workers in self.lanes.all():
            workers.have_one()

    def try_start(self) -> bool:
        """Delivers from now on if no other process does.  False where another one does, or the store is broken."""
        if not self._election.is_won():
            return False
        self.outcomes.delivers_here = True
        self._remember_doubts()
        self._gate.start(self.lanes)
        self._outbox.listen(self._admit, self._election.hold_again)
        return True

    def _remember_doubts(self) -> None:
        """What others attempted until it expired may still be carried out."""
        with suppress(Exception):  # where that cannot be read what waits goes out all the same
            for expired in self._reader.expired_lately(clocks.wall() - DOUBT_SECONDS, MOST_DOUBTS):
                vendor, workers = VENDORS.get(system_of(expired.system)), self.lanes.of(expired.system)
                if vendor is not None and vendor.in_order and workers is not None:
                    with workers.lane.guard:
                        workers.lane.doubts.note(expired)

    @property
    def hangs(self) -> bool:
        """Whether an attempt does not come to its end, and what stands behind it never to its turn."""
        return any(workers.hang for workers in self.lanes.all())

    def seconds_to_next(self) -> float | None:
        """How long until something is to do, 0 while something is; None if nothing is open, or the store is broken."""
        if not self._stopping.is_set():
            self._loaded.wait(LOAD_SECONDS)
        return self.lanes.seconds_to_next()

    def stop(self, seconds: float) -> None:
        """Begins no attempt any more, lets those under way end for up to `seconds`, lets others deliver."""
        self._stopping.set()
        if self._standby is not None:
            self._standby.join(STANDBY_SECONDS + 1)
        end = time.monotonic() + seconds
        self.lanes.stop(end)
        if self.outcomes.delivers_here:
            self._gate.stop(max(0.0, end - time.monotonic()))
        not_looked = self._election.one_has_died and not self._loaded.is_set()
        leave_sign = not_looked or any(workers.leave_doubt for workers in self.lanes.all())
        if self.outcomes.delivers_here:
            self._outbox.stop_listening(WRITE_DOWN_SECONDS)
        self.outcomes.delivers_here = False
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
                self.outcomes.delivers_here = False
                self._election.lose(leave_sign=self._election.one_has_died)
                pause = AFTER_FAULT_SECONDS

    # -- the jobs --------------------------------------------------------------------------------------

    def _admit(self, jobs: list[Job]) -> None:
        """In a thread of the outbox's: jobs onto their lanes; the first call brings what was open, maybe nothing."""
        admitted = [job for job in jobs if self._is_on_its_lane(job)]
        self._gate.admit(admitted)
        called = [self.lanes.of(job.notification.system) for job in admitted]
        to_call = dict.fromkeys([*filter(None, called), *self._without_thread])
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
            workers = self.lanes.of(job.notification.system)
            if workers is None:
                self._leave(job)
                return False
            job.in_doubt = job.recovered and (job.attempts > 0 or self._election.one_has_died)
            job.held = self._gate.holds
            with workers.lane.guard:
                workers.lane.add(job)
                self.outcomes.put_off(workers.lane.held_up(job))
        except Exception as fault:
            log.error("job=%s is left alone: %s", job.shown, own_fault(fault))
            return False
        return True

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
