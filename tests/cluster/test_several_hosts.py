"""Three real servers, a real PostgreSQL, a fault: nothing is lost, little told twice, a recording keeps its order.

Lost may only be what died with a disk before PostgreSQL knew of it.  Told twice may be what was on its way when its
host died; and, while PostgreSQL does not answer, what two hosts were told of one call.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from callsign.vendors.registry import VENDORS
from cluster_settings import upgrade
from load import Vendors
from real_postgres import PgBouncer, Postgres
from several_hosts import HOSTS, WELL, Host, Scene
from tcp_proxy import TcpProxy
from waiting import wait_until

pytestmark = pytest.mark.faults

IN_FLIGHT = sum(vendor.concurrency for vendor in VENDORS.values())
SOME = 20  # calls' steps that are accepted: a second or so


@pytest.fixture
def box() -> Iterator[Vendors]:
    with Vendors() as running:
        running.trouble = {"skarabee": WELL, "noojee": WELL}
        yield running


@pytest.fixture
def scene(tmp_path: Path, own_postgres: Postgres, box: Vendors, dice: random.Random) -> Scene:
    upgrade(own_postgres)
    return Scene(tmp_path, own_postgres, box, dice)


SETTLED = """
    SELECT 1 FROM pg_stat_activity WHERE usename = 'callsign' AND backend_start < now() - interval '1 second'"""


def assert_none_lost(scene: Scene, *destroyed: Host) -> None:
    """But what was accepted by a host whose disk has died, and which nobody else knew of."""
    promised = scene.calls.promised
    for wanted in scene.count.lost:
        assert promised[wanted].host in destroyed, scene.count
        assert not scene.known(wanted), wanted
    assert len(scene.count.lost) <= IN_FLIGHT * len(destroyed)


def assert_kept(scene: Scene, destroyed: tuple[Host, ...] = (), killed: tuple[Host, ...] = ()) -> None:
    """With PostgreSQL well; `killed` for each time.

    Told twice may be what was on its way; and, where a start may have been, the stop behind it.
    """
    assert_none_lost(scene, *destroyed)
    dead = {*destroyed, *killed}
    left = {wanted for wanted, told in scene.calls.promised.items() if told.host in dead}
    stops = {wanted.replace("start", "stop") for wanted in left if wanted.startswith("start")}
    assert set(scene.count.twice) <= left | stops
    assert len(set(scene.count.twice) - stops) <= IN_FLIGHT * (len(destroyed) + len(killed))
    assert scene.count.disordered == []


@contextmanager
def outage(scene: Scene) -> Iterator[None]:
    """The body ends it; what was told between its beginning and its end may be told twice, nothing else."""
    began = len(scene.calls.told)
    yield
    scene.wait_for_beats()
    scene.calls.wait_for_more(SOME)
    ended = len(scene.calls.told)
    scene.in_outages |= {told.wanted for told in scene.calls.told[max(0, began - SOME) : ended] if told.passes}


def assert_outage_survived(scene: Scene) -> None:
    assert_none_lost(scene)
    assert set(scene.count.twice) <= scene.in_outages
    assert {word.partition(" ")[0] for word in scene.count.twice} <= {"skarabee"}
    assert scene.count.disordered == []


# -- hosts -----------------------------------------------------------------------------------------------


def test_hosts_that_are_well_tell_of_a_call_once_whatever_hosts_it_passes(scene: Scene) -> None:
    with scene.calls_on(*[scene.postgres.where()] * HOSTS) as calls:
        calls.wait_for_more(4 * SOME)
    assert_kept(scene)


def test_a_host_for_which_there_is_no_place_at_a_vendor_leaves_its_calls_to_the_others(scene: Scene) -> None:
    most = VENDORS["noojee"].concurrency
    with scene.calls_on(*[scene.postgres.where()] * (most + 1)) as calls:
        last = scene.hosts[-1]
        held = "SELECT 1 FROM callsign.slot WHERE system = 'noojee' AND owner = %s"
        wait_until(lambda: all(len(scene.rows(held, host.folder.name)) == (host is not last) for host in scene.hosts))
        calls.wait_for_more(4 * SOME)
        scene.wait_for_backlog(last, 5)
        scene.end_backlog()
        calls.wait_for_more(4 * SOME)
    by_others = "SELECT 1 FROM callsign.job WHERE system = 'noojee' AND home = %s AND owner <> home"
    assert len(scene.rows(by_others, last.folder.name)) > 5
    assert_kept(scene)


def test_the_backlog_of_a_host_that_dies_with_its_disk_is_delivered_by_the_others(scene: Scene) -> None:
    with scene.calls_on(*[scene.postgres.where()] * HOSTS) as calls:
        victim = scene.hosts[0]
        scene.wait_for_backlog(victim, 8)
        victim.destroy()
        calls.wait_for_more(SOME)
        scene.wait_for_death(victim)
        scene.end_backlog()
        calls.wait_for_more(SOME)
    assert scene.adopted(victim) > 5
    assert_kept(scene, destroyed=(victim,))


def test_hosts_die_with_their_disks_in_turn_and_come_back_as_new_ones(scene: Scene) -> None:
    with scene.calls_on(*[scene.postgres.where()] * HOSTS) as calls:
        for victim in scene.hosts:
            victim.destroy()
            calls.wait_for_more(SOME)
            victim.come_back()
            calls.wait_for_more(SOME)
    assert_kept(scene, destroyed=tuple(scene.hosts))


def test_a_host_that_is_killed_goes_on_with_its_own_when_it_comes_back(scene: Scene) -> None:
    with scene.calls_on(*[scene.postgres.where()] * HOSTS) as calls:
        quick, late = scene.hosts[:2]
        scene.wait_for_backlog(quick, 5)
        quick.kill()
        quick.come_back()
        scene.end_backlog()
        calls.wait_for_more(SOME)
        scene.wait_for_backlog(late, 5)
        late.kill()
        scene.wait_for_death(late)
        scene.end_backlog()
        calls.wait_for_more(SOME)
        late.come_back()
        calls.wait_for_more(SOME)
    assert scene.adopted(late) > 3
    assert_kept(scene, killed=(quick, late))


def test_a_host_that_freezes_and_wakes_sends_nothing_that_others_have_taken_over(scene: Scene) -> None:
    with scene.calls_on(*[scene.postgres.where()] * HOSTS) as calls:
        victim = scene.hosts[0]
        scene.wait_for_backlog(victim, 8)
        victim.freeze()
        scene.wait_for_death(victim)
        scene.end_backlog()
        calls.wait_for_more(SOME)
        victim.wake()
        calls.wait_for_more(SOME)
    assert scene.adopted(victim) > 5
    assert_kept(scene, killed=(victim,))


def test_pgbouncer_in_transaction_mode_changes_nothing(scene: Scene, pgbouncer_program: Path) -> None:
    with (
        PgBouncer(pgbouncer_program, scene.postgres) as bouncer,
        scene.calls_on(*[bouncer.where()] * HOSTS, pooled=True) as calls,
    ):
        victim = scene.hosts[0]
        scene.wait_for_backlog(victim, 8)
        victim.destroy()
        scene.wait_for_death(victim)
        scene.end_backlog()
        calls.wait_for_more(2 * SOME)
    assert scene.adopted(victim) > 5
    assert_kept(scene, destroyed=(victim,))


# -- PostgreSQL ------------------------------------------------------------------------------------------


def test_postgresql_is_killed_and_comes_back(scene: Scene) -> None:
    with scene.calls_on(*[scene.postgres.where()] * HOSTS) as calls:
        for _ in range(2):
            with outage(scene):
                scene.postgres.kill()
                calls.wait_for_more(2 * SOME)
                scene.postgres.start()
    assert_outage_survived(scene)


def test_connections_that_break_while_postgresql_is_well_are_no_outage(scene: Scene) -> None:
    with scene.calls_on(*[scene.postgres.where()] * HOSTS) as calls:
        for _ in range(4):
            wait_until(lambda: len(scene.rows(SETTLED)) >= 2 * HOSTS)  # one that breaks as it is opened is an outage
            scene.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'callsign'")
            calls.wait_for_more(SOME // 2)
    assert_kept(scene)


def test_postgresql_is_frozen_for_longer_than_a_lease(scene: Scene) -> None:
    with scene.calls_on(*[scene.postgres.where()] * HOSTS) as calls, outage(scene):
        scene.postgres.freeze()
        calls.wait_for_more(6 * SOME)
        scene.postgres.wake()
    assert_outage_survived(scene)


def test_postgresql_takes_nothing_but_questions(scene: Scene) -> None:
    with scene.calls_on(*[scene.postgres.where()] * HOSTS) as calls, outage(scene):
        scene.postgres.read_only()
        calls.wait_for_more(4 * SOME)
        scene.postgres.read_only(False)
    assert_outage_survived(scene)


def test_postgresql_has_no_room_left(
    postgres_programs: Path, full_disk: dict[str, str], tmp_path: Path, box: Vendors, dice: random.Random
) -> None:
    with Postgres(postgres_programs, environment=full_disk) as postgres:
        postgres.make_database()
        upgrade(postgres)
        scene = Scene(tmp_path, postgres, box, dice)
        is_full = Path(full_disk["FULL_WHILE"])
        with scene.calls_on(*[postgres.where()] * HOSTS) as calls, outage(scene):
            is_full.touch()
            calls.wait_for_more(4 * SOME)
            assert "No space left on device" in postgres.log
            is_full.unlink()
        assert_outage_survived(scene)


def test_a_standby_takes_over_that_lacks_the_last_second(scene: Scene) -> None:
    primary = scene.postgres
    with Postgres(primary.programs, primary=primary) as standby:
        where = (
            f"host=127.0.0.1,127.0.0.1 port={primary.port},{standby.port} dbname=callsign user=callsign "
            "target_session_attrs=read-write"
        )
        with scene.calls_on(*[where] * HOSTS) as calls, outage(scene):
            wait_until(primary.is_followed)
            primary.hold_back()
            calls.wait_for_more(SOME)
            primary.kill()
            calls.wait_for_more(SOME)
            standby.promote()
            scene.postgres = standby
        assert_outage_survived(scene)


def test_one_host_is_cut_off_from_the_others(scene: Scene) -> None:
    where = scene.postgres.where()
    with TcpProxy(scene.postgres.port) as proxy:
        through = where.replace(f"port={scene.postgres.port}", f"port={proxy.port}")
        with scene.calls_on(through, *[where] * (HOSTS - 1)) as calls, outage(scene):
            proxy.cut()
            calls.wait_for_more(6 * SOME)
            proxy.join()
    # The others take over what it had no word of any more.
    assert_none_lost(scene)
    assert set(scene.count.twice) <= scene.in_outages
    assert scene.count.disordered == []
