"""Asks a vendor while a call waits for the answer; over in time whatever the vendor does.

Each question has a thread of its own beside the call's: name resolution and a lock cannot be bounded from
within, so the call waits for the verdict and not for the thread.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Generator, Mapping
from typing import Any

from callsign import clocks, thread_starts
from callsign.delivery.conversation import Send, run_conversation, with_account
from callsign.http.messages import Reply, Request
from callsign.log_text import own_fault
from callsign.record import Record, field
from callsign.settings.accounts import section_shown, system_of
from callsign.settings.sections import Settings
from callsign.vendors.registry import VENDORS
from callsign.verdicts import Invalid, TryLater, Verdict

PLACES = 32
"""Questions to one account at once; those that a hung name server holds count too."""

GRACE_SECONDS = 0.05
"""So long after the wait a verdict that was on its way still counts: it says more than ours."""

log = logging.getLogger("callsign.asking")


class _Asked(Record, frozen=False):
    """One question under way."""

    send: Send
    has_verdict: threading.Lock = field(default_factory=threading.Lock)  # released when there is one
    verdict: Verdict | None = None
    may_be_done: bool = False  # a request that changes something is under way; once back, the conversation says it

    def send_noting(self, request: Request, seconds: float) -> Reply:
        self.may_be_done = not request.is_safe
        reply = self.send(request, seconds)
        self.may_be_done = False
        return reply


class Asking:
    """Questions of one process; what it remembers of the accounts is `memories`."""

    def __init__(self, settings: Callable[[], Settings], send: Send) -> None:
        self.memories: dict[str, Any] = {}
        self._settings = settings
        self._send = send
        self._places: dict[str, threading.Semaphore] = {}

    def load(self) -> None:
        """Loads what the questions need; else the first one to each vendor does."""
        for system, vendor in VENDORS.items():
            if vendor.asks:
                self.memory_of(system)

    def memory_of(self, account: str) -> Any:
        """Made when it is first wanted: most of a vendor's code is loaded by that, and calls wait for a start."""
        if account not in self.memories:
            memory = VENDORS[system_of(account)].new_memory()
            self.memories.setdefault(account, memory)  # one, whoever else makes another now
        return self.memories[account]

    def ask(self, account: str, path: str, facts: Mapping[str, str], seconds: float) -> Verdict:
        """The verdict on the question `path` of `account`, whose section the settings have; within `seconds`."""
        end = clocks.steady() + seconds
        settings = self._settings()
        section = settings.section(account)
        if section is None:
            return Invalid(f"the settings have no section {section_shown(account)} any more")
        converse = VENDORS[system_of(account)].asks[path].converse
        conversation = converse(section, settings.numbers, facts, self.memory_of(account))
        places = self._places.setdefault(account, threading.Semaphore(PLACES))
        if not places.acquire(timeout=seconds):
            return TryLater(f"{PLACES} questions to {account} are waiting already")
        asked = _Asked(self._send)
        asked.has_verdict.acquire()
        if not thread_starts.begin(f"ask-{account}", self._run, account, asked, conversation, end, places):
            places.release()
            return TryLater("the system gives callsign no thread for the question")
        asked.has_verdict.acquire(timeout=max(0.0, end - clocks.steady()) + GRACE_SECONDS)
        maybe = "; it may have been done" if asked.may_be_done else ""
        return asked.verdict or TryLater(f"no answer within {seconds:g} s{maybe}")

    def _run(
        self,
        account: str,
        asked: _Asked,
        conversation: Generator[Request, Reply, Verdict],
        end: float,
        places: threading.Semaphore,
    ) -> None:
        try:
            verdict = run_conversation(conversation, asked.send_noting, clocks.steady, math.inf, end - clocks.steady())
            asked.verdict = with_account(account, verdict)
        except Exception as fault:  # our own fault must not hurt a call
            log.error("%s", own_fault(fault))
            asked.verdict = Invalid("a fault in callsign itself, see its log")
        finally:
            places.release()
            asked.has_verdict.release()
