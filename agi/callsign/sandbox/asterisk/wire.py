"""Asterisk's end of the wire: bytes out in pieces of a given size, lines in as stdio hands them to res_agi.

Every wait ends at the deadline, with TimeoutError. A peer that is gone is the end of the input, never an
error; what is written to it is lost.
"""

from __future__ import annotations

import os
import select
import socket
import time
from contextlib import suppress
from typing import IO

STDIO_BYTES = 4096
"""What one read() of Asterisk's fdopen()ed descriptor asks for."""


class Wire:
    """Two files with a deadline: where the peer's commands come from, where the answers go; a socket is both.

    They are unbuffered, with a descriptor, and not read from yet.  Closing the wire closes them.
    """

    def __init__(
        self,
        commands: socket.socket | IO[bytes],
        answers: socket.socket | IO[bytes],
        seconds: float = 30.0,
        chunk_bytes: int = STDIO_BYTES,
    ) -> None:
        """`seconds`: for the whole session; `chunk_bytes`: the size of each send."""
        self._commands, self._answers = commands, answers
        self._deadline = time.monotonic() + seconds
        self._chunk_bytes = chunk_bytes
        self.held = b""
        """What has been read and no `read_line` has asked for yet."""
        self.was_reset = False
        """The peer ended the connection without reading all that was sent to it."""
        os.set_blocking(commands.fileno(), False)
        os.set_blocking(answers.fileno(), False)

    @property
    def remaining_seconds(self) -> float:
        """Until the deadline; never below 0."""
        return max(0.0, self._deadline - time.monotonic())

    def await_peer(self) -> None:
        """Wait until the descriptor has something new or has ended. What is held already does not count."""
        self._poll(self._commands.fileno(), select.POLLIN)

    def read_line(self, room_bytes: int) -> tuple[bytes, bool]:
        """As fgets(): through the next line end, `room_bytes` less one at most; True at the input's end."""
        line = b""
        while len(line) < room_bytes - 1:
            if not self.held:
                self.held = self._read()
                if not self.held:
                    return line, True
            piece = self.held[: room_bytes - 1 - len(line)]
            piece = piece[: piece.find(b"\n") + 1] or piece
            line += piece
            self.held = self.held[len(piece) :]
            if line.endswith(b"\n"):
                break
        return line, False

    def send(self, data: bytes) -> None:
        """Send all of `data`, `chunk_bytes` at a time."""
        try:
            while data:
                self._poll(self._answers.fileno(), select.POLLOUT)
                with suppress(BlockingIOError):
                    data = data[os.write(self._answers.fileno(), data[: self._chunk_bytes]) :]
        except ConnectionResetError:
            self.was_reset = True
        except BrokenPipeError:
            pass  # Asterisk notes it in its log and goes on to read

    def close(self) -> None:
        """Close both directions. May be called again."""
        self._commands.close()
        self._answers.close()

    def _read(self) -> bytes:
        while True:
            self.await_peer()
            try:
                return os.read(self._commands.fileno(), STDIO_BYTES)
            except BlockingIOError:
                continue
            except OSError:
                self.was_reset = True
                return b""

    def _poll(self, descriptor: int, event: int) -> None:
        poller = select.poll()
        poller.register(descriptor, event)
        if not poller.poll(self.remaining_seconds * 1000):
            raise TimeoutError(
                "nothing came from the peer in time" if event == select.POLLIN else "the peer reads nothing"
            )
