"""Standard error that holds nobody up: what is written to it waits in a queue, and one thread writes it on.

Where nobody reads (a full pipe, a journal that hangs) or nothing can be written (a full disk), lines of the log are
lost and counted, and the count is logged as soon as that can be.  No call, no delivery and no end of the process waits.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
from collections.abc import Callable, Mapping
from queue import SimpleQueue
from typing import Any, TextIO

from callsign import thread_starts
from callsign.log_text import visible

MOST_WAITING = 4096
"""Pieces of text; a line of the log is one."""

GATHER_SECONDS = 0.02
"""So long after a write the thread sleeps: what a burst of calls says is then one write, and wakes it once."""

END_SECONDS = 1.0
"""How long the end of the process may wait until the last lines are written."""

log = logging.getLogger("callsign.log")


class QueuedStderr:
    """Stands in for `stream`, which must be a file of the system's.  Raises OSError otherwise."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._fd = stream.fileno()  # not the stream: its lock, held by a write that hangs, would abort the exit
        self._waiting: SimpleQueue[str | None] = SimpleQueue()  # whose put() may interrupt itself
        self._guard = threading.RLock()
        self._lost = 0
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Takes it, or counts it as lost; returns at once."""
        if self._waiting.qsize() < MOST_WAITING:
            self._waiting.put(text)
        else:
            self._lose(text)
        if self._thread is None:
            self._begin()
        return len(text)

    def flush(self) -> None:
        """Nothing: it is on its way."""

    def end(self) -> None:
        """Lets what waits be written for up to `END_SECONDS`."""
        self._ending.set()
        self._waiting.put(None)
        if self._thread is not None:
            self._thread.join(END_SECONDS)

    def _begin(self) -> None:
        with self._guard:
            if self._thread is None:
                thread = thread_starts.Thread("log", self._write_on)
                try:
                    thread.start()
                except RuntimeError:  # no more threads to be had: the next line tries again
                    return
                self._thread = thread

    def _lose(self, text: str) -> None:
        with self._guard:
            self._lost += text.count("\n")

    def _write_on(self) -> None:
        while True:
            pieces = [self._waiting.get()]
            while not self._waiting.empty():
                pieces.append(self._waiting.get())
            self._write("".join(piece for piece in pieces if piece))
            if None in pieces:
                return
            self._ending.wait(GATHER_SECONDS)

    def _write(self, text: str) -> None:
        try:
            encoding = self._stream.encoding
            written = text.encode(encoding, "backslashreplace").decode(encoding)
            left = visible(written).encode(encoding)
            while left:
                left = left[os.write(self._fd, left) :]
        except Exception:  # nothing may end the thread, whatever it is
            self._lose(text)
            return
        if self._lost:
            with self._guard:
                lost, self._lost = self._lost, 0
            log.warning("%d lines of this log are missing here: they could not be written in time", lost)


def is_journal(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether what is written there goes to the journal, which adds the time (JOURNAL_STREAM in systemd.exec(5))."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environment.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def queue_stderr() -> Callable[[], None]:
    """From now on `sys.stderr` holds nobody up; a closed one swallows all, one that is no file stays as it is.

    Returns what lets the last lines be written; the interpreter's own end does so too.
    """
    try:
        queued = QueuedStderr(sys.stderr or open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    except OSError:
        return lambda: None
    sys.stderr = queued
    atexit.register(queued.end)
    return queued.end
