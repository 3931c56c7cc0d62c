"""A small client of Asterisk's manager interface: one socket, one reading thread, every wait ends."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from itertools import count

Message = dict[str, str]  # a header that comes more than once (Output) holds its values one a line

EVENTS = "system,call,user,agi"  # what the harness listens to


class Ami:
    """`action` asks and returns the answer; `wait_event` waits for what Asterisk tells by itself.

    `on_event` is called in the reading thread for every event, before `wait_event` sees it.
    """

    def __init__(self, port: int, secret: str, on_event: Callable[[Message], None] = lambda event: None) -> None:
        self.events: list[Message] = []
        self._on_event = on_event
        self._answers: dict[str, Message] = {}
        self._news = threading.Condition()
        self._closed = ""
        self._numbers = count(1)
        self._write_lock = threading.Lock()
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._socket.settimeout(None)
        self._reader = self._socket.makefile("rb")
        greeting = self._reader.readline()
        if not greeting.startswith(b"Asterisk Call Manager"):
            raise ConnectionError(f"port {port} is not Asterisk's manager: {greeting!r}")
        self._thread = threading.Thread(target=self._read, name="ami", daemon=True)
        self._thread.start()
        self.action("Login", Username="harness", Secret=secret, Events=EVENTS)

    def action(self, name: str, **headers: str | list[str]) -> Message:
        """Asterisk's answer; a refusal is a RuntimeError. A list sends the header once for each value."""
        number = f"harness-{next(self._numbers)}"
        lines = [f"Action: {name}", f"ActionID: {number}"]
        for header, value in headers.items():
            lines += [f"{header}: {one}" for one in ([value] if isinstance(value, str) else value)]
        if any("\r" in line or "\n" in line for line in lines):
            raise ValueError(f"a line break would start another AMI header: {lines!r}")
        with self._write_lock:
            self._socket.sendall("\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape"))
        answer = self._wait(lambda: self._answers.pop(number, None), 10, f"the answer to {name}")
        if answer["Response"] not in ("Success", "Goodbye", "Follows"):
            raise RuntimeError(f"Asterisk refused {name} {headers}: {answer.get('Message', answer)}")
        return answer

    def mark(self) -> int:
        """A point in the stream of events, for `wait_event(since=…)`."""
        return len(self.events)

    def wait_event(self, predicate: Callable[[Message], bool], timeout: float = 30, since: int = 0) -> Message:
        """The first event, from `since` on, that the predicate accepts."""
        place = since

        def look() -> Message | None:
            nonlocal place
            while place < len(self.events):
                place += 1
                if predicate(self.events[place - 1]):
                    return self.events[place - 1]
            return None

        return self._wait(look, timeout, "an event")

    def close(self) -> None:
        with contextlib.suppress(OSError):  # Asterisk may have ended it already
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(30)
        self._reader.close()
        self._socket.close()

    def _wait(self, look: Callable[[], Message | None], timeout: float, what: str) -> Message:
        end = time.monotonic() + timeout
        with self._news:
            while True:
                found = look()
                if found is not None:
                    return found
                left = end - time.monotonic()
                if self._closed:
                    raise ConnectionError(f"waiting for {what}: {self._closed}")
                if left <= 0:
                    raise TimeoutError(f"Asterisk did not send {what} within {timeout} s")
                self._news.wait(left)

    def _read(self) -> None:
        reason = "Asterisk closed the manager connection"
        try:
            while message := self._read_message():
                if "Event" in message:
                    self._on_event(message)
                with self._news:
                    if "Event" in message:
                        self.events.append(message)
                    elif "ActionID" in message:
                        self._answers[message["ActionID"]] = message
                    self._news.notify_all()
        except OSError as error:
            reason = f"the manager connection broke: {error}"
        finally:
            with self._news:
                self._closed = reason
                self._news.notify_all()

    def _read_message(self) -> Message:
        message: Message = {}
        while line := self._reader.readline().decode("utf-8", "surrogateescape"):
            header, _, value = line.rstrip("\r\n").partition(":")
            if header:
                value = value.removeprefix(" ")
                message[header] = f"{message[header]}\n{value}" if header in message else value
            elif message:
                return message
        return {}
