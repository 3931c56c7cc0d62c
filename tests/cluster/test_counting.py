"""What is counted in tests over several hosts shows: on hosts that know nothing of each other each fault is seen."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from load import Vendors
from several_hosts import AWAY, WELL, Calls, hosts, settled
from waiting import wait_until

pytestmark = pytest.mark.faults


@pytest.fixture
def box() -> Iterator[Vendors]:
    with Vendors() as running:
        running.trouble = {"skarabee": WELL, "noojee": WELL}
        yield running


def test_one_host_alone_loses_nothing_and_tells_nothing_twice(
    tmp_path: Path, box: Vendors, dice: random.Random
) -> None:
    with hosts(tmp_path, box, [""]) as running:
        with Calls(running, dice) as calls:
            calls.wait_for_more(40)
        count = settled(calls, box, running)
    assert count.accepted == len(calls.promised) >= 40
    assert (count.lost, count.twice, count.disordered) == ([], [], [])


def test_hosts_that_know_nothing_of_each_other_tell_twice_what_passes_two_of_them(
    tmp_path: Path, box: Vendors, dice: random.Random
) -> None:
    with hosts(tmp_path, box, ["", ""]) as running:
        with Calls(running, dice) as calls:
            calls.wait_for_more(40)
        count = settled(calls, box, running)
    passing = {told.wanted for told in calls.told if told.passes and told.wanted.startswith("skarabee")}
    assert count.lost == []
    assert set(count.twice) == passing


def test_a_store_that_is_destroyed_takes_with_it_what_waits_there_alone(
    tmp_path: Path, box: Vendors, dice: random.Random
) -> None:
    with hosts(tmp_path, box, ["", ""]) as running:
        with Calls(running, dice) as calls:
            box.trouble = dict(AWAY)
            wait_until(lambda: running[0].waits() > 12)  # some of them stops
            running[0].destroy()
            box.trouble = {"skarabee": WELL, "noojee": WELL}
            calls.wait_for_more(10)
        count = settled(calls, box, running)
    assert count.lost
    assert {calls.promised[wanted].host for wanted in count.lost} == {running[0]}


def test_a_start_that_waits_at_one_host_comes_behind_its_stop_at_another(
    tmp_path: Path, box: Vendors, dice: random.Random
) -> None:
    with hosts(tmp_path, box, ["", ""]) as running:
        with Calls(running, dice) as calls:
            box.trouble = {"noojee": AWAY["noojee"]}
            wait_until(lambda: running[0].waits() > 3)
            running[0].freeze()
            box.trouble = {}
            calls.wait_for_more(20)
            running[0].wake()
        count = settled(calls, box, running)
    assert count.lost == []
    assert count.disordered
