"""The FastAGI server with what attends to its sessions, around an answer of the test's own."""

from __future__ import annotations

import socket
from collections.abc import Callable

from callsign.agi.listener import LAST_SECONDS, FastAgiServer, Networks
from callsign.steps.attend import Answer, Attendant, Note
from callsign.steps.call_guard import CallGuard


class AnsweringServer(FastAgiServer):
    """As `serve` puts it together."""

    def __init__(
        self,
        listener: socket.socket,
        allow: Callable[[], Networks],
        answer: Answer,
        on_end: Callable[[], None] = lambda: None,
        note: Note = lambda _step, _variables: None,
    ) -> None:
        self._call_guard = CallGuard()
        self.attendant = Attendant(answer, self._call_guard, on_end, note)
        super().__init__(listener, allow, self.attendant.attend, lambda: self._call_guard.any_in_time)

    def start(self) -> None:
        self._call_guard.start()
        super().start()

    def stop(self, seconds: float = LAST_SECONDS) -> int:
        cut_off = super().stop(seconds)
        self._call_guard.stop()
        return cut_off
