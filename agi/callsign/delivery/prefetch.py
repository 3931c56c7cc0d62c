"""Fetches beside the calls what their questions are looked up in, for the vendors that cannot be asked in time."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from typing import Any

from callsign import clocks, thread_starts
from callsign.delivery.conversation import Send, run_conversation, with_account
from callsign.log_text import own_fault
from callsign.settings.accounts import name_of, system_of
from callsign.settings.sections import Settings
from callsign.vendors.interface import Prefetch
from callsign.vendors.registry import VENDORS
from callsign.verdicts import Delivered

LONGEST_PAUSE_SECONDS = 60.0
"""Between two tries while the vendor is in trouble."""

GONE = object()

log = logging.getLogger("callsign.prefetch")


class Prefetcher:
    """One thread for each account whose vendor has something to prefetch.

    That of a vendor's own section rests while the settings lack it, that of a further account ends with it.
    """

    def __init__(self, settings: Callable[[], Settings], send: Send, memory_of: Callable[[str], Any]) -> None:
        self._settings = settings
        self._send = send
        self._memory_of = memory_of
        self._stopping = threading.Event()
        self._trouble: dict[str, str] = {}
        self._guard = threading.Lock()
        self._kept: set[str] = set()  # accounts with a thread

    def start(self) -> None:
        """Fetches from now on, and where the settings were read again also for new accounts; returns at once."""
        wanted = {account: VENDORS[system_of(account)].prefetch for account in (*VENDORS, *self._settings().accounts)}
        with self._guard:
            new = {
                account: prefetch
                for account, prefetch in wanted.items()
                if prefetch is not None and account not in self._kept
            }
            for place, (account, prefetch) in enumerate(new.items()):
                first = prefetch.every_seconds * place / len(new)  # not all at once
                if thread_starts.begin(f"prefetch-{account}", self._run, account, prefetch, first):
                    self._kept.add(account)

    def stop(self) -> None:
        """Begins no fetch any more; one under way is cut off with the process."""
        self._stopping.set()

    def _run(self, account: str, prefetch: Prefetch, first: float) -> None:
        pause = prefetch.every_seconds
        if first:
            self._stopping.wait(first)
        while not self._stopping.is_set():
            well = False
            try:
                section = self._section(account)
                if section is GONE:
                    return
                well = section is None or self._fetch(account, prefetch, section)
            except Exception as fault:  # our own fault must not end the thread
                log.error("system=%s: %s", account, own_fault(fault))
            pause = prefetch.every_seconds if well else min(2 * pause, LONGEST_PAUSE_SECONDS)
            self._stopping.wait(pause)

    def _section(self, account: str) -> Any:
        """None while a vendor's own section is missing, GONE where a further account is."""
        with self._guard:
            section = self._settings().section(account)
            if section is None and name_of(account):
                self._kept.discard(account)  # `start` may begin another thread for it one day
                return GONE
            return section

    def _fetch(self, account: str, prefetch: Prefetch, section: Any) -> bool:
        """Fetches once.  True on success.  Logs a trouble only when it is another one."""
        conversation = prefetch.converse(section, self._settings().numbers, self._memory_of(account))
        verdict = run_conversation(conversation, self._send, clocks.steady, math.inf, prefetch.longest_seconds)
        outcome = with_account(account, verdict)
        trouble = outcome.reason  # of a Delivered too: a warning
        if trouble != self._trouble.get(account, ""):
            log.log(logging.WARNING if trouble else logging.INFO, "system=%s: %s", account, trouble or "works again")
            self._trouble[account] = trouble
        return isinstance(outcome, Delivered)
