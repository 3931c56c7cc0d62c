"""What systemd hears of `callsign serve`, on a socket of the test's own in systemd's place."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agi_lines import say_that_it_was_all
from callsign.outbox.lock import FileLock
from callsign.sandbox.asterisk.call import Call
from callsign.sandbox.asterisk.play import run_fastagi
from callsign.sandbox.vendors.sandbox import Sandbox
from callsign.server.systemd import ServiceManager
from product import ACCOUNTS, COMMAND, Product, vendor_sections
from settings_file import write
from waiting import wait_until

WAIT_SECONDS = 20.0
NOBODY = 65534
WATCHDOG_SECONDS = 1.5  # it is fed five times in this time, or so
BLOCK = b"agi_network: yes\nagi_network_script: ping\nagi_threadid: 1\n\n"
KEEP = {"FDSTORE": "1", "FDNAME": "calls"}
KEEP_NO_MORE = {"FDSTOREREMOVE": "1", "FDNAME": "calls"}


class Systemd:
    """The receiving end of $NOTIFY_SOCKET."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address.replace("@", "\0", 1))
        self._socket.settimeout(WAIT_SECONDS)
        self.kept: list[socket.socket] = []

    def hear(self) -> dict[str, str]:
        """The next message; a socket to keep that comes with it is `kept`."""
        data, descriptors, _, _ = socket.recv_fds(self._socket, 4096, 1)
        told = dict(line.split("=", 1) for line in data.decode().split("\n"))
        for descriptor in descriptors:
            if "FDSTORE" in told:
                self.kept.append(socket.socket(fileno=descriptor))
            else:
                os.close(descriptor)
        return told

    def hear_until(self, word: str) -> dict[str, str]:
        """The next message that has `word`; those that feed the watchdog may come before it."""
        while word not in (told := self.hear()):
            assert told in ({"WATCHDOG": "1"}, KEEP), told
        return told

    def hears_nothing_more(self, seconds: float) -> bool:
        """What was said already does not count."""
        self.forget()
        self._socket.settimeout(seconds)
        try:
            self._socket.recv(4096)
        except TimeoutError:
            return True
        finally:
            self._socket.settimeout(WAIT_SECONDS)
        return False

    def forget(self) -> None:
        """What was said already."""
        self._socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                self._socket.recv(4096)
        self._socket.settimeout(WAIT_SECONDS)

    def close(self) -> None:
        for sock in [self._socket, *self.kept]:
            sock.close()


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
        assert systemd.hear() == KEEP
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
def test_a_fault_of_ours_in_the_look_is_one_look_that_was_not_good(
    systemd: Systemd, watchdog: None, caplog: pytest.LogCaptureFixture
) -> None:
    looks = [1, 0, 1]
    manager = ServiceManager()
    manager.watch(lambda _: bool(1 / looks.pop(0)) if looks else True)
    try:
        for _ in range(2):
            assert systemd.hear() == {"WATCHDOG": "1"}
    finally:
        manager.stopping()
    assert "a fault in callsign itself: ZeroDivisionError at server/test_systemd.py:" in caplog.text


def test_a_server_that_answers_no_call_twice_has_itself_ended_and_is_fed_when_it_does(
    systemd: Systemd, watchdog: None
) -> None:
    answered = [True]
    manager = ServiceManager()
    manager.watch(lambda seconds: answered[0])
    try:
        assert systemd.hear() == {"WATCHDOG": "1"}
        answered[0] = False
        while (told := systemd.hear()) != {"WATCHDOG": "trigger"}:
            assert told == {"WATCHDOG": "1"}
        answered[0] = True
        while (told := systemd.hear()) != {"WATCHDOG": "1"}:
            assert told == {"WATCHDOG": "trigger"}
    finally:
        manager.stopping()


@pytest.mark.parametrize("systemd", ["path"], indirect=True)
def test_a_server_whose_store_is_written_by_nobody_has_itself_ended(
    systemd: Systemd, watchdog: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dies = (
        "from callsign.outbox.writer import OutboxWriter\n"
        "OutboxWriter._run = lambda self: self.has_looked.set()  # and its thread ends\n"
    )
    monkeypatch.setattr("product.COMMAND", changed_command(tmp_path, dies))
    with Product(tmp_path, ""):
        systemd.hear_until("READY")
        assert systemd.hear() == {"WATCHDOG": "trigger"}


@pytest.mark.parametrize("systemd", ["path"], indirect=True)
@pytest.mark.parametrize("fault", ["threading.Event().wait()", "sys.exit()"], ids=["hangs", "dies"])
def test_a_server_whose_deliveries_do_not_come_back_has_itself_ended(
    systemd: Systemd, watchdog: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    change = (
        "import threading\n"
        "from callsign.delivery import workers as lane_workers\n"
        "from callsign.delivery.attempts import Attempts\n"
        "lane_workers.HANGS_SECONDS = 0.2\n"
        f"Attempts.deal_with = lambda *arguments: {fault}\n"
    )
    monkeypatch.setattr("product.COMMAND", changed_command(tmp_path, change))
    with Sandbox(ACCOUNTS) as box, Product(tmp_path, vendor_sections(box)) as product:
        systemd.hear_until("READY")
        assert systemd.hear() == {"WATCHDOG": "1"}
        call = Call(callerid="056528999", extension="056528998")
        assert run_fastagi(f"{product.url}/skarabee", call).variables["SKARABEESTATUS"] == "QUEUED"
        assert {"WATCHDOG": "trigger"} in (systemd.hear() for _ in range(20))


@pytest.mark.parametrize("systemd", ["path"], indirect=True)
def test_ready_is_said_when_calls_are_answered_and_not_before(
    systemd: Systemd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    says = (
        "from callsign.agi.listener import FastAgiServer\n"
        "from callsign.server.systemd import ServiceManager\n"
        "start = FastAgiServer.start\n"
        "answers = lambda self: ServiceManager()._tell('ANSWERS=' + str(self._places._idle))\n"
        "FastAgiServer.start = lambda self: (start(self), answers(self))\n"
    )
    monkeypatch.setattr("product.COMMAND", changed_command(tmp_path, says))
    with Product(tmp_path, ""):
        assert int(systemd.hear()["ANSWERS"]) > 0
        systemd.hear_until("READY")


@pytest.fixture(params=[Product.kill, Product.stop])
def handed_over(systemd: Systemd, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Product]:
    """A server that has ended; its listener is in systemd's hands."""
    with Product(tmp_path, "") as product:
        systemd.hear_until("READY")
        request.param(product)
        systemd.forget()
        product.write_settings("", listen=f"127.0.0.1:{product.port}")
        yield product


@pytest.mark.parametrize("systemd", ["path"], indirect=True)
def test_a_call_that_connects_while_no_server_runs_is_answered_by_the_next(
    systemd: Systemd, handed_over: Product
) -> None:
    port = handed_over.port
    with socket.create_connection(("127.0.0.1", port), WAIT_SECONDS) as call:
        call.sendall(BLOCK)
        handed_over.start(systemd.kept[0])
        assert systemd.hear() == KEEP_NO_MORE, "until it is ready: should it fail, nobody is to wait"
        assert systemd.hear() == KEEP
        assert "READY" in systemd.hear()
        say_that_it_was_all(call)
        assert call.recv(200).startswith(b'EXEC MSet "CALLSIGNSTATUS=OK')
    assert handed_over.port == port
    assert systemd.kept[1].getsockname() == ("127.0.0.1", port)
    assert os.get_blocking(systemd.kept[1].fileno()), "its threads would look for calls without a pause"


@pytest.mark.parametrize("systemd", ["path"], indirect=True)
def test_a_server_with_another_address_leaves_the_kept_one(systemd: Systemd, handed_over: Product) -> None:
    old = handed_over.port
    handed_over.write_settings("")
    with socket.create_connection(("127.0.0.1", old), WAIT_SECONDS) as call:
        handed_over.start(systemd.kept[0])
        assert systemd.hear() == KEEP_NO_MORE
        systemd.kept.pop(0).close()
        assert is_reset(call)
    assert systemd.hear() == {"BARRIER": "1"}
    systemd.hear_until("READY")
    assert systemd.kept[-1].getsockname()[1] == handed_over.port != old


@pytest.mark.parametrize("systemd", ["path"], indirect=True)
def test_a_server_that_cannot_start_lets_the_calls_go_that_wait_for_it(systemd: Systemd, handed_over: Product) -> None:
    with socket.create_connection(("127.0.0.1", handed_over.port), WAIT_SECONDS) as call:
        handed_over.write_settings("[nonsense]")
        with pytest.raises(AssertionError):
            handed_over.start(systemd.kept[0])
        assert handed_over.process.wait(WAIT_SECONDS) == 2
        assert systemd.hear() == KEEP_NO_MORE
        systemd.kept.pop().close()
        assert is_reset(call)


def changed_command(folder: Path, change: str) -> Path:
    """callsign with a change."""
    command = folder / "callsign"
    path = f"import sys\nsys.path.insert(0, {str(COMMAND.parents[1])!r})\n"
    command.write_text(f"{path}{change}from callsign.commands.main import main\nsys.exit(main())\n")
    return command


def is_reset(call: socket.socket) -> bool:
    try:
        return call.recv(1) == b""
    except ConnectionResetError:
        return True


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
    with Sandbox(accounts=ACCOUNTS) as box, Product(tmp_path, vendor_sections(box)) as product:
        caller = Call(callerid="056528999", dnid="056528998")
        assert run_fastagi(f"{product.url}/skarabee?wait=10", caller).variables["SKARABEESTATUS"] == "OK"
        wait_until(lambda: all_sleep(product.process.pid))
        product.process.send_signal(signal.SIGABRT)
        product.process.wait(WAIT_SECONDS)
        wait_until(lambda: any(line.startswith("Current thread 0x") for line in product.log))
        wait_until(lambda: any('listener.py", line' in line and "in _accept" in line for line in product.log))


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


@pytest.mark.parametrize("systemd", ["path"], indirect=True)
def test_a_systemd_that_hears_nothing_any_more_holds_nobody_up(
    systemd: Systemd, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as full, contextlib.suppress(BlockingIOError):
        full.setblocking(False)
        while True:
            full.sendto(b"X=1", systemd.address)
    telling = threading.Thread(target=ServiceManager({"NOTIFY_SOCKET": systemd.address}).ready, args=("",), daemon=True)
    telling.start()
    telling.join(WAIT_SECONDS)
    assert not telling.is_alive()
    assert "could not be told READY=1: timed out" in caplog.text


@pytest.mark.parametrize("systemd", ["path"], indirect=True)
def test_no_call_is_taken_before_the_store_is_open_for_it(systemd: Systemd, tmp_path: Path) -> None:
    lock, made = FileLock(tmp_path / "outbox.db.lock"), list[Product]()
    starting = threading.Thread(target=lambda: made.append(Product(tmp_path, "")))
    with lock.held(WAIT_SECONDS):  # as a slow disk: it is waited for, though not for ever
        starting.start()
        assert systemd.hears_nothing_more(1.0)
    starting.join(WAIT_SECONDS)
    with made[0]:
        systemd.hear_until("READY")
    lock.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
@pytest.mark.parametrize("systemd", ["path"], indirect=True)
def test_a_server_that_root_starts_is_the_user_whose_the_store_is(systemd: Systemd, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    with socket.create_server(("127.0.0.1", 0)) as taken:  # so that it gets no further
        server = f'[server]\nlisten = "127.0.0.1:{taken.getsockname()[1]}"\n'
        settings = write(tmp_path, f'{server}[outbox]\npath = "{folder}/outbox.db"\n')
        command = [sys.executable, str(COMMAND), "serve", "--config", str(settings)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, extra_groups=[NOBODY - 1]) as process:
            assert process.stderr is not None
            assert b"cannot be used" in process.stderr.readline()
            status = Path(f"/proc/{process.pid}/status").read_text()
            process.terminate()
    whose = {line.split(":")[0]: set(line.split()[1:]) for line in status.splitlines()}
    assert (whose["Uid"], whose["Gid"], whose["Groups"]) == ({str(NOBODY)}, {str(NOBODY)}, set())
