"""Real servers, a real PostgreSQL and a recorder that is strict with its pairs: one timestamp serves all hosts."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from callsign.sandbox.asterisk.call import Call
from callsign.sandbox.asterisk.play import run_fastagi
from callsign.sandbox.vendors.noojee import REUSE_SECONDS
from callsign.sandbox.vendors.record import SeenRequest
from callsign.sandbox.vendors.sandbox import Sandbox
from cluster_settings import cluster_section, upgrade
from product import ACCOUNTS, vendor_sections
from real_postgres import Postgres
from several_hosts import CONDUCT, Host, hosts
from waiting import wait_until

pytestmark = pytest.mark.faults


class Recorder(Sandbox):
    """`later`: so many seconds its clock is ahead; `watch` is told of each request before its answer leaves."""

    def __init__(self) -> None:
        self.later = 0.0
        self.watch = lambda seen: None
        super().__init__(ACCOUNTS, clock=lambda: time.time() + self.later, on_seen=lambda seen: self.watch(seen))

    @property
    def times(self) -> int:
        return sum(seen.path == "/Time" for seen in self.seen)

    def verdicts(self) -> set[str]:
        return {seen.verdict for seen in self.seen}


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with Recorder() as running:
        yield running


@contextmanager
def all_of(folder: Path, recorder: Recorder, postgres: Postgres, number: int = 3) -> Iterator[list[Host]]:
    """So many hosts, each of which has its lease and room at the recorder."""
    with hosts(folder, recorder, [postgres.where()] * number) as found:  # type: ignore[arg-type]
        have_room(postgres, found)
        yield found


def have_room(postgres: Postgres, hosts: Sequence[Host]) -> None:
    living = """
        SELECT 1 FROM callsign.host WHERE beat > 1 AND NOT dead
            AND EXISTS (SELECT FROM callsign.slot WHERE owner = host.name AND system = 'noojee')"""
    wait_until(lambda: len(postgres.sql(living, database="callsign")) == len(hosts))


def record(host: Host, number: int, wait: int = 20, account: str = "") -> str:
    """A recording begins at that host; what the dialplan is told."""
    call = Call(uniqueid=f"{host.folder.name}-1700000000.{number}")
    told = run_fastagi(f"{host.url}/noojee/start?wait={wait}&account={account}", call, [], CONDUCT)
    return told.variables["NOOJEESTATUS"]


def test_one_time_serves_all_hosts_for_an_hour_and_those_that_start_again(
    tmp_path: Path, own_postgres: Postgres, recorder: Recorder
) -> None:
    upgrade(own_postgres)
    with all_of(tmp_path, recorder, own_postgres) as found:
        for number in range(3):
            assert [record(host, number) for host in found] == ["OK"] * 3
        assert recorder.times == 1
        found[0].kill()
        found[0].start()
        have_room(own_postgres, found)
        assert record(found[0], 3) == "OK"
        assert recorder.times == 1
        assert recorder.verdicts() == {"OK"}
        recorder.later = REUSE_SECONDS + 1.0
        with ThreadPoolExecutor(3) as at_once:
            assert list(at_once.map(record, found, (4, 4, 4))) == ["OK"] * 3
        assert recorder.times == 2


def test_each_account_has_one_of_its_own(tmp_path: Path, own_postgres: Postgres, recorder: Recorder) -> None:
    upgrade(own_postgres)
    antwerp = f"""{vendor_sections(recorder)}
[noojee.antwerp]
key = "recorder-key"
"""
    with all_of(tmp_path, recorder, own_postgres, 2) as found:
        for host in found:
            host.run_with(antwerp + cluster_section(own_postgres.where(), host.folder.name))
        for number, account in enumerate(["", "antwerp"], 1):
            assert [record(host, number, account=account) for host in found] == ["OK"] * 2
            assert recorder.times == number
    rows = own_postgres.sql("SELECT system FROM callsign.shared ORDER BY 1", database="callsign")
    assert rows == [("noojee",), ("noojee.antwerp",)]


def test_what_a_host_gets_that_freezes_meanwhile_the_next_gets_for_all(
    tmp_path: Path, own_postgres: Postgres, recorder: Recorder
) -> None:
    upgrade(own_postgres)
    with all_of(tmp_path, recorder, own_postgres) as found:
        frozen, *others = found

        def freeze(seen: SeenRequest) -> None:
            if seen.path == "/Time" and recorder.times == 1:
                frozen.freeze()

        recorder.watch = freeze
        assert record(frozen, 1, wait=0) == "QUEUED"
        wait_until(lambda: recorder.times == 1)
        assert [record(host, 2) for host in others] == ["OK"] * 2
        assert recorder.times == 2
        frozen.wake()
        started = "/CallManagementAPI/start"
        wait_until(lambda: sum((seen.path, seen.verdict) == (started, "OK") for seen in recorder.seen) >= 3)
        assert record(frozen, 3) == "OK"


def test_while_postgresql_is_silent_each_host_gets_its_own_and_the_others_hear_of_one_later(
    tmp_path: Path, own_postgres: Postgres, recorder: Recorder
) -> None:
    upgrade(own_postgres)
    with all_of(tmp_path, recorder, own_postgres, 2) as found:
        own_postgres.freeze()
        assert [record(host, 1) for host in found] == ["OK"] * 2
        assert recorder.times == 2
        own_postgres.wake()
        shared = "SELECT 1 FROM callsign.shared WHERE system = 'noojee' AND value IS NOT NULL"
        wait_until(lambda: bool(own_postgres.sql(shared, database="callsign")))
        assert recorder.verdicts() == {"OK"}
