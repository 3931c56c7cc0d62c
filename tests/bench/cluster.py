"""What [cluster] costs: a call's step, the way to the vendor, and PostgreSQL, against the same host without it.

    CALLSIGN_ASTERISK_22=ROOT CALLSIGN_POSTGRES=BIN python tests/bench/cluster.py [seconds] [rounds]

Each step is taken beside a C server's, as in step_time.py, and quoted as a ratio to that; then clients that play
Asterisk tell a host of calls at the same pace, and the vendor writes down when it was told of them.  PostgreSQL is on
this machine, with fsync; it is well, killed, or frozen.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from accept_to_receipt import session
from bench_parts import (
    C_STEP,
    CALLSIGN_STEP,
    Load,
    Times,
    asterisk_with,
    c_server,
    callsign,
    dialplan_of,
    load_average,
    machine,
    vendor,
)

from cluster_settings import cluster_section, upgrade
from product import Product
from real_postgres import Postgres
from waiting import wait_until

RATES = (100, 300)
CLIENTS = 6
REST_SECONDS = 3.0
STATISTICS_SECONDS = 1.5
"""A session of PostgreSQL tells of itself once a second at most."""

STEPS = {"c": C_STEP, "callsign": CALLSIGN_STEP}
ALONE, WELL, DOWN, FROZEN = CASES = ("alone", "well", "down", "frozen")


@contextmanager
def host(case: str, postgres: Postgres, vendor_port: int) -> Iterator[Product]:
    """A host, and PostgreSQL as the case says."""
    further = "" if case == ALONE else cluster_section(postgres.where(), "pbx1")
    with callsign(vendor_port, further) as server:
        if case != ALONE:
            wait_until(lambda: bool(postgres.sql("SELECT 1 FROM callsign.host", database="callsign")))
        if case == DOWN:
            postgres.kill()
        if case == FROZEN:
            postgres.freeze()
        try:
            yield server
        finally:
            if case == DOWN:
                postgres.start()
            if case == FROZEN:
                postgres.wake()
    postgres.sql("TRUNCATE callsign.host, callsign.job", database="callsign")


def steps(postgres: Postgres, seconds: float, rounds: int) -> None:
    print("As Asterisk's dialplan sees it, beside a step to C:")
    print(
        f"{'calls/s':>7} {'PostgreSQL':<10} {'C p50':>6}   {'step p50':>8} {'p99':>6}   {'ratio to alone':>14}   load"
    )
    with asterisk_with(dialplan_of(STEPS)) as asterisk, c_server() as c_port:
        load = Load(asterisk, list(STEPS))
        load.set_global(C=f"agi://127.0.0.1:{c_port}")
        for rate in RATES:
            found = {case: (Times([]), Times([])) for case in CASES}
            loads = dict.fromkeys(CASES, "")
            for _ in range(rounds):
                for case in CASES:
                    with vendor(0) as vendor_port, host(case, postgres, vendor_port) as server:
                        load.set_global(CALLSIGN=server.url)
                        times = load.run(rate, seconds)
                    found[case] = found[case][0] + times["c"], found[case][1] + times["callsign"]
                    loads[case] += f" {load_average()}"
            alone = found[ALONE][1].p50 / found[ALONE][0].p50
            for case, (c, ours) in found.items():
                print(f"{rate:7} {case:<10} {c.p50:6.2f}   {ours.p50:8.2f} {ours.p99:6.2f}"
                      f"   {ours.p50 / c.p50 / alone:14.2f}  {loads[case]}", flush=True)  # fmt: skip
        load.close()


def tell(url: str, rate: float, seconds: float, first: int) -> list[tuple[int, int]]:
    """When each connection stood and when its session had ended, of calls at that pace."""
    sessions: list[tuple[int, int]] = []
    began = time.monotonic()

    def client(number: int) -> None:
        for turn in range(number, int(rate * seconds), CLIENTS):
            time.sleep(max(0.0, began + turn / rate - time.monotonic()))
            sessions.append(session(url, first + turn))

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(sessions)


def work_of(postgres: Postgres) -> tuple[int, int]:
    """Transactions and bytes of WAL so far."""
    time.sleep(STATISTICS_SECONDS)
    [(transactions, wal)] = postgres.sql(
        "SELECT xact_commit + xact_rollback, pg_current_wal_lsn() - '0/0' FROM pg_stat_database "
        "WHERE datname = 'callsign'"
    )
    return int(transactions), int(wal)


class Receipts:
    """When the vendor was told, in microseconds of the clock that is there for all."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def first(self, count: int) -> list[int]:
        """So many, when they have come."""
        wait_until(lambda: self._file.read_text().count("\n") >= count)
        return sorted(int(line) for line in self._file.read_text().split())[:count]


def way(case: str, postgres: Postgres, rate: int, seconds: float) -> tuple[Times, Times, list[str]]:
    """The step, from accept to the vendor, and with PostgreSQL well what was done there, at rest and for each."""
    words = []
    with tempfile.TemporaryDirectory() as folder:
        receipts = Receipts(Path(folder) / "receipts")
        with vendor(0, f"{folder}/receipts") as vendor_port, host(case, postgres, vendor_port) as server:
            warm_up = len(tell(server.url, rate, 1.0, 0))
            receipts.first(warm_up)
            rest = work_at_rest(postgres) if case == WELL else None
            before = work_of(postgres) if case == WELL else None
            began = time.monotonic()
            sessions = tell(server.url, rate, seconds, warm_up)
            received = receipts.first(warm_up + len(sessions))[warm_up:]
            if rest and before:
                after = work_of(postgres)
                lasted = time.monotonic() - began
                words += [f"at rest a second {rest[0]:.1f} transactions, {rest[1]:.0f} bytes of WAL"]
                each = [(b - a - r * lasted) / len(sessions) for a, b, r in zip(before, after, rest, strict=True)]
                words += [f"a notification {each[0]:.2f} transactions, {each[1]:.0f} bytes of WAL"]
    took = Times([(end - began) / 1000 for began, end in sessions])
    return took, Times([(there - here) / 1000 for (here, _), there in zip(sessions, received, strict=True)]), words


def ways(postgres: Postgres, seconds: float) -> None:
    print("Without Asterisk, as a client sees it, ms:")
    print("calls/s PostgreSQL   step p50    p99   ratio to alone   accept to vendor p50     p99   load")
    for rate in RATES:
        alone = 0.0
        for case in CASES:
            step, to_vendor, words = way(case, postgres, rate, seconds)
            alone = alone or step.p50
            print(f"{rate:7} {case:<10} {step.p50:10.2f} {step.p99:6.2f}   {step.p50 / alone:14.2f}"
                  f"   {to_vendor.p50:20.2f} {to_vendor.p99:7.2f}   {load_average()}")  # fmt: skip
            for line in words:
                print(f"        {line}", flush=True)


def work_at_rest(postgres: Postgres) -> tuple[float, float]:
    """Transactions and bytes of WAL a second, of a host that is told nothing."""
    before = work_of(postgres)
    began = time.monotonic()
    time.sleep(REST_SECONDS)
    after = work_of(postgres)
    lasted = time.monotonic() - began
    return (after[0] - before[0]) / lasted, (after[1] - before[1]) / lasted


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 6
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    print(machine())
    with Postgres(Path(os.environ["CALLSIGN_POSTGRES"]), settings={"fsync": "on"}) as postgres:
        postgres.make_database()
        upgrade(postgres)
        ways(postgres, seconds)
        steps(postgres, seconds, rounds)


if __name__ == "__main__":
    main()
