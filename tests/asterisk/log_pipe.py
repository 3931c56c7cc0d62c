"""Asterisk's `full` log as a pipe: it can be waited on, and its end is the end of Asterisk."""

from __future__ import annotations

import os
import select
import threading
import time
from pathlib import Path


class LogPipe:
    """Reads what Asterisk writes to `path` in a thread. Asterisk opens it as it would open a file."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self._wake_read, self._wake_write = os.pipe()
        self._data = bytearray()
        self._ended = False
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._read, name="asterisk-log", daemon=True)
        self._thread.start()

    def mark(self) -> int:
        return len(self._data)

    def text(self, since: int = 0) -> str:
        return bytes(self._data[since:]).decode("utf-8", "replace")

    def wait(self, words: str, timeout: float, since: int = 0) -> None:
        """Returns when the words stand in the log after `since`."""
        end = time.monotonic() + timeout
        with self._news:
            while self._data.find(words.encode(), since) < 0:
                left = end - time.monotonic()
                if self._ended or left <= 0:
                    why = "Asterisk ended" if self._ended else f"not within {timeout} s"
                    raise TimeoutError(f"the log never said {words!r}: {why}\n{self.text()[-3000:]}")
                self._news.wait(left)

    def close(self) -> None:
        os.write(self._wake_write, b".")
        self._thread.join(30)
        for fd in (self._fd, self._wake_read, self._wake_write):
            os.close(fd)

    def _read(self) -> None:
        while True:
            ready, _, _ = select.select([self._fd, self._wake_read], [], [])
            data = os.read(self._fd, 65536) if self._fd in ready else b""
            with self._news:
                self._data += data
                self._ended = not data
                self._news.notify_all()
            if self._ended:
                return
