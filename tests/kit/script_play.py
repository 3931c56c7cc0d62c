"""The plain script as Asterisk starts it, with settings and stand-in vendors of the test's own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

import product
from callsign.sandbox.asterisk.behaviour import Conduct, Session
from callsign.sandbox.asterisk.call import Call
from callsign.sandbox.asterisk.play import run_script
from callsign.sandbox.vendors.sandbox import Sandbox
from store_play import LONG_SECONDS, PROJECT

SCRIPT = PROJECT / "agi" / "agi-bin" / "callsign.agi"
CALLER = "0478123456"
CALL = Call(callerid=CALLER, extension="056528998", uniqueid="1700000000.1")


def vendor_sections(box: Sandbox) -> str:
    """The settings of the two stand-ins, numbers as they are dialled."""
    return product.vendor_sections(box, numbers='format = "asis"')


class PlainScript:
    """`AGI(callsign.agi,…)` with a settings file and a store in `folder`."""

    def __init__(self, folder: Path, sections: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.settings = folder / "callsign.toml"
        self.store = folder / "outbox.db"
        self.settings.touch(mode=0o600)
        self.settings.write_text(f'[outbox]\npath = "{self.store}"\n{sections}\n', encoding="utf-8")
        product.looks_old(self.settings)
        # the script's first line asks for the python3 of the PATH
        monkeypatch.setenv("PATH", os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])))
        monkeypatch.setenv("CALLSIGN_CONFIG", str(self.settings))

    def run(
        self, *arguments: str, call: Call = CALL, script: Path = SCRIPT, hangup_after: int | None = None
    ) -> Session:
        """One AGI() line, from its start until the dialplan goes on."""
        conduct = Conduct(timeout_seconds=LONG_SECONDS, hangup_after=hangup_after)
        return run_script(script, call, arguments, conduct)

    def processes(self) -> list[int]:
        """Those of these scripts that run, also one that delivers behind its call."""
        mark = f"CALLSIGN_CONFIG={self.settings}".encode()
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it has just ended
                if int(folder.name) != os.getpid() and mark in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
        return found

    def end_all(self) -> None:
        """kill -9."""
        for process in self.processes():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


class ByHand:
    """A plain script that the test itself plays Asterisk for, a line at a time."""

    def __init__(self, *arguments: str, call: Call = CALL, script: Path = SCRIPT) -> None:
        self.process = subprocess.Popen(
            [str(script), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,  # its processes form a group of their own
        )
        lines = call.environment(str(script), arguments, network=False)
        self.write("\n".join(lines) + "\n\n")

    def write(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode())

    def answer_all(self) -> list[str]:
        """Answers every command until the script's output ends; the commands."""
        assert self.process.stdout is not None
        commands = []
        while line := self.process.stdout.readline():
            commands.append(line.decode().rstrip("\n"))
            self.write("200 result=1\n")
        return commands

    def signal_all(self, number: int) -> None:
        """To every process of the script."""
        os.killpg(self.process.pid, number)

    def close(self) -> None:
        """Ends what is left of it."""
        with suppress(ProcessLookupError):
            self.signal_all(signal.SIGKILL)
        self.process.wait(LONG_SECONDS)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
