"""The same handlers as a plain AGI script: `AGI(callsign.agi,PATH[?option=value],ARG…)`.

Asterisk starts one process per call, so this costs a call a tenth of a second where the FastAGI
server takes a millisecond or two.  It needs no server: it stores the notification, sets the status, lets the
dialplan go on, and then delivers what the store holds, unless a server or another script does that.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, BinaryIO

from callsign import thread_starts
from callsign.agi import fault_status
from callsign.agi.connection import StreamConnection
from callsign.agi.session import AgiSession, BadPeer
from callsign.log_text import own_fault
from callsign.notification import State
from callsign.outbox.outbox import Outbox
from callsign.outbox.owner import become_owner
from callsign.script.fork import report_failed_start
from callsign.script.script_log import set_up_logging
from callsign.settings.load import ConfigError, load, path_of
from callsign.settings.sections import Settings
from callsign.stderr_queue import queue_stderr
from callsign.steps.answer import Services, answer, note_question, status_variables, value_of
from callsign.steps.attend import Attendant
from callsign.steps.step import Step, read_step
from callsign.verdicts import Verdict

if TYPE_CHECKING:
    from callsign.script.rounds import ScriptDelivery

log = logging.getLogger("callsign.script")


def main(go_on: Callable[[], None] | None, argv: Sequence[str] | None = None) -> int:
    """Answers one AGI session on standard input and output.  Always 0: the dialplan reads the status.

    `go_on`, from `fork.fork_worker`, lets the dialplan go on while this process delivers.  Without
    it the dialplan would wait for the delivery: that is then left to a server or the next script.
    """
    request, *args = list(sys.argv[1:] if argv is None else argv) or [""]
    try:
        connection = StreamConnection(sys.stdin.buffer, _own_standard_output())
    except OSError as fault:  # no more files
        return report_failed_start(["", request], fault, go_on)
    script = _Script()
    is_attended = False
    try:
        queue_stderr()
        thread_starts.log_faults()
        set_up_logging()
        is_attended = True
        attendant = Attendant(script.answer, on_end=go_on or (lambda: None), note=script.note)
        attendant.attend(connection, _confirm, line=[request, *args])
    except BadPeer as fault:
        log.warning("the session ended early: %s", fault)
    except Exception as fault:  # our own fault must not cost the call its status
        log.error("%s", own_fault(fault))
        if not is_attended:
            fault_status.leave(connection, request)
    finally:
        connection.finish()
        if go_on is not None:
            go_on()
    try:
        script.end(deliver=go_on is not None)
    except Exception as fault:  # as above; of Python's own traceback syslog would hear nothing
        log.error("%s", own_fault(fault))
    return 0


def _confirm(session: AgiSession) -> None:
    session.confirm(is_asterisk="AST_AGI_DIR" in os.environ)  # which only Asterisk sets (launch_script)


class _Script:
    """What one run holds open: the store, once the settings are read, and its share in the delivery."""

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings
        self._outbox: Outbox | None = None
        self._share: ScriptDelivery | None = None
        self._stored = False
        self._answered_with: Services | None = None

    def answer(self, step: Step) -> dict[str, str]:
        try:
            services = self._services()
        except ConfigError as fault:
            return status_variables(step.path, "ERROR", fault.faults[0])
        except Exception as fault:  # before the door that `answer` is: this must not hurt a call either
            log.error("%s", own_fault(fault))
            return status_variables(step.path, "ERROR", "a fault in callsign itself, see its log")
        self._answered_with = services
        variables = answer(step, services)
        self._stored = bool(value_of(variables, "JOB"))
        return variables

    def note(self, step: Step, variables: Mapping[str, str]) -> None:
        """When the dialplan has gone on."""
        if self._answered_with is not None:
            note_question(step, variables, self._answered_with)

    def _services(self) -> Services:
        self._settings = settings = self._settings or load(path_of(None))[0]
        become_owner(settings.outbox.path)
        self._outbox = Outbox(settings.outbox.path, settings.outbox.durability, settings.outbox.keep_days)
        return Services(lambda: settings, self._outbox, self._wait_for, self._ask)

    def _wait_for(self, job: int, seconds: float) -> tuple[State, str] | None:
        return self._delivering().wait_for(job, seconds)

    def _ask(self, system: str, path: str, facts: Mapping[str, str], seconds: float) -> Verdict:
        """Loaded only now, as below."""
        from callsign.delivery.asking import Asking
        from callsign.http.transport import HttpTransport

        settings = self._settings
        assert settings is not None  # noqa: S101
        return Asking(lambda: settings, HttpTransport().send).ask(system, path, facts, seconds)

    def _delivering(self) -> ScriptDelivery:
        """Loaded only now: a call that waits for no vendor has its status before this is needed."""
        from callsign.script.rounds import ScriptDelivery

        if self._share is None:
            assert self._outbox is not None  # noqa: S101
            assert self._settings is not None  # noqa: S101
            self._share = ScriptDelivery(self._outbox, self._settings)
        return self._share

    def end(self, deliver: bool, linger: bool = True) -> None:
        try:
            if deliver and self._stored:
                self._delivering().deliver_rest(linger)
        finally:
            if self._outbox is not None:
                self._outbox.close()


def answer_one_step(request: str, args: Sequence[str], env: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """The variables that a step sets, without Asterisk.  Delivers what it has stored, unless another process does."""
    script = _Script(settings)
    try:
        step = read_step(env, args, request=request)
        variables = script.answer(step)
        script.note(step, variables)
        return variables
    finally:
        script.end(deliver=True, linger=False)


def _own_standard_output() -> BinaryIO:
    """The pipe to Asterisk for this session alone: a stray print elsewhere must not reach it."""
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return pipe
