"""Delivers what the store holds: one process at a time (`election`), a lane per account, a worker per conversation."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from callsign import clocks
from callsign.delivery.conversation import PastDeadline, Send, lead, told_of
from callsign.delivery.election import Election
from callsign.delivery.lane import DOUBT_SECONDS, MOST_DOUBTS, Lane
from callsign.delivery.outcomes import LOOK_SECONDS, Outcomes
from callsign.delivery.retry import next_delay_seconds
from callsign.delivery.workers import LaneWorkers
from callsign.log_text import place_of
from callsign.notification import Delivered, Outcome, State, TryLater
from callsign.outbox.outbox import Job, Outbox, OutboxError
from callsign.outbox.reader import OutboxReader
from callsign.settings.accounts import section_shown, system_of
from callsign.settings.sections import Settings
from callsign.vendors.registry import VENDORS

ATTEMPT_SECONDS = 10.0
STANDBY_SECONDS = 0.1
LOAD_SECONDS = 10.0
WRITE_DOWN_SECONDS = 2.0
"""How long the next deliverer may have to wait until we have written down what we delivered."""

IN_ORDER_SECONDS = 0.5
"""How long the next in order waits at most until it is written what came of the one before.

Else a start that has ended would come to life behind its stop, when the process is killed in between.
"""

AGAIN_SECONDS = 5.0
"""So long after its own verdict a stop is sent once more, where the start before it may be carried out late."""

log = logging.getLogger("callsign.delivery")

OnOutcome = Callable[[str, str, float | None], None]


class Delivery:
    """One process's share in the delivery."""

    def __init__(self, outbox: Outbox, settings: Callable[[], Settings], send: Send) -> None:
        self._outbox = outbox
        self._settings = settings
        self._send = send
        self._reader = OutboxReader(outbox.path, patience_seconds=LOOK_SECONDS)
        self._election = Election(outbox)
        self._standby: threading.Thread | None = None
        self._stopping = threading.Event()
        self._loaded = threading.Event()
        self._workers: dict[str, LaneWorkers] = {}  # by account; of a further one from its first job on
        self._memories: dict[str, Any] = {}
        self._without_thread: list[LaneWorkers] = []
        for system, vendor in VENDORS.items():
            if vendor.converse:
                self._workers_of(system)
        self._outcomes = Outcomes(self._look_up)
        self.newest_seen = 0
        """The highest id of all jobs that the store has handed us and that are on their lanes."""
        self.on_outcome: OnOutcome | None = None
        """Is told the account, what came of a job or an attempt, and the attempt's milliseconds; must not raise."""

    def _workers_of(self, account: str) -> LaneWorkers | None:
        """Its lane and threads; None where this callsign does not know the vendor.  In one thread at a time."""
        vendor = VENDORS.get(system_of(account))
        if account not in self._workers and vendor is not None and vendor.converse:
            lane = Lane(vendor.concurrency, vendor.keys_of, vendor.undoes)
            self._memories[account] = vendor.new_memory()
            self._workers[account] = LaneWorkers(account, vendor.concurrency, lane, self._deal_with)
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
        self._outcomes.told_here = True
        self._remember_doubts()
        self._outbox.listen(self._admit, self._election.hold_again)
        return True

    def _remember_doubts(self) -> None:
        """What others attempted until it expired may still be carried out."""
        with suppress(OutboxError, ValueError, TypeError):
            for told in self._reader.expired_lately(clocks.wall() - DOUBT_SECONDS, MOST_DOUBTS):
                vendor, workers = VENDORS.get(system_of(told.system)), self._workers_of(told.system)
                if vendor is not None and vendor.in_order and workers is not None:
                    with workers.lane.guard:
                        workers.lane.note_doubt(told)

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
        not_looked = self._election.one_has_died and not self._loaded.is_set()
        leave_sign = not_looked or any(workers.leave_doubt for workers in tuple(self._workers.values()))
        if self._outcomes.told_here:
            self._outbox.stop_listening(WRITE_DOWN_SECONDS)
        self._outcomes.told_here = False
        self._election.lose(leave_sign)
        self._reader.close()

    def _stand_by(self) -> None:
        while not self._stopping.is_set() and not self.try_start():
            self._stopping.wait(STANDBY_SECONDS)

    # -- the jobs --------------------------------------------------------------------------------------

    def _admit(self, jobs: list[Job]) -> None:
        """In a thread of the outbox's: jobs onto their lanes; the first call brings what was open, maybe nothing."""
        called = {}
        for job in jobs:
            workers = self._workers_of(job.notification.system)
            if workers is None:
                self._leave(job)
                continue
            job.in_doubt = job.recovered and (job.attempts > 0 or self._election.one_has_died)
            with workers.lane.guard:
                workers.lane.add(job)
                self._outcomes.put_off(workers.lane.held_up(job))
            called[job.notification.system] = workers
        to_call = dict.fromkeys([*called.values(), *self._without_thread])
        self._without_thread = []
        for workers in to_call:
            with workers.lane.guard:
                workers.call()  # it calls the next one
                if workers.lack_thread:
                    self._without_thread.append(workers)
        self.newest_seen = max(self.newest_seen, jobs[-1].id if jobs else 0)
        self._loaded.set()

    def _leave(self, job: Job) -> None:
        """A job of a vendor that only another version of callsign knows: it waits for that, but not for ever."""
        system = job.notification.system
        log.error("job=%d is for %s, which this callsign does not know", job.id, system)
        if clocks.steady() >= job.steady_deadline:
            self._outbox.end(job, State.EXPIRED, f"this callsign does not know {system}")

    def _deal_with(self, lane: Lane, job: Job, superseded: bool) -> None:
        """Ends the job where no attempt makes sense any more, else attempts it."""
        if superseded:
            self._end(lane, job, State.SUPERSEDED, "a stop came before it was tried", None)
        elif job.over and job.word:  # it needs no repetition: a newer start came, or its time is over
            self._end(lane, job, *job.word, None)
        elif clocks.steady() >= job.steady_deadline:
            self._end(lane, job, State.EXPIRED, "too late to be of use", None)
        elif (job.attempts or job.recovered) and (given_up := self._look_up(job.id, job.notification.at)):
            self._outbox.end(job, *given_up)  # which need not be kept in mind any more
            self._outcomes.tell(job.id, *given_up)  # by somebody's `drop`: it is written down already
            self._log(job, given_up[0].value, given_up[1], None)
            self._settle(lane, job, verdict=False)
        else:
            self._attempt(lane, job)

    def _attempt(self, lane: Lane, job: Job) -> None:
        told = job.notification
        job.attempts += 1
        began = time.perf_counter()
        outcome: Outcome
        try:
            outcome = self._converse(job)
        except PastDeadline:
            self._end(lane, job, State.EXPIRED, "its time was over before the vendor could be told", None)
            return
        except Exception as fault:  # our own fault must not end the lane
            log.error("job=%d system=%s: a fault in callsign itself: %s", job.id, told.system, place_of(fault))
            outcome = TryLater("a fault in callsign itself, see its log", may_be_done=True)
        milliseconds = 1000 * (time.perf_counter() - began)
        job.unreached = isinstance(outcome, TryLater) and outcome.unreached
        if isinstance(outcome, TryLater):
            self._try_later(lane, job, outcome, milliseconds)
        else:
            state = State.DELIVERED if isinstance(outcome, Delivered) else State.REFUSED
            self._have_word(lane, job, state, outcome.reason, milliseconds)

    def _converse(self, job: Job) -> Outcome:
        account = job.notification.system
        settings = self._settings()
        section = settings.section(account)
        if section is None:
            return TryLater(f"the settings have no section {section_shown(account)} any more")
        converse = VENDORS[system_of(account)].converse
        assert converse is not None  # noqa: S101
        conversation = converse(section, settings.numbers, job.notification, self._memories[account])
        return told_of(account, lead(conversation, self._send, clocks.steady, job.steady_deadline, ATTEMPT_SECONDS))

    def _have_word(self, lane: Lane, job: Job, state: State, reason: str, milliseconds: float) -> None:
        """The vendor's verdict ends the job, unless something that it undoes may still be carried out behind it."""
        with lane.guard:
            is_last = not lane.has_to_be_repeated(job)
        if is_last:
            if job.word and state is State.REFUSED:  # there was nothing more to stop
                state, reason = job.word
            self._end(lane, job, state, reason, milliseconds)
            return
        job.word = state, reason
        self._outcomes.tell(job.id, state, reason)
        delay = min(AGAIN_SECONDS, (job.steady_deadline - clocks.steady()) / 2)
        why = f"{state.value}; once more, for what it undoes had no answer and may be carried out late"
        self._put_off(lane, job, delay, why, milliseconds, verdict=True, firm=True)

    def _try_later(self, lane: Lane, job: Job, outcome: TryLater, milliseconds: float) -> None:
        if job.word:  # sent once more in vain
            with lane.guard:
                lane.miss()
            self._end(lane, job, *job.word, None)
            return
        job.in_doubt |= outcome.may_be_done
        left = job.steady_deadline - clocks.steady()
        delay = next_delay_seconds(job.attempts, left, outcome.after_seconds, random.random())  # noqa: S311
        if delay is None:
            with lane.guard:
                lane.miss()
            self._end(lane, job, State.EXPIRED, f"too late to try again; last: {outcome.reason}", milliseconds)
            return
        self._put_off(lane, job, delay, outcome.reason, milliseconds, firm=outcome.after_seconds is not None)

    def _put_off(
        self, lane: Lane, job: Job, delay: float, why: str, milliseconds: float, firm: bool, verdict: bool = False
    ) -> None:
        self._log(job, "try later", why, milliseconds, f" next={delay:.1f}s")
        self._outbox.note_attempt(job, delay, why, milliseconds)
        with lane.guard:
            lane.put_back(job, clocks.steady() + delay, verdict, firm)
            self._outcomes.put_off(lane.held_up(job))

    def _end(self, lane: Lane, job: Job, state: State, reason: str, milliseconds: float | None) -> None:
        """The job has ended so; without `milliseconds` by no attempt, or by one without a verdict."""
        self._outcomes.tell(job.id, state, reason)
        self._outbox.end(job, state, reason, milliseconds)
        self._log(job, state.value, reason, milliseconds)
        if VENDORS[system_of(job.notification.system)].in_order:
            self._outbox.wait_written(IN_ORDER_SECONDS)
        self._settle(lane, job, verdict=milliseconds is not None and state in (State.DELIVERED, State.REFUSED))

    def _settle(self, lane: Lane, job: Job, verdict: bool) -> None:
        with lane.guard:
            lane.finish(job, verdict)

    def _log(self, job: Job, what: str, reason: str, milliseconds: float | None, more: str = "") -> None:
        told = job.notification
        level = logging.INFO if what == State.DELIVERED.value else logging.WARNING
        took = "" if milliseconds is None else f" ms={milliseconds:.1f}"
        line = "job=%d call=%s channel=%s system=%s action=%s attempt=%d %s%s%s%s"
        words = f": {reason}" if reason else ""
        of_what = job.id, told.call, told.facts.get("channel", told.call), told.system, told.action, job.attempts
        log.log(level, line, *of_what, what.upper(), took, more, words)
        if self.on_outcome is not None:
            self.on_outcome(told.system, what, milliseconds)

    def _look_up(self, job: int, at: float | None = None) -> tuple[State, str] | None:
        """What the store says of a job that has ended; None where it waits, or is not to be found."""
        try:
            found = self._reader.state_of(job, at)
        except OutboxError:
            return None
        return None if found is None or found[0] is State.WAITING else found
