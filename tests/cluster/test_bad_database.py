"""A database that a host cannot use: one line says why, its monitoring warns, it goes on alone, and tells all later."""

from __future__ import annotations

from pathlib import Path

import pytest

from callsign.cluster import schema
from callsign.sandbox.asterisk.call import Call
from callsign.sandbox.asterisk.play import run_fastagi
from callsign.sandbox.vendors.sandbox import Sandbox
from cluster_settings import cluster_section, upgrade
from command_line import callsign_text
from ports import held_port
from product import ACCOUNTS, Product, vendor_sections
from real_postgres import PASSWORD, Postgres
from waiting import wait_until

CALL = Call(callerid="056528999", extension="056528998", uniqueid="pbx1-1700000000.1")

CASES = {
    "a wrong password": (
        "ALTER ROLE callsign PASSWORD 'another'",
        "password authentication failed",
        f"ALTER ROLE callsign PASSWORD '{PASSWORD}'",
    ),
    "no tables": ("DROP SCHEMA callsign CASCADE", "it has no tables of callsign's: callsign cluster upgrade", ""),
    "older tables": (
        f"UPDATE callsign.meta SET version = {schema.VERSION - 1}",
        f"its tables are of version {schema.VERSION - 1}: callsign cluster upgrade",
        f"UPDATE callsign.meta SET version = {schema.VERSION}",
    ),
    "newer tables": (
        "UPDATE callsign.meta SET oldest_ok = 99, version = 99",
        "its tables are of version 99: this callsign is too old for them, update it",
        f"UPDATE callsign.meta SET oldest_ok = {schema.VERSION}, version = {schema.VERSION}",
    ),
    "a role without rights": (
        "REVOKE INSERT ON callsign.host FROM callsign",
        "permission denied for table host",
        "GRANT INSERT ON callsign.host TO callsign",
    ),
    "a role that may join and tell nothing": (
        "REVOKE INSERT ON callsign.job FROM callsign",
        "permission denied for table job",
        "GRANT INSERT ON callsign.job TO callsign",
    ),
}


def troubles(host: Product) -> list[str]:
    return [line for line in host.log if line.startswith("ERROR callsign.cluster")]


@pytest.mark.parametrize("case", CASES)
def test_a_host_goes_on_alone_says_so_once_and_tells_all_when_it_is_mended(
    case: str, tmp_path: Path, own_postgres: Postgres
) -> None:
    harm, words, mend = CASES[case]
    upgrade(own_postgres)
    own_postgres.sql(harm, database="callsign")
    with Sandbox(ACCOUNTS) as box, held_port() as port:
        sections = vendor_sections(box) + cluster_section(own_postgres.where(), "pbx1")
        with Product(tmp_path, sections, f"127.0.0.1:{port}") as host:
            assert run_fastagi(f"{host.url}/skarabee?wait=20", CALL).variables["SKARABEESTATUS"] == "OK"
            wait_until(lambda: bool(troubles(host)))
            done = callsign_text("status", "--check", "--config", str(host.settings))
            assert (done.returncode, done.stdout.startswith("CALLSIGN WARNING")) == (1, True), done.stdout
            assert [words in line for line in troubles(host)] == [True]
            assert PASSWORD not in "".join(host.log)

            if mend:
                own_postgres.sql(mend, database="callsign")
            else:
                upgrade(own_postgres)
            host.wait_log(lambda line: "it answers again" in line)
            rows = "SELECT home, state FROM callsign.job"
            wait_until(lambda: own_postgres.sql(rows, database="callsign") == [("pbx1", "delivered")])
            assert host.stop() == 0
    assert len(box.seen) == 1


def test_so_it_does_where_nobody_knows_the_database(tmp_path: Path) -> None:
    unknown = "host=nobody.invalid dbname=callsign user=callsign sslmode=verify-full sslrootcert=/nowhere/ca.pem"
    with Sandbox(ACCOUNTS) as box, held_port() as port:
        sections = vendor_sections(box) + cluster_section(unknown, "pbx1")
        with Product(tmp_path, sections, f"127.0.0.1:{port}") as host:
            assert run_fastagi(f"{host.url}/skarabee?wait=20", CALL).variables["SKARABEESTATUS"] == "OK"
            wait_until(lambda: bool(troubles(host)))
            done = callsign_text("status", "--check", "--config", str(host.settings))
            assert (done.returncode, done.stdout.startswith("CALLSIGN WARNING")) == (1, True), done.stdout
            assert ["nobody.invalid" in line for line in troubles(host)] == [True]
            assert host.stop() == 0
    assert len(box.seen) == 1
