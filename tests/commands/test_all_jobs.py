"""`jobs`, `retry` and `drop` where several hosts share the work: all of them are seen and reached from each."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from callsign.notification import Notification, State
from callsign.outbox.outbox import Job, Outbox
from callsign.outbox.reader import OutboxReader
from cluster_settings import cluster_section, upgrade
from command_line import callsign_text
from real_postgres import Postgres
from settings_file import write
from shared_tables import OtherHost
from store_play import LONG_SECONDS, call_from, eventually

Run = Callable[..., "tuple[int, str, str]"]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "outbox.db"


def settings_of(folder: Path, store: Path, cluster: str) -> Path:
    text = f'[server]\nlisten = "127.0.0.1:1"\n[outbox]\npath = "{store}"\n[numbers]\ncountry = "BE"\n{cluster}'
    return write(folder, text)


def runner(settings: Path) -> Run:
    def run_it(*arguments: str) -> tuple[int, str, str]:
        done = callsign_text(*arguments, "--config", str(settings))
        return done.returncode, done.stdout, done.stderr

    return run_it


@pytest.fixture
def run(tmp_path: Path, store: Path, postgres_server: Postgres, database: str) -> Run:
    """Exit status, output and complaints of `callsign ARGUMENTS` on host pbx1."""
    upgrade(postgres_server, database)
    return runner(settings_of(tmp_path, store, cluster_section(postgres_server.where(database=database), "pbx1")))


@pytest.fixture
def alone(tmp_path: Path, store: Path) -> Run:
    """The same where PostgreSQL does not answer."""
    return runner(settings_of(tmp_path, store, '[cluster]\ndatabase = "host=127.0.0.1 port=1"\nhost = "pbx1"\n'))


@pytest.fixture
def pbx1(store: Path, postgres_server: Postgres, database: str, run: Run) -> Iterator[OtherHost]:
    """This host's server, as far as the others see it; its store is the one of the commands."""
    Outbox(store).close()
    host = OtherHost(postgres_server, database, "pbx1", OutboxReader(store).store_id())
    yield host
    host.close()


@pytest.fixture
def pbx2(postgres_server: Postgres, database: str, run: Run) -> Iterator[OtherHost]:
    host = OtherHost(postgres_server, database, "pbx2")
    yield host
    host.close()


def put(store: Path, *told: Notification, ended: dict[int, tuple[State, str]] | None = None) -> None:
    """These notifications as this host's jobs 1, 2, …, of which some have ended."""
    outbox = Outbox(store)
    jobs: list[Job] = []
    outbox.listen(jobs.extend)
    for one in told:
        outbox.add(one, LONG_SECONDS)
    assert eventually(lambda: len(jobs) == len(told))
    for job in jobs:
        if job.id in (ended or {}):
            outbox.end(job, *(ended or {})[job.id])
    outbox.stop_listening(LONG_SECONDS)
    outbox.close()


def rows(run: Run, *arguments: str) -> list[dict[str, Any]]:
    status, output, complaints = run("jobs", "--json", *arguments)
    assert (status, complaints) in ((0, ""), (0, "no job matches\n"))
    found: list[dict[str, Any]] = json.loads(output)
    return found


def names(run: Run, *arguments: str) -> list[str]:
    return [f"{row['host']}:{row['job']} {row['state']}" for row in rows(run, *arguments)]


def test_the_jobs_of_all_hosts_are_listed_the_newest_first_with_their_hosts(
    run: Run, pbx2: OtherHost, store: Path
) -> None:
    put(store, call_from(call="17.1"))
    pbx2.publish(7, "refused", "HASH_MISMATCH", age=50.0)
    pbx2.publish(8, age=100.0)
    status, output, complaints = run("jobs")
    head, first, second, third = output.splitlines()
    assert (status, complaints) == (0, "")
    assert head.split() == ["JOB", "TIME", "STATE", "ACTION", "CALL", "TRIES", "REASON"]
    assert [line.split()[0] for line in (first, second, third)] == ["pbx1:1", "pbx2:7", "pbx2:8"]
    assert second.endswith("HASH_MISMATCH")


def test_who_delivers_stands_beside_who_was_told_where_that_is_another(run: Run, pbx2: OtherHost) -> None:
    pbx2.publish(1, owner="pbx3")
    pbx2.publish(2, owner=None)
    output = run("jobs")[1]
    assert output.splitlines()[0].split()[:3] == ["JOB", "OWNER", "TIME"]
    owners = {line.split()[0]: line.split()[1] for line in output.splitlines()[1:]}
    assert owners == {"pbx2:1": "pbx3", "pbx2:2": "-"}


def test_a_job_of_this_host_is_listed_once_as_the_others_know_it_and_before_they_do_as_it_is_here(
    run: Run, pbx1: OtherHost, store: Path
) -> None:
    put(store, call_from(), call_from(call="call-2"))
    pbx1.publish(1, "delivered", owner="pbx2")
    assert sorted(names(run)) == ["pbx1:1 delivered", "pbx1:2 waiting"]
    assert names(run, "--state", "waiting") == ["pbx1:2 waiting"]
    assert names(run, "--state", "delivered") == ["pbx1:1 delivered"]


def test_what_is_asked_for_is_found_at_all_hosts(run: Run, pbx2: OtherHost, store: Path) -> None:
    put(store, call_from(call="17.1"))
    pbx2.publish(1, call="17.1", age=20.0)
    pbx2.publish(2, "refused", system="noojee.antwerp", age=7200.0)
    pbx2.publish(3, "expired", system="noojee", age=30.0)
    assert names(run, "--call", "17.1") == ["pbx1:1 waiting", "pbx2:1 waiting"]
    assert names(run, "--state", "failed") == ["pbx2:3 expired", "pbx2:2 refused"]
    assert names(run, "--system", "noojee") == ["pbx2:3 expired", "pbx2:2 refused"]
    assert names(run, "--system", "noojee.antwerp") == ["pbx2:2 refused"]
    assert names(run, "--state", "failed", "--since", "1h") == ["pbx2:3 expired"]
    assert names(run, "--until", "1h") == ["pbx2:2 refused"]
    assert names(run, "--limit", "2") == ["pbx1:1 waiting", "pbx2:1 waiting"]
    assert names(run, "--host", "pbx1") == ["pbx1:1 waiting"]
    assert len(names(run, "--host", "pbx2")) == 3


def test_a_call_without_a_systemname_is_found_at_each_host_that_has_one_of_its_name(run: Run, pbx2: OtherHost) -> None:
    pbx2.join("skarabee")
    pbx2.publish(1, call="pbx2/1700000000.5")
    pbx2.publish(2, call="pbx2/1700000000.6")
    assert names(run, "--call", "1700000000.5") == ["pbx2:1 waiting"]


def test_a_number_is_found_in_any_notation_where_the_other_host_has_not_delivered_it(
    run: Run, pbx2: OtherHost, store: Path
) -> None:
    put(store, call_from("0478123456"), ended={1: (State.DELIVERED, "")})
    pbx2.publish(1, "refused", facts={"phonefrom": "+32478123456"}, age=50.0)
    pbx2.publish(2, facts={"phonefrom": "0470000000"})
    found = rows(run, "--number", "0478/12.34.56", "--show-numbers")
    assert [(row["host"], row["job"]) for row in found] == [("pbx1", 1), ("pbx2", 1)]
    assert found[1]["numbers"] == {"phonefrom": "+32478123456"}
    assert "numbers" not in rows(run, "--number", "0478123456")[0]


def test_more_jobs_than_one_exchange_brings_are_all_there(run: Run, pbx2: OtherHost) -> None:
    many = 2345
    pbx2.connection.execute(
        "INSERT INTO callsign.job (store, n, system, action, call, facts, born, deadline, home, owner, state, ended) "
        "SELECT 's', n, 'skarabee', 'skarabee', n::text, '{}', now() - n * interval '1 s', now() + interval '1 h', "
        "'pbx2', 'pbx2', CASE WHEN n %% 2 = 0 THEN 'waiting' ELSE 'delivered' END, "
        "CASE WHEN n %% 2 = 0 THEN NULL ELSE now() - n %% 7 * interval '1 s' END FROM generate_series(1, %s) AS n",
        [many],
    )
    assert [row["job"] for row in rows(run)] == list(range(1, many + 1))
    assert [row["job"] for row in rows(run, "--limit", "3")] != []
    assert len(run("jobs")[1].splitlines()) == 101


def test_one_job_of_another_host_is_shown_by_its_name_and_one_of_this_with_its_life(
    run: Run, pbx1: OtherHost, pbx2: OtherHost, store: Path
) -> None:
    put(store, call_from(), ended={1: (State.REFUSED, "HASH_MISMATCH")})
    pbx1.publish(1, "refused", "HASH_MISMATCH")
    pbx2.publish(1)
    assert names(run, "pbx2:1") == ["pbx2:1 waiting"]
    for name in ("1", "pbx1:1"):
        (row,) = rows(run, name)
        assert (row["host"], row["state"], row["life"][-1]["event"]) == ("pbx1", "refused", "refused")
    status, output, complaints = run("jobs", "pbx2:99")
    assert (status, output, complaints) == (1, "", "callsign jobs: there is no job pbx2:99\n")


def test_where_the_store_was_lost_its_jobs_are_found_by_their_names_all_the_same(
    run: Run, postgres_server: Postgres, database: str, store: Path
) -> None:
    Outbox(store).close()
    lost = OtherHost(postgres_server, database, "pbx1", "the-lost-store")
    lost.publish(5, "delivered", owner="pbx2")
    lost.close()
    assert names(run, "5") == ["pbx1:5 delivered"]


def test_a_failed_job_of_another_host_goes_out_once_more_for_whoever_comes_first(run: Run, pbx2: OtherHost) -> None:
    pbx2.publish(7, "refused", "HASH_MISMATCH", call="17.7")
    status, output, complaints = run("retry", "pbx2:7")
    seq = pbx2.row(7)["seq"]
    again = f"retry:{seq}"
    assert (status, output, complaints) == (0, f"job pbx2:7: goes out once more as job {again}, by any host\n", "")
    assert (pbx2.row(7)["state"], pbx2.row(7)["reason"]) == ("retried", f"as job {again}")
    new = pbx2.row(seq, "retry")
    assert (new["state"], new["owner"], new["call"], new["attempts"]) == ("waiting", None, "17.7", 0)
    assert (new["deadline"], new["facts"]) == (pbx2.row(7)["deadline"], pbx2.row(7)["facts"])
    assert names(run, again) == [f"{again} waiting"]
    status, _, complaints = run("retry", "pbx2:7")
    assert (status, complaints) == (1, f"job pbx2:7: it did not fail: retried as job {again}\n")


def test_a_failed_job_of_this_host_is_stored_anew_here_and_the_others_know(
    run: Run, pbx1: OtherHost, store: Path
) -> None:
    put(store, call_from(), ended={1: (State.REFUSED, "HASH_MISMATCH")})
    pbx1.publish(1, "refused", "HASH_MISMATCH")
    status, output, _ = run("retry", "1")
    assert (status, output) == (0, "job pbx1:1: goes out once more as job 2\n")
    assert (pbx1.row(1)["state"], pbx1.row(1)["reason"]) == ("retried", "as job pbx1:2")
    assert sorted(names(run)) == ["pbx1:1 retried", "pbx1:2 waiting"]


def test_what_another_host_took_over_and_delivered_is_not_sent_again_from_here(
    run: Run, pbx1: OtherHost, store: Path
) -> None:
    put(store, call_from(), ended={1: (State.DROPPED, "")})
    pbx1.publish(1, "delivered", owner="pbx2")
    status, _, complaints = run("retry", "1")
    assert (status, complaints) == (1, "job pbx1:1: it did not fail: delivered\n")


def test_what_another_host_took_over_and_could_not_deliver_is_for_any_host(
    run: Run, pbx1: OtherHost, store: Path
) -> None:
    put(store, call_from())
    pbx1.publish(1, "refused", "HASH_MISMATCH", owner="pbx2")
    status, output, _ = run("retry", "1")
    assert (status, "goes out once more as job retry:" in output) == (0, True)


@pytest.mark.parametrize("state", ["waiting", "delivered", "superseded", "duplicate"])
def test_what_has_not_failed_stays_as_it_is(state: str, run: Run, pbx2: OtherHost) -> None:
    pbx2.publish(1, state)
    status, output, complaints = run("retry", "pbx2:1")
    assert (status, output) == (1, "")
    assert ("waits for its next attempt" in complaints) == (state == "waiting")
    assert pbx2.row(1)["state"] == state


def test_what_is_too_late_goes_out_no_more(run: Run, pbx2: OtherHost) -> None:
    pbx2.publish(1, "expired", time_left=-5.0)
    status, _, complaints = run("retry", "pbx2:1")
    assert status == 1
    assert complaints.startswith("job pbx2:1: its time was over at ")


def test_a_dropped_job_ends_at_once_and_its_owner_is_to_hear_of_it(run: Run, pbx2: OtherHost) -> None:
    pbx2.publish(1)
    pbx2.publish(2, owner=None)
    pbx2.publish(3, "refused", "HASH_MISMATCH")
    status, output, _ = run("drop", "pbx2:1", "pbx2:2", "pbx2:3")
    assert (status, output.splitlines()[0]) == (
        0,
        "job pbx2:1: given up; an attempt under way may still reach the vendor",
    )
    dropped = [pbx2.row(n) for n in (1, 2, 3)]
    assert [row["state"] for row in dropped] == ["dropped"] * 3
    assert [row["wish"] for row in dropped] == ["drop", None, None]
    assert dropped[2]["reason"] == "given up by the administrator; refused: HASH_MISMATCH"
    status, _, complaints = run("drop", "pbx2:1", "pbx2:9")
    assert status == 1
    assert complaints.splitlines() == [
        "job pbx2:1: it has ended already: dropped",
        "job pbx2:9: there is no such job",
    ]


def test_a_job_of_this_host_is_dropped_here_and_there(run: Run, pbx1: OtherHost, store: Path) -> None:
    put(store, call_from(), call_from(call="call-2"))
    pbx1.publish(1)
    assert run("drop", "1", "pbx1:2")[0] == 0
    assert pbx1.row(1)["state"] == "dropped"
    reader = OutboxReader(store)
    assert [row.state for row in reader.jobs()] == ["dropped", "dropped"]
    reader.close()


def test_all_that_failed_is_retried_at_all_hosts_or_at_one(run: Run, pbx2: OtherHost, store: Path) -> None:
    put(store, call_from(), ended={1: (State.REFUSED, "no")})
    pbx2.publish(1, "refused", age=50.0)
    pbx2.publish(2, "refused", system="noojee", age=60.0)
    pbx2.publish(3, "delivered")
    assert [line.partition(":")[0] for line in run("drop", "--failed", "--host", "pbx1")[1].splitlines()] == [
        "job pbx1"
    ]
    output = run("retry", "--failed")[1]
    assert [line.partition(": ")[0] for line in output.splitlines()] == ["job pbx2:2", "job pbx2:1"]
    told = json.loads(run("retry", "pbx2:1", "--json")[1])
    assert [(row["host"], row["job"], row["done"], row["retried_as"]) for row in told] == [("pbx2", 1, False, None)]


def test_while_postgresql_is_silent_this_hosts_own_are_listed_with_one_line_that_says_so(
    alone: Run, store: Path
) -> None:
    put(store, call_from())
    status, output, complaints = alone("jobs")
    assert status == 0
    assert output.splitlines()[1].split()[0] == "pbx1:1"
    assert complaints.startswith("callsign jobs: [cluster] PostgreSQL is silent, this host goes on alone: ")
    assert complaints.count("\n") == 1
    status, output, complaints = alone("jobs", "pbx2:1")
    assert (status, output) == (1, "")
    assert "PostgreSQL is silent" in complaints


def test_while_postgresql_is_silent_this_hosts_own_are_retried_and_dropped(alone: Run, store: Path) -> None:
    put(store, call_from(), call_from(call="call-2"), ended={1: (State.REFUSED, "HASH_MISMATCH")})
    assert alone("retry", "1")[:2] == (0, "job pbx1:1: goes out once more as job 3\n")
    assert alone("drop", "pbx1:2")[0] == 0
    status, _, complaints = alone("drop", "pbx2:1")
    assert status == 1
    assert complaints.startswith("job pbx2:1: [cluster] PostgreSQL is silent")


def test_without_the_driver_it_is_silent_with_what_brings_it(
    alone: Run, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, call_from())
    monkeypatch.setitem(__import__("sys").modules, "psycopg", None)
    status, output, complaints = alone("jobs")
    assert (status, len(output.splitlines())) == (0, 2)
    assert "psycopg" in complaints


def test_a_store_that_an_earlier_callsign_uses_has_only_jobs_that_nobody_else_knows(
    run: Run, pbx2: OtherHost, store: Path
) -> None:
    put(store, call_from())
    db = sqlite3.connect(store)
    db.executescript("DROP TABLE meta; PRAGMA user_version = 3")
    db.close()
    pbx2.publish(1, age=50.0)
    assert names(run) == ["pbx1:1 waiting", "pbx2:1 waiting"]


@pytest.mark.parametrize(
    "words", [("jobs", "pbx2:1"), ("jobs", "--host", "pbx2"), ("retry", "pbx2:1"), ("drop", "pbx2:1")]
)
def test_without_a_cluster_a_host_is_wrong_usage(words: tuple[str, ...], tmp_path: Path, store: Path) -> None:
    put(store, call_from())
    status, output, complaints = runner(settings_of(tmp_path, store, ""))(*words)
    assert (status, output) == (2, "")
    assert "without [cluster] in " in complaints
