"""100,000 jobs after an outage: the server is there at once, fresh calls go first, the vendor is not run over."""

from __future__ import annotations

import sqlite3
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from callsign.delivery.pace import BACKLOG_PAUSE_SECONDS
from callsign.outbox import schema as sql
from callsign.outbox.jobs import new_job_of
from callsign.outbox.outbox import Outbox
from callsign.sandbox.asterisk.behaviour import Conduct, Session
from callsign.sandbox.asterisk.call import Call
from callsign.sandbox.asterisk.play import run_fastagi
from callsign.sandbox.vendors.sandbox import Sandbox
from product import Product, vendor_sections
from store_play import call_from

JOBS = 100_000
CALLS = 30
CALLED = "056528998"
CONDUCT = Conduct(timeout_seconds=30.0)


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(accounts={"skarabee": {"8103": "office-key"}, "noojee": {"key": "k", "auth": "hash"}}) as running:
        yield running


def fill(store: Path) -> None:
    """What an outage leaves behind: each tried twice, each of a call of its own."""
    Outbox(store).close()
    rows = (new_job_of(call_from(f"04{number:08}", call=f"1700000000.{number}")).row for number in range(JOBS))
    with sqlite3.connect(store) as db:
        db.executemany(sql.INSERT_JOB, rows)
        db.execute("UPDATE job SET attempts = 2, reason = 'no connection', next_try = at")
    db.close()


def place_call(server: Product, number: int, wait: int = 0) -> Session:
    call = Call(callerid="0470999999", extension=CALLED, uniqueid=f"1800000000.{number}")
    session = run_fastagi(f"{server.url}/skarabee?wait={wait}", call, conduct=CONDUCT)
    assert session.variables["SKARABEESTATUS"] == ("OK" if wait else "QUEUED")
    return session


def start_seconds(server: Product) -> float:
    began = time.monotonic()
    server.start()
    return time.monotonic() - began


def test_a_backlog_of_a_hundred_thousand_hurts_no_call(tmp_path: Path, box: Sandbox) -> None:
    for name in ("empty", "full"):
        (tmp_path / name).mkdir()
    fill(tmp_path / "full" / "outbox.db")
    sections = vendor_sections(box, numbers='format = "asis"')
    with Product(tmp_path / "empty", sections) as empty, Product(tmp_path / "full", sections) as full:
        empty.kill()
        full.kill()
        usual, opening = [], []
        for _ in range(3):  # in turn, so that the machine is as busy for both
            for server, seconds_of in ((empty, usual), (full, opening)):
                seconds_of.append(start_seconds(server))
                server.kill()
        assert min(opening) < min(usual) + 1.0
        empty.start()

        before = len(box.seen)
        began = time.monotonic()
        full.start()
        place_call(full, 0, wait=30)
        fresh = [seen.query["phonefrom"] for seen in box.seen[before:]].index("0470999999")
        assert fresh < 100, "a fresh call goes before the backlog"

        steps: dict[str, list[float]] = {"empty": [], "full": []}
        for number in range(1, CALLS + 1):
            for name, server in (("empty", empty), ("full", full)):
                steps[name].append(place_call(server, number).seconds)
        assert statistics.median(steps["full"]) < 3 * statistics.median(steps["empty"]) + 0.02

        assert box.wait_for(lambda seen: len(seen) > before + 500, 4 * CONDUCT.timeout_seconds), "the backlog goes out"
        seconds = time.monotonic() - began
        assert len(box.seen) - before <= seconds / BACKLOG_PAUSE_SECONDS + 2 * CALLS + 50, (
            "and does not flood the vendor"
        )
        assert all(seen.verdict == "OK" for seen in box.seen)
