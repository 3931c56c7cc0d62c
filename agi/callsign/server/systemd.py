"""What systemd is told of the server: ready, reloading, stopping, and that it is well (sd_notify(3)).

Without $NOTIFY_SOCKET nobody is told anything.
"""

from __future__ import annotations

import logging
import os
import select
import socket
import threading
import time
from array import array
from collections.abc import Callable, Mapping

from callsign import thread_starts
from callsign.log_text import own_fault

FEEDS = 5
"""In the time that the watchdog waits: a look may take a fifth of it, and comes a fifth after one that was good."""

KEPT = "FDNAME=calls"
"""The name of the listener in systemd's keeping."""

log = logging.getLogger("callsign")


class ServiceManager:
    """The server's side of $NOTIFY_SOCKET and $WATCHDOG_USEC.  Never raises: a call does not depend on it."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):  # the abstract name space
            self._address = "\0" + self._address[1:]
        self._feed_seconds = _watchdog_seconds(environment) / FEEDS
        self._stopping = threading.Event()

    @property
    def is_there(self) -> bool:
        """Whether systemd, or something like it, has started this process and listens."""
        return bool(self._address)

    def keep(self, listener: socket.socket) -> None:
        """systemd is to keep it for the next server: calls that connect in between wait and are not refused.

        It does, where the unit has FileDescriptorStoreMax=, until the unit is stopped, fails or is masked.
        """
        self._tell(f"FDSTORE=1\n{KEPT}", listener.fileno())

    def keep_no_more(self) -> None:
        """What was kept is this process's alone: should it end before it is ready, the calls that wait are let go."""
        self._tell(f"FDSTOREREMOVE=1\n{KEPT}")

    def wait_heard(self) -> None:
        """Returns when systemd has done what it was told; after a second at most."""
        ours, theirs = os.pipe()
        self._tell("BARRIER=1", theirs)
        os.close(theirs)  # systemd closes its copy
        select.select([ours], [], [], 1)
        os.close(ours)

    def ready(self, status: str) -> None:
        """Calls are answered from now on, or again with new settings; `status` is one line for a person."""
        self._tell(f"READY=1\nSTATUS={status}")

    def reloading(self) -> None:
        """The settings are being read; `ready` ends it."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The end has begun; the watchdog rests."""
        self._tell("STOPPING=1\nSTATUS=ending: what is on its way to a vendor gets its time")
        self._stopping.set()

    def watch(self, is_well: Callable[[float], bool]) -> None:
        """Feeds the watchdog, where there is one, as long as `is_well(seconds)`, which may take so long."""
        if self._address and self._feed_seconds:
            thread_starts.Thread("watchdog", self._feed, is_well).start()

    def _feed(self, is_well: Callable[[float], bool]) -> None:
        was_well = True
        while not self._stopping.wait(self._feed_seconds if was_well else 0):
            well = _sure(is_well, self._feed_seconds)
            if self._stopping.is_set():
                return
            if well:
                self._tell("WATCHDOG=1")
            elif was_well:
                log.error("calls are not answered or not delivered any more: if this lasts, callsign is restarted")
            else:  # systemd need not wait until it knows by itself
                self._tell("WATCHDOG=trigger")
                self._stopping.wait(self._feed_seconds)
            if well and not was_well:
                log.warning("calls are answered and delivered again")
            was_well = well

    def _tell(self, words: str, *descriptors: int) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.settimeout(1)
                passed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", descriptors))] if descriptors else []
                sock.sendmsg([words.encode()], passed, 0, self._address)
        except OSError as fault:
            log.warning("the service manager could not be told %s: %s", words.partition("\n")[0], fault)


def _sure(is_well: Callable[[float], bool], seconds: float) -> bool:
    """Whether it is; a fault of ours in the look must not end the feeding."""
    try:
        return is_well(seconds)
    except Exception as fault:
        log.error("%s", own_fault(fault))
        return False


def _watchdog_seconds(environment: Mapping[str, str]) -> float:
    """How long the watchdog waits; 0 without one, or where it is meant for another process."""
    usec, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not usec.isdecimal() or pid not in ("", str(os.getpid())):
        return 0.0
    return int(usec) / 1e6
