"""What is said to PostgreSQL does there what the hosts rely on: who owns a job, who is dead, who takes over."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from callsign.cluster import statements as sql
from callsign.cluster.view import NEWEST, SOUGHT
from cluster_settings import upgrade
from real_postgres import Postgres
from shared_tables import OtherHost

NewHost = Callable[[str], OtherHost]


@pytest.fixture
def new_host(postgres_server: Postgres, database: str) -> Iterator[NewHost]:
    """Makes a host that has joined."""
    upgrade(postgres_server, database)
    made = []

    def make(name: str) -> OtherHost:
        host = OtherHost(postgres_server, database, name)
        made.append(host)
        host.join("skarabee", "noojee")
        return host

    yield make
    for host in made:
        host.close()


def say(host: OtherHost, statement: str, **values: object) -> list[Any]:
    cursor = host.connection.execute(statement, {"me": host.name, **values})
    return cursor.fetchall() if cursor.description else []


def jobs(**job: object) -> str:
    """One of them, as a statement gets it."""
    return json.dumps([job])


def beat(host: OtherHost, life: int = 1) -> list[Any]:
    return say(host, sql.BEAT, life=life, wants="{}", systems=["skarabee", "noojee"], troubled=[])


def adopt(host: OtherHost, systems: tuple[str, ...] = ("skarabee", "noojee")) -> set[tuple[str, int]]:
    rows = say(host, sql.ADOPT, systems=list(systems), ownerless=True)
    return {(store, n) for store, n, *_ in rows}


def end(host: OtherHost, store: str, n: int, state: str = "delivered") -> list[Any]:
    return say(host, sql.END, jobs=jobs(store=store, n=n, state=state, reason="", attempts=1))


def test_a_host_is_declared_dead_only_by_the_beat_that_was_seen_last(new_host: NewHost) -> None:
    pbx1, pbx2 = new_host("pbx1"), new_host("pbx2")
    assert beat(pbx1) == [(1,)]
    assert say(pbx2, sql.DECLARE_DEAD, name="pbx1", life=1, beat=0) == []  # it has beaten since
    assert say(pbx2, sql.DECLARE_DEAD, name="pbx1", life=1, beat=1) == [("pbx1",)]
    assert say(pbx2, sql.DECLARE_DEAD, name="pbx1", life=1, beat=1) == []  # by one of us


def test_who_was_declared_dead_hears_it_at_its_next_beat_and_lives_on_as_another(new_host: NewHost) -> None:
    pbx1 = new_host("pbx1")
    pbx1.die()
    assert beat(pbx1) == []
    pbx1.join("skarabee")
    assert beat(pbx1, life=1) == []
    assert beat(pbx1, life=2) == [(2,)]


def test_the_beat_of_one_who_has_the_same_name_and_joined_before_goes_nowhere(new_host: NewHost) -> None:
    first, second = new_host("pbx1"), new_host("pbx1")
    assert beat(first, life=1) == []
    assert beat(second, life=2) == [(2,)]


def test_what_a_dead_host_left_and_what_nobody_owns_is_taken_over_once(new_host: NewHost) -> None:
    pbx1, pbx2, pbx3 = new_host("pbx1"), new_host("pbx2"), new_host("pbx3")
    for n in range(4):
        pbx1.publish(n, age=10.0 - n)
    pbx1.publish(5, owner=None)
    pbx1.publish(6, state="delivered")
    pbx3.publish(7)
    pbx1.die()
    assert adopt(pbx2) == {("store-of-pbx1", n) for n in (0, 1, 2, 3, 5)}
    assert adopt(pbx3) == set()
    assert {pbx3.row(n, "store-of-pbx1")["owner"] for n in (0, 1, 2, 3, 5)} == {"pbx2"}


def test_who_has_joined_again_keeps_its_own_and_who_is_about_to_waits_until_it_is_known_what_was_taken(
    new_host: NewHost,
) -> None:
    pbx1, pbx2 = new_host("pbx1"), new_host("pbx2")
    pbx1.publish(1)
    assert adopt(pbx2) == set()
    pbx1.die()
    with pbx2.connection.transaction():
        assert adopt(pbx2) == {(pbx1.store, 1)}
        with pytest.raises(psycopg.errors.LockNotAvailable):
            pbx1.join("skarabee")
    pbx1.join("skarabee")
    pbx1.publish(2)
    assert adopt(pbx2) == set()


def test_two_who_take_over_at_once_share_and_do_not_wait_for_each_other(new_host: NewHost) -> None:
    pbx1, pbx2, pbx3 = new_host("pbx1"), new_host("pbx2"), new_host("pbx3")
    for n in range(150):
        pbx1.publish(n)
    pbx1.die()
    with pbx2.connection.transaction():
        first = adopt(pbx2)
        second = adopt(pbx3)
    assert (len(first), len(second)) == (100, 50)
    assert not first & second


def test_a_host_takes_over_nothing_for_a_vendor_that_it_has_no_section_for(new_host: NewHost) -> None:
    pbx1, pbx2 = new_host("pbx1"), new_host("pbx2")
    pbx1.publish(1)
    pbx1.publish(2, system="noojee", action="noojee/start")
    pbx1.die()
    assert adopt(pbx2, systems=("skarabee",)) == {("store-of-pbx1", 1)}
    assert pbx2.row(2, "store-of-pbx1")["owner"] == "pbx1"


def hand_over(host: OtherHost, store: str, owner: str | None, new_owner: str | None, attempts: int = 1) -> None:
    told = jobs(store=store, n=1, attempts=attempts, doubt=attempts > 0, pause=60.0)
    say(host, sql.HAND_OVER, owner=owner, new_owner=new_owner, jobs=told)


def test_what_its_owner_has_no_slot_for_goes_to_another_with_all_that_is_known_of_it(new_host: NewHost) -> None:
    pbx1, pbx2 = new_host("pbx1"), new_host("pbx2")
    pbx1.publish(1)
    hand_over(pbx1, pbx1.store, "pbx1", None)
    assert say(pbx2, sql.ADOPT, systems=["skarabee"], ownerless=False) == []
    [row] = say(pbx2, sql.ADOPT, systems=["skarabee"], ownerless=True)
    *_, attempts, doubt, pause, may_be_begun = row
    assert (attempts, doubt, may_be_begun) == (1, True, True)
    assert 0 < pause <= 60
    hand_over(pbx1, pbx1.store, "pbx1", None)  # too late
    assert pbx1.row(1)["owner"] == "pbx2"


def test_who_has_begun_with_what_was_nobodys_has_it_unless_another_came_first(new_host: NewHost) -> None:
    pbx1, pbx2 = new_host("pbx1"), new_host("pbx2")
    for host in (pbx1, pbx2):
        host.publish(1, owner=None)
    adopt(pbx2)
    hand_over(pbx1, pbx1.store, None, "pbx1")
    assert pbx1.row(1)["owner"] == "pbx2"
    hand_over(pbx2, pbx2.store, "pbx2", None, attempts=0)
    hand_over(pbx2, pbx2.store, None, "pbx2")
    assert adopt(pbx1) == set()


def test_what_is_nobodys_and_has_ended_at_one_host_has_ended(new_host: NewHost) -> None:
    pbx1, pbx2 = new_host("pbx1"), new_host("pbx2")
    pbx1.publish(1, owner=None)
    assert end(pbx1, pbx1.store, 1, "expired") == [(pbx1.store, 1)]
    assert adopt(pbx2) == set()


def test_only_the_owner_ends_a_job_and_only_once_and_then_no_number_is_left_of_it(new_host: NewHost) -> None:
    pbx1, pbx2 = new_host("pbx1"), new_host("pbx2")
    pbx1.publish(1)
    assert end(pbx2, pbx1.store, 1) == []
    assert "0478123456" in pbx1.row(1)["facts"]
    assert end(pbx1, pbx1.store, 1) == [(pbx1.store, 1)]
    assert end(pbx1, pbx1.store, 1, "refused") == []
    assert (pbx1.row(1)["state"], pbx1.row(1)["facts"]) == ("delivered", "{}")


def test_a_stop_hears_of_a_start_of_its_recording_whether_that_is_open_or_has_ended(new_host: NewHost) -> None:
    pbx1, pbx2 = new_host("pbx1"), new_host("pbx2")

    def told(host: OtherHost, action: str, n: int, call: str = "a", **more: Any) -> None:
        host.publish(n, system="noojee", action=f"noojee/{action}", call=call, key=f"recording of {call}", **more)

    def heard(n: int) -> tuple[bool, list[str]]:
        ((*_, is_behind, _, earlier),) = say(pbx2, sql.ANSWERS, jobs=jobs(store=pbx2.store, n=n))
        return is_behind, earlier

    told(pbx2, "stop", 1, age=1.0)
    assert heard(1) == (False, [])
    told(pbx1, "start", 1, age=0.5)  # the next recording's
    assert heard(1) == (False, [])
    told(pbx1, "start", 2, age=2.0)
    assert heard(1) == (True, ["noojee/start"])
    told(pbx1, "start", 3, call="b", age=2.0, state="delivered")
    told(pbx2, "stop", 2, call="b", age=1.0)
    assert heard(2) == (False, ["noojee/start"])


def test_what_was_refused_keeps_its_facts_for_another_try(new_host: NewHost) -> None:
    pbx1 = new_host("pbx1")
    pbx1.publish(1)
    end(pbx1, pbx1.store, 1, "refused")
    assert "0478123456" in pbx1.row(1)["facts"]


def test_a_job_that_is_published_again_changes_nothing(new_host: NewHost) -> None:
    pbx1, pbx2 = new_host("pbx1"), new_host("pbx2")
    pbx1.publish(1)
    pbx1.die()
    adopt(pbx2)
    pbx1.publish(1)
    assert pbx1.row(1)["owner"] == "pbx2"


def test_what_ended_long_ago_is_pruned_and_nothing_that_waits(new_host: NewHost) -> None:
    pbx1, pbx2 = new_host("pbx1"), new_host("pbx2")
    pbx1.publish(1, state="delivered", age=7200.0)  # ended an hour ago
    pbx1.publish(2, state="delivered", age=10.0)
    pbx1.publish(3, age=7200.0)
    with pbx2.connection.transaction():
        say(pbx2, sql.PRUNE, keep=1800.0)
        say(pbx1, sql.PRUNE, keep=1.0)  # somebody is at it
    assert say(pbx1, "SELECT n FROM callsign.job ORDER BY n") == [(2,), (3,)]


def test_what_a_dead_host_left_and_no_other_delivers_is_too_late_some_day_and_it_can_be_forgotten(
    new_host: NewHost,
) -> None:
    pbx1, pbx2 = new_host("pbx1"), new_host("pbx2")
    for host in (pbx1, pbx2):
        host.publish(1, time_left=-1.0)
        host.publish(2, time_left=-1.0, owner=None)
        host.publish(3)
    pbx1.die()
    say(pbx2, sql.EXPIRE)
    assert [pbx1.row(n)["state"] for n in (1, 2, 3)] == ["expired", "expired", "waiting"]
    assert pbx1.row(1)["ended"] is not None
    assert [pbx2.row(n)["state"] for n in (1, 2, 3)] == ["waiting"] * 3
    assert say(pbx2, sql.FORGET, name="pbx1") == []
    pbx2.connection.execute("UPDATE callsign.job SET deadline = now() WHERE home = 'pbx1'")
    say(pbx2, sql.EXPIRE)
    assert say(pbx2, sql.FORGET, name="pbx1") == [("pbx1",)]


def test_of_many_so_many_are_too_late_at_once(new_host: NewHost) -> None:
    pbx1, pbx2 = new_host("pbx1"), new_host("pbx2")
    pbx1.publish(1, time_left=-1.0)
    pbx1.connection.execute(
        "INSERT INTO callsign.job (store, n, system, action, call, facts, born, deadline, home, owner) "
        "SELECT store, n + more, system, action, call, facts, born, deadline, home, owner "
        "FROM callsign.job, generate_series(1, %s) AS more",
        [sql.MOST_PRUNED],
    )
    pbx1.die()
    assert [len(say(pbx2, sql.EXPIRE)) for _ in range(3)] == [sql.MOST_PRUNED, 1, 0]


def test_the_newest_job_of_a_store_is_told(new_host: NewHost) -> None:
    pbx1, pbx2 = new_host("pbx1"), new_host("pbx2")
    for n in (3, 11, 7):
        pbx1.publish(n)
    assert say(pbx2, sql.NEWEST, store=pbx1.store) == [(11,)]
    assert say(pbx2, sql.NEWEST, store=pbx2.store) == []


def test_a_page_of_what_has_ended_is_found_by_an_index(new_host: NewHost) -> None:
    pbx1 = new_host("pbx1")
    values = dict.fromkeys(SOUGHT) | NEWEST | {"with_facts": False, "page": 20}
    pbx1.connection.execute("SET enable_seqscan = off")
    plan = pbx1.connection.execute(f"EXPLAIN {sql.ENDED_JOBS}", values).fetchall()
    assert "job_ended" in str(plan)


@pytest.mark.parametrize("was_calm", [True, False])
@pytest.mark.parametrize("statement", ["ANSWERS", "END", "NOTE_ATTEMPTS", "HAND_OVER"])
def test_one_job_is_not_sought_among_all_that_wait_whatever_the_statistics_say(
    statement: str, was_calm: bool, new_host: NewHost, postgres_server: Postgres, database: str
) -> None:
    pbx1 = new_host("pbx1")
    if was_calm:
        pbx1.connection.execute(
            """INSERT INTO callsign.job
                (store, n, system, action, call, facts, born, deadline, home, owner, state, ended)
            SELECT 'old', n, 'noojee', 'noojee/start', 'call ' || n, '{}', now(), now(), 'pbx1', 'pbx1', 'delivered',
                   now() FROM generate_series(1, 2000) AS n"""
        )
        postgres_server.sql("ANALYZE callsign.job", database=database)
    values = {"me": "pbx1", "jobs": "[]", "owner": "pbx1", "new_owner": None}
    plan = pbx1.connection.execute(f"EXPLAIN {getattr(sql, statement)}", values).fetchall()
    assert "job_waiting" not in str(plan)


def test_a_page_of_what_waits_is_found_in_its_order(new_host: NewHost) -> None:
    pbx1 = new_host("pbx1")
    values = {"me": "pbx1", "above_store": "", "above_n": 0}
    pbx1.connection.execute("SET enable_seqscan = off")
    plan = pbx1.connection.execute(f"EXPLAIN {sql.HELD}", values).fetchall()
    assert "job_waiting" in str(plan)
    assert "Sort" not in str(plan)


def test_the_role_for_views_sees_jobs_and_no_numbers(
    new_host: NewHost, postgres_server: Postgres, database: str
) -> None:
    new_host("pbx1").publish(1)
    with postgres_server.connect("callsign_view", database) as view:
        assert view.execute("SELECT call, state FROM callsign.job").fetchall() == [("pbx1-1700000000.1", "waiting")]
        for forbidden in ("SELECT facts FROM callsign.job", "DELETE FROM callsign.job"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                view.execute(forbidden)


def test_the_role_of_the_hosts_cannot_change_the_tables(
    new_host: NewHost, postgres_server: Postgres, database: str
) -> None:
    new_host("pbx1")
    with postgres_server.connect(database=database) as host:
        for forbidden in ("DROP TABLE callsign.job", "UPDATE callsign.meta SET version = 7"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                host.execute(forbidden)


# -- what one host gets for all ------------------------------------------------------------------------


def asks(host: OtherHost, spent: str = "", most: float = 3300.0) -> tuple[bool, list[Any]]:
    """Whether it is for that host to get one, and what there is."""
    values = {"system": "noojee", "name": "timestamp", "spent": spent, "most": most, "busy": 10.0}
    is_for_us = bool(say(host, sql.BE_BUSY, **values))
    return is_for_us, say(host, sql.SHARED, **values)


def share(host: OtherHost, value: str, age: float = 0.0, system: str = "noojee") -> None:
    say(host, sql.SHARE, system=system, name="timestamp", value=value, age=age)


def test_one_host_gets_what_all_need_and_the_others_read_it_with_its_age(new_host: NewHost) -> None:
    pbx1, pbx2 = new_host("pbx1"), new_host("pbx2")
    assert asks(pbx1) == (True, [])
    assert asks(pbx2) == (False, [])
    assert asks(pbx1) == (True, [])  # it has failed, or was killed
    share(pbx1, "1", age=100.0)
    is_for_us, [(value, age)] = asks(pbx2)
    assert (is_for_us, value) == (False, "1")
    assert 100 <= age < 160


@pytest.mark.parametrize("given", [{"spent": "1"}, {"most": 99.0}])
def test_what_is_spent_or_too_old_is_got_anew_by_one(new_host: NewHost, given: dict[str, Any]) -> None:
    pbx1, pbx2 = new_host("pbx1"), new_host("pbx2")
    share(pbx1, "1", age=100.0)
    assert asks(pbx1, **given) == (True, [])
    assert asks(pbx2, **given) == (False, [])
    assert asks(pbx2)[1] != []  # for whom it is good still it is there meanwhile
    share(pbx1, "2")
    assert [value for value, _ in asks(pbx2, **given)[1]] == ["2"]


def test_who_is_busy_for_too_long_is_not_waited_for(new_host: NewHost) -> None:
    pbx1, pbx2 = new_host("pbx1"), new_host("pbx2")
    assert asks(pbx1) == (True, [])
    pbx2.connection.execute("UPDATE callsign.shared SET busy_until = busy_until - interval '11 seconds'")
    assert asks(pbx2) == (True, [])
    assert asks(pbx1) == (False, [])


def test_of_two_the_younger_stays_whoever_tells_it_last(new_host: NewHost) -> None:
    pbx1, pbx2 = new_host("pbx1"), new_host("pbx2")
    share(pbx1, "younger", age=10.0)
    share(pbx2, "older", age=20.0)
    assert [value for value, _ in asks(pbx1)[1]] == ["younger"]
    share(pbx2, "youngest")
    assert [value for value, _ in asks(pbx1)[1]] == ["youngest"]


def test_each_account_has_its_own(new_host: NewHost) -> None:
    pbx1 = new_host("pbx1")
    share(pbx1, "1", system="noojee.antwerp")
    assert asks(pbx1) == (True, [])
