"""Asterisk's process: started in its root, watched through its log, ended with the scripts it started."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

from asterisk_settings import settings
from log_pipe import LogPipe
from run_folder import RunFolder

START_LIMIT = 20.0


class AsteriskProcess:
    """`start` returns when Asterisk is ready for calls; `end` leaves nothing of it."""

    def __init__(self, root: Path, files: Mapping[str, str]) -> None:
        self._root = root
        self._files = files
        self.secret = secrets.token_hex(16)

    def start(self) -> None:
        self._run_folder = RunFolder(self._root)
        self.folder = self._run_folder.path
        try:
            self._write_settings()
            self.log = LogPipe(self.folder / "log/full")
            self._process = self._spawn()
        except BaseException:
            self._run_folder.remove()
            raise
        try:
            self.log.wait("Asterisk Ready", START_LIMIT)
        except TimeoutError as error:
            said = self.errors()[-3000:]
            self._kill()
            raise RuntimeError(f"Asterisk did not start: {error}\n{said}") from error

    @property
    def pid(self) -> int:
        return self._process.pid

    def errors(self) -> str:
        return (self.folder / "log/stderr").read_text(errors="replace")

    def end(self) -> None:
        status, said = self._process.poll(), self.log.text()[-3000:]
        self._kill()
        if status is not None:
            raise RuntimeError(f"Asterisk ended by itself, status {status}\n{said}")

    def _write_settings(self) -> None:
        for name in ("etc/test.d", "log", "run", "spool", "varlib", "agi-bin"):
            (self.folder / name).mkdir(parents=True)
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.port = int(server.getsockname()[1])  # was free a moment ago
        files = settings(self._root, f"/{self.folder.name}", self.port, self.secret)
        for name, text in (files | dict(self._files)).items():
            (self.folder / "etc" / name).write_text(text)

    def _spawn(self) -> subprocess.Popen[bytes]:
        asterisk = ["/usr/sbin/asterisk", "-f", "-C", f"/{self.folder.name}/etc/asterisk.conf"]
        with open(self.folder / "log/stderr", "wb") as stderr:
            return subprocess.Popen(
                # The kernel ends Asterisk with the thread that started it: a killed run leaves none behind.
                ["setpriv", "--pdeathsig", "KILL", "chroot", str(self._root), *asterisk],
                cwd="/",
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"},
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                start_new_session=True,
            )

    def _kill(self) -> None:
        """The session is one process group, made by us: Asterisk and the scripts it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self.log.close()
        self._run_folder.remove()
