"""The installed service under a real systemd, with calls from a real Asterisk: what ends a server costs no call."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from callsign.sandbox.asterisk.behaviour import Conduct
from callsign.sandbox.asterisk.call import Call
from callsign.sandbox.asterisk.play import run_fastagi
from callsign.sandbox.vendors.messages import Trouble
from pbx import LONG_SECONDS, SETTINGS, Pbx, pbx_on
from product import vendor_sections
from systemd_machine import SystemdMachine
from waiting import wait_until

ADDRESS = "agi://127.0.0.1:4591"
BLOCK = b"agi_network: yes\nagi_network_script: ping\nagi_threadid: 1\n\n"
CALLS, RATE = 200, 50
CLOCK = Path(__file__).parents[1] / "faults/shifted_clock.c"
GIVEN_UP_SECONDS = 30.0
STOP_SECONDS = 15.0  # TimeoutStopSec

# Ends when the file is not there.
LOOK = "import os, sys\nwhile os.path.exists(sys.argv[1]): pass"


@pytest.fixture(scope="module")
def pbx(systemd_root: Path, asterisk_root: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pbx]:
    with pbx_on(systemd_root, asterisk_root, tmp_path_factory.mktemp("machine")) as one:
        yield one


@pytest.fixture
def machine(pbx: Pbx) -> SystemdMachine:
    return pbx.machine


@pytest.fixture(autouse=True)
def well(pbx: Pbx) -> Iterator[None]:
    """Each test begins with a service that runs, and vendors that are well."""
    yield
    pbx.vendors.trouble = {}
    pbx.machine.run(["systemctl", "unmask", "--runtime", "callsign"])
    pbx.machine.run(["systemctl", "reset-failed", "callsign"])
    pbx.set_up(vendor_sections(pbx.vendors))


def ping() -> str:
    session = run_fastagi(f"{ADDRESS}/ping", Call(), conduct=Conduct(timeout_seconds=LONG_SECONDS))
    return session.variables.get("CALLSIGNSTATUS", "")


# -- its life -----------------------------------------------------------------------------------------


def test_an_installed_service_is_ready_and_answers(pbx: Pbx, machine: SystemdMachine) -> None:
    assert machine.show("callsign", "ActiveState") == "active"
    assert machine.show("callsign", "StatusText") == "answers calls at 127.0.0.1:4591"
    assert machine.show("callsign", "NFileDescriptorStore") == "1"
    assert ping() == "OK"


def test_a_reload_is_heard_and_ends(pbx: Pbx, machine: SystemdMachine) -> None:
    before = machine.show("callsign", "MainPID")
    pbx.systemctl("reload", "callsign")
    assert machine.show("callsign", "MainPID") == before
    wait_until(lambda: any("the settings were read again" in line for line in machine.journal("callsign")))


# -- what ends a server while calls come --------------------------------------------------------------


def restart(pbx: Pbx) -> None:
    pbx.systemctl("restart", "callsign")


def upgrade(pbx: Pbx) -> None:
    with pbx.machine.path("/usr/src/callsign/agi/callsign/__init__.py").open("a") as file:
        file.write("# \n")
    script = pbx.machine.path("/opt/callsign/agi/agi-bin/callsign.agi")
    with subprocess.Popen([sys.executable, "-c", LOOK, str(script)]) as looks:
        done = pbx.machine.install()
        was_there_always = looks.poll() is None
        looks.kill()
    assert done.returncode == 0, done.stdout
    assert "new code" in done.stdout
    assert was_there_always, "a plain script that starts in that moment would set no status"


@pytest.mark.parametrize("end", [restart, upgrade])
@pytest.mark.parametrize("trouble", [Trouble(), Trouble(delay_seconds=30), Trouble(http_status=503)])
def test_a_restart_and_an_upgrade_cost_no_call_its_status(
    pbx: Pbx, end: Callable[[Pbx], None], trouble: Trouble
) -> None:
    pbx.vendors.trouble = {"skarabee": trouble}
    steps = pbx.calls(CALLS, RATE, lambda: end(pbx))
    assert len(steps) == CALLS
    assert [step for step in steps if not step.has_status] == []
    assert max(step.seconds for step in steps) < STOP_SECONDS, "a server's start, on a busy machine"


def test_a_kill_costs_none_but_those_that_it_had_in_hand(pbx: Pbx, machine: SystemdMachine) -> None:
    before = machine.show("callsign", "MainPID")
    steps = pbx.calls(CALLS, RATE, lambda: pbx.systemctl("kill", "--signal=KILL", "callsign"))
    assert len(steps) == CALLS
    assert machine.show("callsign", "MainPID") != before
    without = [step for step in steps if not step.has_status]
    assert {step.status for step in without} <= {"none"}
    assert len(without) <= RATE / 2, "a port that is closed while a server starts costs more"


def stands_still(threads: Path) -> bool:
    """Whether each has heard of the signal, or all are gone by now: one that has not would still answer a call."""
    try:
        return all(stat.read_text().rpartition(") ")[2][0] in "TXZ" for stat in threads.glob("*/stat"))
    except OSError:  # one has gone meanwhile
        return False


def test_a_server_that_stands_still_is_started_anew_by_its_watchdog(pbx: Pbx, machine: SystemdMachine) -> None:
    before = machine.show("callsign", "MainPID")
    pbx.systemctl("kill", "--signal=STOP", "callsign")
    wait_until(lambda: stands_still(machine.path(f"/proc/{before}/task")))
    wait_until(lambda: ping() == "OK", 60)  # a thread that stood in accept() takes its call with it, when it is killed
    assert machine.show("callsign", "MainPID") != before
    assert any("Watchdog timeout" in line for line in machine.journal("callsign"))


# -- no server comes back: a call that has connected is let go -----------------------------------------


def fail_with_2(pbx: Pbx) -> None:
    pbx.machine.path(SETTINGS).write_text("[nonsense]\n")
    pbx.systemctl("kill", "--signal=KILL", "callsign")


def fail_again_and_again(pbx: Pbx) -> None:
    program = pbx.machine.path("/opt/callsign/agi/callsign/commands/main.py")
    program.write_text(f"raise SystemExit(1)\n{program.read_text()}")
    pbx.systemctl("kill", "--signal=KILL", "callsign")


def stop(pbx: Pbx) -> None:
    pbx.systemctl("stop", "callsign")


def mask(pbx: Pbx) -> None:
    pbx.systemctl("mask", "--now", "--runtime", "callsign")


@pytest.mark.parametrize("end", [stop, mask, fail_with_2, fail_again_and_again])
def test_a_call_that_connects_while_no_server_comes_back_is_let_go(
    pbx: Pbx, machine: SystemdMachine, end: Callable[[Pbx], None]
) -> None:
    code = machine.path("/opt/callsign/agi/callsign/commands/main.py")
    text = code.read_text()
    try:
        steps = pbx.calls(CALLS, RATE, lambda: end(pbx))
        wait_until(lambda: machine.show("callsign", "ActiveState") in ("inactive", "failed"), 4 * GIVEN_UP_SECONDS)
        assert machine.show("callsign", "NFileDescriptorStore") == "0"
    finally:
        code.write_text(text)
    assert {step.status for step in steps if not step.has_status} == {"none"}
    assert max(step.seconds for step in steps) < GIVEN_UP_SECONDS


def test_an_address_that_is_taken_is_waited_for_without_end(pbx: Pbx, machine: SystemdMachine) -> None:
    pbx.systemctl("stop", "callsign")
    drop_in = machine.path("/run/systemd/system/callsign.service.d/limit.conf")
    drop_in.parent.mkdir(parents=True, exist_ok=True)
    drop_in.write_text("[Unit]\nStartLimitIntervalSec=9\nStartLimitBurst=3\n")  # a third of what the unit has
    try:
        pbx.systemctl("daemon-reload")
        with socket.create_server(("127.0.0.1", 4591)):
            pbx.systemctl("start", "--no-block", "callsign")
            wait_until(lambda: int(machine.show("callsign", "NRestarts")) >= 3, 4 * GIVEN_UP_SECONDS)
        wait_until(lambda: ping() == "OK")
    finally:
        drop_in.unlink()
        pbx.systemctl("daemon-reload")


# -- what the sandbox of the unit lets through ---------------------------------------------------------


def test_a_deadline_outlives_a_restart_with_a_clock_that_was_set(
    pbx: Pbx, machine: SystemdMachine, tmp_path: Path
) -> None:
    pbx.vendors.trouble = {"skarabee": Trouble(http_status=503)}
    call = Call(callerid="0478123456", dnid="056528998", uniqueid="1700000000.99")
    assert run_fastagi(f"{ADDRESS}/skarabee", call).variables["SKARABEESTATUS"] == "QUEUED"
    library = tmp_path / "shifted_clock.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", str(library), str(CLOCK), "-ldl"], check=True)
    machine.path("/opt/shifted_clock.so").write_bytes(library.read_bytes())
    machine.path("/opt/an_hour").write_bytes(struct.pack("l", 3600))
    drop_in = machine.path("/run/systemd/system/callsign.service.d/clock.conf")
    drop_in.parent.mkdir(parents=True, exist_ok=True)
    drop_in.write_text(
        "[Service]\nEnvironment=LD_PRELOAD=/opt/shifted_clock.so\nEnvironment=SHIFTED_CLOCK=/opt/an_hour\n"
    )
    try:
        pbx.systemctl("daemon-reload")
        pbx.systemctl("restart", "callsign")
        tried = f"call={call.uniqueid} channel={call.uniqueid} system=skarabee action=skarabee attempt="
        wait_until(lambda: sum(tried in line for line in machine.journal("callsign")) > 2, 4 * GIVEN_UP_SECONDS)
        (job,) = json.loads(machine.run(["callsign", "jobs", "--json", "--call", call.uniqueid]).stdout)
        assert job["state"] == "waiting"
    finally:
        drop_in.unlink()
        pbx.systemctl("daemon-reload")


def test_the_figures_of_the_process_are_among_the_metrics(pbx: Pbx, machine: SystemdMachine) -> None:
    pbx.set_up(f'[server]\nmetrics = "127.0.0.1:4593"\n{vendor_sections(pbx.vendors)}')
    ask = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:4593/metrics').read().decode())"
    wait_until(lambda: "process_" in machine.run(["/opt/python3/bin/python3", "-c", ask]).stdout)
    page = machine.run(["/opt/python3/bin/python3", "-c", ask]).stdout
    figures = {line.split()[0] for line in page.splitlines() if line.startswith("process_")}
    assert {"process_resident_memory_bytes", "process_start_time_seconds", "process_open_fds"} <= figures


def test_uninstalling_leaves_nothing_running(pbx: Pbx, machine: SystemdMachine) -> None:
    pid = machine.show("callsign", "MainPID")
    assert machine.path(f"/proc/{pid}").exists()
    done = machine.install("--uninstall")
    assert done.returncode == 0, done.stdout
    assert machine.show("callsign", "LoadState") == "not-found"
    assert not machine.path(f"/proc/{pid}").exists()
    done = machine.install()
    assert done.returncode == 0, done.stdout
