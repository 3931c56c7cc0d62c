"""The installed service under a real systemd: from the installer's first run to its last."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from callsign.asterisk_side import Call, run_fastagi
from systemd_machine import SystemdMachine

ADDRESS = "agi://127.0.0.1:4591"


@pytest.fixture(scope="module")
def machine(systemd_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SystemdMachine]:
    """With callsign installed."""
    with SystemdMachine(systemd_root, tmp_path_factory.mktemp("machine")) as one:
        one.add_pbx()
        done = one.install()
        assert done.returncode == 0, f"{done.stdout}{one.journal('callsign')}"
        yield one


def ping(machine: SystemdMachine) -> str:
    with machine.network():
        return run_fastagi(f"{ADDRESS}/ping", Call()).variables["CALLSIGNSTATUS"]


# The tests stand in the order of the service's life.


def test_an_installed_service_is_ready_and_answers(machine: SystemdMachine) -> None:
    assert machine.show("callsign", "ActiveState") == "active"
    assert machine.show("callsign", "StatusText") == "answers calls at 127.0.0.1:4591"
    assert ping(machine) == "OK"


def test_a_reload_is_heard_and_ends(machine: SystemdMachine) -> None:
    before = machine.show("callsign", "MainPID")
    assert machine.run(["systemctl", "reload", "callsign"]).returncode == 0
    assert machine.show("callsign", "MainPID") == before
    assert any("the settings were read again" in line for line in machine.journal("callsign"))


def test_uninstalling_leaves_nothing_running(machine: SystemdMachine) -> None:
    pid = machine.show("callsign", "MainPID")
    assert machine.path(f"/proc/{pid}").exists()
    done = machine.install("--uninstall")
    assert done.returncode == 0, done.stdout
    assert machine.show("callsign", "LoadState") == "not-found"
    assert not machine.path(f"/proc/{pid}").exists()
