"""What the commands of one host do to the jobs of another, whose server is a real one; and what its page shows."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from callsign.sandbox.asterisk.call import Call
from callsign.sandbox.asterisk.play import run_fastagi
from callsign.sandbox.vendors.messages import Trouble
from callsign.sandbox.vendors.sandbox import Sandbox
from cluster_settings import cluster_section, upgrade
from command_line import callsign_text
from ports import held_port
from product import Product, vendor_sections
from real_postgres import Postgres
from settings_file import write
from shared_tables import OtherHost
from waiting import wait_until

ACCOUNTS = {"skarabee": {"8103": "office-key"}, "noojee": {"key": "recorder-key", "auth": "hash"}}
CALL = Call(callerid="056528999", extension="056528998", uniqueid="pbx2-1700000000.5")
Run = Callable[..., str]


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(accounts=ACCOUNTS) as running:
        yield running


@pytest.fixture
def pbx2(tmp_path: Path, box: Sandbox, postgres_server: Postgres, database: str) -> Iterator[Product]:
    """The host with a server."""
    upgrade(postgres_server, database)
    folder = tmp_path / "pbx2"
    folder.mkdir()
    section = cluster_section(postgres_server.where(database=database), "pbx2")
    with Product(folder, vendor_sections(box) + section, metrics="127.0.0.1:0") as running:
        yield running


@pytest.fixture
def run(tmp_path: Path, pbx2: Product, postgres_server: Postgres, database: str) -> Run:
    """What `callsign ARGUMENTS` prints on pbx1, where no server runs."""
    section = cluster_section(postgres_server.where(database=database), "pbx1")
    file = write(tmp_path, f'[server]\nlisten = "127.0.0.1:1"\n[outbox]\npath = "{tmp_path}/outbox.db"\n{section}')
    return lambda *words: callsign_text(*words, "--config", str(file)).stdout


def jobs(run: Run) -> dict[str, dict[str, Any]]:
    return {f"{row['host']}:{row['job']}": row for row in json.loads(run("jobs", "--json"))}


def test_a_drop_from_another_host_is_heard_by_the_server_and_stands_in_its_own_store(
    run: Run, pbx2: Product, box: Sandbox
) -> None:
    box.trouble["skarabee"] = Trouble(http_status=503)
    assert run_fastagi(f"{pbx2.url}/skarabee", CALL).variables["SKARABEESTATUS"] == "QUEUED"
    wait_until(lambda: jobs(run).get("pbx2:1", {}).get("attempts", 0) > 0)
    assert run("drop", "pbx2:1").startswith("job pbx2:1: given up")
    own = lambda: json.loads(callsign_text("jobs", "1", "--json", "--config", str(pbx2.settings)).stdout)[0]  # noqa: E731
    wait_until(lambda: own()["life"][-1]["event"] == "dropped")
    assert jobs(run)["pbx2:1"]["state"] == "dropped"


def test_a_failed_job_that_another_host_retries_is_delivered_by_whoever_runs(
    run: Run, pbx2: Product, box: Sandbox
) -> None:
    box.trouble["skarabee"] = Trouble(refuse_status="NO_HASH_KEY_AVAILABLE")
    assert run_fastagi(f"{pbx2.url}/skarabee?wait=20", CALL).variables["SKARABEESTATUS"] == "REFUSED"
    wait_until(lambda: jobs(run).get("pbx2:1", {}).get("state") == "refused")
    box.trouble.pop("skarabee")
    (again,) = re.findall(r"goes out once more as job (retry:\d+), by any host", run("retry", "pbx2:1"))
    wait_until(lambda: jobs(run)[again]["state"] == "delivered")
    assert jobs(run)[again]["owner"] == "pbx2"


def test_the_page_shows_how_it_stands_with_the_others(
    run: Run, pbx2: Product, box: Sandbox, postgres_server: Postgres, database: str
) -> None:
    def figure(name: str) -> float:
        url = pbx2.wait_log(lambda line: "metrics at" in line).rpartition(" ")[2]
        with urlopen(url) as page:
            found = re.search(rf"^callsign_cluster_{name} (\S+)$", page.read().decode(), re.MULTILINE)
        return float(found[1]) if found else -1

    wait_until(lambda: figure("lease_seconds_left") > 0)
    assert run_fastagi(f"{pbx2.url}/skarabee?wait=20", CALL).variables["SKARABEESTATUS"] == "OK"
    wait_until(lambda: figure("published_total") == 1)
    assert (figure("unpublished"), figure("alone_total"), figure("lost_total")) == (0, 0, 0)
    assert figure("exchange_seconds_count") > 0
    gone = OtherHost(postgres_server, database, "pbx3")
    gone.publish(1, owner=None)
    gone.close()
    wait_until(lambda: figure("adopted_total") == 1)


def test_of_two_hosts_with_one_name_one_goes_on_alone_says_so_and_is_a_warning(
    tmp_path: Path, box: Sandbox, postgres_server: Postgres, database: str
) -> None:
    def check(host: Product) -> str:
        return callsign_text("status", "--check", "--config", str(host.settings)).stdout

    upgrade(postgres_server, database)
    sections = vendor_sections(box) + cluster_section(postgres_server.where(database=database), "pbx2")
    with ExitStack() as running:
        hosts = []
        for name in ("one", "another"):
            (tmp_path / name).mkdir()
            listen = f"127.0.0.1:{running.enter_context(held_port())}"
            hosts.append(running.enter_context(Product(tmp_path / name, sections, listen)))
            wait_until(lambda: "OK" in check(hosts[-1]))
        wait_until(lambda: any("another host calls itself pbx2" in line for host in hosts for line in host.log))
        wait_until(lambda: any("WARNING - this host's server goes on alone" in check(host) for host in hosts))
        for number, host in enumerate(hosts):
            told = run_fastagi(f"{host.url}/skarabee?wait=20", replace(CALL, uniqueid=f"pbx2-17.{number}"))
            assert told.variables["SKARABEESTATUS"] == "OK"
