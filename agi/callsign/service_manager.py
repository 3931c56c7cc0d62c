"""What systemd is told of the server: ready, reloading, stopping, and that it is well (sd_notify(3)).

Without $NOTIFY_SOCKET nobody is told anything.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping

FEEDS = 3
"""In the time that the watchdog waits: a look may take one third of it, and comes a third after the last."""

log = logging.getLogger("callsign")


class ServiceManager:
    """The server's side of $NOTIFY_SOCKET and $WATCHDOG_USEC.  Never raises: a call does not depend on it."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):  # the abstract name space
            self._address = "\0" + self._address[1:]
        self._feed_seconds = _watchdog_seconds(environment) / FEEDS
        self._stopping = threading.Event()

    def ready(self, status: str) -> None:
        """Calls are answered from now on, or again with the settings read anew; `status` is one line for a person."""
        self._tell(f"READY=1\nSTATUS={status}")

    def reloading(self) -> None:
        """The settings are being read; `ready` ends it."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """No new call from now on; the watchdog rests."""
        self._tell("STOPPING=1\nSTATUS=ending: running calls get their status")
        self._stopping.set()

    def watch(self, is_well: Callable[[float], bool]) -> None:
        """Feeds the watchdog, where there is one, as long as `is_well(seconds)`, which may take so long."""
        if self._address and self._feed_seconds:
            threading.Thread(target=self._feed, args=(is_well,), name="watchdog", daemon=True).start()

    def _feed(self, is_well: Callable[[float], bool]) -> None:
        was_well = True
        while not self._stopping.wait(self._feed_seconds):
            well = is_well(self._feed_seconds)
            if self._stopping.is_set():
                return
            if well:
                self._tell("WATCHDOG=1")
            if was_well and not well:
                log.error("calls are not answered any more: if this lasts, the watchdog starts callsign anew")
            elif well and not was_well:
                log.warning("calls are answered again")
            was_well = well

    def _tell(self, words: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.settimeout(1)
                sock.sendto(words.encode(), self._address)
        except OSError as fault:
            log.warning("the service manager could not be told %s: %s", words.partition("\n")[0], fault)


def _watchdog_seconds(environment: Mapping[str, str]) -> float:
    """How long the watchdog waits; 0 without one, or where it is meant for another process."""
    usec, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not usec.isdecimal() or pid not in ("", str(os.getpid())):
        return 0.0
    return int(usec) / 1e6
