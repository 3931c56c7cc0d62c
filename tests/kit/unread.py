"""A server whose log nobody reads."""

from __future__ import annotations

import fcntl
import threading

from product import Product

SMALLEST = 4096  # bytes that a pipe can be made to hold


class Unread(Product):
    """A server whose log nobody reads from the moment on that it listens; `read_on` reads it again."""

    def _read(self) -> None:
        self._go_on = threading.Event()
        assert self.process.stderr is not None
        fcntl.fcntl(self.process.stderr, fcntl.F_SETPIPE_SZ, SMALLEST)
        for line in self.process.stderr:
            self._keep(line)
            if "listens on" in line:
                self._go_on.wait()

    def read_on(self) -> None:
        self._go_on.set()
