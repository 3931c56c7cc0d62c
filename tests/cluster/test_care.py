"""`callsign cluster check` and `upgrade` against a real PostgreSQL: what is missing, and that it is made."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

import cluster_settings
from callsign.cluster import schema
from callsign.cluster.care import look, upgrade
from callsign.cluster.connection import DatabaseFault
from callsign.cluster.view import View
from callsign.record import replace
from callsign.settings.secret import Secret
from cluster_settings import cluster_section
from command_line import callsign_text
from product import PROJECT
from real_postgres import PASSWORD, ROLES, PgBouncer, Postgres, other_user
from settings_file import SKARABEE, load, write
from shared_tables import OtherHost, section
from waiting import wait_until

HELP = PROJECT / "agi/callsign/commands/help/cluster.txt"


@pytest.fixture
def settings(tmp_path: Path, postgres_server: Postgres, database: str) -> Path:
    """A settings file with a [cluster]."""
    where = f'[server]\nlisten = "127.0.0.1:1"\n[outbox]\npath = "{tmp_path}/outbox.db"\n'
    return write(tmp_path, where + SKARABEE + cluster_section(postgres_server.where(database=database), "pbx1"))


@pytest.fixture
def owners_password(tmp_path: Path) -> Path:
    file = tmp_path / "owner.key"
    file.write_text(f"{PASSWORD}\n")
    return file


def cluster(*words: str, settings: Path) -> tuple[int, str, str]:
    done = callsign_text("cluster", *words, "--config", str(settings))
    return done.returncode, done.stdout, done.stderr


def test_without_tables_check_says_what_makes_them_and_with_them_all_is_good(
    settings: Path, owners_password: Path
) -> None:
    status, told, _ = cluster("check", settings=settings)
    assert status == 1
    assert "fault: PostgreSQL: it has no tables of callsign's: callsign cluster upgrade makes them" in told
    status, told, complaints = cluster("upgrade", "--password-file", str(owners_password), settings=settings)
    assert (status, complaints) == (0, "")
    assert told == "tables of version 2, before none; the roles callsign and callsign_view may use them\n"
    status, told, _ = cluster("check", settings=settings)
    assert status == 0
    assert re.match(r"PostgreSQL [0-9.]+ .*answers as role callsign in [0-9.]+ ms, without TLS", told)
    assert "tables of version 2; clocks are not compared" in told
    assert "fault" not in told


def test_an_upgrade_of_what_is_up_to_date_changes_nothing_and_lets_in_a_role_that_came_later(
    postgres_server: Postgres, database: str
) -> None:
    owner = section(postgres_server, database, role="callsign_owner")
    cluster_settings.upgrade(postgres_server, database)
    with postgres_server.connect("callsign_owner", database) as connection:
        connection.execute("REVOKE ALL ON callsign.slot FROM callsign")
    mine = section(postgres_server, database)
    assert [fault for fault in look(mine).faults if "callsign.slot" in fault] == [
        f"role callsign has no {right} on callsign.slot" for right in ("SELECT", "INSERT", "UPDATE", "DELETE")
    ]
    assert upgrade(owner) == (2, 2)
    assert look(mine).faults == []


def test_the_roles_that_help_cluster_has_to_copy_are_what_check_wants(own_postgres: Postgres) -> None:
    own_postgres.sql("DROP DATABASE callsign")
    for role in ROLES:
        own_postgres.sql(f"DROP ROLE {role}")
    text = HELP.read_text(encoding="utf-8")
    statements = re.findall(r"^    ((?:SET|CREATE|ALTER|REVOKE|GRANT) [^;]*;)$", text, re.M)
    assert len(statements) == 10
    for statement in statements:
        own_postgres.sql(statement)
    for role in ROLES:
        own_postgres.sql(f"ALTER ROLE {role} PASSWORD '{PASSWORD}'")
    assert upgrade(section(own_postgres, "callsign", role="callsign_owner")) == (0, 2)
    found = look(section(own_postgres, "callsign"))
    assert (found.faults, found.warnings, found.version) == ([], [], 2)


def test_the_settings_that_help_cluster_has_to_copy_are_without_fault(tmp_path: Path) -> None:
    (text,) = re.findall(r"^    (\[cluster\]\n(?:    .*\n)+)", HELP.read_text(encoding="utf-8"), re.M)
    secret = tmp_path / "db.key"
    secret.touch(mode=0o600)
    secret.write_text("secret")
    cluster = load(tmp_path, text.replace("/etc/callsign/db.key", str(secret))).cluster
    assert cluster is not None
    assert (cluster.host, "sslmode=verify-full" in cluster.database) == ("pbx1", True)


def test_a_certificate_made_as_help_cluster_says_is_verified_and_anothers_is_not(
    own_postgres: Postgres, tmp_path: Path
) -> None:
    cluster_settings.upgrade(own_postgres)
    text = HELP.read_text(encoding="utf-8").replace("\\\n", " ")
    commands = re.findall(r"^    (openssl .*)$", text, re.M)
    assert len(commands) == 3
    for command in commands:
        subprocess.run(shlex.split(command), cwd=tmp_path, check=True, capture_output=True)
    for name in ("db1.crt", "db1.key"):
        shutil.copy(tmp_path / name, own_postgres.data / name)
        (own_postgres.data / name).chmod(0o600)
        if user := other_user():
            os.chown(own_postgres.data / name, user["user"], user["group"])
        own_postgres.sql(f"ALTER SYSTEM SET ssl_{'cert' if name.endswith('crt') else 'key'}_file = '{name}'")
    own_postgres.sql("ALTER SYSTEM SET ssl = on")
    own_postgres.sql("SELECT pg_reload_conf()")
    where = f"{own_postgres.where()} host=db1 hostaddr=127.0.0.1 sslmode=verify-full sslrootcert={tmp_path}"
    mine = replace(section(own_postgres, "callsign"), database=f"{where}/ca.pem")
    wait_until(lambda: own_postgres.sql("SHOW ssl") == [("on",)])
    assert (look(mine).is_encrypted, look(mine).faults) == (True, [])
    for wrong, words in (
        (f"{where}/ca.pem host=db2", 'certificate for "db1" does not match host name "db2"'),
        (f"{where}/db1.crt", "certificate verify failed"),
    ):
        with pytest.raises(DatabaseFault, match=words):
            look(replace(mine, database=wrong))


def test_through_pgbouncer_it_is_made_looked_at_and_asked_all_the_same(
    postgres_server: Postgres, database: str, pgbouncer_program: Path
) -> None:
    with PgBouncer(pgbouncer_program, postgres_server) as bouncer:
        mine = replace(section(postgres_server, database), database=bouncer.where(database=database), pooled=True)
        owner = replace(mine, database=bouncer.where("callsign_owner", database))
        assert upgrade(owner) == (0, 2)
        found = look(mine)
        assert (found.faults, found.warnings) == ([], [])
        with closing(View(mine)) as view:
            assert [view.jobs({}, 10) for _ in range(8)] == [[]] * 8


def test_the_role_of_the_hosts_cannot_upgrade_and_is_told_so(settings: Path, owners_password: Path) -> None:
    words = ("upgrade", "--user", "callsign", "--password-file", str(owners_password))
    status, told, _ = cluster(*words, settings=settings)
    assert status == 1
    assert told.startswith("fault: PostgreSQL: permission denied for database")


def test_the_role_of_the_hosts_changes_no_table_and_that_of_dashboards_reads_no_number(
    postgres_server: Postgres, database: str
) -> None:
    cluster_settings.upgrade(postgres_server, database)
    with postgres_server.connect("callsign", database) as host, pytest.raises(psycopg.errors.InsufficientPrivilege):
        host.execute("ALTER TABLE callsign.job ADD COLUMN more int")
    with postgres_server.connect("callsign_view", database) as view:
        assert view.execute("SELECT store, n, call, state FROM callsign.job").fetchall() == []
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            view.execute("SELECT facts FROM callsign.job")


def test_a_role_that_may_do_more_than_a_host_needs_is_warned_of(postgres_server: Postgres, database: str) -> None:
    cluster_settings.upgrade(postgres_server, database)
    warnings = look(section(postgres_server, database, role="callsign_owner")).warnings
    assert [line.partition(":")[0] for line in warnings] == [
        "role callsign_owner has no statement_timeout",
        "role callsign_owner may change the tables",
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE callsign.meta SET version = 1", "its tables are of version 1: callsign cluster upgrade makes them 2"),
        ("UPDATE callsign.meta SET version = 7, oldest_ok = 7", "of version 7: this callsign is too old for them"),
        ("UPDATE callsign.meta SET version = 7", None),
    ],
)
def test_tables_that_are_too_old_or_too_new_are_a_fault_and_newer_ones_that_fit_are_not(
    change: str, words: str | None, postgres_server: Postgres, database: str
) -> None:
    cluster_settings.upgrade(postgres_server, database)
    with postgres_server.connect("callsign_owner", database) as owner:
        owner.execute(change)
    faults = look(section(postgres_server, database)).faults
    assert len(faults) == bool(words)
    assert words is None or words in faults[0]


def test_tables_that_somebody_has_emptied_are_a_fault_that_says_what_mends_it(
    postgres_server: Postgres, database: str
) -> None:
    cluster_settings.upgrade(postgres_server, database)
    with postgres_server.connect("callsign_owner", database) as owner:
        owner.execute("TRUNCATE callsign.meta, callsign.host, callsign.job, callsign.slot, callsign.shared")
    words = "callsign.meta is empty: DROP SCHEMA callsign CASCADE, then callsign cluster upgrade"
    assert [words in fault for fault in look(section(postgres_server, database)).faults] == [True]
    with pytest.raises(DatabaseFault, match=words):
        upgrade(section(postgres_server, database, role="callsign_owner"))
    with closing(View(section(postgres_server, database))) as view, pytest.raises(DatabaseFault, match=words):
        view.hosts()


def test_an_upgrade_leaves_tables_of_a_later_callsign_alone(postgres_server: Postgres, database: str) -> None:
    cluster_settings.upgrade(postgres_server, database)
    with postgres_server.connect("callsign_owner", database) as owner:
        owner.execute("UPDATE callsign.meta SET version = 7")
        assert upgrade(section(postgres_server, database, role="callsign_owner")) == (7, 7)
        assert owner.execute(schema.VERSIONS).fetchall() == [(7, 2)]


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_that_has_no_place_for_all_characters_is_a_fault_and_is_given_no_tables(
    encoding: str, own_postgres: Postgres
) -> None:
    own_postgres.sql("DROP DATABASE callsign")
    own_postgres.sql(
        f"CREATE DATABASE callsign OWNER callsign_owner TEMPLATE template0 ENCODING '{encoding}' "
        "LC_COLLATE 'C' LC_CTYPE 'C'"
    )
    words = f"its database is in {encoding}, not UTF8: make it anew, see callsign help cluster"
    for doing, role in ((look, "callsign"), (upgrade, "callsign_owner")):
        with pytest.raises(DatabaseFault, match=words):
            doing(section(own_postgres, "callsign", role=role))
    with closing(View(section(own_postgres, "callsign"))) as view, pytest.raises(DatabaseFault, match=words):
        view.hosts()


def test_a_wrong_password_and_a_host_that_is_not_there_are_one_line_each(
    postgres_server: Postgres, database: str
) -> None:
    mine = section(postgres_server, database)
    with pytest.raises(DatabaseFault, match="password authentication failed") as wrong:
        look(replace(mine, password=Secret("another")))
    with pytest.raises(DatabaseFault, match="refused") as nobody:
        look(replace(mine, database="host=127.0.0.1 port=1 dbname=callsign user=callsign"))
    for fault in (wrong, nobody):
        assert "\n" not in str(fault.value)
        assert "another" not in str(fault.value)


def test_a_read_only_server_is_a_fault(own_postgres: Postgres) -> None:
    cluster_settings.upgrade(own_postgres, "callsign")
    own_postgres.read_only()
    assert look(section(own_postgres, "callsign")).faults == [
        "it is read-only, a standby perhaps: see target_session_attrs=read-write"
    ]


def test_check_lists_the_hosts_and_forget_takes_away_one_that_is_dead_and_has_nothing(
    settings: Path, postgres_server: Postgres, database: str
) -> None:
    cluster_settings.upgrade(postgres_server, database)
    other = OtherHost(postgres_server, database, "pbx2")
    other.join("skarabee")
    other.publish(1)
    try:
        status, told, _ = cluster("check", settings=settings)
        assert status == 0
        assert re.search(r"^    pbx2: alive since \S+ \S+, life 1, version 1.0.0, waiting 1$", told, re.MULTILINE)
        assert "pbx2 is not dead" in cluster("forget", "pbx2", settings=settings)[1]
        other.die()
        assert "pbx2: DEAD, last seen" in cluster("check", settings=settings)[1]
        status, told, _ = cluster("forget", "pbx2", settings=settings)
        assert (status, "jobs of pbx2 wait still" in told) == (1, True)
        other.connection.execute("UPDATE callsign.job SET owner = 'pbx1'")
        other.connection.execute("INSERT INTO callsign.slot VALUES ('noojee', 1, 'pbx2', 1)")
        assert cluster("forget", "pbx2", settings=settings)[:2] == (0, "pbx2 is listed no more\n")
        assert other.connection.execute("SELECT owner FROM callsign.slot").fetchall() == [(None,)]
        status, told, _ = cluster("forget", "pbx2", settings=settings)
        assert (status, told) == (1, "there is no host pbx2; there are none\n")
    finally:
        other.close()


def test_all_of_it_can_be_had_as_json(settings: Path, postgres_server: Postgres, database: str) -> None:
    told = json.loads(cluster("check", "--json", settings=settings)[1])
    assert (told["ok"], told["version"], len(told["faults"])) == (False, 0, 1)
    cluster_settings.upgrade(postgres_server, database)
    told = json.loads(cluster("check", "--json", settings=settings)[1])
    assert (told["ok"], told["version"], told["role"], told["hosts"]) == (True, 2, "callsign", [])


@pytest.mark.parametrize(
    ("words", "why"), [(["forget"], "forget wants a HOST"), (["check", "pbx2"], "only forget takes a HOST")]
)
def test_wrong_usage_is_told(words: list[str], why: str, settings: Path) -> None:
    status, _, complaints = cluster(*words, settings=settings)
    assert (status, complaints) == (2, f"callsign cluster: {why}\n")


def test_without_a_cluster_in_the_settings_there_is_nothing_to_look_at(tmp_path: Path) -> None:
    status, _, complaints = cluster("check", settings=write(tmp_path, SKARABEE))
    assert status == 2
    assert "has no [cluster]: see callsign help cluster" in complaints
