"""The connection to a real PostgreSQL: no exchange lasts for ever, and after any fault the next one begins anew."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from callsign.cluster import schema
from callsign.cluster import statements as sql
from callsign.cluster.connection import Database, DatabaseFault
from callsign.settings.secret import Secret
from callsign.settings.sections import Cluster
from cluster_settings import upgrade
from real_postgres import PASSWORD, PgBouncer, Postgres
from waiting import wait_until

JOINED = {"me": "pbx1", "version": "1.0.0", "systems": ["skarabee"]}


def section(where: str, password: str = PASSWORD, pooled: bool = False) -> Cluster:
    return Cluster(database=where, password=Secret(password), host="pbx1", pooled=pooled)


def join(database: Database) -> int:
    """Says something that writes; how often it was said."""
    with database.exchange() as say:
        cursor = say(sql.JOIN, JOINED)
    [(life,)] = cursor.fetchall()
    return int(life)


@pytest.fixture
def where(postgres_server: Postgres, database: str) -> str:
    """Leads to a database with our tables."""
    upgrade(postgres_server, database)
    return postgres_server.where(database=database)


@pytest.fixture
def own(own_postgres: Postgres) -> Postgres:
    """The same, on a server that may be harmed."""
    upgrade(own_postgres)
    return own_postgres


def test_what_is_said_together_is_answered_together(where: str) -> None:
    database = Database(section(where))
    with database.exchange() as say:
        first, second = say(sql.JOIN, JOINED), say(sql.HOSTS)
    assert first.fetchall() == [(1,)]
    assert second.fetchall() == [("pbx1", 1, 0, False, {}, ["skarabee"], [])]
    assert database.openings == 1
    database.close()


def test_an_exchange_with_a_frozen_server_ends_and_the_next_one_is_on_another_connection(own: Postgres) -> None:
    database = Database(section(own.where()), limit_seconds=0.5)
    assert join(database) == 1
    own.freeze()
    with pytest.raises(DatabaseFault, match=r"no answer within 0\.5 s") as hung:
        join(database)
    assert not hung.value.unheard
    with pytest.raises(DatabaseFault) as unheard:  # nor is there an end to no new connection
        join(database)
    assert unheard.value.unheard
    own.wake()
    wait_until(lambda: bool(own.sql("SELECT 1")))
    assert join(database) > 1
    assert database.openings == 2
    database.close()


def test_a_killed_server_is_found_again_when_it_is_back(own: Postgres) -> None:
    database = Database(section(own.where()))
    assert join(database) == 1
    own.kill()
    for _ in range(2):
        with pytest.raises(DatabaseFault):
            join(database)
    own.start()
    assert join(database) == 2
    database.close()


def test_a_server_that_takes_no_writes_keeps_no_connection(own: Postgres) -> None:
    database = Database(section(own.where()))
    assert join(database) == 1
    own.read_only()
    with own.connect() as another:
        wait_until(lambda: another.execute("SHOW default_transaction_read_only").fetchone() == ("on",))
    for _ in range(2):
        with pytest.raises(DatabaseFault, match="read-only transaction") as fault:
            join(database)
        assert fault.value.unheard
    own.read_only(False)
    with own.connect() as another:
        wait_until(lambda: another.execute("SHOW default_transaction_read_only").fetchone() == ("off",))
    assert join(database) == 2
    assert database.openings == 3
    database.close()


def test_of_several_servers_the_one_that_takes_writes_is_chosen(own: Postgres) -> None:
    with Postgres(own.programs, primary=own) as standby:
        for ports in (f"{own.port},{standby.port}", f"{standby.port},{own.port}"):
            where = f"host=127.0.0.1,127.0.0.1 port={ports} dbname=callsign user=callsign"
            database = Database(section(f"{where} target_session_attrs=read-write"))
            assert join(database) >= 1
            database.close()


def test_a_wrong_password_is_one_line_without_it(where: str) -> None:
    with pytest.raises(DatabaseFault) as fault:
        join(Database(section(where, password="another-password")))
    assert "password authentication failed" in str(fault.value)
    assert "another-password" not in str(fault.value)
    assert "\n" not in str(fault.value)


def test_a_host_that_is_unknown_is_one_line() -> None:
    with pytest.raises(DatabaseFault) as fault:
        join(Database(section("host=nobody.invalid dbname=callsign user=callsign")))
    assert "nobody.invalid" in str(fault.value)
    assert "\n" not in str(fault.value)


def test_a_database_without_our_tables_says_what_makes_them(postgres_server: Postgres, database: str) -> None:
    with pytest.raises(DatabaseFault, match="callsign cluster upgrade makes them"):
        join(Database(section(postgres_server.where(database=database))))


@pytest.mark.parametrize(
    ("version", "oldest_ok", "says"),
    [(schema.VERSION - 1, 0, "callsign cluster upgrade"), (schema.VERSION + 1, schema.VERSION + 1, "too old for them")],
    ids=["older", "newer"],
)
def test_tables_of_another_version_are_left_alone(
    postgres_server: Postgres, database: str, where: str, version: int, oldest_ok: int, says: str
) -> None:
    postgres_server.sql("UPDATE callsign.meta SET version = %s, oldest_ok = %s", version, oldest_ok, database=database)
    refused = Database(section(where))
    for _ in range(2):
        with pytest.raises(DatabaseFault, match=says):
            join(refused)


def test_tables_of_a_later_version_that_suffer_ours_are_used(
    postgres_server: Postgres, database: str, where: str
) -> None:
    postgres_server.sql("UPDATE callsign.meta SET version = %s", schema.VERSION + 1, database=database)
    found = Database(section(where))
    assert join(found) == 1
    found.close()


def test_behind_pgbouncer_no_statement_is_prepared(own: Postgres, pgbouncer_program: Path) -> None:
    with PgBouncer(pgbouncer_program, own) as bouncer:
        databases = [Database(section(bouncer.where(), pooled=True)) for _ in range(3)]
        lives = [join(database) for _ in range(10) for database in databases]
        assert lives == list(range(1, 31))
        for database in databases:
            database.close()


def test_a_connection_that_breaks_is_told_from_a_server_that_hangs(own: Postgres) -> None:
    database = Database(section(own.where()), limit_seconds=0.2)
    assert join(database) == 1
    own.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'callsign'")
    with pytest.raises(DatabaseFault) as broken:
        join(database)
    assert join(database) == 2
    with pytest.raises(DatabaseFault) as hung, database.exchange() as say:
        say("SELECT pg_sleep(30)")
    assert (broken.value.of_connection, broken.value.timed_out, broken.value.unheard) == (True, False, False)
    assert hung.value.timed_out
    assert join(database) == 3
    database.close()


@pytest.mark.parametrize("wrong", ["\0", "\ud800"])
def test_what_the_database_cannot_take_is_the_fault_of_the_data_and_is_not_quoted(where: str, wrong: str) -> None:
    database = Database(section(where))
    job = {"store": "a", "n": 1, "system": "skarabee", "call": f"0478123456{wrong}", "home": "pbx1"}
    with pytest.raises(DatabaseFault) as refused, database.exchange() as say:
        say(sql.PUBLISH, {"jobs": json.dumps([job])})
    assert refused.value.of_data
    assert "0478123456" not in str(refused.value)


def say_much(database: Database) -> None:
    """So much that the first answer is there before the last word."""
    with database.exchange() as say:
        say("SELECT 1 / 0")
        for _ in range(10_000):
            say("SELECT 1")


def test_a_fault_that_is_heard_in_the_midst_of_an_exchange_is_told_by_us_alone(
    where: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(DatabaseFault, match="division by zero"):
        say_much(Database(section(where)))
    assert caplog.text == ""
