"""The product as a process: `callsign serve` with settings of the test's own, its log, and its end."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from callsign.sandbox.vendors.sandbox import Sandbox
from waiting import wait_until

PROJECT = Path(__file__).resolve().parents[2]
COMMAND = PROJECT / "agi" / "bin" / "callsign"
LONG_SECONDS = 30.0  # for what comes soon where the machine is not busy

ACCOUNTS = {"skarabee": {"8103": "office-key"}, "noojee": {"key": "recorder-key", "auth": "hash"}}
"""What the stand-ins know of the vendors that `vendor_sections` leads to."""

STAMP = re.compile(r"^20\d\d-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ")
"""The time, which a line has where stderr is not the journal's."""

# Descriptor 3 and what says so, as systemd starts a server (sd_listen_fds(3)).
AS_SYSTEMD = """
import os, sys
given = int(sys.argv[1])
if given != 3:
    os.dup2(given, 3)
    os.close(given)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""


def vendor_sections(box: Sandbox, office_key: str = "office-key", numbers: str = "") -> str:
    """The settings that lead to the stand-ins of `box`; `numbers` is the text of [numbers]."""
    return f"""
[numbers]
{numbers}
[skarabee]
url = "{box.url("skarabee")}"
businessid = "8103"
key = "{office_key}"
[noojee]
url = "{box.url("noojee")}"
key = "recorder-key"
"""


def bare_environment() -> dict[str, str]:
    """Of a Python that finds callsign and nothing else; what it compiles goes where all others' goes, if anywhere."""
    cache = "PYTHONPYCACHEPREFIX"
    return {"PYTHONPATH": str(PROJECT / "agi"), **{name: os.environ[name] for name in (cache,) if name in os.environ}}


def looks_old(settings: Path) -> None:
    """A settings file that was written just now makes who reads it wait for whoever may still write to it."""
    os.utime(settings, (0, 0))


class Product:
    """A running server.  `settings` lies in `folder`, and `store` by default; the kernel chose `port`."""

    def __init__(
        self,
        folder: Path,
        sections: str,
        listen: str = "127.0.0.1:0",
        outbox: str = "",
        metrics: str = "",
        store: Path | None = None,
    ) -> None:
        self.folder = folder
        self.settings = folder / "callsign.toml"
        self.store = store or folder / "outbox.db"
        self.write_settings(sections, listen, outbox, metrics)
        self._listen = listen
        self._outbox = outbox
        self.start()

    def write_settings(self, sections: str, listen: str = "127.0.0.1:0", outbox: str = "", metrics: str = "") -> None:
        """Replaces the settings file; `sections` is the text after [server] and [outbox]."""
        self.settings.touch(mode=0o600)
        server = f'[server]\nlisten = "{listen}"\n' + (f'metrics = "{metrics}"\n' if metrics else "")
        store = f'[outbox]\npath = "{self.store}"\n{outbox}\n'
        self.settings.write_text(f"{server}{store}{sections}\n", encoding="utf-8")
        looks_old(self.settings)

    def run_with(self, sections: str, metrics: str = "") -> None:
        """The settings of `write_settings`, with the port for the commands to find it, and it runs with them."""
        before = sum("read again" in line for line in self.log)
        self.write_settings(sections, f"127.0.0.1:{self.port}", metrics=metrics)
        self.process.send_signal(signal.SIGHUP)
        wait_until(lambda: sum("read again" in line for line in self.log) > before, LONG_SECONDS)

    def start(self, kept: socket.socket | None = None) -> None:
        """Starts the process and waits until it listens; with what systemd has `kept` of an earlier one."""
        self._log: list[str] = []
        self._is_whole = False
        self._grew = threading.Condition()
        command = [sys.executable, str(COMMAND), "serve", "--config", str(self.settings)]
        if kept is not None:
            command = [sys.executable, "-c", AS_SYSTEMD, str(kept.fileno()), *command]
        self.process = subprocess.Popen(
            command,
            pass_fds=[] if kept is None else [kept.fileno()],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        line = self.wait_log(lambda line: "listens on" in line)
        found = re.search(r"listens on \S+:(\d+),", line)
        assert found
        self.port = int(found[1])

    @property
    def url(self) -> str:
        return f"agi://127.0.0.1:{self.port}"

    @property
    def log(self) -> list[str]:
        with self._grew:
            return list(self._log)

    def forget_log(self) -> None:
        """What was said until now is not looked at any more."""
        with self._grew:
            self._log.clear()

    def wait_log(self, wanted: Callable[[str], bool], seconds: float = LONG_SECONDS) -> str:
        """The first log line that fits.  Fails when the process ends or the time is over before."""
        end = time.monotonic() + seconds
        with self._grew:
            looked_at = 0
            while True:
                for line in self._log[looked_at:]:
                    if wanted(line):
                        return line
                looked_at = len(self._log)
                assert not self._is_whole, f"the server has ended: {self._log}"
                assert self._grew.wait(max(0.0, end - time.monotonic())) or self._log[looked_at:], self._log

    def stop(self, seconds: float = LONG_SECONDS) -> int:
        """SIGTERM; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self._ended(seconds)

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self._ended(LONG_SECONDS)

    def _ended(self, seconds: float) -> int:
        status = self.process.wait(seconds)
        self._reader.join(LONG_SECONDS)
        return status

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._keep(STAMP.sub("", line))
        with self._grew:
            self._is_whole = True
            self._grew.notify_all()

    def _keep(self, line: str) -> None:
        with self._grew:
            self._log.append(line.rstrip("\n"))
            self._grew.notify_all()

    def __enter__(self) -> Product:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()
        if self.process.stderr is not None:
            self.process.stderr.close()
