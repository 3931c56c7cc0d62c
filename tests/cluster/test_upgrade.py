"""Tables that an earlier callsign made, with what lies in them, become those of this one."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import psycopg
import pytest

from callsign.cluster import schema
from callsign.cluster import statements as sql
from callsign.cluster.care import look, upgrade
from callsign.cluster.connection import Database, DatabaseFault
from real_postgres import Postgres
from shared_tables import OtherHost, section

STEPS = ("596fca764f2ff278", "c36b46fabb578f50")
"""Digests of their words."""

ONCE, KEY = "00ff" * 8, "5c78" * 8
SHAPE = {
    "columns": """
        SELECT table_name, column_name, ordinal_position, data_type, is_nullable, column_default, is_identity
        FROM information_schema.columns WHERE table_schema = 'callsign' ORDER BY 1, 2""",
    "indexes": "SELECT indexdef FROM pg_indexes WHERE schemaname = 'callsign' ORDER BY 1",
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'callsign'::regnamespace ORDER BY 1, 2""",
    "tables": "SELECT relname, reloptions FROM pg_class WHERE relnamespace = 'callsign'::regnamespace ORDER BY 1",
    "rights": """
        SELECT grantee, table_name, column_name, privilege_type FROM information_schema.column_privileges
        WHERE table_schema = 'callsign' ORDER BY 1, 2, 3, 4""",
    "version": "SELECT version, oldest_ok FROM callsign.meta",
}
ROWS = (
    "INSERT INTO callsign.host VALUES ('pbx1', 3, 7, false, now(), now(), '1.0.0', '{skarabee}', '{}', '{}')",
    f"""INSERT INTO callsign.job (store, n, system, action, call, key, facts, once, born, deadline, home, owner)
        VALUES ('a', 1, 'noojee', 'noojee/start', 'pbx1-1.1', '{KEY}', '{{}}', '{ONCE}', now(), now() + '1 h', 'pbx1',
                'pbx1'),
               ('a', 2, 'skarabee', 'skarabee', 'pbx1-1.2', NULL, '{{"a": "b"}}', NULL, now(), now() + '1 h', 'pbx1',
                NULL)""",
    "INSERT INTO callsign.slot VALUES ('noojee', 1, 'pbx1', 3)",
    "INSERT INTO callsign.shared VALUES ('noojee', 'timestamp', '1700000000', now())",
)


def owner(server: Postgres, database: str) -> psycopg.Connection[Any]:
    return server.connect("callsign_owner", database)


def shape(server: Postgres, database: str) -> dict[str, list[Any]]:
    """All that the tables are but what lies in them."""
    with owner(server, database) as connection:
        return {what: connection.execute(statement).fetchall() for what, statement in SHAPE.items()}


def make_version_1(server: Postgres, database: str) -> None:
    with owner(server, database) as connection:
        for statement in (schema.STEPS[0], *ROWS, schema.GRANTS):
            connection.execute(statement)


@pytest.fixture
def new_shape(postgres_server: Postgres, database: str) -> dict[str, list[Any]]:
    """Of tables made by this callsign, which are gone again."""
    assert upgrade(section(postgres_server, database, role="callsign_owner"))[0] == 0
    found = shape(postgres_server, database)
    with owner(postgres_server, database) as connection:
        connection.execute("DROP SCHEMA callsign CASCADE")
    return found


def test_a_step_that_has_been_taken_somewhere_is_never_changed() -> None:
    words = [re.sub(r"--.*", "", step).split() for step in schema.STEPS]
    assert tuple(hashlib.sha256(" ".join(step).encode()).hexdigest()[:16] for step in words) == STEPS
    assert len(schema.STEPS) == schema.VERSION


def test_tables_of_version_1_become_as_those_that_are_made_anew_and_what_lay_there_is_of_use(
    new_shape: dict[str, list[Any]], postgres_server: Postgres, database: str
) -> None:
    make_version_1(postgres_server, database)
    assert shape(postgres_server, database) != new_shape
    assert upgrade(section(postgres_server, database, role="callsign_owner")) == (1, schema.VERSION)
    assert shape(postgres_server, database) == new_shape
    pbx2 = OtherHost(postgres_server, database, "pbx2")
    try:
        assert pbx2.row(1, "a") | {"key": bytes.fromhex(KEY), "once": bytes.fromhex(ONCE)} == pbx2.row(1, "a")
        assert (pbx2.row(2, "a")["key"], pbx2.row(2, "a")["once"], pbx2.row(2, "a")["owner"]) == (None, None, None)
        job = {
            "store": "b",
            "n": 1,
            "system": "noojee",
            "action": "noojee/stop",
            "call": "pbx1-1.1",
            "key": KEY,
            "facts": "{}",
            "once": None,
            "age": -1.0,
            "time_left": 60.0,
            "home": "pbx2",
            "owner": "pbx2",
            "state": "waiting",
            "attempts": 0,
            "ended_ago": None,
            "reason": "",
        }
        for row in (job, {**job, "n": 2, "once": ONCE}):
            pbx2.connection.execute(sql.PUBLISH, {"jobs": json.dumps([row])})
        asked = {"me": "pbx2", "jobs": json.dumps([{"store": "b", "n": 1}, {"store": "b", "n": 2}])}
        [(_, n, *_, is_behind, _, earlier)] = pbx2.connection.execute(sql.ANSWERS, asked).fetchall()
        assert (n, is_behind, earlier) == (1, True, ["noojee/start"])
    finally:
        pbx2.close()


def test_tables_that_say_1_and_have_digests_as_bytes_become_so_as_well(
    new_shape: dict[str, list[Any]], postgres_server: Postgres, database: str
) -> None:
    make_version_1(postgres_server, database)
    mine = section(postgres_server, database, role="callsign_owner")
    upgrade(mine)
    with owner(postgres_server, database) as connection:
        connection.execute("UPDATE callsign.meta SET version = 1, oldest_ok = 1")
        before = connection.execute("SELECT * FROM callsign.job ORDER BY n").fetchall()
    assert upgrade(mine) == (1, schema.VERSION)
    assert shape(postgres_server, database) == new_shape
    with owner(postgres_server, database) as connection:
        assert connection.execute("SELECT * FROM callsign.job ORDER BY n").fetchall() == before


def test_what_is_up_to_date_is_left_as_it_is(
    new_shape: dict[str, list[Any]], postgres_server: Postgres, database: str
) -> None:
    mine = section(postgres_server, database, role="callsign_owner")
    make_version_1(postgres_server, database)
    upgrade(mine)
    with owner(postgres_server, database) as connection:
        files = "SELECT relname, relfilenode FROM pg_class WHERE relnamespace = 'callsign'::regnamespace ORDER BY 1"
        before = connection.execute(files).fetchall()
        assert upgrade(mine) == (schema.VERSION, schema.VERSION)
        assert connection.execute(files).fetchall() == before
    assert shape(postgres_server, database) == new_shape


def test_a_host_takes_no_tables_of_version_1_and_says_what_makes_them_new(
    postgres_server: Postgres, database: str
) -> None:
    make_version_1(postgres_server, database)
    words = "its tables are of version 1: callsign cluster upgrade makes them 2"
    mine = section(postgres_server, database)
    assert words in look(mine).faults
    host = Database(mine)
    with pytest.raises(DatabaseFault, match=words), host.exchange():
        pass
    upgrade(section(postgres_server, database, role="callsign_owner"))
    with host.exchange() as say:
        said = say("SELECT 1")
    assert said.fetchall() == [(1,)]
    host.close()
    assert look(mine).faults == []


@pytest.mark.parametrize("version", range(1, schema.VERSION))
def test_a_callsign_for_tables_that_later_ones_do_not_fit_leaves_them_alone(
    version: int, monkeypatch: pytest.MonkeyPatch, postgres_server: Postgres, database: str
) -> None:
    upgrade(section(postgres_server, database, role="callsign_owner"))
    monkeypatch.setattr(schema, "VERSION", version)
    with (
        pytest.raises(DatabaseFault, match="too old for them"),
        Database(section(postgres_server, database)).exchange(),
    ):
        pass
