"""The plain script on a host with [cluster]: it stores, and the server tells the others; without one it works alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster_settings import cluster_section, upgrade
from load import Vendors
from product import Product
from real_postgres import Postgres
from script_play import PlainScript, vendor_sections
from waiting import wait_until


def test_the_server_tells_the_others_what_a_script_has_stored(
    tmp_path: Path, postgres_server: Postgres, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrade(postgres_server, database)
    with Vendors() as box:
        sections = vendor_sections(box) + cluster_section(postgres_server.where(database=database), "pbx1")
        with Product(tmp_path, sections) as server:
            script = PlainScript(tmp_path, sections, monkeypatch)
            script.store = server.store
            assert script.run("skarabee").variables["SKARABEESTATUS"] == "QUEUED"
            wait_until(
                lambda: (
                    postgres_server.sql("SELECT state, home FROM callsign.job", database=database)
                    == [("delivered", "pbx1")]
                )
            )
    assert len(box.seen) == 1


def test_without_a_server_it_delivers_by_itself_though_there_is_no_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Vendors() as box:
        sections = vendor_sections(box) + cluster_section("host=127.0.0.1 port=1 dbname=callsign", "pbx1")
        script = PlainScript(tmp_path, sections, monkeypatch)
        assert script.run("skarabee").variables["SKARABEESTATUS"] == "QUEUED"
        wait_until(lambda: len(box.seen) == 1)
        wait_until(lambda: not script.processes())
