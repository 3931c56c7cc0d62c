"""What Prometheus gets from a running `callsign serve`, and what a scrape costs the calls: nothing."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from callsign import __version__, clocks
from callsign.cluster.figures import Figures
from callsign.record import replace
from callsign.sandbox.asterisk.call import Call
from callsign.sandbox.asterisk.play import run_fastagi
from callsign.sandbox.vendors.messages import Trouble
from callsign.sandbox.vendors.sandbox import Sandbox
from callsign.server.cluster_metrics import ClusterFigures
from callsign.server.metrics import Metrics
from callsign.server.metrics_page import MOST_PEERS
from callsign.settings.sections import OutboxSection
from callsign.steps.step import read_step
from product import ACCOUNTS, Product, vendor_sections
from script_play import PlainScript
from store_play import SETTINGS, OtherProcess
from waiting import wait_until

CALLER, CALLED, UNIQUEID = "056528999", "056528998", "1700000000.5"
CALL = Call(callerid=CALLER, calleridname="Alice Adams", extension=CALLED, uniqueid=UNIQUEID)


class Answer(NamedTuple):
    status: int
    content_type: str
    text: str


@pytest.fixture
def product(tmp_path: Path, box: Sandbox) -> Iterator[Product]:
    with Product(tmp_path, vendor_sections(box), metrics="127.0.0.1:0") as running:
        yield running


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A server whose figures no test counts."""
    with (
        Sandbox(accounts=ACCOUNTS) as box,
        Product(tmp_path_factory.mktemp("page"), vendor_sections(box), metrics="127.0.0.1:0") as running,
    ):
        yield running


def place_call(product: Product, path: str, call: Call = CALL) -> dict[str, str]:
    session = run_fastagi(f"{product.url}/{path}", call)
    assert session.status == "SUCCESS"
    return session.variables


def metrics_port(product: Product) -> int:
    found = re.search(
        r"metrics at http://127\.0\.0\.1:(\d+)/metrics$", product.wait_log(lambda line: "/metrics" in line)
    )
    assert found
    return int(found[1])


def get(product: Product, path: str = "/metrics") -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", metrics_port(product), timeout=20)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return Answer(answer.status, answer.getheader("Content-Type", ""), answer.read().decode())
    finally:
        connection.close()


def scrape(product: Product) -> dict[str, float]:
    """Each sample as its name with its labels, as it stands on the page, and its value."""
    answer = get(product)
    assert (answer.status, answer.content_type.split(";")[0]) == (200, "text/plain")
    found = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


def test_a_notified_call_is_seen_in_steps_attempts_and_jobs(product: Product) -> None:
    assert place_call(product, "skarabee?wait=10")["SKARABEESTATUS"] == "OK"
    wait_until(lambda: scrape(product)["callsign_jobs{state=delivered,system=skarabee}"] == 1)
    wait_until(lambda: "callsign_step_seconds_count{path=skarabee,status=OK}" in scrape(product))
    found = scrape(product)
    assert found["callsign_step_seconds_count{path=skarabee,status=OK}"] == 1
    assert 0 < found["callsign_step_seconds_sum{path=skarabee,status=OK}"] < 10
    assert found["callsign_step_seconds_bucket{le=+Inf,path=skarabee,status=OK}"] == 1
    assert found["callsign_vendor_seconds_count{outcome=delivered,system=skarabee}"] == 1
    assert 0 < found["callsign_vendor_seconds_sum{outcome=delivered,system=skarabee}"] < 10
    assert found["callsign_jobs_ended_total{state=delivered,system=skarabee}"] == 1
    assert found["callsign_jobs{state=waiting,system=skarabee}"] == 0
    assert found["callsign_oldest_waiting_seconds{system=skarabee}"] == 0
    assert found["callsign_store_readable{}"] == 1
    assert found[f"callsign_build_info{{version={__version__}}}"] == 1


def test_refusals_and_what_waits_are_told_by_system(product: Product, box: Sandbox) -> None:
    box.trouble["noojee"] = Trouble(refuse_status="No such call")
    box.trouble["skarabee"] = Trouble(http_status=503)
    assert place_call(product, "noojee/start?wait=20")["NOOJEESTATUS"] == "REFUSED"
    before = time.time()
    assert place_call(product, "skarabee")["SKARABEESTATUS"] == "QUEUED"
    wait_until(lambda: scrape(product)["callsign_vendor_seconds_count{outcome=try later,system=skarabee}"] > 0)
    wait_until(lambda: scrape(product)["callsign_jobs{state=refused,system=noojee}"] == 1)
    found = scrape(product)
    assert found["callsign_jobs_ended_total{state=refused,system=noojee}"] == 1
    assert found["callsign_vendor_seconds_count{outcome=refused,system=noojee}"] == 1
    assert found["callsign_jobs{state=waiting,system=skarabee}"] == 1
    assert 0 < found["callsign_oldest_waiting_seconds{system=skarabee}"] <= time.time() - before + 1


def test_a_vendor_in_use_has_its_figures_before_its_first_job(page: Product) -> None:
    found = scrape(page)
    for system in ("skarabee", "noojee"):
        assert found[f"callsign_jobs{{state=refused,system={system}}}"] == 0
        assert found[f"callsign_jobs_ended_total{{state=refused,system={system}}}"] == 0
        assert found[f"callsign_oldest_waiting_seconds{{system={system}}}"] == 0
    assert not any("system=mor" in name for name in found)


def test_sessions_under_way_are_counted(page: Product) -> None:
    with socket.create_connection(("127.0.0.1", page.port)):
        wait_until(lambda: scrape(page)["callsign_sessions{}"] == 1)
    wait_until(lambda: scrape(page)["callsign_sessions{}"] == 0)


def test_a_path_that_does_not_exist_makes_no_label_of_its_own(product: Product) -> None:
    for n in range(3):
        place_call(product, f"nonsense{n}")
    wait_until(lambda: scrape(product).get("callsign_step_seconds_count{path=unknown,status=ERROR}") == 3)
    assert "nonsense" not in get(product).text


def test_no_number_no_call_and_no_key_is_on_the_page(product: Product) -> None:
    place_call(product, "skarabee?wait=10")
    place_call(product, f"noojee/start?wait=10&{CALLER}")
    wait_until(lambda: 'path="skarabee"' in (text := get(product).text) and 'status="ERROR"' in text)
    text = get(product).text
    for secret in (CALLER, CALLED, UNIQUEID, "Alice", "office-key", "recorder-key", "8103"):
        assert secret not in text


def test_the_steps_buckets_reach_from_half_a_millisecond_to_five_seconds(page: Product) -> None:
    place_call(page, "ping")
    wait_until(lambda: "callsign_step_seconds_count{path=ping,status=OK}" in scrape(page))
    limits = [float(limit) for limit in re.findall(r'callsign_step_seconds_bucket\{le="(\S+?)"', get(page).text)]
    assert (limits[0], limits[-2]) == (0.0005, 5.0)
    assert 0.1 in limits


@pytest.mark.parametrize("path", ["/", "/metric", "/metrics/", "/../metrics", "/favicon.ico"])
def test_any_other_page_is_not_found(page: Product, path: str) -> None:
    assert get(page, path).status == 404


def test_a_query_behind_the_path_does_no_harm(page: Product) -> None:
    assert get(page, "/metrics?name[]=callsign_jobs").status == 200


def test_a_store_that_cannot_be_read_is_told_and_the_rest_stays(product: Product, tmp_path: Path) -> None:
    place_call(product, "ping")
    assert scrape(product)["callsign_store_readable{}"] == 1
    for file in tmp_path.glob("outbox.db*"):
        file.rename(tmp_path / f"away-{file.name}")
    (tmp_path / "outbox.db").mkdir()
    found = scrape(product)
    assert found["callsign_store_readable{}"] == 0
    assert not any(name.startswith(("callsign_jobs{", "callsign_oldest")) for name in found)
    wait_until(lambda: scrape(product)["callsign_step_seconds_count{path=ping,status=OK}"] == 1)
    (tmp_path / "outbox.db").rmdir()
    place_call(product, "skarabee?wait=10")  # makes a new store
    wait_until(lambda: scrape(product).get("callsign_jobs{state=delivered,system=skarabee}") == 1)
    assert scrape(product)["callsign_store_readable{}"] == 1


LOCK = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA locking_mode = EXCLUSIVE")
db.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.readline()
"""


def test_a_store_that_somebody_locks_holds_up_neither_the_page_nor_a_call(product: Product, tmp_path: Path) -> None:
    assert scrape(product)["callsign_store_readable{}"] == 1
    assert product.stop() == 0
    with OtherProcess(LOCK, tmp_path / "outbox.db") as locker:
        assert locker.hear() == "locked"
        product.start()
        with ThreadPoolExecutor(1) as pool:
            looking = pool.submit(scrape, product)
            assert place_call(product, "ping")["CALLSIGNSTATUS"] == "OK"
            assert looking.result(20)["callsign_store_readable{}"] == 0


def deaf(port: int) -> socket.socket:
    """A peer that asks for the page and reads nothing of it."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    sock.connect(("127.0.0.1", port))
    sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return sock


def says(port: int, text: bytes) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port))
    sock.sendall(text)
    return sock


def test_peers_that_are_silent_or_deaf_hold_up_neither_calls_nor_threads_nor_a_scrape(page: Product) -> None:
    port = metrics_port(page)
    threads = Path(f"/proc/{page.process.pid}/task")
    before = len(list(threads.iterdir()))
    with ExitStack() as held:
        for _ in range(30):  # which a second each would make too long for a scrape
            held.enter_context(says(port, b""))
            held.enter_context(says(port, b"GET /metrics HTTP/1.1\r\nHo"))
            held.enter_context(deaf(port))
        assert scrape(page)["callsign_store_readable{}"] == 1
        assert place_call(page, "ping")["CALLSIGNSTATUS"] == "OK"
        assert len(list(threads.iterdir())) <= before + 2


def test_the_peer_that_has_been_silent_for_longest_makes_room(product: Product) -> None:
    port = metrics_port(product)
    with ExitStack() as held:
        first = held.enter_context(says(port, b""))
        second, *_ = [held.enter_context(says(port, b"GET /met")) for _ in range(MOST_PEERS)]
        first.settimeout(20)
        assert first.recv(1) == b""
        second.sendall(b"rics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        second.settimeout(20)
        assert second.recv(15) == b"HTTP/1.0 200 OK"


def test_a_request_that_comes_in_drops_is_answered_when_it_is_there(page: Product) -> None:
    with says(metrics_port(page), b"") as sock:
        for byte in b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n":
            sock.sendall(bytes([byte]))
        sock.settimeout(20)
        assert sock.recv(15) == b"HTTP/1.0 200 OK"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:4593", 200),
        ("192.0.2.7", 200),
        ("[::1]:4593", 200),
        ("localhost:4593", 200),
        ("LocalHost", 200),
        (socket.gethostname(), 200),
        ("evil.example", 421),
        ("evil.example:4593", 421),
        ("127.0.0.1.evil.example:4593", 421),
        ("localhost.evil.example", 421),
        ("localhost:4593@evil.example", 421),
        ("", 421),
        ("[", 421),
    ],
)
def test_a_page_of_somebody_else_cannot_read_the_figures_by_a_name_of_its_own(
    page: Product, host: str, status: int
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", metrics_port(page), timeout=20)
    try:
        connection.request("GET", "/metrics", headers={"Host": host})
        answer = connection.getresponse()
        assert answer.status == status
        assert (b"callsign_sessions" in answer.read()) is (status == 200)
    finally:
        connection.close()


def test_what_is_no_http_does_not_end_the_page(page: Product) -> None:
    for junk in (
        b"\x00\xff\r\n\r\n",
        b"POST /metrics HTTP/1.1\r\n\r\n",
        b"GET\r\n",
        b"GET /" + b"x" * 70000 + b"\r\n",
        b"",
    ):
        with socket.create_connection(("127.0.0.1", metrics_port(page)), 10) as sock:
            sock.sendall(junk)
            sock.shutdown(socket.SHUT_WR)
            try:
                while sock.recv(4096):
                    pass
            except ConnectionError:
                continue
    assert get(page).status == 200
    assert not any("Traceback" in line or "fault in callsign" in line for line in page.log)


def test_without_the_setting_nothing_listens_and_the_library_is_not_loaded(
    tmp_path: Path, box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = broken_library(tmp_path, monkeypatch)
    with Product(tmp_path, vendor_sections(box)) as product:
        assert place_call(product, "skarabee?wait=10")["SKARABEESTATUS"] == "OK"
        assert product.stop() == 0
        assert not any("metrics" in line for line in product.log)
    assert not mark.exists()


def test_the_plain_script_never_loads_the_library(
    tmp_path: Path, box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = broken_library(tmp_path, monkeypatch)
    script = PlainScript(tmp_path, f'{vendor_sections(box)}\n[server]\nmetrics = "127.0.0.1:0"', monkeypatch)
    try:
        assert script.run("skarabee?wait=10", call=CALL).variables["SKARABEESTATUS"] == "OK"
    finally:
        script.end_all()
    assert not mark.exists()


def test_without_the_library_calls_go_on_and_the_log_says_what_to_do(
    tmp_path: Path, box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = broken_library(tmp_path, monkeypatch)
    with Product(tmp_path, vendor_sections(box), metrics="127.0.0.1:0") as product:
        assert place_call(product, "skarabee?wait=10")["SKARABEESTATUS"] == "OK"
        line = product.wait_log(lambda line: line.startswith("ERROR") and "[server] metrics" in line)
    assert "agi/requirements.txt" in line
    assert mark.exists()


def broken_library(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A prometheus_client that leaves a mark when it is imported, and fails."""
    mark, library = folder / "was-imported", folder / "library"
    library.mkdir()
    (library / "prometheus_client.py").write_text(f"open({str(mark)!r}, 'w')\nraise ImportError('not that one')\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(library), os.environ.get("PYTHONPATH")))))
    return mark


def test_an_address_that_is_taken_costs_the_metrics_and_no_call(tmp_path: Path, box: Sandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with Product(tmp_path, vendor_sections(box), metrics=address) as product:
            assert place_call(product, "skarabee?wait=10")["SKARABEESTATUS"] == "OK"
            line = product.wait_log(lambda line: "[server] metrics" in line)
            assert product.stop() == 0
    assert line.startswith("ERROR")
    assert f"{address} cannot be used" in line


def test_sighup_says_that_another_address_takes_a_restart(product: Product, box: Sandbox) -> None:
    assert get(product).status == 200
    product.write_settings(vendor_sections(box))
    product.process.send_signal(signal.SIGHUP)
    assert "[server] metrics" in product.wait_log(lambda line: "take effect at the next restart" in line)
    assert get(product).status == 200


def test_an_account_that_a_reload_brings_is_shown_from_0(product: Product, box: Sandbox) -> None:
    further = '[noojee.antwerp]\nkey = "k"\n[mor]\nurl = "http://127.0.0.1:1/api"\nuser = "a"\nkey = "123456"\n'
    product.run_with(vendor_sections(box) + further, metrics="127.0.0.1:0")
    text = get(product).text
    for state in ("delivered", "expired"):
        assert f'callsign_jobs_ended_total{{account="antwerp",state="{state}",system="noojee"}} 0.0' in text
    assert 'callsign_jobs{account="antwerp",state="waiting",system="noojee"} 0.0' in text
    assert 'callsign_oldest_waiting_seconds{account="antwerp",system="noojee"} 0.0' in text
    assert 'callsign_vendor_seconds_count{outcome="unreachable",system="mor"} 0.0' in text


def test_the_end_is_orderly_also_while_somebody_is_served(product: Product) -> None:
    with socket.create_connection(("127.0.0.1", metrics_port(product))) as silent:
        silent.sendall(b"GET /metr")
        assert product.stop() == 0
    assert product.log[-1].endswith("callsign has stopped")


def test_a_job_that_ended_without_an_attempt_is_no_attempt(tmp_path: Path) -> None:
    with figures(tmp_path) as (metrics, look):
        metrics.delivery("skarabee", "expired", None)
        metrics.delivery("skarabee", "expired", 1500.0)
        metrics.delivery("skarabee", "try later", 20.0)
        text = look()
    assert 'callsign_jobs_ended_total{state="expired",system="skarabee"} 2.0' in text
    assert 'callsign_vendor_seconds_count{outcome="expired",system="skarabee"} 1.0' in text
    assert 'callsign_vendor_seconds_sum{outcome="expired",system="skarabee"} 1.5' in text
    assert 'callsign_vendor_seconds_count{outcome="try later",system="skarabee"} 1.0' in text
    assert 'callsign_jobs_ended_total{state="try later"' not in text


def test_a_status_that_is_not_ours_makes_no_label(tmp_path: Path) -> None:
    with figures(tmp_path) as (metrics, look):
        for told in ({}, {"X_STATUS": f"number {CALLER}"}):
            metrics.step(read_step({}, [], request="ping"), told, 0.001)
        text = look()
    assert 'callsign_step_seconds_count{path="ping",status="none"} 2.0' in text
    assert CALLER not in text


@contextmanager
def figures(folder: Path) -> Iterator[tuple[Metrics, Callable[[], str]]]:
    """The figures without a server, and a look at their page."""
    settings = replace(SETTINGS, outbox=OutboxSection(folder / "outbox.db"))
    metrics = Metrics(("127.0.0.1", 0), settings, lambda: 0)
    metrics.page.start()
    try:
        yield metrics, lambda: urlopen(metrics.page.url, timeout=20).read().decode()
    finally:
        metrics.stop()


def test_what_is_counted_of_the_other_hosts_is_on_the_page(tmp_path: Path) -> None:
    counted = Figures(published=9, unpublished=4, alone=3, lost=2, adopted=1, lease_until=clocks.steady() + 1000)
    counted.exchanged(0.25)
    counted.exchanged(0.5)
    counted.slots = {"noojee": 2, "noojee.antwerp": 5}
    metrics = Metrics(("127.0.0.1", 0), replace(SETTINGS, outbox=OutboxSection(tmp_path / "none")), lambda: 0, counted)
    metrics.page.start()
    try:
        with urlopen(metrics.page.url) as page:
            families = list(text_string_to_metric_families(page.read().decode()))
    finally:
        metrics.stop()
    found = {
        (sample.name.removeprefix("callsign_cluster_"), *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
        if sample.name.startswith("callsign_cluster_")
    }
    assert 900 < found.pop(("lease_seconds_left",)) <= 1000
    assert found == {
        ("published_total",): 9,
        ("unpublished",): 4,
        ("alone_total",): 3,
        ("lost_total",): 2,
        ("adopted_total",): 1,
        ("exchange_seconds_count",): 2,
        ("exchange_seconds_sum",): 0.75,
        ("slots", "noojee"): 2,
        ("slots", "antwerp", "noojee"): 5,
    }


def test_a_lease_that_is_over_is_0_and_without_a_cluster_there_is_none(tmp_path: Path, page: Product) -> None:
    (lease,) = [f for f in ClusterFigures(Figures()).collect() if f.name == "callsign_cluster_lease_seconds_left"]
    assert [sample.value for sample in lease.samples] == [0]
    assert "callsign_cluster" not in get(page).text
