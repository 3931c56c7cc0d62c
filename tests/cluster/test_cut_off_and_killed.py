"""A real server is cut off from PostgreSQL, killed and started again: it sends what only it knows of, and no more."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest

from callsign.outbox.reader import OutboxReader
from callsign.sandbox.asterisk.call import Call
from callsign.sandbox.asterisk.play import run_fastagi
from callsign.sandbox.vendors.messages import Trouble
from callsign.sandbox.vendors.sandbox import Sandbox
from cluster_settings import cluster_section, upgrade
from product import ACCOUNTS, Product, vendor_sections
from real_postgres import Postgres
from store_play import LONG_SECONDS
from tcp_proxy import TcpProxy
from waiting import wait_until

pytestmark = pytest.mark.faults

CALL = Call(callerid="0470000001", extension="056528998", uniqueid="pbx1-1700000000.1")
CALLERS = TAKEN_OVER, ON_ITS_WAY, UNKNOWN = "0470000001", "0470000002", "0470000003"
"""Callers: one whose job the others know, one whose may have been sent into the dead line, one who came later."""


def known(host: Product) -> int | None:
    with closing(OutboxReader(host.store)) as reader:
        return reader.known()[1]


def waits(host: Product) -> int:
    with closing(OutboxReader(host.store)) as reader:
        return sum(number for number, _ in reader.waiting().values())


def test_what_others_may_have_taken_over_waits_and_what_they_never_heard_of_goes_out(
    tmp_path: Path, own_postgres: Postgres
) -> None:
    upgrade(own_postgres)

    def tell(host: Product, caller: str) -> None:
        call = replace(CALL, callerid=caller, uniqueid=f"pbx1-1700000000.{caller[-1]}")
        assert run_fastagi(f"{host.url}/skarabee?wait=0", call).variables["SKARABEESTATUS"] == "QUEUED"

    def told() -> Counter[str]:
        return Counter(seen.query["phonefrom"] for seen in box.seen if seen.verdict == "OK")

    with ExitStack() as running:
        box = running.enter_context(Sandbox(ACCOUNTS))
        box.trouble["skarabee"] = Trouble(http_status=503)
        proxy = running.enter_context(TcpProxy(own_postgres.port))
        hosts = []
        for name, port in (("pbx1", proxy.port), ("pbx2", own_postgres.port)):
            (tmp_path / name).mkdir()
            where = own_postgres.where().replace(f"port={own_postgres.port}", f"port={port}")
            sections = vendor_sections(box, numbers='format = "asis"') + cluster_section(where, name)
            hosts.append(running.enter_context(Product(tmp_path / name, sections)))
        one = hosts[0]
        tell(one, TAKEN_OVER)
        rows = lambda where: own_postgres.sql(f"SELECT n FROM callsign.job WHERE {where}", database="callsign")  # noqa: E731
        wait_until(lambda: rows("home = 'pbx1'") == [(1,)])
        assert known(one) is None

        proxy.cut()
        tell(one, ON_ITS_WAY)
        wait_until(lambda: known(one) is not None)
        one.wait_log(lambda line: "without the other hosts' word" in line)
        tell(one, UNKNOWN)
        one.kill()
        mark = known(one) or 0
        unknown = {caller: 1 for number, caller in enumerate(CALLERS, 1) if number > mark}
        assert UNKNOWN in unknown
        wait_until(lambda: rows("owner = 'pbx2'") == [(1,)], LONG_SECONDS)
        box.trouble.pop("skarabee")
        wait_until(lambda: told() == {TAKEN_OVER: 1}, LONG_SECONDS)

        one.start()
        wait_until(lambda: told() == {TAKEN_OVER: 1, **unknown}, LONG_SECONDS)
        wait_until(lambda: waits(one) == len(CALLERS) - len(unknown))
        proxy.join()
        wait_until(lambda: waits(one) == 0, LONG_SECONDS)
        wait_until(lambda: known(one) is None)
        assert told() == {TAKEN_OVER: 1, ON_ITS_WAY: 1, UNKNOWN: 1}
        for host in hosts:
            assert host.stop() == 0
