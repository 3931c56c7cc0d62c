"""`callsign check --online` of one of several hosts: what it says of the PostgreSQL that they share."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster_settings import cluster_section, upgrade
from command_line import callsign_text
from real_postgres import PASSWORD, Postgres
from settings_file import write

Check = Callable[..., tuple[int, str]]
NOBODY = "host=127.0.0.1 port=1 dbname=callsign user=callsign"


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """Its exit status and what it prints, where the settings name that database."""

    def run(where: str, *options: str) -> tuple[int, str]:
        settings = write(tmp_path, f'[outbox]\npath = "{tmp_path}/outbox.db"\n' + cluster_section(where, "pbx1"))
        done = callsign_text("check", "--config", str(settings), *(options or ["--online"]))
        assert (done.stderr, PASSWORD in done.stdout) == ("", False)
        return done.returncode, done.stdout

    return run


def line_of(said: str) -> str:
    (line,) = [line for line in said.splitlines() if line.startswith("cluster: ")]
    return line


def test_a_database_that_has_all_is_one_good_line(check: Check, postgres_server: Postgres, database: str) -> None:
    upgrade(postgres_server, database)
    status, said = check(postgres_server.where(database=database))
    assert status == 0
    assert line_of(said) == (
        "cluster: PostgreSQL answers; without TLS, on this machine; tables of version 2: all that this host needs"
    )


def test_without_tables_it_is_told_what_makes_them(check: Check, postgres_server: Postgres, database: str) -> None:
    status, said = check(postgres_server.where(database=database))
    assert status == 1
    assert line_of(said).endswith(
        "no tables: it has no tables of callsign's: callsign cluster upgrade makes them: this host works alone"
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("REVOKE INSERT ON callsign.slot FROM callsign", "role callsign has no INSERT on callsign.slot"),
        ("UPDATE callsign.meta SET version = 1", "its tables are of version 1: callsign cluster upgrade makes them 2"),
        ("UPDATE callsign.meta SET version = 7, oldest_ok = 7", "this callsign is too old for them, update it"),
    ],
)
def test_rights_and_tables_are_looked_at_as_cluster_check_does(
    change: str, words: str, check: Check, postgres_server: Postgres, database: str
) -> None:
    upgrade(postgres_server, database)
    with postgres_server.connect("callsign_owner", database) as owner:
        owner.execute(change)
    status, said = check(postgres_server.where(database=database))
    assert status == 1
    assert words in line_of(said)


def test_one_that_is_silent_is_no_fault_of_the_settings_and_is_told_as_a_silent_vendor_is(check: Check) -> None:
    status, said = check(NOBODY)
    assert status == 1
    assert line_of(said).startswith("cluster: PostgreSQL can NOT be used: ")
    assert "refused" in line_of(said)
    status, said = check(NOBODY, "--online", "--json")
    told = json.loads(said)
    assert (status, told["ok"], told["cluster"]["good"], told["cluster"]["reachable"]) == (1, False, False, False)
    assert told["online"] == []


def test_a_wrong_password_is_one_line(check: Check, postgres_server: Postgres, database: str, tmp_path: Path) -> None:
    settings = write(
        tmp_path,
        f'[outbox]\npath = "{tmp_path}/outbox.db"\n'
        + cluster_section(postgres_server.where(database=database), "pbx1").replace(PASSWORD, "not-this-one"),
    )
    done = callsign_text("check", "--online", "--config", str(settings))
    assert done.returncode == 1
    assert "password authentication failed" in line_of(done.stdout)
    assert "not-this-one" not in done.stdout + done.stderr


def test_what_is_too_much_is_a_warning(check: Check, postgres_server: Postgres, database: str) -> None:
    upgrade(postgres_server, database)
    status, said = check(postgres_server.where("callsign_owner", database))
    assert status == 0
    assert "warning: [cluster] database: role callsign_owner may change the tables" in said


def test_without_online_nobody_is_asked(check: Check) -> None:
    status, said = check(NOBODY, "--json")
    assert (status, "cluster" in json.loads(said)) == (0, False)
