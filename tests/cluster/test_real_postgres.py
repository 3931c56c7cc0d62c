"""The kit's PostgreSQL does what the tests over several hosts take for granted."""

from __future__ import annotations

import threading
from pathlib import Path

import psycopg
import pytest

from cluster_settings import upgrade
from real_postgres import PASSWORD, PgBouncer, Postgres
from waiting import wait_until


def count(connection: psycopg.Connection[tuple[int]]) -> int:
    [(number,)] = connection.execute("SELECT count(*) FROM word").fetchall()
    return number


def with_a_table(server: Postgres) -> None:
    with server.connect("callsign_owner") as owner:
        owner.execute("CREATE TABLE word (text text)")
        owner.execute("GRANT SELECT, INSERT ON word TO callsign")
        owner.execute("INSERT INTO word VALUES ('first')")


def test_the_roles_need_their_password_and_have_the_limits_of_the_design(
    postgres_server: Postgres, database: str
) -> None:
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(postgres_server.where(database=database), password="another")
    with postgres_server.connect(database=database) as connection:
        assert connection.execute("SHOW statement_timeout").fetchall() == [("2s",)]


def test_a_database_that_is_emptied_is_as_it_was_made_or_known_not_to_be(
    postgres_server: Postgres, database: str
) -> None:
    upgrade(postgres_server, database)
    with postgres_server.connect(database=database) as host:
        host.execute("SELECT pg_advisory_lock(1)")
        assert postgres_server.empty_database(database)
        with pytest.raises(psycopg.OperationalError):
            host.execute("SELECT 1")
    upgrade(postgres_server, database)
    for of_the_superuser in ("CREATE TABLE word ()", f"ALTER DATABASE {database} SET lock_timeout = 1"):
        assert postgres_server.empty_database(database)
        postgres_server.sql(of_the_superuser, database=database)
        assert not postgres_server.empty_database(database)
        postgres_server.sql(f"DROP TABLE IF EXISTS word; ALTER DATABASE {database} RESET ALL", database=database)


def test_a_killed_server_comes_back_with_what_was_committed(own_postgres: Postgres) -> None:
    with_a_table(own_postgres)
    with own_postgres.connect() as connection:
        own_postgres.kill()
        with pytest.raises(psycopg.OperationalError):
            count(connection)
    with pytest.raises(psycopg.OperationalError, match="refused"):
        own_postgres.connect()
    own_postgres.start()
    with own_postgres.connect() as connection:
        assert count(connection) == 1


def test_a_frozen_server_says_nothing_until_it_is_woken(own_postgres: Postgres) -> None:
    with_a_table(own_postgres)
    with own_postgres.connect() as connection:
        own_postgres.freeze()
        counted: list[int] = []
        asker = threading.Thread(target=lambda: counted.append(count(connection)))
        asker.start()
        with pytest.raises(psycopg.errors.ConnectionTimeout):
            psycopg.connect(own_postgres.where(), password=PASSWORD, connect_timeout=2)
        assert counted == []
        own_postgres.wake()
        asker.join()
        assert counted == [1]


def test_a_read_only_server_refuses_what_is_written_until_it_is_so_no_more(own_postgres: Postgres) -> None:
    with_a_table(own_postgres)
    with own_postgres.connect() as connection:
        own_postgres.read_only()
        wait_until(lambda: connection.execute("SHOW default_transaction_read_only").fetchall() == [("on",)])
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("INSERT INTO word VALUES ('second')")
        own_postgres.read_only(False)
        wait_until(lambda: connection.execute("SHOW default_transaction_read_only").fetchall() == [("off",)])
        connection.execute("INSERT INTO word VALUES ('second')")


def test_a_full_disk_takes_no_more_rows_until_there_is_room(postgres_programs: Path, full_disk: dict[str, str]) -> None:
    with Postgres(postgres_programs, environment=full_disk) as server:
        server.make_database()
        with_a_table(server)
        with server.connect() as connection:
            Path(full_disk["FULL_WHILE"]).touch()
            with pytest.raises(psycopg.errors.DiskFull):
                connection.execute("INSERT INTO word SELECT repeat('x', 1000) FROM generate_series(1, 20)")
            Path(full_disk["FULL_WHILE"]).unlink()
            connection.execute("INSERT INTO word SELECT repeat('x', 1000) FROM generate_series(1, 20)")
            assert count(connection) == 21


def test_a_standby_takes_over_without_what_was_held_back(own_postgres: Postgres) -> None:
    with_a_table(own_postgres)
    with Postgres(own_postgres.programs, primary=own_postgres) as standby:
        wait_until(own_postgres.is_followed)
        with own_postgres.connect() as connection:
            connection.execute("INSERT INTO word VALUES ('second')")
            wait_until(own_postgres.is_followed)
            own_postgres.hold_back()
            connection.execute("INSERT INTO word VALUES ('third')")
            own_postgres.kill()
        standby.promote()
        with standby.connect() as connection:
            assert count(connection) == 2
            connection.execute("INSERT INTO word VALUES ('another third')")


def test_pgbouncer_hands_transactions_on(own_postgres: Postgres, pgbouncer_program: Path) -> None:
    with_a_table(own_postgres)
    with (
        PgBouncer(pgbouncer_program, own_postgres) as bouncer,
        psycopg.connect(bouncer.where(), password=PASSWORD, autocommit=True) as connection,
    ):
        connection.prepare_threshold = None
        assert [count(connection) for _ in range(3)] == [1, 1, 1]
