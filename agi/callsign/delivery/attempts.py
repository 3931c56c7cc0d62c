"""What becomes of a job: an attempt and the vendor's verdict, a later try, or an end without either."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import Any

from callsign import clocks
from callsign.delivery.conversation import PastDeadline, Send, run_conversation, with_account
from callsign.delivery.gate import Gate
from callsign.delivery.lane import Lane
from callsign.delivery.outcomes import Outcomes
from callsign.delivery.retry import next_delay_seconds
from callsign.log_text import own_fault
from callsign.notification import State
from callsign.outbox.outbox import Job, Outbox
from callsign.settings.accounts import section_shown, system_of
from callsign.settings.sections import Settings
from callsign.vendors.registry import VENDORS
from callsign.verdicts import Delivered, Outcome, TryLater

ATTEMPT_SECONDS = 10.0

IN_ORDER_SECONDS = 0.5
"""How long the next in order waits at most until it is written what came of the one before.

Else a start that has ended would come to life behind its stop, when the process is killed in between.
"""

AGAIN_SECONDS = 5.0
"""So long after its own verdict a stop is sent once more, where the start before it may be carried out late."""

UNSEEN_SECONDS = 1.0
"""A new job goes out unless it has waited for longer: by then somebody may have seen it, and given it up."""

log = logging.getLogger("callsign.delivery")

OnOutcome = Callable[[str, str, float | None], None]
LookUp = Callable[[int, float], "tuple[State, str] | None"]


class Attempts:
    """For the threads of all lanes; each job is in one of them at a time."""

    def __init__(
        self,
        outbox: Outbox,
        settings: Callable[[], Settings],
        send: Send,
        outcomes: Outcomes,
        look_up: LookUp,
        gate: Gate,
    ) -> None:
        """`look_up` tells how a job, stored at that time, has ended by what is stored; None where it has not."""
        self._outbox = outbox
        self._settings = settings
        self._send = send
        self._outcomes = outcomes
        self._look_up = look_up
        self._gate = gate
        self._memories: dict[str, Any] = {}
        self.on_outcome: OnOutcome | None = None
        """Called with the account, what came of a job or an attempt, the attempt's milliseconds.  Must not raise."""

    def begin(self, account: str) -> None:
        """Makes what is remembered of that account, before its first job."""
        vendor = VENDORS[system_of(account)]
        memory = self._memories[account] = vendor.new_memory()
        if vendor.shares:
            memory.shared = self._gate.shared(account)

    def deal_with(self, lane: Lane, job: Job, superseded: bool) -> None:
        """Ends the job where no attempt makes sense any more, else attempts it."""
        if job.over and job.word:  # no repetition: a newer start came, or its time is over; or it was given up
            self._end(lane, job, *job.word, None)
        elif superseded:
            self._end(lane, job, State.SUPERSEDED, "a stop came before it was tried", None)
        elif clocks.steady() >= job.steady_deadline:
            self._end(lane, job, State.EXPIRED, "too late to be of use", None)
        elif _may_have_ended(job) and (given_up := self._look_up(job.id, job.notification.created_at)):
            self._outbox.end(job, *given_up)  # which need not be kept in mind any more
            self._gate.ended(job, *given_up)
            self._outcomes.tell(job.id, *given_up)  # by somebody's `drop`: it is written down already
            self._log(job, given_up[0].value, given_up[1], None)
            with lane.guard:
                lane.finish(job, verdict=False)
        elif self._may_send(lane, job):
            self._attempt(lane, job)

    def _may_send(self, lane: Lane, job: Job) -> bool:
        with lane.guard:
            if self._gate.may_send(job):
                return True
            lane.give_back(job)
            return False

    def _attempt(self, lane: Lane, job: Job) -> None:
        notification = job.notification
        job.attempts += 1
        began = time.perf_counter()
        outcome: Outcome
        try:
            outcome = self._converse(job)
        except PastDeadline:
            self._end(lane, job, State.EXPIRED, "its time was over before the vendor could be told", None)
            return
        except Exception as fault:  # our own fault must not end the lane
            log.error("job=%s system=%s: %s", job.shown, notification.system, own_fault(fault))
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
        verdict = run_conversation(conversation, self._send, clocks.steady, job.steady_deadline, ATTEMPT_SECONDS)
        return with_account(account, verdict)

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
                lane.pace.note_miss()
            self._end(lane, job, *job.word, None)
            return
        job.in_doubt |= outcome.may_be_done
        left = job.steady_deadline - clocks.steady()
        delay = next_delay_seconds(job.attempts, left, outcome.after_seconds, random.random())  # noqa: S311
        if delay is None:
            with lane.guard:
                lane.pace.note_miss()
            self._end(lane, job, State.EXPIRED, f"too late to try again; last: {outcome.reason}", milliseconds)
            return
        self._put_off(lane, job, delay, outcome.reason, milliseconds, firm=outcome.after_seconds is not None)

    def _put_off(
        self, lane: Lane, job: Job, delay: float, why: str, milliseconds: float, firm: bool, verdict: bool = False
    ) -> None:
        self._log(job, "try later", why, milliseconds, f" next={delay:.1f}s")
        self._outbox.note_attempt(job, delay, why, milliseconds)
        self._gate.put_off(job, delay, why)
        with lane.guard:
            lane.put_back(job, clocks.steady() + delay, verdict, firm)
            self._outcomes.put_off(lane.held_up(job))

    def _end(self, lane: Lane, job: Job, state: State, reason: str, milliseconds: float | None) -> None:
        """The job has ended so; without `milliseconds` by no attempt, or by one without a verdict."""
        try:
            self._outcomes.tell(job.id, state, reason)
            self._outbox.end(job, state, reason, milliseconds)
            self._gate.ended(job, state, reason)
            self._log(job, state.value, reason, milliseconds)
            if VENDORS[system_of(job.notification.system)].in_order:
                self._outbox.wait_written(IN_ORDER_SECONDS)
                with lane.guard:
                    is_awaited = lane.is_awaited(job)
                if is_awaited:  # what comes later is told to the others behind this end
                    self._gate.wait_known(job)
        finally:  # a fault of ours must not send it once more
            with lane.guard:
                lane.finish(job, milliseconds is not None and state in (State.DELIVERED, State.REFUSED))

    def _log(self, job: Job, what: str, reason: str, milliseconds: float | None, more: str = "") -> None:
        notification = job.notification
        level = logging.INFO if what in (State.DELIVERED.value, State.DUPLICATE.value) else logging.WARNING
        took = "" if milliseconds is None else f" ms={milliseconds:.1f}"
        line = "job=%s call=%s channel=%s system=%s action=%s attempt=%d %s%s%s%s"
        words = f": {reason}" if reason else ""
        channel = notification.facts.get("channel", notification.call)
        ids = job.shown, notification.call, channel, notification.system, notification.action, job.attempts
        log.log(level, line, *ids, what.upper(), took, more, words)
        if self.on_outcome is not None:
            self.on_outcome(notification.system, what, milliseconds)


def _may_have_ended(job: Job) -> bool:
    """Whether somebody may have given it up meanwhile: then the store is asked before the attempt."""
    created_at = job.steady_deadline - job.notification.lifetime_seconds
    return bool(job.attempts or job.recovered or clocks.steady() - created_at > UNSEEN_SECONDS)
