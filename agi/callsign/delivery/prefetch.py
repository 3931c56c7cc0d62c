"""Fetches beside the calls what their questions are looked up in, for the vendors that cannot be asked in time."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from typing import Any

from callsign import clocks, thread_starts
from callsign.delivery.conversation import Send, lead
from callsign.log_text import where
from callsign.notification import Delivered
from callsign.settings.sections import Numbers, Settings
from callsign.vendors.interface import Keep
from callsign.vendors.registry import VENDORS

LONGEST_PAUSE_SECONDS = 60.0
"""Between two tries while the vendor is in trouble."""

log = logging.getLogger("callsign.keeping")


class Keeping:
    """One thread for each vendor that has something to keep; it rests while the settings lack its section."""

    def __init__(self, settings: Callable[[], Settings], send: Send, memory_of: Callable[[str], Any]) -> None:
        self._settings = settings
        self._send = send
        self._memory_of = memory_of
        self._stopping = threading.Event()
        self._trouble: dict[str, str] = {}

    def start(self) -> None:
        """Fetches from now on; returns at once."""
        for system, vendor in VENDORS.items():
            if vendor.keep is not None:
                thread_starts.begin(f"keep-{system}", self._run, system, vendor.keep)

    def stop(self) -> None:
        """Begins no fetch any more; one under way is cut off with the process."""
        self._stopping.set()

    def _run(self, system: str, keep: Keep) -> None:
        pause = keep.every_seconds
        while not self._stopping.is_set():
            settings = self._settings()
            section = settings.section(system)
            well = section is None or self._fetch(system, keep, section, settings.numbers)
            pause = keep.every_seconds if well else min(2 * pause, LONGEST_PAUSE_SECONDS)
            self._stopping.wait(pause)

    def _fetch(self, system: str, keep: Keep, section: Any, numbers: Numbers) -> bool:
        """Whether it went well; what did not is told once."""
        try:
            conversation = keep.converse(section, numbers, self._memory_of(system))
            outcome = lead(conversation, self._send, clocks.steady, math.inf, keep.longest_seconds)
        except Exception as fault:  # our own fault must not end the thread
            log.error("system=%s: a fault in callsign itself: %s", system, where(fault))
            return False
        trouble = outcome.reason  # of a Delivered too: a warning
        if trouble != self._trouble.get(system, ""):
            log.log(logging.WARNING if trouble else logging.INFO, "system=%s: %s", system, trouble or "works again")
            self._trouble[system] = trouble
        return isinstance(outcome, Delivered)
