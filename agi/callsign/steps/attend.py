"""A session from its `agi_*` block to its log line: the one way of server and plain script.

Whatever fails on it, the call gets a status: the one that was found, else ERROR.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from callsign.agi import fault_status
from callsign.agi.connection import Connection
from callsign.agi.session import AGIError, AGIHangup, AgiSession, BadPeer
from callsign.log_text import own_fault, place_of
from callsign.steps.answer import ids_of, log_step
from callsign.steps.step import Step, read_step

if TYPE_CHECKING:
    from callsign.steps.call_guard import CallGuard

Answer = Callable[[Step], dict[str, str]]
Note = Callable[[Step, dict[str, str]], None]
OnStep = Callable[[Step, dict[str, str], float], None]

log = logging.getLogger("callsign.step")


class Attendant:
    """Attends to the sessions of one process, each in the thread that it came in."""

    def __init__(
        self,
        answer: Answer,
        guard: CallGuard | None = None,
        on_end: Callable[[], None] = lambda: None,
        note: Note = lambda _step, _variables: None,
    ) -> None:
        """`guard` looks after calls whose thread is held; `on_end` is called when a call has its status.

        `note` gets each step and its variables when the dialplan has gone on.
        """
        self._answer = answer
        self._note = note
        self._guard = guard
        self._on_end = on_end
        self.on_step: OnStep | None = None
        """Called with each step, its variables and its seconds when the dialplan has gone on.  Must not raise."""

    def attend(
        self,
        connection: Connection,
        confirm: Callable[[AgiSession], None],
        waits: Callable[[], AbstractContextManager[None]] = nullcontext,
        is_logged: bool = True,
        line: Sequence[str] | None = None,
    ) -> None:
        """Reads what is asked, answers it and ends the session.  Raises BadPeer, and then the connection is open yet.

        `confirm` looks at a session that has just been read, and may raise BadPeer; `waits` is around all that is
        the peer's to say.  `line` is a script's command line, path and arguments.  Without `is_logged` it is no
        call, but one of our own to see whether calls are answered.
        """
        began = time.perf_counter()
        session = step = None
        variables: dict[str, str] = {}
        is_ours = True
        try:
            with waits():
                session = AgiSession(connection)
                confirm(session)
                linkedid = session.linkedid() if session.fault else ""  # its arguments may be anybody's
            request, args = (line[0], line[1:]) if line else (None, session.args)
            step = read_step(session.env, args, request, session.fault, linkedid)
            if self._guard is not None:
                self._guard.begin(session, step)
            try:
                variables = self._answer(step)
            finally:
                is_ours = self._guard is None or self._guard.end(session)
            if not is_ours:  # somebody else has talked to it, and ends it
                self._note(step, variables)
                return
            with waits():
                session.set_variables(variables, then_end=True)
        except BadPeer:
            self._has_ended(step, variables, time.perf_counter() - began, is_logged)
            raise
        except AGIHangup:
            log.info("%s: Asterisk closed the connection before it had the status", _ids(step))
        except Exception as fault:
            if variables and isinstance(fault, (AGIError, OSError)):
                log.warning("%s: the status could not be set: %s", _ids(step), place_of(fault))
            else:  # our own fault must not cost the call its status
                log.error("%s: %s", _ids(step), own_fault(fault))
                if is_ours:
                    path = line[0] if line else session.env.get("agi_network_script", "") if session else ""
                    variables = fault_status.leave(connection, path, session is not None, variables)
        took = time.perf_counter() - began
        connection.finish()
        self._has_ended(step, variables, took, is_logged)

    def _has_ended(self, step: Step | None, variables: dict[str, str], took: float, is_logged: bool) -> None:
        self._on_end()
        if step is not None and is_logged:
            log_step(step, variables, 1000 * took)
            self._note(step, variables)
            if self.on_step is not None:
                self.on_step(step, variables, took)


def _ids(step: Step | None) -> str:
    return "call=-" if step is None else ids_of(step)
