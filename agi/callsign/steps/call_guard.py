"""Goes on for a call whose own thread does not come back with the status: held by a disk, say.

No thread can be woken from a write() that hangs; so somebody else tells the call its status and lets it go.
"""

from __future__ import annotations

import logging
import threading
import time

from callsign import thread_starts
from callsign.agi import fault_status
from callsign.agi.block import CLEAN_CONTEXT
from callsign.agi.session import AGIError, AGIHangup, AgiSession, BadPeer
from callsign.log_text import own_fault
from callsign.record import Record
from callsign.steps.answer import ids_of, longest_seconds, status_variables
from callsign.steps.step import Step, for_message

LOOK_SECONDS = 0.25
"""How often it looks, and so how much later than its time a call may go on."""

LAST_SECONDS = 0.25
"""How long a call may take to hear its status when the process ends."""

FRESH_SECONDS = 1.0
"""A call that came so shortly before the end has the time for another way."""

HELD_UP = "callsign was held up, by the disk of [outbox] path perhaps; a notification may be stored all the same"
ENDING = "callsign was stopped while this call waited for an answer"

log = logging.getLogger("callsign.overdue")


class _Held(Record):
    """A call that has no status yet."""

    step: Step
    until: float  # monotonic seconds
    began: float


class CallGuard:
    """The calls that are being answered.  Whoever takes one out of it, its own thread or ours, may talk to it."""

    def __init__(self) -> None:
        self._held: dict[AgiSession, _Held] = {}  # each use is one step of the interpreter: it needs no lock
        self._stopping = threading.Event()

    def start(self) -> None:
        """Looks after the calls from now on; returns at once."""
        thread_starts.Thread("call-guard", self._run).start()

    def stop(self) -> None:
        """Ends the looking, and gives each call that has no status yet one at once: the process is about to end.

        A subroutine of ours that was not held for long keeps the status that it has set before: so it runs the
        plain script instead, which may take as long again.
        """
        self._stopping.set()
        done = [_tell(session, held, ENDING) for session, held in self._held.copy().items() if self.end(session)]
        for event in done:
            event.wait(LAST_SECONDS)

    @property
    def any_in_time(self) -> bool:
        """Whether a call is being answered that has not been for longer than it may."""
        now = time.monotonic()
        return any(now < held.until for held in self._held.copy().values())

    def begin(self, session: AgiSession, step: Step) -> None:
        """The session's thread begins to answer."""
        now = time.monotonic()
        self._held[session] = _Held(step, now + longest_seconds(step), now)

    def end(self, session: AgiSession) -> bool:
        """The thread has its answer.  False if the guard has answered this call already."""
        return self._held.pop(session, None) is not None

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            now = time.monotonic()
            for session, held in self._held.copy().items():
                if now >= held.until and self.end(session):
                    try:
                        _tell(session, held, HELD_UP)
                    except Exception as fault:  # our own fault must end neither the looking nor hold the call
                        log.error("%s", own_fault(fault))
                        session.connection.finish()


def _tell(session: AgiSession, held: _Held, reason: str) -> threading.Event:
    """In a thread of its own, where one is to be had; the event says that it is done."""
    done = threading.Event()
    if not thread_starts.begin("call-guard-tells", _let_go, session, held, reason, done):
        _let_go(session, held, reason, done)  # the others wait for it
    return done


def _let_go(session: AgiSession, held: _Held, reason: str, done: threading.Event) -> None:
    is_fresh = time.monotonic() - held.began < FRESH_SECONDS
    try:
        if reason == ENDING and is_fresh and session.env.get("agi_context") == CLEAN_CONTEXT:
            what = ids_of(held.step), for_message(held.step.path)
            log.warning("%s path=%s: callsign ends before its answer: the plain script is to give it", *what)
        else:
            _set_error(session, held, reason)
    except Exception as fault:  # our own fault must not hold the call
        log.error("%s", own_fault(fault))
    finally:
        session.connection.finish()
        done.set()


def _set_error(session: AgiSession, held: _Held, reason: str) -> None:
    try:
        what = ids_of(held.step), for_message(held.step.path), time.monotonic() - held.began
        log.error("%s path=%s: no status after %.1f s: the call goes on with ERROR", *what)
        session.set_variables(status_variables(held.step.path, "ERROR", reason), then_end=True)
    except (AGIHangup, AGIError, BadPeer, OSError) as fault:
        log.warning("that call could not be told: %s", type(fault).__name__)
    except Exception as fault:
        log.error("%s", own_fault(fault))
        values = fault_status.variables(held.step.path, reason)
        fault_status.leave(session.connection, is_block_read=True, values=values)
