"""A vendor's slots among hosts that join, die, return and have more or less to do: never more in use than there are."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callsign.cluster import statements as sql
from callsign.cluster.connection import Database
from callsign.cluster.figures import Figures
from callsign.cluster.membership import HostRow, Membership
from callsign.cluster.slots import Slots, shares
from callsign.delivery.gate import Load
from callsign.settings.secret import Secret
from callsign.settings.sections import Cluster
from cluster_settings import upgrade
from real_postgres import PASSWORD, Postgres

LIMIT = 5
ACCOUNT = "noojee"
IDLE = 0


@given(st.integers(1, 20), st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 1000), min_size=1))
def test_all_slots_are_shared_out_and_each_host_has_one(limit: int, wants: dict[str, int]) -> None:
    found = shares(limit, wants)
    assert sum(found.values()) == limit
    assert sorted(found) == sorted(wants)
    if len(wants) <= limit:
        assert min(found.values()) >= 1


@pytest.mark.parametrize(
    ("wants", "found"),
    [
        ({"a": IDLE}, {"a": 5}),
        ({"a": IDLE, "b": IDLE}, {"a": 3, "b": 2}),
        ({"a": 4, "b": 1, "c": IDLE}, {"a": 2, "b": 2, "c": 1}),
        ({"a": IDLE, "b": 100, "c": IDLE}, {"a": 1, "b": 3, "c": 1}),
        ({"a": 5, "b": 100}, {"a": 1, "b": 4}),
        ({"a": IDLE, "b": IDLE, "c": IDLE, "d": IDLE, "e": IDLE}, {"a": 1, "b": 1, "c": 1, "d": 1, "e": 1}),
        ({"a": 1, "b": 1, "c": 1, "d": 1, "e": 1, "f": 9}, {"a": 1, "b": 1, "c": 1, "d": 1, "e": 1, "f": 0}),
    ],
)
def test_who_has_much_to_do_has_more(wants: dict[str, int], found: dict[str, int]) -> None:
    assert shares(LIMIT, wants) == found


class Lanes:
    """What a host's lanes are told, and how many attempts are under way."""

    def __init__(self) -> None:
        self.most = LIMIT
        self.under_way = 0

    def limit(self, _account: str, most: int, hosts: int, stands_aside: bool) -> None:
        self.most, self.hosts, self.stands_aside = most, hosts, stands_aside

    def loads(self) -> dict[str, Load]:
        return {ACCOUNT: Load(self.under_way, self.under_way, False)}


class Host:
    def __init__(self, name: str, where: str) -> None:
        self.name, self.lanes = name, Lanes()
        self.database = Database(Cluster(where, Secret(PASSWORD), name))
        self.membership = Membership(name, 5.0)
        with self.database.exchange() as say:
            say(sql.JOIN, {"me": name, "version": "1.0.0", "systems": [ACCOUNT]})
        self.membership.joined(1)
        self.slots = Slots(self.membership, self.lanes, lambda _account: LIMIT, Figures())  # type: ignore[arg-type]
        self.slots.load(self.database)

    def has_no_section(self, living: str) -> int:
        """As `share`, when its settings name the vendor no more, beside hosts that do."""
        self.membership.living = {name: HostRow(name, 1, 0, False, {}, [ACCOUNT]) for name in living}
        self.membership.living[self.name] = HostRow(self.name, 1, 0, False, {}, [])
        self.slots.share(self.database, [])
        return self.lanes.most

    def share(self, wants: dict[str, int], rounds: int = 3) -> int:
        """What some rounds do among hosts of which these live, and how many slots it has then."""
        rows = {name: HostRow(name, 1, 0, False, {ACCOUNT: number}, [ACCOUNT]) for name, number in wants.items()}
        self.membership.living = rows
        for _ in range(rounds):
            self.slots.share(self.database, [ACCOUNT])
        return self.lanes.most

    def die(self, witness: Host) -> None:
        """Its process is gone, and the others have noticed."""
        self.lanes.under_way, self.lanes.most = 0, 0
        with witness.database.exchange() as say:
            say(sql.DECLARE_DEAD, {"name": self.name, "life": self.membership.life, "beat": 0})

    def come_back(self) -> None:
        with self.database.exchange() as say:
            joined = say(sql.JOIN, {"me": self.name, "version": "1.0.0", "systems": [ACCOUNT]})
        self.membership.joined(joined.fetchall()[0][0])
        self.slots.load(self.database)


@pytest.fixture
def new_host(postgres_server: Postgres, database: str) -> Iterator[Callable[[str], Host]]:
    upgrade(postgres_server, database)
    with ExitStack() as held:

        def make(name: str) -> Host:
            host = Host(name, postgres_server.where(database=database))
            held.callback(host.database.close)
            return host

        yield make


def test_a_host_that_is_alone_has_all(new_host: Callable[[str], Host]) -> None:
    assert new_host("a").share({"a": IDLE}) == LIMIT


def test_a_host_that_joins_has_its_first_slot_when_another_has_heard_of_it_and_soon_its_share(
    new_host: Callable[[str], Host],
) -> None:
    first, second, both = new_host("a"), new_host("b"), {"a": IDLE, "b": IDLE}
    first.share({"a": IDLE})
    assert second.share(both, rounds=1) == 0
    assert second.slots.lacks
    assert first.share(both, rounds=1) == 3
    assert second.share(both, rounds=1) == 1
    assert second.share(both, rounds=1) == 2
    assert not second.slots.lacks


def test_hosts_that_join_at_once_have_one_each_at_once(new_host: Callable[[str], Host]) -> None:
    first, second, third = new_host("a"), new_host("b"), new_host("c")
    assert first.share({"a": IDLE}, rounds=1) == 3
    assert second.share({"a": IDLE, "b": IDLE}, rounds=1) == 1
    assert third.share({"a": IDLE, "b": IDLE, "c": IDLE}, rounds=1) == 1


def test_a_slot_in_use_is_given_back_as_soon_as_the_attempt_has_ended(new_host: Callable[[str], Host]) -> None:
    first, second, both = new_host("a"), new_host("b"), {"a": IDLE, "b": IDLE}
    first.share({"a": IDLE})
    first.lanes.under_way = LIMIT
    assert first.share(both) == 3
    assert first.slots.lacks  # and looks again soon
    assert second.share(both) == 0
    first.lanes.under_way = 4
    first.share(both)
    assert second.share(both) == 1
    first.lanes.under_way = 3
    first.share(both)
    assert second.share(both) == 2
    assert not first.slots.lacks


def test_the_slots_of_a_dead_host_go_to_the_others_and_it_has_only_what_is_free_when_it_returns(
    new_host: Callable[[str], Host],
) -> None:
    first, second, both = new_host("a"), new_host("b"), {"a": IDLE, "b": IDLE}
    first.share(both)
    second.share(both)
    first.die(second)
    assert second.share({"b": IDLE}) == LIMIT
    first.come_back()
    assert first.share(both) == 0
    second.share(both)
    assert first.share(both) == 3


def test_who_returns_from_the_dead_waits_until_it_is_sure_who_has_its_slots(new_host: Callable[[str], Host]) -> None:
    first, second = new_host("a"), new_host("b")
    first.share({"a": IDLE})
    first.die(second)
    with second.database.exchange() as say:
        say(sql.BEGIN)
        values = {"me": "b", "life": 1, "system": ACCOUNT, "number": LIMIT}
        assert len(say(sql.TAKE_SLOTS, values).fetchall()) == LIMIT
        returning = threading.Thread(target=first.come_back)
        returning.start()
        returning.join(0.2)
        say(sql.COMMIT)
    returning.join()
    assert first.share({"a": IDLE, "b": IDLE}) == 0


@pytest.mark.parametrize("has_restarted", [False, True])
def test_a_host_whose_settings_name_the_vendor_no_more_leaves_its_slots_to_the_others(
    has_restarted: bool, new_host: Callable[[str], Host]
) -> None:
    first, second = new_host("a"), new_host("b")
    assert first.share({"a": IDLE}) == LIMIT
    assert first.slots.has_room(ACCOUNT)
    if has_restarted:
        first.come_back()
    else:
        first.lanes.under_way = 1
    assert first.has_no_section("b") == 0
    assert not first.slots.has_room(ACCOUNT)
    assert second.share({"b": IDLE}) == LIMIT - first.lanes.under_way
    first.lanes.under_way = 0
    first.has_no_section("b")
    assert second.share({"b": IDLE}) == LIMIT
    both = {"a": IDLE, "b": IDLE}
    first.share(both)
    second.share(both)
    assert first.share(both) == 3


def test_of_many_accounts_all_is_said_in_a_few_exchanges(new_host: Callable[[str], Host]) -> None:
    """One for each would take longer than a lease, and who has joined would be declared dead by then."""
    first, second = new_host("a"), new_host("b")
    accounts = [f"noojee.tenant{n}" for n in range(100)]
    living = {name: HostRow(name, 1, 0, False, {}, accounts) for name in "ab"}
    first.membership.living, second.membership.living = {"a": living["a"]}, living
    for host in (first, first, first, second, first, second, second):
        before = host.database._figures.exchanges
        host.slots.share(host.database, accounts)
        assert host.database._figures.exchanges - before <= 3
        if host is second:
            first.membership.living = living
    assert {account: len(found) for account, found in first.slots._held.items()} == dict.fromkeys(accounts, 3)
    assert {account: len(found) for account, found in second.slots._held.items()} == dict.fromkeys(accounts, 2)


def test_a_slot_of_one_who_has_just_joined_is_not_taken_for_a_dead_ones(new_host: Callable[[str], Host]) -> None:
    first, second = new_host("a"), new_host("b")
    second.share({"a": IDLE, "b": IDLE})
    assert first.share({"a": IDLE}) == 3  # it does not know of b yet


def test_through_joins_deaths_and_returns_there_are_never_more_attempts_than_slots(
    new_host: Callable[[str], Host], dice: random.Random
) -> None:
    hosts = [new_host(name) for name in "abcdefg"]
    for host in hosts:
        host.lanes.most = 0  # it begins nothing before its first round
    alive = hosts[:1]
    for _ in range(300):
        host = dice.choice(hosts)
        if host not in alive:
            host.come_back()
            alive.append(host)
        elif len(alive) > 1 and dice.random() < 0.1:
            alive.remove(host)
            host.die(alive[0])
        else:
            known = [one for one in alive if one is host or dice.random() < 0.9]
            host.share({one.name: one.lanes.under_way for one in known}, rounds=1)
        for one in alive:
            most = max(one.lanes.most, one.lanes.under_way)
            one.lanes.under_way = dice.choice([most, dice.randint(0, most)])
        assert sum(one.lanes.under_way for one in alive) <= LIMIT
    for host in alive * 4:
        host.lanes.under_way = 0
        host.share({one.name: IDLE for one in alive}, rounds=1)
    assert sum(one.lanes.most for one in alive) == LIMIT


def test_the_hosts_that_share_a_vendor_share_its_pace_and_one_tries_it_while_it_is_away(
    new_host: Callable[[str], Host],
) -> None:
    first, second = new_host("a"), new_host("b")
    living = {name: HostRow(name, 1, 0, False, {ACCOUNT: 9}, [ACCOUNT], [ACCOUNT]) for name in "ab"}
    for host in (first, second):
        host.membership.living = living
        host.slots.share(host.database, [ACCOUNT])
    assert [(host.lanes.hosts, host.lanes.stands_aside) for host in (first, second)] == [(2, False), (2, True)]
    second.slots.fall_back()
    assert (second.lanes.hosts, second.lanes.stands_aside) == (2, False)


def test_while_the_database_is_silent_the_limit_is_divided_by_the_hosts_known_last(
    new_host: Callable[[str], Host],
) -> None:
    first = new_host("a")
    first.share({"a": IDLE, "b": IDLE, "c": IDLE})
    first.slots.fall_back()
    assert first.lanes.most == 1
    assert first.share({"a": IDLE}) == LIMIT
