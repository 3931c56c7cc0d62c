"""A throw-away PBX: an Asterisk root's files, a network and processes of its own, gone with the test.

`/usr` is made of hard links, which the installer must not and does not write through: it only makes new files
there.  `/etc` and `/var` are copies.  What runs in it runs in name spaces of its own: a service on the usual port
disturbs nobody, nothing reaches a network, and all of it ends with the holder.  Nothing is mounted.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from portable_python import portable_python, wheels
from product import PROJECT
from run_folder import RunFolder

CACHE = Path(os.environ.get("CALLSIGN_CACHE") or Path.home() / ".cache/callsign")
PARTS = ("agi", "conf", "dialplan", "README.md", "install.sh")
LOCKS = (PROJECT / "agi/requirements.lock", PROJECT / "agi/requirements-cluster.lock")
SOURCE = "/usr/src/callsign"
PYTHON = "/opt/python3/bin/python3"
WHEELS = ("--wheels", "/usr/src/wheels")
HERE = Path(__file__).parent

# The first process of the machine: brings loopback up, and buries whoever dies.
HOLDER = """
import fcntl, os, socket, struct, sys, time
with socket.socket() as s:
    fcntl.ioctl(s, 0x8914, struct.pack("16sh", b"lo", 1))  # SIOCSIFFLAGS, IFF_UP
print("up", flush=True)
while True:
    try:
        os.wait()
    except ChildProcessError:
        time.sleep(0.05)
"""


class Machine:
    """`root` is an Asterisk root; `folder` is this machine's.  It has the network of the machine `beside`, if given."""

    def __init__(self, root: Path, beside: Machine | None = None) -> None:
        self._run_folder = RunFolder(root)
        self.folder = self._run_folder.path / "machine"
        self.folder.mkdir()
        self._holder: subprocess.Popen[str] | None = None
        try:
            self._lay_out(root)
            self._holder = subprocess.Popen(
                [
                    *(beside.network if beside else ["unshare", "--net"]),
                    *["unshare", "--pid", "--fork", "--kill-child", "chroot"],
                    str(self.folder),
                    PYTHON,
                    "-c",
                    HOLDER,
                ],
                stdout=subprocess.PIPE,
                text=True,
            )
            assert self._holder.stdout is not None
            assert self._holder.stdout.readline() == "up\n"
            children = Path(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children").read_text().split()
            self._first_process = int(children[0])
        except BaseException:
            self.close()
            raise

    @property
    def network(self) -> list[str]:
        """A command's beginning: it runs with this machine's network, and all else of the test's own machine."""
        return ["nsenter", "--target", str(self._first_process), "--net"]

    def _lay_out(self, root: Path) -> None:
        for name in ("usr", "bin", "sbin", "lib", "lib64"):
            subprocess.run(["cp", "-al", str(root / name), str(self.folder)], check=True)
        for name in ("etc", "var"):
            subprocess.run(["cp", "-a", str(root / name), str(self.folder)], check=True)
        for name in ("opt", "run", "root", "home", "proc", "dev"):
            (self.folder / name).mkdir(mode=0o755)
        (self.folder / "tmp").mkdir()
        (self.folder / "tmp").chmod(0o1777)
        for name, minor in (("null", 3), ("urandom", 9)):
            os.mknod(self.folder / "dev" / name, 0o020666, os.makedev(1, minor))
            (self.folder / "dev" / name).chmod(0o666)
        furnish(self.folder)

    def add_systemd(self) -> None:
        """A stand-in for `systemctl` and the part of systemd behind it that a service needs."""
        (self.folder / "run/systemd/system").mkdir(parents=True)
        (self.folder / "etc/systemd/system/multi-user.target.wants").mkdir(parents=True, exist_ok=True)
        program = self.folder / "usr/bin/systemctl"
        program.unlink(missing_ok=True)
        program.write_text(f'#!/bin/sh\nexec {PYTHON} /usr/src/systemctl.py "$@"\n')
        program.chmod(0o755)
        shutil.copy2(HERE / "systemctl.py", self.folder / "usr/src/systemctl.py")

    def run(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command on the machine; stderr comes with stdout."""
        return subprocess.run(
            [*f"nsenter --target {self._first_process} --net --pid chroot".split(), str(self.folder), *command],
            env={"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=400,  # the machine may be busy with other tests
            check=False,
        )

    def install(self, *options: str, python: str = PYTHON) -> subprocess.CompletedProcess[str]:
        """`./install.sh OPTIONS` as root; packages come from a folder."""
        return self.run([f"{SOURCE}/install.sh", *options, *WHEELS], {"PYTHON": python} if python else {})

    def path(self, inside: str) -> Path:
        return self.folder / inside.lstrip("/")

    def close(self) -> None:
        if self._holder is not None:
            self._holder.kill()  # and the kernel ends what is inside
            self._holder.wait()
            assert self._holder.stdout is not None
            self._holder.stdout.close()
        self._run_folder.remove()

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def steps(lines: list[str]) -> list[str]:
    """The lines of the installer's that tell of a change."""
    told_else = re.compile(r"  (   |[A-Z]+=|time:|\d\.)")
    return [line for line in lines if line.startswith("  ") and not told_else.match(line)]


def furnish(root: Path) -> None:
    """What the installer needs, into a machine's files: a Python, packages, and the project's own files."""
    # Copied, not linked: an Asterisk root in the cache may be a file system of its own.
    shutil.copytree(portable_python(CACHE), root / "opt/python3", symlinks=True)
    shutil.copytree(wheels(CACHE, *LOCKS), root / "usr/src/wheels")
    source = root / SOURCE.lstrip("/")
    source.mkdir(parents=True)
    for part in PARTS:
        if (PROJECT / part).is_dir():
            shutil.copytree(PROJECT / part, source / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(PROJECT / part, source / part)
