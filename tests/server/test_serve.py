"""`callsign serve` as a process: what it obeys, what it says, and how it ends."""

from __future__ import annotations

import re
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from agi_lines import say_that_it_was_all
from callsign import __version__
from callsign.sandbox.asterisk.behaviour import Conduct, Session
from callsign.sandbox.asterisk.call import Call
from callsign.sandbox.asterisk.play import run_fastagi
from callsign.server import listening
from callsign.server.running import Server
from callsign.settings import load as config
from product import COMMAND, Product
from settings_file import write
from waiting import wait_until

WAIT_SECONDS = 15.0  # for what comes at once
KEY = "326C4EA6636911C0537F"
CALLER, CALLED = "056528999", "056528998"
CALL = Call(callerid=CALLER, calleridname="Alice Adams", extension=CALLED, dnid=CALLED)


class Vendor:
    """A vendor on loopback that answers each request with `body`, once `answering` is set."""

    def __init__(self) -> None:
        self.answering = threading.Event()
        self.answering.set()
        self.asked = threading.Event()
        self.body = b'{"Status": "OK"}'
        vendor = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                vendor.asked.set()
                vendor.answering.wait(WAIT_SECONDS)
                self.send_response(200)
                self.send_header("Content-Length", str(len(vendor.body)))
                self.end_headers()
                self.wfile.write(vendor.body)

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def section(self) -> str:
        return f'[skarabee]\nurl = "{self.url}/api/"\nbusinessid = "8103"\nkey = "{KEY}"\n'

    def close(self) -> None:
        self.answering.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(WAIT_SECONDS)


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    vendor = Vendor()
    yield vendor
    vendor.close()


@pytest.fixture
def product(tmp_path: Path, vendor: Vendor) -> Iterator[Product]:
    with Product(tmp_path, vendor.section) as product:
        yield product


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """One server for all tests that leave it as it was."""
    section = f'[skarabee]\nurl = "http://127.0.0.1:1/api/"\nbusinessid = "8103"\nkey = "{KEY}"\n'
    with Product(tmp_path_factory.mktemp("standing"), section) as product:
        yield product


def place_call(product: Product, path: str, *arguments: str, call: Call = CALL) -> Session:
    return run_fastagi(f"{product.url}/{path}", call, arguments, Conduct(timeout_seconds=WAIT_SECONDS))


def send(product: Product, data: bytes) -> None:
    """As some peer that is no Asterisk; until it is closed."""
    with socket.create_connection(("127.0.0.1", product.port), WAIT_SECONDS) as sock:
        sock.sendall(data)
        try:
            while sock.recv(4096):
                pass
        except ConnectionError:
            return


def count(product: Product, words: str) -> int:
    return sum(words in line for line in product.log)


def reload(product: Product, until: str = "the settings were read again") -> None:
    """SIGHUP, and waits for one more line with the words of `until`."""
    before = count(product, until)
    product.process.send_signal(signal.SIGHUP)
    product.wait_log(lambda line: count(product, until) > before and until in line)


def serve(config: Path) -> subprocess.CompletedProcess[str]:
    """A server that is expected to end of its own."""
    return subprocess.run(
        [sys.executable, str(COMMAND), "serve", "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
    )


class TestACall:
    def test_is_answered(self, standing: Product) -> None:
        session = place_call(standing, "ping")
        assert session.variables["CALLSIGNSTATUS"] == "OK"
        assert session.variables["CALLSIGNVERSION"] == __version__
        assert session.ended_well

    def test_notifies_the_vendor(self, product: Product) -> None:
        session = place_call(product, "skarabee?wait=10")
        assert (session.variables["SKARABEESTATUS"], session.variables["SKARABEEREASON"]) == ("OK", "")
        assert session.ended_well

    @pytest.mark.parametrize(
        ("path", "arguments", "status", "named"),
        [
            ("skarabe", (), "CALLSIGNSTATUS", "skarabee"),
            ("", (), "CALLSIGNSTATUS", "known are"),
            ("noojee/begin", (), "NOOJEESTATUS", "noojee/start"),
            ("noojee/start", (), "NOOJEESTATUS", "[noojee]"),
            ("skarabee?wait=soon", (), "SKARABEESTATUS", "wait=soon"),
            ("skarabee?wiat=1", (), "SKARABEESTATUS", "wiat"),
            ("skarabee", ("1", "2", "3", "4", "5"), "SKARABEESTATUS", "5 arguments"),
            ("skarabee", ("phoneto=1", "phoneto=2"), "SKARABEESTATUS", "phoneto"),
            ("skarabee", ("businessid=77",), "SKARABEESTATUS", "businessid"),
            ("ping", ("x",), "CALLSIGNSTATUS", "none"),
        ],
    )
    def test_that_asks_for_what_cannot_be_done_gets_error_and_the_reason(
        self, standing: Product, path: str, arguments: tuple[str, ...], status: str, named: str
    ) -> None:
        session = place_call(standing, path, *arguments)
        assert session.variables[status] == "ERROR"
        assert named in session.variables[status.replace("STATUS", "REASON")]
        assert session.ended_well

    @pytest.mark.parametrize("size", [10_000, 100_000])
    def test_whose_text_is_too_long_has_its_status_and_goes_on(self, size: int, standing: Product) -> None:
        before = count(standing, "too long")
        session = run_fastagi(f"{standing.url}/skarabee", Call(callerid=CALLER, calleridname="x" * size))
        assert session.variables["SKARABEESTATUS"] == "ERROR"
        assert "too long" in session.variables["SKARABEEREASON"]
        assert session.ended_well
        wait_until(lambda: count(standing, "too long") > before)
        assert all("path=skarabee" in line for line in standing.log if "too long" in line)

    def test_after_bad_peers_is_served_and_each_kind_of_trouble_is_one_line_in_the_log(self, product: Product) -> None:
        junk = [b"GET / HTTP/1.1\r\n\r\n", b"\n", b"agi_x: " + b"x" * 65528, b"agi_dnid: y\n" * 90000]
        for data in junk:
            send(product, data)
        assert place_call(product, "ping").variables["CALLSIGNSTATUS"] == "OK"
        wait_until(lambda: count(product, ": closed") >= len(junk))
        assert product.stop() == 0
        assert count(product, ": closed") == len(junk)
        assert not any("Traceback" in line for line in product.log)

    @pytest.mark.parametrize("path", ["skarabee", "skarabee?wait=10"])
    def test_hands_its_own_job_over_without_the_writers_look_every_second(
        self, path: str, tmp_path: Path, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        command = tmp_path / "callsign"
        command.write_text(
            "import sys\n"
            f"sys.path.insert(0, {str(COMMAND.parents[1])!r})\n"
            "from callsign.commands.main import main\n"
            "from callsign.outbox import writer\n"
            "writer.QUIET_SECONDS = 3600.0\n"
            "sys.exit(main())\n"
        )
        monkeypatch.setattr("product.COMMAND", command)
        with Product(tmp_path, vendor.section) as product:
            place_call(product, path)
            assert vendor.asked.wait(WAIT_SECONDS)

    def test_leaves_neither_number_nor_name_nor_key_in_the_log(self, product: Product, vendor: Vendor) -> None:
        place_call(product, "skarabee?wait=10")
        vendor.body = b'{"Status": "HASH_MISMATCH", "Message": "056528999 sent a bad hash"}'
        place_call(product, "skarabee?wait=10", call=Call(callerid=CALLER, dnid=CALLED, uniqueid="1700000000.2"))
        place_call(product, "skarabee", f"phoneto={CALLED}\t", "x", "y", "z", "w")
        place_call(product, "skarabee", f"businessid={CALLED}")
        place_call(product, "ping", CALLER)
        send(product, f"agi_callerid: {CALLER}\n".encode() * 50000)  # so much that it is closed at once
        assert product.stop() == 0
        assert len(product.log) >= 9
        for line in product.log:
            assert not re.search(r"5652899|Alice|326C4EA6|hash=|phonefrom=", line), line

    def test_with_an_answer_that_is_nested_without_end_does_not_end_the_server(
        self, product: Product, vendor: Vendor
    ) -> None:
        vendor.body = b"[" * 200_000
        session = place_call(product, "skarabee?wait=1")
        assert session.variables["SKARABEESTATUS"] in ("QUEUED", "REFUSED", "UNREACHABLE")
        assert place_call(product, "ping").variables["CALLSIGNSTATUS"] == "OK"


class TestTheEnd:
    def test_answers_calls_until_what_is_under_way_to_a_vendor_has_ended(
        self, product: Product, vendor: Vendor
    ) -> None:
        vendor.answering.clear()
        with ThreadPoolExecutor(1) as callers:
            call = callers.submit(place_call, product, "skarabee?wait=10")
            assert vendor.asked.wait(WAIT_SECONDS)
            product.process.send_signal(signal.SIGTERM)
            product.wait_log(lambda line: "SIGTERM: ending" in line)
            assert call.result(WAIT_SECONDS).variables["SKARABEESTATUS"] == "QUEUED", "no call waits any more"
        late = place_call(product, "skarabee?wait=10", call=Call(callerid=CALLER, dnid=CALLED, uniqueid="1700000000.2"))
        assert (late.variables["SKARABEESTATUS"], late.ended_well) == ("QUEUED", True)
        vendor.answering.set()
        product.wait_log(lambda line: line.endswith("callsign has stopped"))
        assert product.process.wait(WAIT_SECONDS) == 0
        assert product.log[-1].endswith("callsign has stopped")
        assert count(product, "DELIVERED") == 1, "the late one is the next server's"
        assert count(product, "did not end in time") == 0

    def test_waits_for_the_answer_to_a_question(self, tmp_path: Path, vendor: Vendor) -> None:
        vendor.body = b"<page><balance>1.5</balance></page>"
        vendor.answering.clear()
        section = f'[mor]\nurl = "{vendor.url}"\nuser = "admin"\nkey = "secret1"\n'
        with Product(tmp_path, section) as product, ThreadPoolExecutor(1) as callers:
            call = callers.submit(run_fastagi, f"{product.url}/mor/balance?wait=10", CALL, ["bob"])
            assert vendor.asked.wait(WAIT_SECONDS)
            product.process.send_signal(signal.SIGTERM)
            product.wait_log(lambda line: "SIGTERM: ending" in line)
            threading.Timer(1.0, vendor.answering.set).start()  # a slow vendor
            assert call.result(WAIT_SECONDS).variables["MORSTATUS"] == "OK"

    def test_gives_a_call_that_waits_for_the_vendor_its_status(self, product: Product, vendor: Vendor) -> None:
        vendor.answering.clear()
        with ThreadPoolExecutor(1) as pool:
            step = pool.submit(run_fastagi, f"{product.url}/skarabee?wait=60", CALL)
            assert vendor.asked.wait(WAIT_SECONDS)
            assert product.stop() == 0
            session = step.result(WAIT_SECONDS)
        assert (session.status, session.variables["SKARABEESTATUS"]) == ("SUCCESS", "QUEUED")

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_of_an_idle_server_is_orderly(self, product: Product, number: signal.Signals) -> None:
        product.process.send_signal(number)
        assert product.process.wait(WAIT_SECONDS) == 0
        product.wait_log(lambda line: "callsign has stopped" in line)

    def test_answers_all_calls_that_had_connected(self, product: Product) -> None:
        block = b"agi_network: yes\nagi_network_script: ping\n\n"
        socks = [socket.create_connection(("127.0.0.1", product.port), WAIT_SECONDS) for _ in range(100)]
        product.process.send_signal(signal.SIGTERM)
        product.wait_log(lambda line: "SIGTERM: ending" in line)
        for sock in socks:
            sock.sendall(block)
        for sock in socks:
            say_that_it_was_all(sock)
        for sock in socks:
            assert sock.recv(200).startswith(b"EXEC MSet")
            sock.sendall(b"200 result=0\n")
            assert sock.recv(200) == b""
            sock.close()
        assert product.process.wait(WAIT_SECONDS) == 0

    def test_frees_the_address_for_the_next_one(self, product: Product, vendor: Vendor) -> None:
        assert product.stop() == 0
        product.write_settings(vendor.section, listen=f"127.0.0.1:{product.port}")
        port = product.port
        product.start()
        assert product.port == port
        assert place_call(product, "ping").variables["CALLSIGNSTATUS"] == "OK"


class TestSighup:
    def test_lets_others_in_and_out(self, product: Product, vendor: Vendor) -> None:
        text = product.settings.read_text()
        product.settings.write_text(text.replace("[server]", '[server]\nallow = ["10.0.0.0/8"]'))
        reload(product)
        assert place_call(product, "ping").variables == {}
        product.wait_log(lambda line: "peer 127.0.0.1 is not in [server] allow: closed" in line)
        product.write_settings(vendor.section)
        reload(product)
        assert place_call(product, "ping").variables["CALLSIGNSTATUS"] == "OK"

    def test_says_anew_who_is_not_let_in(self, product: Product) -> None:
        text = product.settings.read_text()
        product.settings.write_text(text.replace("[server]", '[server]\nallow = ["10.0.0.0/8"]'))
        for number in (1, 2):
            reload(product)
            for _ in range(2):
                assert place_call(product, "ping").variables == {}
            wait_until(lambda wanted=number: count(product, "is not in [server] allow") == wanted)

    def test_brings_a_new_section_into_use(self, product: Product, vendor: Vendor) -> None:
        assert "[noojee]" in place_call(product, "noojee/start").variables["NOOJEEREASON"]
        section = f'[noojee]\nurl = "{vendor.url}/rest"\nauth = "apikey"\nkey = "recorder-key"\n'
        product.write_settings(vendor.section + section)
        reload(product)
        session = place_call(product, "noojee/start?wait=0")
        assert session.variables["NOOJEESTATUS"] == "QUEUED"

    def test_with_a_faulty_file_names_each_fault_and_keeps_the_old_settings(
        self, product: Product, vendor: Vendor
    ) -> None:
        product.write_settings(vendor.section + 'colour = "blue"\n[noojee]\nurl = "x"\n')
        reload(product, "the settings stay as they were")
        for fault in ("[skarabee] colour", "[noojee] url", "[noojee] key"):
            assert sum(line.startswith("ERROR") and fault in line for line in product.log) == 1
        assert place_call(product, "skarabee?wait=10").variables["SKARABEESTATUS"] == "OK"
        assert "[noojee]" in place_call(product, "noojee/start").variables["NOOJEEREASON"]

    def test_with_any_file_does_not_end_the_server(self, product: Product) -> None:
        for content in (b"\xff\xfe", b"[server", b"x = " + b"[" * 5000, b""):
            product.settings.write_bytes(content)
            reload(product, "the settings ")
            assert place_call(product, "ping").variables["CALLSIGNSTATUS"] == "OK", content
        assert not any("Traceback" in line for line in product.log)

    def test_with_a_file_that_lost_the_section_of_a_waiting_job_warns_and_so_does_a_restart(
        self, product: Product, vendor: Vendor
    ) -> None:
        vendor.answering.clear()
        assert place_call(product, "skarabee?wait=0").variables["SKARABEESTATUS"] == "QUEUED"
        product.write_settings("")
        reload(product)
        product.wait_log(lambda line: "the settings have no section [skarabee], whose jobs wait: mend" in line)
        product.kill()
        vendor.answering.set()
        product.start()
        product.wait_log(lambda line: "the settings have no section [skarabee], whose jobs wait: mend" in line)
        product.write_settings(vendor.section)
        reload(product)
        assert count(product, "whose jobs wait") == 1

    def test_without_a_file_keeps_the_old_settings(self, product: Product) -> None:
        product.settings.unlink()
        reload(product, "the settings stay as they were")
        assert place_call(product, "skarabee?wait=10").variables["SKARABEESTATUS"] == "OK"

    def test_says_each_time_what_takes_a_restart(self, product: Product, vendor: Vendor) -> None:
        product.write_settings(vendor.section, listen="127.0.0.1:1")
        reload(product, "take effect at the next restart")
        reload(product, "take effect at the next restart")
        assert place_call(product, "ping").variables["CALLSIGNSTATUS"] == "OK"
        product.write_settings(vendor.section)
        reload(product)
        assert count(product, "take effect at the next restart") == 2

    def test_during_calls_costs_none(self, product: Product) -> None:
        with ThreadPoolExecutor(8) as callers:
            calls = [callers.submit(place_call, product, "ping") for _ in range(100)]
            for _ in range(5):
                reload(product)
            assert all(call.result(WAIT_SECONDS).ended_well for call in calls)


class TestTheStart:
    def test_has_a_question_that_comes_before_all_is_loaded_wait_for_that(self, tmp_path: Path) -> None:
        mor = '[mor]\nurl = "http://127.0.0.1:1"\nuser = "admin"\nkey = "secret1"\n'
        path = write(tmp_path, f'[outbox]\npath = "{tmp_path}/outbox.db"\n{mor}')
        server = Server(path, config.load(path)[0], listening.new(("127.0.0.1", 0)))
        server.start()
        session = run_fastagi(f"agi://127.0.0.1:{server.fastagi.address[1]}/mor/balance?wait=0.2", CALL, ["bob"])
        server.stop()
        assert session.variables["MORSTATUS"] == "UNREACHABLE", session.variables["MORREASON"]

    def test_says_what_can_be_done_through_a_port_that_is_open_to_all(self, tmp_path: Path, vendor: Vendor) -> None:
        with Product(tmp_path, vendor.section, listen='0.0.0.0:0"\nallow = ["0.0.0.0/0"]\n#') as product:
            assert sum("[server] allow: whoever reaches 0.0.0.0 can do there" in line for line in product.log) == 1

    def test_with_faulty_settings_ends_with_2_and_one_line_for_each_fault(self, tmp_path: Path) -> None:
        config = tmp_path / "callsign.toml"
        config.write_text(f'[server]\nlisten = "here"\nalow = []\n[skarabee]\nkey = "{KEY}"\n')
        ended = serve(config)
        assert ended.returncode == 2
        said = ended.stderr.splitlines()
        for fault in ("[server] listen", "[server] alow", "[skarabee] url", "[skarabee] businessid"):
            assert sum(fault in line for line in said) == 1
        assert len(said) == 4
        assert all(line.startswith(f"{config}: ") for line in said)
        assert KEY not in ended.stderr

    @pytest.mark.parametrize(
        "content", [None, b"[server", b"\xff", b"x = " + b"[" * 5000], ids=["no-file", "no-toml", "binary", "nested"]
    )
    def test_without_usable_settings_ends_with_2_and_one_line(self, tmp_path: Path, content: bytes | None) -> None:
        config = tmp_path / "callsign.toml"
        if content is not None:
            config.write_bytes(content)
        ended = serve(config)
        assert (ended.returncode, len(ended.stderr.splitlines())) == (2, 1)
        assert ended.stderr.startswith(f"{config}: ")

    def test_at_an_address_that_is_taken_ends_with_1_and_a_line_and_touches_no_store(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            listen = f"127.0.0.1:{taken.getsockname()[1]}"
            config = write(tmp_path, f'[server]\nlisten = "{listen}"\n[outbox]\npath = "{tmp_path}/store/outbox.db"\n')
            ended = serve(config)
        assert ended.returncode == 1
        (line,) = ended.stderr.splitlines()
        assert f"[server] listen: {listen} cannot be used" in line
        assert line.endswith("; does callsign run already?")
        assert not (tmp_path / "store").exists()

    def test_makes_room_for_a_thousand_calls_whatever_the_limit_of_open_files(
        self, tmp_path: Path, vendor: Vendor
    ) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
        try:
            product = Product(tmp_path, vendor.section)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        with product:
            assert resource.prlimit(product.process.pid, resource.RLIMIT_NOFILE)[0] >= min(hard, 1100)

    def test_says_where_it_listens_and_keeps_its_store(self, standing: Product) -> None:
        (line,) = [line for line in standing.log if "listens on" in line]
        assert line.endswith(f"callsign {__version__} listens on 127.0.0.1:{standing.port}, store {standing.store}")
