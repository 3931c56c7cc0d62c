"""`callsign serve`: what the process needs of the system, then the server, until a signal ends it."""

from __future__ import annotations

import errno
import faulthandler
import logging
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from callsign import thread_starts
from callsign.outbox.owner import become_owner
from callsign.server import listening
from callsign.server.running import Server
from callsign.server.systemd import ServiceManager
from callsign.settings import load as config
from callsign.stderr_queue import is_journal, queue_stderr

OPEN_FILES = 4096
"""Enough for agi.places.MAX_SESSIONS, the store and the vendors; the usual limit is 1024."""

TAKEN_SECONDS = 4.0
"""How long a server waits, before it ends, for an address that is taken: so systemd tries again without end.

Ten starts within its StartLimitIntervalSec of 30 s would be the last.
"""

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

log = logging.getLogger("callsign")


def set_up_logging() -> Callable[[], None]:
    """One line per fact on stderr, with the time unless the journal adds it.  Returns what ends it."""
    end = queue_stderr()
    thread_starts.log_faults()
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
        settings, warnings = config.load(path, check_country=True)
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
        listen = listening.format_address(settings.server.listen)
        hint = "; does callsign run already?" if fault.errno == errno.EADDRINUSE else ""
        print(f"{path}: [server] listen: {listen} cannot be used: {fault.strerror}{hint}", file=sys.stderr)
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
