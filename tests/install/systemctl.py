"""Plays `systemctl` and what is behind it for one unit: starts it as its unit says, and waits for its READY=1.

Every call is a line in /run/systemctl.log.  Hardening is not played: `systemd-analyze` rates that.
"""

import os
import pwd
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

UNITS = Path("/etc/systemd/system")
WANTS = UNITS / "multi-user.target.wants"
NOTIFY = "/run/systemd/notify"
START_SECONDS = 30


def main(words: list[str]) -> int:
    with open("/run/systemctl.log", "a") as log:
        log.write(" ".join(words) + "\n")
    options = [word for word in words if word.startswith("--")]
    verb, *units = [word for word in words if not word.startswith("--")]
    if verb == "daemon-reload":
        return 0
    (unit,) = units
    file, wanted, pid_file = UNITS / f"{unit}.service", WANTS / f"{unit}.service", Path(f"/run/{unit}.pid")
    if verb == "is-enabled":
        return 0 if wanted.is_symlink() else 1
    if verb == "is-active":
        return 0 if pid_of(pid_file) else 3
    if verb == "enable":
        wanted.symlink_to(file)
    if verb == "disable":
        wanted.unlink()
    if verb in ("restart", "stop") or "--now" in options:
        stop(pid_file)
    return start(file, pid_file) if verb == "restart" else 0


def pid_of(pid_file: Path) -> int:
    """0 where it does not run."""
    try:
        pid = int(pid_file.read_text())
        os.kill(pid, 0)
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return pid


def stop(pid_file: Path) -> None:
    if pid := pid_of(pid_file):
        os.kill(pid, signal.SIGTERM)
        while pid_of(pid_file):
            time.sleep(0.01)
    pid_file.unlink(missing_ok=True)


def start(file: Path, pid_file: Path) -> int:
    says = dict(re.findall(r"^(\w+)=(.*)", file.read_text(), re.MULTILINE))
    assert says["Type"] == "notify"
    user = pwd.getpwnam(says["User"])
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard, open("/run/journal", "ab") as journal:
        Path(NOTIFY).unlink(missing_ok=True)
        heard.bind(NOTIFY)
        os.chmod(NOTIFY, 0o777)
        heard.settimeout(START_SECONDS)
        process = subprocess.Popen(
            says["ExecStart"].split(),
            user=user.pw_uid,
            group=says["Group"],
            extra_groups=[],
            umask=int(says["UMask"], 8),
            env={"PATH": "/usr/bin:/bin", "NOTIFY_SOCKET": NOTIFY},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=journal,
            stderr=journal,
            start_new_session=True,
        )
        pid_file.write_text(str(process.pid))
        while process.poll() is None:
            heard.settimeout(0.1)
            try:
                if b"READY=1" in heard.recv(4096):
                    return 0
            except TimeoutError:
                continue
    return 1


sys.exit(main(sys.argv[1:]))
