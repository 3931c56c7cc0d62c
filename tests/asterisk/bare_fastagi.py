"""A FastAGI server of nothing but a socket: what Asterisk really sends, without the product's code."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Callable


class Session:
    """One `AGI()` step: `env` as Asterisk sent it, `ask` for a command and its answer."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._reader = connection.makefile("r", encoding="utf-8", errors="surrogateescape", newline="\n")
        self.env: dict[str, str] = {}
        self.answers: list[str] = []
        self.after_end: list[str] = []
        while line := self.read_line():
            name, _, value = line.partition(": ")
            self.env.setdefault(name, value)

    def ask(self, command: str) -> str:
        self._connection.sendall(command.encode("utf-8", "surrogateescape") + b"\n")
        self.answers.append(self.read_line())
        return self.answers[-1]

    def value(self, variable: str) -> str | None:
        """The variable as GET VARIABLE tells it: None if unset."""
        answer = self.ask(f"GET VARIABLE {variable}")
        return None if answer == "200 result=0" else answer.removeprefix("200 result=1 (").removesuffix(")")

    def end(self) -> None:
        """Says that no command will follow, and notes what Asterisk says to that."""
        self._connection.shutdown(socket.SHUT_WR)
        self.after_end = self._reader.read().splitlines()
        self._reader.close()

    def read_line(self) -> str:
        return self._reader.readline().rstrip("\n")


class BareFastAgi:
    """Runs `handle(session)` for every connection; `next_session` gives them back, ended, in order."""

    def __init__(self, handle: Callable[[Session], object] = lambda session: None) -> None:
        self._handle = handle
        self._ended: queue.Queue[Session | BaseException] = queue.Queue()

    def __enter__(self) -> BareFastAgi:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"agi://127.0.0.1:{self._server.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._thread.join(30)
        self._server.close()

    def next_session(self, timeout: float = 30) -> Session:
        session = self._ended.get(timeout=timeout)
        if isinstance(session, BaseException):
            raise session
        return session

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:  # the test is over
                return
            with connection:
                connection.settimeout(5)
                try:
                    session = Session(connection)
                    self._handle(session)
                    session.end()
                    self._ended.put(session)
                except Exception as error:
                    self._ended.put(error)
