"""A store is put back on a host of several: the numbers that it gives once more are other jobs' for the others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from callsign.outbox.reader import OutboxReader
from callsign.sandbox.asterisk.call import Call
from callsign.sandbox.asterisk.play import run_fastagi
from callsign.sandbox.vendors.sandbox import Sandbox
from cluster_settings import cluster_section, upgrade
from product import ACCOUNTS, Product, vendor_sections
from real_postgres import Postgres
from waiting import wait_until

CALL = Call(extension="056528998")


def test_calls_behind_it_are_told_to_the_vendor_and_to_the_others(
    tmp_path: Path, postgres_server: Postgres, database: str
) -> None:
    upgrade(postgres_server, database)

    def tell(number: int) -> None:
        call = replace(CALL, callerid=f"047000000{number}", uniqueid=f"pbx1-1700000000.{number}")
        assert run_fastagi(f"{host.url}/skarabee?wait=5", call).variables["SKARABEESTATUS"] == "OK"

    with Sandbox(ACCOUNTS) as box:
        sections = vendor_sections(box) + cluster_section(postgres_server.where(database=database), "pbx1")
        with Product(tmp_path, sections) as host:
            tell(1)
            copy, reader = tmp_path / "copy", OutboxReader(host.store)
            reader.copy_to(copy)
            for number in (2, 3, 4):
                tell(number)
            assert host.stop() == 0
            for file in tmp_path.glob("outbox.db*"):
                file.unlink()
            copy.rename(host.store)
            host.start()
            tell(5)
            assert [seen.query["phonefrom"][-1] for seen in box.seen] == list("12345")
            wait_until(lambda: reader.known()[0] >= 4)
            tell(6)
            assert [seen.query["phonefrom"][-1] for seen in box.seen] == list("123456")
            rows = "SELECT right(call, 1) FROM callsign.job WHERE state = 'delivered' ORDER BY n"
            wait_until(lambda: ("6",) in postgres_server.sql(rows, database=database))
            assert host.stop() == 0
            reader.close()
