"""Goes on for a call whose own thread does not come back with the status: held by a disk, say.

No thread can be woken from a write() that hangs; so somebody else tells the call its status and lets it go.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from callsign import thread_starts
from callsign.agi_session import AGIError, AGIHangup, AgiSession, BadPeer
from callsign.answering import variables
from callsign.dialplan_step import Step

LOOK_SECONDS = 0.25
"""How often it looks, and so how much later than its time a call may go on."""

log = logging.getLogger("callsign.overdue")


@dataclass(frozen=True, slots=True)
class _Held:
    """A call that has no status yet."""

    step: Step
    until: float  # monotonic seconds
    began: float


class Overdue:
    """The calls that are being answered.  Whoever takes one out of it, its own thread or ours, may talk to it."""

    def __init__(self, longest_seconds: Callable[[Step], float]) -> None:
        self._longest_seconds = longest_seconds
        self._held: dict[AgiSession, _Held] = {}  # each use is one step of the interpreter: it needs no lock
        self._stopping = threading.Event()

    def start(self) -> None:
        """Looks after the calls from now on; returns at once."""
        threading.Thread(target=self._run, name="overdue", daemon=True).start()

    def stop(self) -> None:
        """Ends the looking."""
        self._stopping.set()

    def begin(self, session: AgiSession, step: Step) -> None:
        """The session's thread begins to answer."""
        now = time.monotonic()
        self._held[session] = _Held(step, now + self._longest_seconds(step), now)

    def end(self, session: AgiSession) -> bool:
        """The thread has its answer.  False: too late, the call was told and is gone."""
        return self._held.pop(session, None) is not None

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            now = time.monotonic()
            for session, held in self._held.copy().items():
                is_over = now >= held.until and self.end(session)
                if is_over and not thread_starts.begin("overdue-call", _let_go, session, held):
                    _let_go(session, held)  # the others wait for it


def _let_go(session: AgiSession, held: _Held) -> None:
    seconds = time.monotonic() - held.began
    reason = "callsign was held up, by the disk of [outbox] path perhaps; a notification may be stored all the same"
    log.error("path=%s: no status after %.1f s: the call goes on with ERROR", held.step.path, seconds)
    try:
        session.set_variables(variables(held.step.path, "ERROR", reason), then_end=True)
    except (AGIHangup, AGIError, BadPeer, OSError) as fault:
        log.warning("that call could not be told: %s", type(fault).__name__)
    session.finish()
