"""What systemd hears of `callsign serve`, on a socket of the test's own in systemd's place."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from callsign.asterisk_side import Call, run_fastagi
from callsign.sandbox import Sandbox
from callsign.service_manager import ServiceManager
from product import Product, vendor_sections
from waiting import wait_until

WAIT_SECONDS = 20.0
WATCHDOG_SECONDS = 1.5  # it is fed thrice in this time, or so


class Systemd:
    """The receiving end of $NOTIFY_SOCKET."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address.replace("@", "\0", 1))
        self._socket.settimeout(WAIT_SECONDS)

    def hear(self) -> dict[str, str]:
        """The next message."""
        lines = self._socket.recv(4096).decode().split("\n")
        return dict(line.split("=", 1) for line in lines)

    def hear_until(self, word: str) -> dict[str, str]:
        """The next message that has `word`; those that feed the watchdog may come before it."""
        while word not in (told := self.hear()):
            assert list(told) == ["WATCHDOG"], told
        return told

    def hears_nothing_more(self, seconds: float) -> bool:
        """What was said already does not count."""
        self._socket.setblocking(False)
        try:
            while True:
                self._socket.recv(4096)
        except BlockingIOError:
            self._socket.settimeout(seconds)
        try:
            self._socket.recv(4096)
        except TimeoutError:
            return True
        finally:
            self._socket.settimeout(WAIT_SECONDS)
        return False

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Systemd]:
    heard = Systemd(str(tmp_path / "notify") if request.param == "path" else f"@callsign-test-{os.getpid()}")
    monkeypatch.setenv("NOTIFY_SOCKET", heard.address)
    yield heard
    heard.close()


@pytest.fixture
def watchdog(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", str(int(WATCHDOG_SECONDS * 1e6)))


def test_a_server_tells_its_whole_life(systemd: Systemd, watchdog: None, tmp_path: Path) -> None:
    with Product(tmp_path, "") as product:
        told = systemd.hear()
        assert told == {"READY": "1", "STATUS": f"answers calls at 127.0.0.1:{product.port}"}
        for _ in range(4):
            assert systemd.hear() == {"WATCHDOG": "1"}
        before = time.monotonic_ns() // 1000
        product.process.send_signal(signal.SIGHUP)
        told = systemd.hear_until("RELOADING")
        assert told["RELOADING"] == "1"
        assert before <= int(told["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
        assert systemd.hear_until("READY")["STATUS"] == f"answers calls at 127.0.0.1:{product.port}"
        assert systemd.hear_until("WATCHDOG")
        assert product.stop() == 0
        assert systemd.hear_until("STOPPING")["STOPPING"] == "1"
        assert [line for line in product.log if "ping" in line] == [], "its own calls are not worth a line"


def test_a_reload_that_fails_ends_too_and_shows(systemd: Systemd, tmp_path: Path) -> None:
    with Product(tmp_path, "") as product:
        systemd.hear_until("READY")
        product.write_settings("[nonsense]")
        product.process.send_signal(signal.SIGHUP)
        systemd.hear_until("RELOADING")
        assert "faulty" in systemd.hear_until("READY")["STATUS"]
        product.write_settings("")
        product.process.send_signal(signal.SIGHUP)
        systemd.hear_until("RELOADING")
        assert "faulty" not in systemd.hear_until("READY")["STATUS"]


@pytest.mark.parametrize("systemd", ["path"], indirect=True)
def test_a_server_that_admits_nobody_feeds_its_watchdog_all_the_same(
    systemd: Systemd, watchdog: None, tmp_path: Path
) -> None:
    with Product(tmp_path, "", listen='127.0.0.1:0"\nallow = ["192.0.2.0/24"] #') as product:
        systemd.hear_until("READY")
        for _ in range(2):
            assert systemd.hear() == {"WATCHDOG": "1"}
        assert not any("is not in [server] allow" in line for line in product.log)


@pytest.mark.parametrize("systemd", ["path"], indirect=True)
def test_a_server_that_stands_still_is_not_fed_until_it_goes_on(
    systemd: Systemd, watchdog: None, tmp_path: Path
) -> None:
    with Product(tmp_path, "") as product:
        systemd.hear_until("READY")
        systemd.hear_until("WATCHDOG")
        product.process.send_signal(signal.SIGSTOP)
        assert systemd.hears_nothing_more(1.5 * WATCHDOG_SECONDS)
        product.process.send_signal(signal.SIGCONT)
        assert systemd.hear_until("WATCHDOG")


@pytest.mark.parametrize("systemd", ["path"], indirect=True)
def test_a_watchdog_hears_nothing_while_calls_are_not_answered(systemd: Systemd, watchdog: None) -> None:
    answered = [True]
    manager = ServiceManager()
    manager.watch(lambda seconds: answered[0])
    try:
        assert systemd.hear() == {"WATCHDOG": "1"}
        answered[0] = False
        assert systemd.hears_nothing_more(1.5 * WATCHDOG_SECONDS)
        answered[0] = True
        assert systemd.hear() == {"WATCHDOG": "1"}
    finally:
        manager.stopping()


@pytest.mark.parametrize("systemd", ["path"], indirect=True)
def test_a_watchdog_that_is_meant_for_another_process_is_not_fed(systemd: Systemd) -> None:
    manager = ServiceManager({"NOTIFY_SOCKET": systemd.address, "WATCHDOG_USEC": "30000", "WATCHDOG_PID": "1"})
    manager.watch(lambda seconds: True)
    assert systemd.hears_nothing_more(0.2)
    manager.stopping()


def all_sleep(pid: int) -> bool:
    """Whether each thread of the process waits for something; not while one comes or goes."""
    try:
        states = [path.read_text().rpartition(")")[2].split()[0] for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return set(states) == {"S"}


def test_the_signal_of_a_watchdog_leaves_in_the_log_where_each_thread_stood(tmp_path: Path) -> None:
    """Of a server at rest: the interpreter dumps without its lock, and stops at a thread that ends meanwhile.

    The thread that reads what was open at the start has ended when a first job is delivered.
    """
    accounts = {"skarabee": {"8103": "office-key"}, "noojee": {"key": "recorder-key", "auth": "hash"}}
    with Sandbox(accounts=accounts) as box, Product(tmp_path, vendor_sections(box)) as product:
        caller = Call(callerid="056528999", dnid="056528998")
        assert run_fastagi(f"{product.url}/skarabee?wait=10", caller).variables["SKARABEESTATUS"] == "OK"
        wait_until(lambda: all_sleep(product.process.pid))
        product.process.send_signal(signal.SIGABRT)
        product.process.wait(WAIT_SECONDS)
        wait_until(lambda: any(line.startswith("Current thread 0x") for line in product.log))
        wait_until(lambda: any('fastagi_server.py", line' in line and "in _accept" in line for line in product.log))


def test_without_systemd_nobody_is_told_and_nothing_is_wrong(caplog: pytest.LogCaptureFixture) -> None:
    manager = ServiceManager({})
    manager.ready("")
    manager.reloading()
    manager.watch(lambda seconds: True)
    manager.stopping()
    assert caplog.records == []


def test_a_systemd_that_is_gone_costs_one_line_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready("")
    assert [record.getMessage() for record in caplog.records] == [
        "the service manager could not be told READY=1: [Errno 2] No such file or directory"
    ]
