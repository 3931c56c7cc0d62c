"""What one host gets for all: each asks in a thread of its own, the test plays the database and hears them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from callsign.cluster import statements as sql
from callsign.cluster.connection import DatabaseFault
from callsign.cluster.sharing import BUSY_SECONDS, Sharing
from clocks_play import Clock
from store_play import LONG_SECONDS

MOST = 3300.0
ACCOUNT = "noojee.antwerp"


class Rows:
    def __init__(self, *rows: tuple[Any, ...]) -> None:
        self._rows = list(rows)

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self._rows


class Played:
    """A database with one row, of ACCOUNT's timestamp."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.value, self.at = "", 0.0
        self.busy_by, self.busy_until = "", 0.0
        self.is_silent = False
        self.exchanges = 0

    @contextmanager
    def exchange(self) -> Iterator[Any]:
        self.exchanges += 1
        if self.is_silent:
            raise DatabaseFault("it is silent")
        yield self._say

    def _say(self, statement: str, values: Mapping[str, Any]) -> Rows:
        assert (values["system"], values["name"]) == (ACCOUNT, "timestamp")
        now = self.clock.now
        if statement == sql.SHARE:
            if now - values["age"] > self.at:
                self.value, self.at, self.busy_until = values["value"], now - values["age"], 0.0
            return Rows()
        is_of_use = self.value not in ("", values["spent"]) and now - self.at <= values["most"]
        if statement == sql.SHARED:
            return Rows((self.value, now - self.at)) if is_of_use else Rows()
        assert statement == sql.BE_BUSY
        if is_of_use or (self.busy_until >= now and self.busy_by != values["me"]):
            return Rows()
        self.busy_by, self.busy_until = values["me"], now + values["busy"]
        return Rows((ACCOUNT,))


class Host:
    """One that asks; `hear` is a round of it."""

    def __init__(self, name: str, database: Played, pool: ThreadPoolExecutor, patience: float = LONG_SECONDS) -> None:
        self.sharing, self._database, self._pool = Sharing(name, patience), database, pool
        self.of_account = self.sharing.of(ACCOUNT)
        self._woken = threading.Event()
        self.sharing.wake = self._woken.set
        self.hear()

    def asks(self, spent: str = "") -> Future[tuple[str, float] | None]:
        """Returns when it waits, or has its answer."""
        asked = self._pool.submit(self.of_account.get, "timestamp", spent, MOST)
        asked.add_done_callback(lambda _asked: self._woken.set())
        assert self._woken.wait(LONG_SECONDS)
        self._woken.clear()
        return asked

    def hear(self) -> None:
        self.sharing.serve(self._database)  # type: ignore[arg-type]


@pytest.fixture
def database(clock: Clock) -> Played:
    return Played(clock)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(3) as running:
        yield running


def answer(asked: Future[tuple[str, float] | None]) -> tuple[str, float] | None:
    return asked.result(LONG_SECONDS)


def test_one_gets_it_while_the_others_wait_and_all_have_it_with_its_age(
    clock: Clock, database: Played, pool: ThreadPoolExecutor
) -> None:
    pbx1, pbx2 = Host("pbx1", database, pool), Host("pbx2", database, pool)
    first = pbx1.asks()
    pbx1.hear()
    assert answer(first) is None  # it is for pbx1 to get one
    second = pbx2.asks()
    pbx2.hear()
    assert pbx2.sharing.is_asked
    assert not second.done()
    clock.now += 3
    pbx1.of_account.put("timestamp", "1392356108888", clock.now - 2)
    pbx1.hear()
    clock.now += 5
    pbx2.hear()
    assert answer(second) == ("1392356108888", clock.now - 7)
    assert not pbx2.sharing.is_asked


def test_who_asks_late_or_has_a_spent_one_gets_another_and_only_one_does(
    clock: Clock, database: Played, pool: ThreadPoolExecutor
) -> None:
    pbx1, pbx2 = Host("pbx1", database, pool), Host("pbx2", database, pool)
    database.value, database.at = "1", clock.now - MOST - 1
    too_old = pbx1.asks()
    pbx1.hear()
    assert answer(too_old) is None
    pbx1.of_account.put("timestamp", "2", clock.now)
    pbx1.hear()
    spent = pbx2.asks(spent="1")
    pbx2.hear()
    assert answer(spent) == ("2", clock.now)


def test_whose_getter_stands_still_waits_once_and_helps_itself_and_what_it_got_is_for_all(
    clock: Clock, database: Played, pool: ThreadPoolExecutor
) -> None:
    pbx1, pbx2 = Host("pbx1", database, pool), Host("pbx2", database, pool, patience=0.01)
    frozen = pbx1.asks()
    pbx1.hear()
    assert answer(frozen) is None
    assert answer(pbx2.asks()) is None  # its patience is over
    exchanges = database.exchanges
    pbx2.sharing.wake = lambda: pytest.fail("it asks again")
    assert answer(pbx2.asks()) is None
    pbx2.sharing.wake = lambda: None
    clock.now += 1
    pbx2.of_account.put("timestamp", "2", clock.now)
    pbx2.hear()
    assert (database.value, database.exchanges) == ("2", exchanges + 1)
    clock.now += BUSY_SECONDS + 1
    pbx1.of_account.put("timestamp", "1", clock.now - 30)  # used before that, told when it woke
    pbx1.hear()
    assert database.value == "2"


def test_when_the_time_of_who_is_busy_is_over_another_is(
    clock: Clock, database: Played, pool: ThreadPoolExecutor
) -> None:
    pbx1, pbx2 = Host("pbx1", database, pool), Host("pbx2", database, pool)
    frozen = pbx1.asks()
    pbx1.hear()
    assert answer(frozen) is None
    waits = pbx2.asks()
    clock.now += BUSY_SECONDS + 1
    pbx2.hear()
    assert answer(waits) is None
    assert database.busy_by == "pbx2"


def test_while_the_database_is_silent_nobody_waits(clock: Clock, database: Played, pool: ThreadPoolExecutor) -> None:
    pbx1 = Host("pbx1", database, pool)
    asked = pbx1.asks()
    database.is_silent = True
    with pytest.raises(DatabaseFault):
        pbx1.hear()
    pbx1.sharing.go_without()
    assert answer(asked) is None
    assert answer(pbx1.asks()) is None
    pbx1.of_account.put("timestamp", "1", clock.now)
    with pytest.raises(DatabaseFault):
        pbx1.hear()
    database.is_silent = False
    clock.now += 20
    pbx1.hear()
    assert (database.value, database.at) == ("1", clock.now - 20)  # told when it answers again
    assert not pbx1.sharing.is_asked


def test_nothing_is_said_to_the_database_while_nobody_asks(database: Played, pool: ThreadPoolExecutor) -> None:
    pbx1 = Host("pbx1", database, pool)
    pbx1.hear()
    assert database.exchanges == 0


def test_who_has_not_joined_yet_waits_for_nothing() -> None:
    assert Sharing("pbx1", LONG_SECONDS).of(ACCOUNT).get("timestamp", "", MOST) is None
