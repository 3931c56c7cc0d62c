"""Puts the store's WAL on disk beside the path of a call: for a power cut, which a commit alone does not survive."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path

from callsign import thread_starts
from callsign.log_text import own_fault

SYNC_SECONDS = 0.04
"""And some for the disk itself, so that it is there within 50 ms."""

log = logging.getLogger("callsign.outbox")


class WalSync:
    """A thread that calls fdatasync 40 ms after something was committed."""

    def __init__(self, store: Path) -> None:
        self._wal = store.with_name(store.name + "-wal")
        self._dirty = threading.Event()
        self._stopping = threading.Event()
        self._broken = False
        self._thread = thread_starts.Thread("outbox-sync", self._run)
        self._thread.start()

    def committed(self) -> None:
        """Something is to be put on disk."""
        if not self._dirty.is_set():
            self._dirty.set()

    def close(self) -> None:
        """Puts on disk what is not there yet and ends."""
        self._stopping.set()
        self._dirty.set()
        self._thread.join(1)

    def _run(self) -> None:
        stopping = False
        while not stopping:
            self._dirty.wait()
            stopping = self._stopping.wait(SYNC_SECONDS)
            self._dirty.clear()
            try:
                self._put_on_disk()
                self._broken = False
            except FileNotFoundError:  # the store was just closed: SQLite has put all into the main file
                continue
            except Exception as fault:  # one of our own must not end the thread either
                if not self._broken:
                    words = fault.strerror if isinstance(fault, OSError) else own_fault(fault)
                    log.warning("the store's %s cannot be put on disk: %s", self._wal, words)
                self._broken = True

    def _put_on_disk(self) -> None:
        fd = os.open(self._wal, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fdatasync(fd)
        finally:
            os.close(fd)
