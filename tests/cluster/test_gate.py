"""What becomes of a host's jobs by what the database says, says late, or does not say; the clock is the test's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from callsign import thread_starts
from callsign.cluster import rounds
from callsign.cluster import statements as sql
from callsign.cluster.gate import ClusterGate
from callsign.cluster.known import Known
from callsign.cluster.life import Life
from callsign.cluster.patience import MOST_OF_A_TICK_SECONDS
from callsign.cluster.pending import END_SECONDS
from callsign.cluster.publishing import APART_SECONDS
from callsign.cluster.slots import Slots
from callsign.delivery.gate import Load
from callsign.delivery.lane import Lane
from callsign.notification import Notification, State
from callsign.outbox.jobs import digest_of
from callsign.outbox.outbox import Job
from callsign.outbox.reader import OutboxReader
from callsign.record import replace
from callsign.settings.secret import Secret
from callsign.settings.sections import Cluster, Noojee, OutboxSection, Settings, Skarabee
from callsign.vendors.noojee import vendor as noojee
from clocks_play import Clock
from played_database import PlayedDatabase, free_row

STORE = "0123456789abcdef"
LIFETIME_SECONDS = 60.0
PATIENCE_SECONDS = 1.0
LEASE_SECONDS = 5.0


class Lanes:
    """One lane for all, and who was given up."""

    def __init__(self) -> None:
        self.lane = Lane(100, noojee.keys_of, noojee.undoes)
        self.limits: dict[str, int] = {}

    def let_go(self, job: Job) -> None:
        self.lane.let_go(job)

    def hold(self, job: Job) -> None:
        self.lane.hold(job)

    def leave(self, job: Job) -> None:
        self.hold(job)

    def give_up(self, job: Job, state: State, reason: str) -> None:
        self.lane.give_up(job, state, reason)

    def take_in(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self.lane.add(job)

    def limit(self, account: str, most: int, hosts: int, stands_aside: bool) -> None:
        self.limits[account] = most

    def loads(self) -> dict[str, Load]:
        return {}


class Host:
    """A host's gate without its threads: a test says when each of them does something."""

    def __init__(self, clock: Clock, database: PlayedDatabase, name: str = "pbx1") -> None:
        self.clock, self.database, self.lanes = clock, database, Lanes()
        section = Cluster("dbname=callsign", host=name, patience=PATIENCE_SECONDS, lease=LEASE_SECONDS)
        recorder = Noojee("https://pbx.example/rest", Secret("the key"))
        office = Skarabee("https://crm.example", "8103", Secret("the key"))
        store = OutboxSection(path=Path("/nowhere/outbox.db"))
        self.settings = Settings(outbox=store, cluster=section, noojee=recorder, skarabee=office)
        self.ended: dict[int, State] = {}  # what its own store says
        self.written: list[int | None] = []  # up to which of its jobs the others may know of them, as its store is told
        self.numbers = 0
        self.gate = ClusterGate(lambda: self.settings, self.written.append, self._give_above)
        self.gate.known.found(0, None)
        self.gate.wire(self.lanes, STORE, lambda job: self._state(job), database, database)

    def _give_above(self, number: int) -> None:
        self.numbers = max(self.numbers, number)

    def _state(self, job: int) -> tuple[State, str] | None:
        return (self.ended[job], "") if job in self.ended else None

    def told(self, action: str = "noojee/start", call: str = "pbx-1.1", once: str = "", recovered: bool = False) -> Job:
        """A job that was just stored, or found in the store."""
        self.numbers += 1
        facts = {"extenOrUniqueId": call}
        notification = Notification("noojee", action, call, facts, self.clock.now, LIFETIME_SECONDS, once)
        job = Job(self.numbers, notification, self.clock.now + LIFETIME_SECONDS, recovered=recovered, held=True)
        self.lanes.lane.add(job)
        self.gate.admit([job])
        return job

    def publish(self) -> None:
        self.gate.publishing.gather(0)
        self.gate.publishing.turn(self.clock.now)

    def round(self) -> None:
        self.gate.rounds.round(self.clock.now)

    def wait(self, seconds: float) -> None:
        """The time goes by, and the gate's clock sees it."""
        end = self.clock.now + seconds
        while self.clock.now < end:
            self.clock.now = min(end, self.clock.now + 0.1)
            self.gate.patience.tick(self.clock.now)

    def live(self, seconds: float) -> None:
        """The time goes by with a round each second."""
        for _ in range(round(seconds)):
            self.wait(1.0)
            self.round()

    def sends(self) -> list[int]:
        """What may be sent now, and is from now on under way."""
        found = []
        while (job := self.lanes.lane.take(self.clock.now)) is not None:
            if job.over:
                self.end(job, *(job.word or (State.EXPIRED, "")))
            elif self.gate.may_send(job):
                job.attempts += 1
                found.append(job.id)
            else:
                self.lanes.lane.give_back(job)
        return found

    def end(self, job: Job, state: State = State.DELIVERED, reason: str = "") -> None:
        self.ended[job.id] = state
        self.gate.ended(job, state, reason)
        self.lanes.lane.finish(job, state is State.DELIVERED)

    def life(self, job: Job) -> Life | None:
        entry = self.gate.ledger.of(job)
        return entry and entry.life


@pytest.fixture
def database() -> PlayedDatabase:
    return PlayedDatabase()


@pytest.fixture
def host(clock: Clock, database: PlayedDatabase) -> Host:
    """It has joined, and its lease is valid."""
    found = Host(clock, database)
    found.round()
    return found


# -- publishing ----------------------------------------------------------------------------------------


def test_a_job_is_sent_when_the_database_has_it_and_not_before(host: Host) -> None:
    job = host.told()
    assert host.sends() == []
    host.publish()
    assert host.life(job) is Life.MINE
    assert host.sends() == [job.id]


def test_jobs_that_come_together_are_told_in_one_exchange(host: Host, database: PlayedDatabase) -> None:
    jobs = [host.told(call=f"pbx-1.{n}") for n in range(250)]
    host.publish()
    host.publish()
    assert database.batches == [200, 50]
    assert host.sends() == [job.id for job in jobs][:100]  # as many as the lane lets go


def test_an_end_is_told_with_the_next_job_in_one_transaction_or_soon_by_itself(
    host: Host, database: PlayedDatabase
) -> None:
    first = host.told(call="pbx-1.1")
    host.publish()
    assert host.sends() == [first.id]
    host.end(first)
    host.publish()
    assert database.jobs[STORE, first.id]["state"] == "waiting"
    second = host.told(call="pbx-1.2")
    database.said.clear()
    host.publish()
    assert database.jobs[STORE, first.id]["state"] == "delivered"
    assert (database.said.count(sql.BEGIN), sql.NO_WAIT_FOR_DISK in database.said) == (1, False)
    assert host.sends() == [second.id]
    host.end(second)
    database.said.clear()
    host.clock.now += END_SECONDS
    host.publish()
    assert database.jobs[STORE, second.id]["state"] == "delivered"
    assert (database.said.count(sql.BEGIN), sql.NO_WAIT_FOR_DISK in database.said) == (1, True)


def test_a_host_that_stops_tells_all_ends(host: Host, database: PlayedDatabase) -> None:
    job = host.told()
    host.publish()
    assert host.sends() == [job.id]
    host.end(job)
    host.gate.publishing.stop()
    host.gate.publishing.run()
    assert database.jobs[STORE, job.id]["state"] == "delivered"


def test_a_job_goes_out_without_an_answer_when_its_patience_is_over_and_is_told_later(
    host: Host, database: PlayedDatabase
) -> None:
    job = host.told()
    host.wait(PATIENCE_SECONDS - 0.1)
    assert host.sends() == []
    host.wait(0.2)
    assert host.sends() == [job.id]
    assert host.gate.figures.alone == 1
    host.end(job)
    host.publish()
    assert database.jobs[STORE, job.id]["state"] == "delivered"


def test_while_the_database_is_silent_nobody_waits_for_it(host: Host, database: PlayedDatabase) -> None:
    database.is_silent = True
    host.told(call="pbx-1.1")
    host.publish()
    host.wait(0.1)
    assert host.sends() == [1]
    host.told(call="pbx-1.2")
    assert host.sends() == [2]
    assert host.gate.figures.unpublished == 1
    database.is_silent = False
    host.publish()
    assert len(database.jobs) == 2


def test_a_stop_does_while_another_host_may_not_have_noticed_and_still_hold_its_start(
    host: Host, database: PlayedDatabase
) -> None:
    database.is_silent = True
    host.told(call="pbx-1.1")
    host.publish()
    host.wait(0.1)
    assert host.sends() == [1]
    stop = host.told("noojee/stop", call="pbx-1.2")
    host.wait(2 * PATIENCE_SECONDS - 0.2)
    assert host.sends() == []
    host.wait(0.3)
    assert host.sends() == [stop.id]
    host.wait(APART_SECONDS)
    late = host.told("noojee/stop", call="pbx-1.3")
    assert host.sends() == [late.id]


def test_one_that_is_new_when_this_host_notices_goes_on_waiting(host: Host, database: PlayedDatabase) -> None:
    database.is_silent = True
    start, stop = host.told(call="pbx-1.1"), host.told("noojee/stop", call="pbx-1.2")
    host.publish()
    host.wait(0.1)
    assert host.sends() == [start.id]
    host.wait(2 * PATIENCE_SECONDS - 0.2)
    assert host.sends() == []
    host.wait(0.3)
    assert host.sends() == [stop.id]


def test_who_has_nothing_to_tell_notices_by_its_rounds_that_nothing_is_answered(
    host: Host, database: PlayedDatabase
) -> None:
    host.round()
    database.hangs = True
    host.round()
    start = host.told()
    assert host.sends() == [start.id]


def test_what_another_host_was_told_too_is_told_to_nobody(host: Host, database: PlayedDatabase) -> None:
    job = host.told(once="the same")
    again = host.told(once="the same")
    host.publish()
    assert host.sends() == [job.id]
    assert host.ended == {again.id: State.DUPLICATE}
    host.publish()
    assert len(database.jobs) == 1


def test_what_has_ended_in_a_way_that_only_a_later_callsign_knows_has_ended_here_and_holds_up_no_other(
    host: Host, database: PlayedDatabase
) -> None:
    first, second = host.told(call="pbx-1.1"), host.told(call="pbx-1.2")
    database.jobs[STORE, first.id] = {"home": "pbx1", "owner": "pbx1", "state": "parked", "action": "noojee/start"}
    host.publish()
    assert host.sends() == [second.id]
    assert host.ended == {first.id: State.DUPLICATE}


def test_what_was_sent_without_an_answer_and_is_known_by_then_goes_on(host: Host, database: PlayedDatabase) -> None:
    job = host.told(once="the same")
    host.wait(PATIENCE_SECONDS + 0.1)
    assert host.sends() == [job.id]
    database.known = {digest_of(job.notification)}
    host.publish()
    host.lanes.lane.put_back(job, host.clock.now)
    host.clock.now += LEASE_SECONDS
    assert host.sends() == [job.id]


def test_a_stop_waits_for_the_start_at_another_host(host: Host, database: PlayedDatabase) -> None:
    stop = host.told("noojee/stop")
    database.behind.add((STORE, stop.id))
    host.publish()
    assert (host.life(stop), host.sends()) == (Life.BEHIND, [])
    host.wait(0.1)
    host.publish()
    assert host.sends() == []
    database.behind.clear()
    host.wait(0.1)
    host.publish()
    assert host.sends() == [stop.id]


def test_a_stop_whose_start_nobody_has_told_of_waits_until_a_host_that_is_cut_off_has_sent_it(
    host: Host, database: PlayedDatabase
) -> None:
    stop = host.told("noojee/stop")
    database.unheard.add((STORE, stop.id))
    for _ in range(19):
        host.publish()
        host.wait(0.1)
    assert (host.life(stop), host.sends()) == (Life.EARLY, [])
    host.wait(0.2)
    assert host.sends() == [stop.id]


@pytest.mark.parametrize("is_open", [True, False])
def test_and_follows_it_as_soon_as_it_is_told_of(host: Host, database: PlayedDatabase, is_open: bool) -> None:
    stop = host.told("noojee/stop")
    key = STORE, stop.id
    database.unheard.add(key)
    host.publish()
    assert host.life(stop) is Life.EARLY
    database.unheard.clear()
    database.behind |= {key} if is_open else set()
    host.wait(0.1)
    host.publish()
    assert host.life(stop) is (Life.BEHIND if is_open else Life.MINE)


def test_one_that_was_found_at_the_start_has_waited(host: Host, database: PlayedDatabase) -> None:
    stop = host.told("noojee/stop", recovered=True)
    database.unheard.add((STORE, stop.id))
    host.publish()
    assert host.sends() == [stop.id]


def test_and_not_for_ever_where_the_database_falls_silent(host: Host, database: PlayedDatabase) -> None:
    stop = host.told("noojee/stop")
    database.behind.add((STORE, stop.id))
    host.publish()
    database.is_silent = True
    host.wait(0.1)
    host.publish()
    host.wait(0.9)
    assert host.sends() == []
    host.wait(0.3)
    assert host.sends() == [stop.id]


def test_a_start_that_is_published_late_behind_a_stop_is_superseded(host: Host, database: PlayedDatabase) -> None:
    start = host.told()
    database.later[STORE, start.id] = ["noojee/stop"]
    host.publish()
    assert host.sends() == []
    assert host.ended == {start.id: State.SUPERSEDED}
    host.wait(0.1)
    host.publish()
    assert database.jobs[STORE, start.id]["state"] == "superseded"


def test_so_is_one_that_a_start_finds_and_nobody_knew_of(host: Host, database: PlayedDatabase) -> None:
    start = host.told(recovered=True)
    database.later[STORE, start.id] = ["noojee/stop"]
    host.publish()
    assert host.sends() == []
    assert host.ended == {start.id: State.SUPERSEDED}


def test_where_the_others_knew_of_it_the_stop_has_waited(host: Host, database: PlayedDatabase) -> None:
    database.jobs[STORE, 1] = {"home": "pbx1", "owner": "pbx1", "state": "waiting", "action": "noojee/start"}
    start = host.told(recovered=True)
    database.later[STORE, start.id] = ["noojee/stop"]
    host.publish()
    assert host.sends() == [start.id]


def test_and_one_that_was_tried_already_is_not(host: Host, database: PlayedDatabase) -> None:
    start = host.told()
    database.later[STORE, start.id] = ["noojee/stop"]
    host.wait(PATIENCE_SECONDS + 0.1)
    assert host.sends() == [start.id]
    host.publish()
    assert host.life(start) is Life.MINE


def test_a_job_that_the_database_cannot_take_holds_up_no_other(host: Host, database: PlayedDatabase) -> None:
    database.poison = "odd"
    odd, good = host.told(call="odd"), host.told(call="pbx-1.2")
    for _ in range(3):
        host.publish()
    assert host.sends() == [odd.id, good.id]
    assert list(database.jobs) == [(STORE, good.id)]


def test_a_store_of_the_same_name_at_another_host_costs_nothing(
    host: Host, database: PlayedDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    job = host.told()
    database.jobs[STORE, job.id] = {"home": "pbx2", "owner": "pbx2", "state": "delivered", "action": ""}
    host.publish()
    assert host.sends() == [job.id]
    assert "pbx2 has a store of the same name" in caplog.text


def test_a_job_whose_number_the_others_know_for_another_one_goes_out(
    host: Host, database: PlayedDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    """The store was put back, or lost its last moments with the power, and gives numbers once more."""
    before = {"home": "pbx1", "owner": "pbx1", "state": "delivered", "action": "noojee/start", "call": "pbx-1.7"}
    database.jobs[STORE, 1], database.jobs[STORE, 2] = before, {**before, "state": "waiting", "action": "noojee/stop"}
    jobs = [host.told(call="pbx-1.1"), host.told(call="pbx-1.7")]
    host.publish()
    assert host.sends() == [1, 2]
    for job in jobs:
        host.end(job)
    host.publish()
    assert host.ended == {1: State.DELIVERED, 2: State.DELIVERED}
    assert database.jobs[STORE, 2]["state"] == "waiting"
    assert host.gate.ledger.all() == []
    assert caplog.text.count("was the store put back?") == 2


def test_behind_a_join_no_number_is_given_that_the_others_know(clock: Clock, database: PlayedDatabase) -> None:
    host = Host(clock, database)
    database.newest = 7
    host.round()
    assert host.told().id == 8


def test_nothing_is_kept_of_what_went_out_alone_and_is_never_told(host: Host, database: PlayedDatabase) -> None:
    database.is_silent = True
    known = host.told(once="same")
    database.known.add(digest_of(known.notification))
    host.publish()
    host.wait(PATIENCE_SECONDS)
    odd = host.told(call="odd")
    assert host.sends() == [1, 2]
    database.is_silent, database.poison = False, "odd"
    for _ in range(4):
        host.publish()
    for job in (odd, known):
        host.end(job)
    host.publish()
    assert host.ended == {1: State.DELIVERED, 2: State.DELIVERED}
    assert host.gate.ledger.all() == []


# -- lease -----------------------------------------------------------------------------------------------


def test_a_published_job_is_held_when_the_lease_is_over_and_goes_out_when_it_is_valid_again(
    host: Host, database: PlayedDatabase
) -> None:
    job = host.told()
    host.publish()
    database.is_silent = True
    host.wait(LEASE_SECONDS)
    assert host.sends() == []
    assert host.life(job) is Life.HELD
    database.is_silent = False
    host.round()
    host.wait(0.1)
    assert host.sends() == [job.id]


def test_a_host_that_wakes_sends_nothing_that_others_took_over(host: Host, database: PlayedDatabase) -> None:
    job, other = host.told(call="pbx-1.1"), host.told(call="pbx-1.2")
    host.publish()
    host.clock.now += 20  # it stands still
    database.hosts["pbx1"] = 1, 1, True
    database.jobs[STORE, job.id]["owner"] = "pbx2"
    host.gate.patience.tick(host.clock.now)
    assert host.sends() == []
    host.round()  # it hears of its death
    assert host.sends() == []
    host.round()
    host.gate.patience.tick(host.clock.now)
    assert host.sends() == [other.id]
    assert host.ended == {job.id: State.DUPLICATE}
    assert host.gate.figures.lost == 1


def test_what_stood_still_has_not_waited(host: Host) -> None:
    host.told()
    host.clock.now += 20
    host.gate.patience.tick(host.clock.now)
    assert host.gate.patience._awake <= MOST_OF_A_TICK_SECONDS
    assert host.sends() == []


def test_near_its_end_a_held_job_is_sent_rather_twice_than_never(host: Host, database: PlayedDatabase) -> None:
    job = host.told()
    host.publish()
    database.is_silent = True
    host.wait(LEASE_SECONDS)
    assert host.sends() == []
    host.wait(LIFETIME_SECONDS - LEASE_SECONDS - 5.5)
    assert host.sends() == []
    host.wait(0.7)
    assert host.sends() == [job.id]


# -- what a start finds ----------------------------------------------------------------------------------


@pytest.fixture
def cut_off(clock: Clock, database: PlayedDatabase) -> Host:
    """A host that starts while the database is silent: the others may know of its first two jobs, not of the third."""
    database.is_silent = True
    found = Host(clock, database)
    found.gate.known.found(3, 2)
    return found


def test_what_nobody_knew_of_waits_two_leases_for_an_answer_and_the_rest_until_near_its_end(cut_off: Host) -> None:
    known, other, unknown = (cut_off.told(call=f"pbx-1.{n}", recovered=True) for n in (1, 2, 3))
    cut_off.publish()
    cut_off.wait(2 * LEASE_SECONDS - 0.2)
    assert cut_off.sends() == []
    cut_off.wait(0.3)
    assert cut_off.sends() == [unknown.id]
    cut_off.wait(LIFETIME_SECONDS - 2 * LEASE_SECONDS - 5.2)
    assert cut_off.sends() == []
    cut_off.wait(0.2)
    assert cut_off.sends() == [known.id, other.id]
    assert cut_off.written == []


def test_the_log_says_once_how_many_jobs_wait_for_the_database(cut_off: Host, caplog: pytest.LogCaptureFixture) -> None:
    for n in (1, 2):
        cut_off.told(call=f"pbx-1.{n}", recovered=True)
    cut_off.told(call="pbx-1.4")
    cut_off.publish()
    cut_off.live(5)
    assert [line for line in caplog.messages if "lay in the store" in line] == [
        "[cluster] jobs that lay in the store at the start wait for the database, up to near their end: 2; "
        "other hosts may have delivered them"
    ]


def test_it_goes_on_at_once_where_the_database_answers_meanwhile(cut_off: Host, database: PlayedDatabase) -> None:
    jobs = [cut_off.told(call=f"pbx-1.{n}", recovered=True) for n in (1, 2, 3)]
    cut_off.publish()
    cut_off.wait(3)
    taken = {"home": "pbx1", "owner": "pbx2", "state": "delivered", "action": "noojee/start", "call": "pbx-1.2"}
    database.jobs[STORE, 2] = taken
    database.is_silent = False
    cut_off.round()
    cut_off.publish()
    assert cut_off.sends() == [jobs[0].id, jobs[2].id]
    assert cut_off.ended == {2: State.DUPLICATE}
    assert cut_off.written == [None]


def test_what_was_told_while_this_process_started_waits_no_longer_than_what_comes_later(cut_off: Host) -> None:
    found = [cut_off.told(call=f"pbx-1.{n}", recovered=True) for n in (1, 2, 3)]
    start, stop = cut_off.told(call="pbx-1.4", recovered=True), cut_off.told("noojee/stop", "pbx-1.5", recovered=True)
    cut_off.wait(PATIENCE_SECONDS - 0.1)
    assert cut_off.sends() == []
    cut_off.wait(0.2)
    assert cut_off.sends() == [start.id]
    cut_off.wait(PATIENCE_SECONDS)
    assert cut_off.sends() == [stop.id]
    assert all(cut_off.life(job) is Life.NEW for job in found)


def test_while_all_is_well_nothing_is_written_of_who_knows(host: Host, database: PlayedDatabase) -> None:
    for _ in range(3):
        host.told()
        host.publish()
        host.round()
    assert host.written == []


def test_a_silence_is_written_once_with_the_last_job_that_came_through_and_so_is_its_end(
    host: Host, database: PlayedDatabase
) -> None:
    host.told()
    host.publish()
    database.is_silent = True
    for _ in range(3):
        host.told()
        host.publish()
        host.round()
    assert host.written == [1]
    database.is_silent = False
    host.publish()
    host.publish()
    assert host.written == [1, None]
    database.is_silent = True
    host.told()
    host.publish()
    assert host.written == [1, None, 4]


def test_what_had_no_answer_may_have_come_through(host: Host, database: PlayedDatabase) -> None:
    host.told()
    database.hangs = True
    host.publish()
    database.hangs, database.is_silent = False, True
    host.told()
    host.publish()
    assert host.written == [1]


def test_what_was_refused_has_not_nor_has_it_where_ends_wait_too(host: Host, database: PlayedDatabase) -> None:
    first = host.told(call="pbx-1.1")
    host.publish()
    assert host.sends() == [first.id]
    database.refuses = True
    for number in (2, 3):
        host.told(call=f"pbx-1.{number}")
        host.publish()
        if number == 2:
            host.end(first)
    assert host.written == [1]
    database.refuses = False
    host.publish()
    host.publish()
    assert database.jobs[STORE, first.id]["state"] == "delivered"
    assert len(database.jobs) == 3


def test_a_host_that_is_stopped_leaves_behind_what_the_others_know(host: Host) -> None:
    host.told()
    host.publish()
    host.told()
    host.gate.stop(0)
    assert host.written == [1]


def test_where_the_store_does_not_say_the_others_may_know_of_all(clock: Clock, database: PlayedDatabase) -> None:
    database.is_silent = True
    host = Host(clock, database)
    host.gate.known = Known(host.written.append)
    host.gate.look()  # there is no store
    host.gate.wire(host.lanes, STORE, lambda _job: None, database, database)
    host.told(recovered=True)
    host.publish()
    host.wait(2 * LEASE_SECONDS + 1)
    assert host.sends() == []


def test_of_two_hosts_with_one_name_one_sends_what_its_start_has_found(host: Host, database: PlayedDatabase) -> None:
    host.gate.known.found(1, None)
    for _ in range(3):
        life, beat, dead = database.hosts["pbx1"]
        database.hosts["pbx1"] = life + 1, beat, dead
        host.live(2)
    job = host.told(recovered=True)
    assert host.sends() == [job.id]


# -- reconcile -------------------------------------------------------------------------------------------


def test_an_end_that_was_lost_in_a_crash_is_said_again(clock: Clock, database: PlayedDatabase) -> None:
    host = Host(clock, database)
    host.ended[7] = State.DELIVERED
    database.jobs[STORE, 7] = {"home": "pbx1", "owner": "pbx1", "state": "waiting", "action": "noojee/start"}
    host.round()
    host.wait(0.1)
    host.publish()
    assert database.jobs[STORE, 7]["state"] == "delivered"
    assert host.sends() == []


DAMAGED = ["no JSON", "[1]", "[" * 100_000]
"""Facts, the last of them too deep to be read."""


@pytest.mark.parametrize("facts", DAMAGED, ids=range(len(DAMAGED)))
def test_and_so_it_is_where_what_was_notified_is_damaged(
    host: Host, database: PlayedDatabase, caplog: pytest.LogCaptureFixture, facts: str
) -> None:
    host.ended[7] = State.DELIVERED
    row = {"home": "pbx1", "owner": "pbx1", "state": "waiting", "action": "noojee/start", "facts": facts}
    database.jobs[STORE, 7] = row
    database.server = "another"
    host.round()
    host.wait(0.1)
    host.publish()
    assert database.jobs[STORE, 7]["state"] == "delivered"
    assert "fault" not in caplog.text


@pytest.mark.parametrize("facts", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_row_is_left_alone_and_the_others_are_taken_over(
    host: Host, database: PlayedDatabase, caplog: pytest.LogCaptureFixture, facts: str
) -> None:
    damaged, whole = free_row(1), free_row(2, call="pbx-2.2")
    database.free = [(*damaged[:5], facts, *damaged[6:]), whole]
    host.round()
    assert len(host.sends()) == 1
    assert "job=pbx2:1: its row in the database is damaged and left alone" in caplog.text


def test_so_is_one_for_a_vendor_that_only_a_later_callsign_knows(
    host: Host, database: PlayedDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    unknown, whole = free_row(1), free_row(2, call="pbx-2.2")
    database.free = [(*unknown[:2], "carrier", *unknown[3:]), whole]
    host.round()
    assert len(host.sends()) == 1
    assert "job=pbx2:1 is for carrier, which this callsign does not know" in caplog.text


def test_and_when_a_failover_has_forgotten_that_it_is_told_once_more_and_concerns_no_lane(
    clock: Clock, database: PlayedDatabase
) -> None:
    host = Host(clock, database)
    host.ended[7] = State.DELIVERED
    row = {"home": "pbx1", "owner": "pbx1", "state": "waiting", "action": "noojee/start"}
    database.jobs[STORE, 7] = dict(row)
    host.round()
    host.wait(0.1)
    host.publish()
    for state in ("delivered", "waiting"):
        database.server = f"another, for which it is {state}"
        database.jobs[STORE, 7] = {**row, "state": state}
        host.round()
        host.publish()
        host.wait(0.1)
        host.publish()
        assert host.sends() == []
        assert database.jobs[STORE, 7]["state"] == "delivered"


def test_what_is_ours_and_our_store_does_not_know_is_taken_in(clock: Clock, database: PlayedDatabase) -> None:
    host = Host(clock, database)
    database.jobs["a store that is lost", 7] = {
        "home": "pbx1",
        "owner": "pbx1",
        "state": "waiting",
        "action": "noojee/start",
    }
    host.round()
    assert len(host.sends()) == 1
    assert host.gate.figures.adopted == 1


def test_what_is_open_in_our_store_is_left_to_it(clock: Clock, database: PlayedDatabase) -> None:
    host = Host(clock, database)
    host.ended[7] = State.WAITING
    database.jobs[STORE, 7] = {"home": "pbx1", "owner": "pbx1", "state": "waiting", "action": "noojee/start"}
    host.round()
    assert host.sends() == []


@pytest.mark.parametrize("is_told", [True, False])
def test_a_failover_that_forgot_is_told_again_what_waits_and_what_has_just_ended(
    host: Host, database: PlayedDatabase, is_told: bool
) -> None:
    waits, ended = host.told(call="pbx-1.1"), host.told(call="pbx-1.2")
    host.publish()
    assert host.sends() == [waits.id, ended.id]
    host.end(ended)
    if is_told:
        host.wait(0.1)
        host.publish()
    database.jobs.clear()
    database.known.clear()
    database.server = "another"
    host.round()
    host.publish()
    host.wait(0.1)
    host.publish()
    assert {key: job["state"] for key, job in database.jobs.items()} == {
        (STORE, waits.id): "waiting",
        (STORE, ended.id): "delivered",
    }


def test_a_job_that_was_dropped_there_is_given_up_here(host: Host, database: PlayedDatabase) -> None:
    job = host.told()
    host.publish()
    database.wishes.append((STORE, job.id))
    database.jobs[STORE, job.id]["state"] = "dropped"
    host.live(1)
    assert host.sends() == []
    assert host.ended == {job.id: State.DROPPED}
    assert database.wishes == []


@pytest.mark.parametrize("rows", ["forgettable", "too_late"])
def test_what_is_to_be_forgotten_goes_in_every_round_until_none_is_left_and_then_once_a_minute(
    rows: str, host: Host, database: PlayedDatabase
) -> None:
    host.live(61)
    setattr(database, rows, 2 * sql.MOST_PRUNED + 1)
    database.said.clear()
    host.live(70)
    assert getattr(database, rows) == 0
    assert 3 <= database.said.count(sql.PRUNE) == database.said.count(sql.EXPIRE) <= 4


# -- the dead --------------------------------------------------------------------------------------------


def test_a_host_without_a_beat_for_a_lease_is_dead_and_its_jobs_go_out_from_here(
    host: Host, database: PlayedDatabase
) -> None:
    database.hosts["pbx2"] = 1, 7, False
    host.live(LEASE_SECONDS)
    assert not database.hosts["pbx2"][2]
    database.free = [free_row(3)]
    host.live(1)
    assert database.hosts["pbx2"][2]
    assert len(host.sends()) == 1


def test_nobody_is_dead_after_an_outage_of_the_database(host: Host, database: PlayedDatabase) -> None:
    database.hosts["pbx2"] = 1, 7, False
    host.live(3)
    database.is_silent = True
    host.live(10)
    database.is_silent = False
    host.live(LEASE_SECONDS)
    assert not database.hosts["pbx2"][2]


def test_an_adopted_start_goes_before_a_stop_of_ours_that_was_not_tried(host: Host, database: PlayedDatabase) -> None:
    stop = host.told("noojee/stop")
    database.behind.add((STORE, stop.id))
    host.publish()
    database.free = [free_row(3)]
    host.live(1)
    database.behind.clear()
    host.publish()
    (adopted,) = host.sends()
    assert adopted < 0
    host.lanes.lane.finish(next(job for job in host.lanes.lane._order if job.id == adopted), verdict=True)
    assert host.sends() == [stop.id]


def test_an_adopted_stop_waits_for_its_start_at_a_third_host(host: Host, database: PlayedDatabase) -> None:
    database.free = [free_row(3, "noojee/stop")]
    database.behind.add(("store of pbx2", 3))
    host.live(1)
    assert host.sends() == []
    database.behind.clear()
    host.publish()
    assert len(host.sends()) == 1


def test_while_jobs_are_taken_over_no_answer_lets_one_of_ours_go(host: Host, database: PlayedDatabase) -> None:
    job = host.told()
    lock: threading.Lock = host.gate.publishing._adopting
    held: list[bool] = []
    database.on_adopt = lambda: held.append(lock.locked())
    host.round()
    assert held == [True]
    with lock:
        publishing = threading.Thread(target=host.publish)
        publishing.start()
        publishing.join(0.2)
        assert host.sends() == []
    publishing.join()
    assert host.sends() == [job.id]


# -- more hosts than slots ---------------------------------------------------------------------------------


def crowd(database: PlayedDatabase, host: Host) -> None:
    """So many hosts come that there is no slot for this one."""
    database.systems = ["noojee"]
    database.hosts |= {f"a{n}": (1, 0, False) for n in range(noojee.CONCURRENCY)}
    host.round()


def uncrowd(database: PlayedDatabase, host: Host) -> None:
    for n in range(noojee.CONCURRENCY):
        del database.hosts[f"a{n}"]
    host.round()


def test_a_host_without_a_slot_leaves_its_jobs_to_whoever_comes_first(host: Host, database: PlayedDatabase) -> None:
    crowd(database, host)
    job = host.told()
    host.publish()
    assert database.jobs[STORE, job.id]["owner"] is None
    assert (host.life(job), host.sends()) == (Life.OFFERED, [])
    host.live(3)
    assert host.sends() == []
    database.jobs[STORE, job.id]["owner"] = "a1"
    host.publish()
    assert host.sends() == []
    assert host.ended == {job.id: State.DUPLICATE}


def test_what_it_had_before_it_leaves_to_them_too_but_not_what_is_under_way(
    host: Host, database: PlayedDatabase
) -> None:
    begun, waits = host.told(call="pbx-1.1"), host.told(call="pbx-1.2")
    host.publish()
    host.lanes.lane.pace.most = 1
    assert host.sends() == [begun.id]
    crowd(database, host)
    assert [database.jobs[STORE, job.id]["owner"] for job in (begun, waits)] == ["pbx1", None]
    host.end(begun)
    host.wait(0.1)
    host.publish()
    assert database.jobs[STORE, begun.id]["state"] == "delivered"
    assert host.life(waits) is Life.OFFERED


def test_of_many_it_leaves_so_many_in_a_round(
    host: Host, database: PlayedDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "MOST_OFFERED", 2)
    jobs = [host.told(call=f"pbx-1.{n}") for n in range(5)]
    host.publish()
    crowd(database, host)
    assert [database.jobs[STORE, job.id]["owner"] for job in jobs] == [None, None, "pbx1", "pbx1", "pbx1"]
    host.live(2)
    assert {database.jobs[STORE, job.id]["owner"] for job in jobs} == {None}


def test_it_sends_them_itself_when_it_has_a_slot_again_and_nobody_came(host: Host, database: PlayedDatabase) -> None:
    crowd(database, host)
    start, stop = host.told(), host.told("noojee/stop", call="pbx-1.2")
    host.publish()
    uncrowd(database, host)
    assert {host.life(start), host.life(stop)} == {Life.MINE}
    assert host.sends() == [start.id, stop.id]
    assert host.gate.figures.adopted == 0


def test_what_waits_for_a_vendor_that_the_settings_name_no_more_is_left_to_the_others_until_they_do(
    host: Host, database: PlayedDatabase
) -> None:
    host.told()
    job = host.told("noojee/stop")
    host.publish()
    recorder, host.settings = host.settings, replace(host.settings, noojee=None)
    host.round()
    assert database.jobs[STORE, job.id]["owner"] is None
    assert (host.life(job), host.sends()) == (Life.OFFERED, [])
    host.settings = recorder
    host.round()
    assert host.sends() == [1]


def test_a_stop_left_to_others_waits_for_its_start_there(host: Host, database: PlayedDatabase) -> None:
    crowd(database, host)
    stop = host.told("noojee/stop")
    host.publish()
    database.behind.add((STORE, stop.id))
    uncrowd(database, host)
    assert (host.life(stop), host.sends()) == (Life.BEHIND, [])


def test_when_the_database_falls_silent_it_sends_what_nobody_had_and_says_so_later(
    host: Host, database: PlayedDatabase
) -> None:
    crowd(database, host)
    done, tried, taken = (host.told(call=f"pbx-1.{n}") for n in range(3))
    host.publish()
    database.is_silent = True
    host.wait(0.1)
    host.publish()
    host.wait(0.8)
    assert host.sends() == []
    host.wait(0.5)
    assert host.sends() == [done.id, tried.id, taken.id]
    host.end(done)
    database.is_silent = False
    database.jobs[STORE, taken.id]["owner"] = "a1"
    host.publish()
    host.wait(0.1)
    host.publish()
    assert database.jobs[STORE, done.id]["state"] == "delivered"
    assert (database.jobs[STORE, tried.id]["owner"], host.life(tried)) == ("pbx1", Life.MINE)
    assert host.life(taken) is Life.LOST


def test_one_that_was_given_up_there_is_given_up_here(host: Host, database: PlayedDatabase) -> None:
    crowd(database, host)
    job = host.told()
    host.publish()
    database.jobs[STORE, job.id]["state"] = "dropped"
    host.publish()
    assert host.sends() == []
    assert host.ended == {job.id: State.DROPPED}


def test_one_whose_time_is_over_ends_for_all(host: Host, database: PlayedDatabase) -> None:
    crowd(database, host)
    job = host.told()
    host.publish()
    host.wait(LIFETIME_SECONDS)
    assert host.sends() == []
    assert host.ended == {job.id: State.EXPIRED}
    host.wait(0.1)
    host.publish()
    assert database.jobs[STORE, job.id]["state"] == "expired"


def test_what_a_start_finds_may_have_been_begun_and_goes_to_others_with_all_that_is_known_of_it(
    host: Host, database: PlayedDatabase
) -> None:
    crowd(database, host)
    job = host.told(recovered=True)
    host.publish()
    assert database.jobs[STORE, job.id]["owner"] == "pbx1"
    host.round()
    assert database.jobs[STORE, job.id]["owner"] is None
    assert host.life(job) is Life.OFFERED


def test_one_that_another_host_has_taken_and_left_again_is_a_job_like_any_other(
    host: Host, database: PlayedDatabase
) -> None:
    crowd(database, host)
    job = host.told()
    host.publish()
    database.jobs[STORE, job.id]["owner"] = "a1"
    host.publish()
    assert host.sends() == []
    database.jobs[STORE, job.id]["owner"] = None
    uncrowd(database, host)
    (adopted,) = host.sends()
    assert adopted < 0


def test_between_two_rounds_a_host_with_a_slot_looks_for_what_others_left(host: Host, database: PlayedDatabase) -> None:
    database.systems = ["noojee"]
    database.hosts |= {f"z{n}": (1, 0, False) for n in range(noojee.CONCURRENCY)}
    host.round()
    database.free = [free_row(3)]
    host.gate.rounds.look(host.clock.now)
    assert len(host.sends()) == 1


def test_a_look_that_goes_wrong_ends_nothing(
    host: Host, database: PlayedDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    database.systems = ["noojee"]
    database.hosts |= {f"z{n}": (1, 0, False) for n in range(noojee.CONCURRENCY)}
    host.round()
    database.is_silent = True
    host.gate.rounds.look(host.clock.now)
    database.is_silent = False
    database.on_adopt = lambda: 1 / 0
    host.gate.rounds.look(host.clock.now)
    assert caplog.text.count("a fault in callsign itself") == 1


def test_behind_an_outage_it_leaves_them_time_to_say_that_they_have_sent_it(
    host: Host, database: PlayedDatabase
) -> None:
    database.jobs["store of a9", 3] = {"home": "a9", "owner": None, "state": "waiting", "action": "noojee/start"}
    database.openings += 1
    host.round()
    assert host.sends() == []
    host.live(2)
    assert len(host.sends()) == 1


# -- our own faults --------------------------------------------------------------------------------------


def test_without_a_thread_for_it_the_host_works_alone(
    clock: Clock, database: PlayedDatabase, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    host = Host(clock, database)
    monkeypatch.setattr(thread_starts, "begin", lambda *_: False)
    monkeypatch.setattr(OutboxReader, "store_id", lambda _: STORE)
    host.gate.start(host.lanes)
    assert not host.gate.holds
    job = host.told()
    assert host.sends() == [job.id]
    host.end(job)
    assert "no thread for it; this host works alone" in caplog.text


def test_a_store_without_a_name_costs_nothing_but_the_others(clock: Clock, database: PlayedDatabase) -> None:
    host = Host(clock, database)
    host.gate.start(host.lanes)  # its store is not there
    job = host.told()
    assert host.sends() == [job.id]


def test_a_fault_of_our_own_holds_no_job(
    host: Host, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    before = host.told(call="pbx-1.1")
    monkeypatch.setattr(host.gate.ledger, "add", lambda _: 1 / 0)
    job = host.told(call="pbx-1.2")
    assert host.sends() == [job.id]
    host.gate._run()  # its thread ends
    assert host.sends() == [before.id]
    assert caplog.text.count("this host works alone") == 1


# -- one that cannot join --------------------------------------------------------------------------------


def test_a_host_that_cannot_join_tells_nothing_and_goes_on_alone(clock: Clock, database: PlayedDatabase) -> None:
    host = Host(clock, database)
    database.refuses_to_join = True
    host.round()
    job = host.told()
    host.publish()
    assert host.sends() == [job.id]
    assert database.jobs == {}
    database.refuses_to_join = False
    host.round()
    host.publish()
    assert list(database.jobs) == [(STORE, job.id)]


def refuse_beats(database: PlayedDatabase, _patch: pytest.MonkeyPatch) -> None:
    database.refuses_beats = True


def break_slots(_database: PlayedDatabase, patch: pytest.MonkeyPatch) -> None:
    def fail(*_given: object) -> None:
        raise KeyError("ours")

    patch.setattr(Slots, "share", fail)


@pytest.mark.parametrize("harm", [refuse_beats, break_slots])
def test_so_does_one_whose_rounds_fail_when_its_lease_is_over_though_its_jobs_could_be_told(
    host: Host, database: PlayedDatabase, harm: Callable[[PlayedDatabase, pytest.MonkeyPatch], None]
) -> None:
    first = host.told(call="pbx-1.1")
    host.publish()
    with pytest.MonkeyPatch.context() as patch:
        harm(database, patch)
        with suppress(KeyError):
            host.round()
        assert host.sends() == [first.id]
        host.wait(LEASE_SECONDS)
        with suppress(KeyError):
            host.round()
        second = host.told(call="pbx-1.2")
        host.publish()
        host.wait(0.1)
        assert host.sends() == [second.id]
        assert list(database.jobs) == [(STORE, first.id)]
    database.refuses_beats = False
    host.round()
    host.publish()
    assert list(database.jobs) == [(STORE, first.id), (STORE, second.id)]
    third = host.told(call="pbx-1.3")
    assert host.sends() == []
    host.publish()
    assert host.sends() == [third.id]


# -- two of one name -------------------------------------------------------------------------------------


def test_two_hosts_of_one_name_are_told_once_and_go_on_alone(
    host: Host, database: PlayedDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(10):
        life, beat, dead = database.hosts["pbx1"]
        database.hosts["pbx1"] = life + 1, beat, dead  # the other one has joined
        host.live(2)
    assert caplog.text.count("another host calls itself pbx1") == 1
    job = host.told()
    assert host.sends() == [job.id]
    host.publish()
    assert not database.jobs


def test_what_was_told_before_and_behind_another_goes_out_then_too(host: Host, database: PlayedDatabase) -> None:
    start, stop = host.told(call="pbx-1.1"), host.told("noojee/stop", call="pbx-1.2")
    database.behind.add((STORE, stop.id))
    host.publish()
    for _ in range(3):
        life, beat, dead = database.hosts["pbx1"]
        database.hosts["pbx1"] = life + 1, beat, dead
        host.round()
        assert host.sends() == []  # it may have been taken by whoever declared us dead
        host.live(1)
    host.wait(0.1)
    assert host.sends() == [start.id]
    host.wait(1.0)
    assert host.sends() == []
    host.wait(0.1)
    assert host.sends() == [stop.id]


def test_after_a_minute_it_tries_again(host: Host, database: PlayedDatabase) -> None:
    for _ in range(3):
        life, beat, dead = database.hosts["pbx1"]
        database.hosts["pbx1"] = life + 1, beat, dead
        host.live(2)
    host.live(61)
    job = host.told()
    host.publish()
    assert host.life(job) is Life.MINE
