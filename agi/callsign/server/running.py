"""The running server: store, delivery, questions and FastAGI wired together, and what a start, a reload, an end do."""

from __future__ import annotations

import gc
import logging
import socket
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from callsign import __version__
from callsign.agi.listener import FastAgiServer
from callsign.delivery import lost_sections
from callsign.delivery.asking import Asking
from callsign.delivery.deliverer import Delivery
from callsign.delivery.prefetch import Prefetcher
from callsign.http.messages import NoAnswer, Reply, Request
from callsign.log_text import own_fault
from callsign.notification import State
from callsign.outbox.outbox import Outbox
from callsign.server.listening import format_address
from callsign.settings import load as config
from callsign.settings.sections import Settings
from callsign.steps.answer import Services, answer, note_question
from callsign.steps.attend import Attendant
from callsign.steps.call_guard import CallGuard
from callsign.steps.offices import offices_of
from callsign.verdicts import Verdict

if TYPE_CHECKING:
    from callsign.cluster.gate import ClusterGate
    from callsign.http.transport import HttpTransport
    from callsign.server.metrics import Metrics

STOP_SECONDS = 5.0
"""After SIGTERM what is under way to a vendor may take so long; calls are answered meanwhile."""

OPEN_SECONDS = 2.0
"""How long the first calls may have to wait for the store to be there, which else would refuse them."""

QUIET_SECONDS = 0.5
"""How long the loading of what delivers may wait for the calls that have waited for the start."""

SWITCH_SECONDS = 0.001
"""How long a thread may keep the interpreter while others wait; a call should not wait for a delivery."""

log = logging.getLogger("callsign")


class Server:
    """The running whole; `settings` is replaced as one value when the file is read again."""

    _transport: HttpTransport  # `load` makes it

    def __init__(self, path: Path, settings: Settings, listener: socket.socket) -> None:
        self._path = path
        self.settings = self._at_start = settings
        store = settings.outbox
        self.outbox = Outbox(store.path, store.durability, store.keep_days, at_once=True)
        self._call_guard = CallGuard()
        self.attendant = Attendant(
            lambda step: answer(step, self._services),
            self._call_guard,
            self.outbox.hand_over,
            lambda step, variables: note_question(step, variables, self._services),
        )
        self.fastagi = FastAgiServer(
            listener,
            lambda: self.settings.server.allow,
            self.attendant.attend,
            lambda: self._call_guard.any_in_time,
        )
        self._loaded = threading.Event()
        self._gate = self._gate_of(settings)
        self._delivery = Delivery(self.outbox, lambda: self.settings, self._send, self._gate)
        self._asking = Asking(lambda: self.settings, self._send)
        self._prefetcher = Prefetcher(lambda: self.settings, self._send, self._asking.memory_of)
        self._note = ""
        figures = None if self._gate is None else self._gate.figures
        lease_left = None if figures is None else lambda: figures.lease_left
        self._services = Services(lambda: self.settings, self.outbox, self._wait_for, self._ask, lease_left)
        self._metrics: Metrics | None = None

    def _send(self, request: Request, seconds: float) -> Reply:
        if not self._loaded.wait(seconds):
            return NoAnswer("callsign is still starting", sent=False)
        return self._transport.send(request, seconds)

    def _wait_for(self, job: int, seconds: float) -> tuple[State, str] | None:
        self.outbox.hand_over()
        return self._delivery.outcomes.wait_for(job, seconds)

    def _ask(self, system: str, path: str, facts: Mapping[str, str], seconds: float) -> Verdict:
        began = time.perf_counter()
        verdict = self._asking.ask(system, path, facts, seconds)
        if self._metrics is not None:
            self._metrics.question(system, verdict, time.perf_counter() - began)
        return verdict

    def _gate_of(self, settings: Settings) -> ClusterGate | None:
        """Where jobs pass that other hosts have a word in; None where this one is alone."""
        if settings.cluster is None:
            return None
        try:
            from callsign.cluster.gate import ClusterGate  # with PostgreSQL's driver
        except ImportError as fault:
            log.error("[cluster]: %s; run install.sh again; this host works alone", fault)
            return None
        return ClusterGate(lambda: self.settings, self.outbox.note_known, self.outbox.give_above)

    def start(self) -> None:
        """Answers calls; returns at once."""
        self.outbox.wait_open(OPEN_SECONDS)
        if self._gate is not None:
            self._gate.look()
        self._call_guard.start()
        self.fastagi.start()

    def load(self) -> None:
        """Delivers from now on; behind `start`, for what that takes to load no call need wait for."""
        self.fastagi.wait_quiet(QUIET_SECONDS)  # calls have waited for the start
        sys.setswitchinterval(SWITCH_SECONDS / 10)
        from callsign.http.transport import HttpTransport
        from callsign.phone_numbers import as_vendor_wants

        self._transport = HttpTransport()
        self._loaded.set()
        as_vendor_wants("+3225551234", self.settings.numbers.country, "national")  # loads the numbering plan
        _prepare(self.settings)
        self._asking.load()
        self._metrics = _metrics_of(self.settings, self.fastagi, self._gate)
        if self._metrics is not None:
            self.attendant.on_step, self._delivery.attempts.on_outcome = self._metrics.step, self._metrics.delivery
        gc.collect()
        gc.freeze()  # what is loaded stays: a collection need not walk it
        gc.enable()
        sys.setswitchinterval(SWITCH_SECONDS)
        self._delivery.start()
        self._prefetcher.start()
        if self._metrics is not None:
            self._metrics.page.start()
            log.info("metrics at %s", self._metrics.page.url)
        listens_on = format_address(self.fastagi.address)
        log.info("callsign %s listens on %s, store %s", __version__, listens_on, self.settings.outbox.path)
        self._warn_of_lost_sections()

    @property
    def state(self) -> str:
        """One line for `systemctl status`."""
        return f"answers calls at {format_address(self.fastagi.address)}{self._note}"

    def is_well(self, seconds: float) -> bool:
        """Whether calls are answered and delivered, looked at for up to `seconds`, in a way that a restart would mend.

        A full disk, a locked store or a vendor that is down cost a call no more than its wait: a restart
        mends none of them.
        """
        return self.outbox.is_alive and not self._delivery.hangs and self.fastagi.answers(seconds)

    def reload(self) -> None:
        """Reads the settings again (SIGHUP); a faulty file is reported and changes nothing."""
        self._note = "; the settings are faulty and stay as they were, see the log"
        try:
            settings, warnings = config.load(self._path, check_country=True)
        except config.ConfigError as fault:
            for line in fault.faults:
                log.error("%s", line)
            log.error("the settings stay as they were")
            return
        except Exception as fault:  # our own fault must not end a server that calls rely on
            log.error("the settings stay as they were: %s", own_fault(fault))
            return
        for line in warnings:
            log.warning("%s", line)
        old = self._at_start
        new = settings.server.listen, settings.server.metrics, settings.outbox, settings.cluster
        if new != (old.server.listen, old.server.metrics, old.outbox, old.cluster):
            log.warning("[server] listen, [server] metrics, [outbox] and [cluster] take effect at the next restart")
        _prepare(settings)
        self.settings = settings
        self.fastagi.peers.forget()  # the log names each at once, whatever it said before
        self._prefetcher.start()
        if self._metrics is not None:
            self._metrics.expect(settings.accounts)
        self._note = ""
        log.info("the settings were read again from %s", self._path)
        self._warn_of_lost_sections()

    def _warn_of_lost_sections(self) -> None:
        if lost := lost_sections.without_section(self.settings, self.settings.outbox.path):
            log.warning(
                "%s: mend %s and reload, or give them up with callsign drop", lost_sections.words(lost), self._path
            )

    def stop(self) -> None:
        """No new attempt, and a few seconds for those under way; the listener goes last.

        Until then calls are answered: what they tell is stored, and the next process delivers it.
        """
        end = time.monotonic() + STOP_SECONDS
        self._delivery.outcomes.let_calls_go()
        self._prefetcher.stop()
        self._delivery.stop(STOP_SECONDS)
        self.fastagi.finish(end - time.monotonic())
        if self._metrics is not None:
            self._metrics.stop()
        cut_off = self.fastagi.stop()
        self._call_guard.stop()
        if cut_off:
            log.warning("%d sessions did not end in time", cut_off)
        self.outbox.close()
        log.info("callsign has stopped")


def _prepare(settings: Settings) -> None:
    """Works out beside the calls what the first call would have to."""
    if settings.skarabee is not None:
        offices_of(settings.skarabee, settings.numbers.country)


def _metrics_of(settings: Settings, fastagi: FastAgiServer, gate: ClusterGate | None) -> Metrics | None:
    """None where they are off, and where they cannot be had: calls go on without."""
    address = settings.server.metrics
    if address is None:
        return None
    try:
        from callsign.server.metrics import Metrics  # 2 MB that a server without need not have

        return Metrics(address, settings, lambda: fastagi.sessions, None if gate is None else gate.figures)
    except (ImportError, OSError) as fault:
        words = fault.strerror if isinstance(fault, OSError) else f"{fault}; install agi/requirements.txt again"
        log.error("[server] metrics: %s cannot be used: %s; going on without metrics", format_address(address), words)
        return None
