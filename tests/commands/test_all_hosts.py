"""`status` and `status --check` where several hosts share the work: which there are, what waits, who is silent."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from callsign import clocks
from callsign.commands import nagios
from callsign.commands.all_hosts import figures as figures_of
from callsign.commands.all_hosts import lines, troubles
from callsign.notification import Notification
from callsign.outbox.outbox import Outbox
from callsign.outbox.reader import OutboxReader
from callsign.settings.load import load
from callsign.settings.sections import Settings
from cluster_settings import cluster_section, upgrade
from command_line import callsign_text
from real_postgres import Postgres
from settings_file import SKARABEE, write
from shared_tables import OtherHost
from store_play import LONG_SECONDS, call_from

Status = Callable[..., str]
WELL = {"SETTINGS": "0", "LEASE": "4.5"}
"""What a server says of itself that shares the work."""

SILENT = "[cluster] PostgreSQL is silent, this host goes on alone: "


def settings_file(folder: Path, cluster: str) -> Path:
    Outbox(folder / "outbox.db").close()
    where = f'[server]\nlisten = "127.0.0.1:1"\n[outbox]\npath = "{folder}/outbox.db"\n'
    return write(folder, where + SKARABEE + cluster)


def figures(settings: Settings, said: dict[str, str]) -> dict[str, Any]:
    assert settings.cluster is not None
    return figures_of(settings.cluster, settings.outbox.path, said)


@pytest.fixture
def file(tmp_path: Path, postgres_server: Postgres, database: str) -> Path:
    """The settings of pbx1."""
    upgrade(postgres_server, database)
    return settings_file(tmp_path, cluster_section(postgres_server.where(database=database), "pbx1"))


@pytest.fixture
def settings(file: Path) -> Settings:
    return load(file)[0]


@pytest.fixture
def silent(tmp_path: Path) -> Path:
    """The same where PostgreSQL does not answer."""
    return settings_file(tmp_path, '[cluster]\ndatabase = "host=127.0.0.1 port=1"\nhost = "pbx1"\n')


@pytest.fixture
def hosts(file: Path, postgres_server: Postgres, database: str) -> Iterator[dict[str, OtherHost]]:
    """pbx1, this one, whose store is the one of the command; and pbx2."""
    store = OutboxReader(load(file)[0].outbox.path).store_id()
    stores = {"pbx1": store, "pbx2": "another"}
    found = {name: OtherHost(postgres_server, database, name, stores[name]) for name in stores}
    for host in found.values():
        host.join("skarabee")
    yield found
    for host in found.values():
        host.close()


def status(file: Path) -> list[str]:
    return callsign_text("status", "--config", str(file)).stdout.splitlines()


def told_a_minute_ago(store: Path) -> None:
    told = call_from()
    outbox = Outbox(store)
    outbox.add(Notification(told.system, told.action, told.call, told.facts, clocks.wall() - 60, 840.0), LONG_SECONDS)
    outbox.close()


def test_each_host_is_listed_with_what_it_is_doing_and_what_waits_over_all(
    file: Path, hosts: dict[str, OtherHost]
) -> None:
    hosts["pbx2"].publish(1, age=50.0)
    hosts["pbx2"].publish(2, system="noojee", owner=None, age=3.0)
    hosts["pbx1"].publish(1, age=20.0)
    for n in (1, 2):
        hosts["pbx2"].connection.execute("INSERT INTO callsign.slot VALUES ('noojee', %s, 'pbx2', 1)", [n])
    shown = status(file)
    told = shown[shown.index("hosts that share the work:") + 1 :]
    moment = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
    wanted = [
        rf"    pbx1 \(this one\): alive since {moment}, life 1, version 1.0.0, waiting 1",
        rf"    pbx2: alive since {moment}, life 1, version 1.0.0, waiting 1, 2 places at noojee",
        r"    over all noojee: waiting 1, the oldest 3 s",
        r"    over all skarabee: waiting 2, the oldest 50 s",
    ]
    for line, pattern in zip(told, wanted, strict=True):
        assert re.fullmatch(pattern, line), line


def test_a_program_gets_the_same(file: Path, hosts: dict[str, OtherHost]) -> None:
    found = json.loads(callsign_text("status", "--json", "--config", str(file)).stdout)["cluster"]
    assert [(host["name"], host["dead"], host["systems"]) for host in found["hosts"]] == [
        ("pbx1", False, ["skarabee"]),
        ("pbx2", False, ["skarabee"]),
    ]
    assert (found["host"], found["trouble"], found["waiting"], found["unpublished"]) == ("pbx1", "", [], 0)


def test_all_hosts_that_live_are_no_trouble_and_a_dead_one_is(settings: Settings, hosts: dict[str, OtherHost]) -> None:
    assert troubles(figures(settings, WELL)) == []
    hosts["pbx2"].die()
    (line,) = troubles(figures(settings, WELL))
    assert line.startswith("host pbx2 is dead: last seen ")


def test_a_dead_host_is_told_as_such(file: Path, hosts: dict[str, OtherHost]) -> None:
    hosts["pbx2"].die()
    assert any(line.startswith("    pbx2: DEAD, last seen ") for line in status(file))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"SETTINGS": "0", "LEASE": "0.0"}, ["this host's server goes on alone: its log says why"]),
        ({"SETTINGS": "0"}, ["this host's server has begun without [cluster]: systemctl restart callsign"]),
        ({}, []),  # it does not run, of which more is told
    ],
)
def test_a_server_that_goes_on_alone_though_postgresql_answers_is_a_trouble(
    said: dict[str, str], words: list[str], settings: Settings, hosts: dict[str, OtherHost]
) -> None:
    found = figures(settings, said)
    assert troubles(found) == words
    assert [line.strip() for line in lines(found) if "server" in line] == words


def test_what_waits_here_and_the_others_do_not_know_is_told_with_its_age(
    file: Path, settings: Settings, hosts: dict[str, OtherHost]
) -> None:
    told_a_minute_ago(settings.outbox.path)
    (line,) = troubles(figures(settings, WELL))
    assert line == "1 jobs of this host are not known to the others yet, the oldest for 60 s"
    assert f"    {line}" in status(file)
    hosts["pbx1"].publish(1)
    assert troubles(figures(settings, WELL)) == []


def test_a_silent_postgresql_is_one_line_and_the_exit_status_is_as_without(silent: Path) -> None:
    done = callsign_text("status", "--config", str(silent))
    line = done.stdout.splitlines()[-1]
    assert line.startswith(SILENT)
    assert "refused" in line
    assert done.returncode == 1, "the server does not run"
    found = json.loads(callsign_text("status", "--json", "--config", str(silent)).stdout)["cluster"]
    assert ("refused" in found["trouble"], found["hosts"]) == (True, [])


def judged(found: dict[str, Any]) -> nagios.Verdict:
    """What the monitoring gets of a server that is well otherwise."""
    server = {"running": True, "address": "127.0.0.1:4591", "version": "1.0.0", "trouble": "", "store_trouble": ""}
    about = {"settings_faults": [], "settings_differ": False, "waiting": 0, "systems": {}}
    return nagios.judge({**server, **about, "cluster": found}, 60, 300)


def test_a_silent_postgresql_is_a_warning(silent: Path) -> None:
    verdict = judged(figures(load(silent)[0], WELL))
    assert verdict.code == nagios.WARNING
    assert verdict.words.startswith(SILENT)


def test_hosts_that_are_well_are_ok(settings: Settings, hosts: dict[str, OtherHost]) -> None:
    assert judged(figures(settings, WELL)).code == nagios.OK


def test_without_a_cluster_there_is_nothing_of_it(tmp_path: Path) -> None:
    file = settings_file(tmp_path, "")
    assert "hosts that share the work:" not in status(file)
    assert "cluster" not in json.loads(callsign_text("status", "--json", "--config", str(file)).stdout)
