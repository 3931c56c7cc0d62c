"""The throw-away machine itself: a real systemd, what it may touch, and that nothing of it stays."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from systemd_machine import SystemdMachine


def test_systemd_is_its_first_process_and_runs_what_it_is_told(systemd_machine: SystemdMachine) -> None:
    assert systemd_machine.run(["cat", "/proc/1/comm"]).stdout == "systemd\n"
    assert systemd_machine.run(["systemctl", "is-system-running"]).stdout == "running\n"
    done = systemd_machine.run(["systemd-run", "--wait", "--pipe", "--quiet", "id", "-un"])
    assert (done.returncode, done.stdout) == (0, "root\n")


def test_a_machine_writes_neither_to_its_root_nor_to_the_kernel(
    systemd_machine: SystemdMachine, systemd_root: Path
) -> None:
    assert systemd_machine.run(["touch", "/etc/made-here"]).returncode == 0
    assert systemd_machine.path("/etc/made-here").exists()
    assert not (systemd_root / "etc/made-here").exists()
    told = systemd_machine.run(["sh", "-c", "echo 32768 >/proc/sys/kernel/pid_max"])
    assert "Read-only file system" in told.stdout


def test_a_thread_enters_its_network_and_comes_back(systemd_machine: SystemdMachine) -> None:
    with systemd_machine.network():
        there = socket.create_server(("127.0.0.1", 4591))
        with pytest.raises(OSError, match="unreachable"):
            socket.create_connection(("192.0.2.1", 80))
    with there:
        outside = Path("/proc/self/net/tcp").read_text()
        inside = systemd_machine.run(["cat", "/proc/net/tcp"]).stdout
        assert ":11EF " in inside
        assert outside != inside


def test_two_machines_run_beside_each_other_and_nothing_stays(systemd_root: Path, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    other = tmp_path / "other"
    other.mkdir()
    with SystemdMachine(systemd_root, scratch) as one, SystemdMachine(systemd_root, other) as two:
        assert one.run(["systemctl", "stop", "systemd-logind"]).returncode == 0
        assert two.show("systemd-logind", "ActiveState") == "active"
        pids = [one.pid, two.pid]
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert not list(scratch.iterdir())
    assert str(scratch) not in Path("/proc/self/mountinfo").read_text()
