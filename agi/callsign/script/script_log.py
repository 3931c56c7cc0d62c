"""Where the plain script's lines go: to stderr, which Asterisk mostly drops, and to syslog where there is one."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from callsign.log_text import printable
from callsign.stderr_queue import is_journal

if TYPE_CHECKING:
    import socket

SYSLOG = Path("/dev/log")
NAME = "callsign.agi"
DAEMON = 3 << 3
"""Facility, as syslog(3) counts."""

SEVERITIES = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
MOST_CHARACTERS = 1000
"""Of a line; more fits into no old syslog."""


class Syslog(logging.Handler):
    """Writes a datagram per line, and never waits: what the daemon cannot take is lost."""

    def __init__(self, path: Path = SYSLOG) -> None:
        super().__init__()
        self._path = path
        self._socket: socket.socket | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """A line as RFC 3164 has it, without the time, which the daemon adds."""
        severity = next((severity for level, severity in SEVERITIES if record.levelno >= level), 7)
        line = printable(f"{record.levelname} {record.getMessage()}", MOST_CHARACTERS)
        try:
            self._connected().send(f"<{DAEMON | severity}>{NAME}[{os.getpid()}]: {line}".encode(errors="replace"))
        except OSError:
            return

    def _connected(self) -> socket.socket:
        """Connects with the first line: mostly the call has its status by then.  Raises OSError."""
        if self._socket is None:
            import socket

            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)
            self._socket.connect(str(self._path))
        return self._socket

    def close(self) -> None:
        """Lets go of the socket."""
        if self._socket is not None:
            self._socket.close()
        super().close()


def set_up_logging(syslog: Path = SYSLOG) -> None:
    """One line per fact on stderr, with the time unless that is the journal, which adds it; else to syslog too."""
    to_journal = is_journal(sys.stderr)
    stamp = "" if to_journal else "%(asctime)s "
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format=f"{stamp}{NAME}: %(levelname)s %(message)s")
    if not to_journal and syslog.exists():
        logging.getLogger().addHandler(Syslog(syslog))
