"""A vendor's slots among hosts that join, die, return and have more or less to do: never more in use than there are."""

from __future__ import annotations

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
from callsign.settings.secret import Secret
from callsign.settings.sections import Cluster
from cluster_settings import upgrade
from real_postgres import PASSWORD, Postgres

LIMIT = 5
ACCOUNT = "noojee"
IDLE = 0


@given(st.integers(1, 20), st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 1000), min_size=1))
def test_all_slots_but_one_are_shared_out_and_each_host_has_one(limit: int, wants: dict[str, int]) -> None:
    found = shares(limit, wants)
    assert sum(found.values()) == limit - (len(wants) < limit)
    assert sorted(found) == sorted(wants)
    if len(wants) <= limit:
        assert min(found.values()) >= 1


@pytest.mark.parametrize(
    ("wants", "found"),
    [
        ({"a": IDLE}, {"a": 4}),
        ({"a": IDLE, "b": IDLE}, {"a": 2, "b": 2}),
        ({"a": 4, "b": 1, "c": IDLE}, {"a": 2, "b": 1, "c": 1}),
        ({"a": IDLE, "b": 100, "c": IDLE}, {"a": 1, "b": 2, "c": 1}),
        ({"a": 5, "b": 100}, {"a": 1, "b": 3}),
        ({"a": IDLE, "b": IDLE, "c": IDLE, "d": IDLE, "e": IDLE}, {"a": 1, "b": 1, "c": 1, "d": 1, "e": 1}),
        ({"a": 1, "b": 1, "c": 1, "d": 1, "e": 1, "f": 9}, {"a": 1, "b": 1, "c": 1, "d": 1, "e": 0, "f": 1}),
    ],
)
def test_who_has_much_to_do_has_more(wants: dict[str, int], found: dict[str, int]) -> None:
    assert shares(LIMIT, wants) == found


class Lanes:
    """What a host's lanes are told, and how many attempts are under way."""

    def __init__(self) -> None:
        self.most = LIMIT
        self.under_way = 0

    def limit(self, _account: str, most: int) -> None:
        self.most = most

    def waiting(self) -> dict[str, tuple[int, int]]:
        return {ACCOUNT: (self.under_way, self.under_way)}


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

    def share(self, wants: dict[str, int], rounds: int = 3) -> int:
        """What some rounds do among hosts of which these live, and how many slots it has then."""
        rows = {name: HostRow(name, 1, 0, False, {ACCOUNT: number}, [ACCOUNT]) for name, number in wants.items()}
        self.membership.living = rows
        for _ in range(rounds):
            self.slots.share(self.database, [ACCOUNT])
        return self.lanes.most


@pytest.fixture
def new_host(postgres_server: Postgres, database: str) -> Iterator[Callable[[str], Host]]:
    upgrade(postgres_server, database)
    with ExitStack() as held:

        def make(name: str) -> Host:
            host = Host(name, postgres_server.where(database=database))
            held.callback(host.database.close)
            return host

        yield make


def test_a_host_that_joins_has_a_slot_at_once_and_then_what_another_gives_back(
    new_host: Callable[[str], Host],
) -> None:
    first, second, both = new_host("a"), new_host("b"), {"a": IDLE, "b": IDLE}
    assert first.share({"a": IDLE}) == 4
    assert second.share(both) == 1
    assert first.share(both) == 2
    assert second.share(both) == 2


def test_hosts_that_join_at_once_have_one_each_at_once(new_host: Callable[[str], Host]) -> None:
    first, second, third = new_host("a"), new_host("b"), new_host("c")
    assert first.share({"a": IDLE}, rounds=1) == 2
    assert second.share({"a": IDLE, "b": IDLE}, rounds=1) == 1
    assert third.share({"a": IDLE, "b": IDLE, "c": IDLE}, rounds=1) == 1


def test_a_slot_in_use_is_not_given_back_before_the_attempt_has_ended(new_host: Callable[[str], Host]) -> None:
    first, second, both = new_host("a"), new_host("b"), {"a": IDLE, "b": IDLE}
    first.share({"a": IDLE})
    first.lanes.under_way = 4
    assert first.share(both) == 2
    assert second.share(both) == 1
    first.lanes.under_way = 3
    first.share(both)
    assert second.share(both) == 2


def test_the_slots_of_a_dead_host_go_to_the_others_and_it_has_only_what_is_free_when_it_returns(
    new_host: Callable[[str], Host],
) -> None:
    first, second, both = new_host("a"), new_host("b"), {"a": IDLE, "b": IDLE}
    first.share(both)
    second.share(both)
    with first.database.exchange() as say:
        say(sql.DECLARE_DEAD, {"name": "a", "life": 1, "beat": 0})
    assert second.share({"b": IDLE}) == 4
    first.slots.load(first.database)
    assert first.share(both) == 1
    second.share(both)
    assert first.share(both) == 2


def test_a_slot_of_one_who_has_just_joined_is_not_taken_for_a_dead_ones(new_host: Callable[[str], Host]) -> None:
    first, second = new_host("a"), new_host("b")
    second.share({"a": IDLE, "b": IDLE})
    assert first.share({"a": IDLE}) == 3  # it does not know of b yet


def test_while_the_database_is_silent_the_limit_is_divided_by_the_hosts_known_last(
    new_host: Callable[[str], Host],
) -> None:
    first = new_host("a")
    first.share({"a": IDLE, "b": IDLE, "c": IDLE})
    first.slots.fall_back()
    assert first.lanes.most == 1
    assert first.share({"a": IDLE}) == 4
