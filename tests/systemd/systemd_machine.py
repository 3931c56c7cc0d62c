"""A throw-away machine with a real systemd as PID 1, its own network (loopback only) and files, gone with the test.

    with SystemdMachine(root, tmp_path) as machine:
        machine.run(["systemctl", "restart", "callsign"])
        with machine.network():
            run_fastagi("agi://127.0.0.1:4591/ping", Call())

An Asterisk (`RealAsterisk`), a vendor or a client that is started within `network()` is on the machine's loopback.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from machine import PYTHON, SOURCE, WHEELS, furnish
from waiting import wait_until

BOOT = Path(__file__).with_name("boot.sh")
CLONE_NEWNET = 0x40000000
NAMESPACES = "--mount --pid --uts --ipc --cgroup --net"


def refusal() -> str:
    """Why no machine can be had here: the kernel's own words; empty where one can."""
    tried = subprocess.run(
        [*f"unshare {NAMESPACES} --fork mount -t cgroup2 cgroup2 /mnt".split()],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return tried.stderr.strip() if tried.returncode else ""


class SystemdMachine:
    """`root` stays as it is; `scratch` is an empty folder.  It has booted when it is made."""

    def __init__(self, root: Path, scratch: Path) -> None:
        self._log = open(scratch.with_name(f"{scratch.name}.log"), "w+b")  # noqa: SIM115 (open until it is closed)
        self._holder = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "sh", str(BOOT), str(root), str(scratch)],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )
        self.pid = 0
        try:
            wait_until(self._has_systemd)
            wait_until(lambda: self.run(["systemctl", "is-system-running", "--wait"]).stdout == "running\n")
            furnish(self.path("/"))
        except BaseException as fault:
            self.close()
            raise RuntimeError(f"the machine did not boot: {fault}\n{self.console}") from fault

    @property
    def console(self) -> str:
        """What systemd has said at the machine's console."""
        self._log.flush()
        return Path(self._log.name).read_text(errors="replace")

    def _has_systemd(self) -> bool:
        assert self._holder.poll() is None, "it has ended"
        pid = self._holder.pid
        for _ in range(2):  # the shell, unshare, systemd
            try:
                (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            except (ValueError, FileNotFoundError):
                return False
            pid = int(child)
        self.pid = pid
        return Path(f"/proc/{pid}/comm").read_text() == "systemd\n"

    def run(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command on the machine as root; stderr comes with stdout."""
        return subprocess.run(
            ["nsenter", "--target", str(self.pid), "--all", *command],
            env={"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=400,  # the machine may be busy with other tests
            check=False,
        )

    def add_pbx(self) -> None:
        """What the installer looks for on a PBX; no Asterisk runs."""
        make = (
            "useradd --system asterisk && mkdir -p /etc/asterisk /usr/share/asterisk/agi-bin"
            " && install -d -o asterisk /var/lib/asterisk"
            " && echo 'astagidir => /usr/share/asterisk/agi-bin' >/etc/asterisk/asterisk.conf"
            " && echo '[default]' >/etc/asterisk/extensions.conf"
        )
        done = self.run(["sh", "-c", make])
        assert done.returncode == 0, done.stdout

    def install(self, *options: str) -> subprocess.CompletedProcess[str]:
        """`./install.sh OPTIONS` as root; packages come from a folder."""
        return self.run([f"{SOURCE}/install.sh", *options, *WHEELS], {"PYTHON": PYTHON})

    def path(self, inside: str) -> Path:
        """A file of the machine; one that is reached by an absolute link is the test's own, not the machine's."""
        return Path(f"/proc/{self.pid}/root") / inside.lstrip("/")

    def show(self, unit: str, name: str) -> str:
        """One property of a unit, as `systemctl show` has it."""
        return self.run(["systemctl", "show", "--property", name, "--value", unit]).stdout.strip()

    def journal(self, unit: str) -> list[str]:
        """What a unit, and systemd of it, have logged."""
        command = ["journalctl", "--unit", unit, "--output", "cat", "--no-pager"]
        self.run(["journalctl", "--sync"])
        return self.run(command).stdout.splitlines()

    @contextlib.contextmanager
    def network(self) -> Iterator[None]:
        """This thread, and the processes that it starts, are on the machine's network."""
        with open("/proc/thread-self/ns/net") as mine:
            with open(f"/proc/{self.pid}/ns/net") as theirs:
                _enter(theirs.fileno())
            try:
                yield
            finally:
                _enter(mine.fileno())

    def close(self) -> None:
        """Ends the machine, and with it all that runs on it."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        else:
            self._holder.kill()
        self._holder.wait()
        self._log.close()

    def __enter__(self) -> SystemdMachine:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _enter(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


@contextlib.contextmanager
def installed_machine(root: Path, folder: Path) -> Iterator[SystemdMachine]:
    """A machine with callsign installed, beside a PBX that does not run."""
    with SystemdMachine(root, folder) as machine:
        machine.add_pbx()
        done = machine.install()
        assert done.returncode == 0, f"{done.stdout}{machine.journal('callsign')}"
        yield machine
