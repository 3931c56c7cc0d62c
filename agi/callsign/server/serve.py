"""`callsign serve`: wires store, delivery and FastAGI server together, and obeys signals."""

from __future__ import annotations

import faulthandler
import gc
import logging
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from callsign import __version__
from callsign.agi.listener import FastAgiServer
from callsign.delivery import lost_sections
from callsign.delivery.asking import Asking
from callsign.delivery.deliverer import Delivery
from callsign.delivery.prefetch import Prefetcher
from callsign.http.messages import NoAnswer, Reply, Request
from callsign.log_text import place_of
from callsign.notification import State
from callsign.outbox.outbox import Outbox
from callsign.outbox.owner import become_owner
from callsign.question import Verdict
from callsign.server import listening
from callsign.server.systemd import ServiceManager
from callsign.settings import load as config
from callsign.settings.sections import Settings
from callsign.stderr_queue import is_journal, queue_stderr
from callsign.steps.answer import Services, answer
from callsign.steps.attend import Attendant
from callsign.steps.offices import offices_of
from callsign.steps.overdue import Overdue

if TYPE_CHECKING:
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

OPEN_FILES = 4096
"""Enough for listener.MAX_SESSIONS, the store and the vendors; the usual limit is 1024."""

TAKEN_SECONDS = 4.0
"""How long a server waits, before it ends, for an address that is taken: so systemd tries again without end.

Ten starts within its StartLimitIntervalSec of 30 s would be the last.
"""

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

log = logging.getLogger("callsign")


def set_up_logging() -> Callable[[], None]:
    """One line per fact on stderr, with the time unless the journal adds it.  Returns what ends it."""
    end = queue_stderr()
    stamp = "" if is_journal(sys.stderr) else "%(asctime)s "
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format=f"{stamp}%(levelname)s %(name)s: %(message)s")
    logging.raiseExceptions = False  # a full disk under stderr is no reason for tracebacks
    logging._srcfile = None  # as logging's manual has it ("Optimization"): our lines name no file, thread or process
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    return end


def allow_open_files() -> None:
    """Raises our limit of open files, of which each call holds one, to `OPEN_FILES` where the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Server:
    """The running whole; `settings` is replaced as one value when the file is read again."""

    _transport: HttpTransport  # `load` makes it

    def __init__(self, path: Path, settings: Settings, listener: socket.socket) -> None:
        self._path = path
        self.settings = self._at_start = settings
        store = settings.outbox
        self.outbox = Outbox(store.path, store.durability, store.keep_days, at_once=True)
        self._overdue = Overdue()
        self.attendant = Attendant(lambda step: answer(step, self._services), self._overdue, self.outbox.hand_over)
        self.fastagi = FastAgiServer(
            listener,
            lambda: self.settings.server.allow,
            self.attendant.attend,
            lambda: self._overdue.any_in_time,
        )
        self._loaded = threading.Event()
        self._delivery = Delivery(self.outbox, lambda: self.settings, self._deliver)
        self._asking = Asking(lambda: self.settings, self._question)
        self._prefetcher = Prefetcher(lambda: self.settings, self._question, self._asking.memory_of)
        self._note = ""
        self._services = Services(lambda: self.settings, self.outbox, self._wait_for, self._ask)
        self._metrics: Metrics | None = None

    def _deliver(self, request: Request, seconds: float) -> Reply:
        return self._transport.send(request, seconds)

    def _question(self, request: Request, seconds: float) -> Reply:
        if not self._loaded.wait(seconds):
            return NoAnswer("callsign is still starting", sent=False)
        return self._transport.send(request, seconds)

    def _wait_for(self, job: int, seconds: float) -> tuple[State, str] | None:
        self.outbox.hand_over()
        return self._delivery.wait_for(job, seconds)

    def _ask(self, system: str, path: str, facts: Mapping[str, str], seconds: float) -> Verdict:
        began = time.perf_counter()
        verdict = self._asking.ask(system, path, facts, seconds)
        if self._metrics is not None:
            self._metrics.question(system, verdict, time.perf_counter() - began)
        return verdict

    def start(self) -> None:
        """Answers calls; returns at once."""
        self.outbox.wait_open(OPEN_SECONDS)
        self._overdue.start()
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
        self._metrics = _metrics_of(self.settings, self.fastagi)
        if self._metrics is not None:
            self.attendant.on_step, self._delivery.attempts.on_outcome = self._metrics.step, self._metrics.delivery
        gc.collect()
        gc.freeze()  # what is loaded stays: a collection need not walk it
        gc.enable()
        sys.setswitchinterval(SWITCH_SECONDS)
        self._delivery.start()
        self._prefetcher.start()
        if self._metrics is not None:
            self._metrics.start()
            log.info("metrics at %s", self._metrics.url)
        listens_on = _shown(self.fastagi.address)
        log.info("callsign %s listens on %s, store %s", __version__, listens_on, self.settings.outbox.path)
        self._warn_of_lost_sections()

    @property
    def state(self) -> str:
        """One line for `systemctl status`."""
        return f"answers calls at {_shown(self.fastagi.address)}{self._note}"

    def is_well(self, seconds: float) -> bool:
        """Whether calls are answered and delivered, looked at for up to `seconds`, in a way that a restart would mend.

        A full disk, a locked store or a vendor that is down cost a call no more than its wait: a restart
        mends none of them.
        """
        return self.outbox.is_alive and not self._delivery.hangs and self.fastagi.answers(seconds)

    def reload(self) -> None:
        """SIGHUP: the settings anew; a faulty file is reported and changes nothing."""
        self._note = "; the settings are faulty and stay as they were, see the log"
        try:
            settings, warnings = config.load(self._path, thorough=True)
        except config.ConfigError as fault:
            for line in fault.faults:
                log.error("%s", line)
            log.error("the settings stay as they were")
            return
        except Exception as fault:  # our own fault must not end a server that calls rely on
            log.error("the settings stay as they were: a fault in callsign itself: %s", place_of(fault))
            return
        for line in warnings:
            log.warning("%s", line)
        old = self._at_start
        new = settings.server.listen, settings.server.metrics, settings.outbox
        if new != (old.server.listen, old.server.metrics, old.outbox):
            log.warning("[server] listen, [server] metrics and [outbox] take effect at the next restart")
        _prepare(settings)
        self.settings = settings
        self.fastagi.settings_are_new()
        self._prefetcher.start()
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
        self._delivery.let_calls_go()
        self._prefetcher.stop()
        self._delivery.stop(STOP_SECONDS)
        self.fastagi.finish(end - time.monotonic())
        if self._metrics is not None:
            self._metrics.stop()
        cut_off = self.fastagi.stop()
        self._overdue.stop()
        if cut_off:
            log.warning("%d sessions did not end in time", cut_off)
        self.outbox.close()
        log.info("callsign has stopped")


def serve(path: Path) -> int:
    """Runs until SIGTERM.  0 after an orderly end, 1 if the address is taken, 2 for faulty settings."""
    end_log = set_up_logging()
    try:
        return _serve(path)
    finally:
        end_log()  # a command ends without the interpreter's own end


def _serve(path: Path) -> int:
    faulthandler.enable()  # a watchdog's SIGABRT then shows where each thread stands, without any value
    allow_open_files()
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # before any thread: they inherit it
    manager = ServiceManager()
    kept = listening.kept_by_systemd()
    if kept:
        manager.keep_no_more()
    try:
        settings, warnings = config.load(path, thorough=True)
    except config.ConfigError as fault:
        for line in fault.faults:
            print(line, file=sys.stderr)
        return 2
    for line in warnings:
        log.warning("%s", line)
    become_owner(settings.outbox.path)
    try:  # before the store: where the address is taken, another callsign has both
        listener = listening.at(settings.server.listen, kept)
        if listener is None:
            if kept:
                manager.wait_heard()  # what was kept may be in the way
            listener = listening.new(settings.server.listen)
    except OSError as fault:
        listen = _shown(settings.server.listen)
        print(f"{path}: [server] listen: {listen} cannot be used: {fault.strerror}", file=sys.stderr)
        if manager.is_there:
            signal.sigtimedwait(SIGNALS, TAKEN_SECONDS)
        return 1
    server = Server(path, settings, listener)
    server.start()
    manager.keep(listener)
    manager.ready(server.state)
    server.load()
    manager.watch(server.is_well)
    while (received := signal.sigwait(SIGNALS)) == signal.SIGHUP:
        manager.reloading()
        server.reload()
        manager.ready(server.state)
    log.info("%s: ending", signal.Signals(received).name)
    manager.stopping()
    server.stop()
    return 0


def _prepare(settings: Settings) -> None:
    """Works out beside the calls what the first call would have to."""
    if settings.skarabee is not None:
        offices_of(settings.skarabee, settings.numbers.country)


def _metrics_of(settings: Settings, fastagi: FastAgiServer) -> Metrics | None:
    """None where they are off, and where they cannot be had: calls go on without."""
    address = settings.server.metrics
    if address is None:
        return None
    try:
        from callsign.server.metrics import Metrics  # 2 MB that a server without need not have

        return Metrics(address, settings, lambda: fastagi.sessions)
    except (ImportError, OSError) as fault:
        words = fault.strerror if isinstance(fault, OSError) else f"{fault}; install agi/requirements.txt anew"
        log.error("[server] metrics: %s cannot be used: %s; going on without metrics", _shown(address), words)
        return None


def _shown(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
