"""A vendor's lane, driven by hand with a clock that is a number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from callsign.delivery import doubts
from callsign.delivery.lane import Lane
from callsign.delivery.pace import (
    ASIDE_PAUSE_SECONDS,
    AWAY_AFTER,
    AWAY_PAUSE_SECONDS,
    BACKLOG_PAUSE_SECONDS,
    MOST_WHILE_AWAY,
)
from callsign.notification import Notification, State
from callsign.outbox.outbox import Job
from callsign.vendors.noojee import vendor as noojee

NOW = 1000.0
MOMENT = 1e-9
LIFETIME_SECONDS = 60.0


TAKEN = State.DELIVERED, ""


def never(_newer: Notification, _older: Notification) -> bool:
    return False


def a_lane(concurrency: int = 100) -> Lane:
    return Lane(concurrency, noojee.keys_of, noojee.undoes)


def job(
    number: int,
    call: str | None = None,
    action: str = "start",
    recovered: bool = False,
    due: float = 0.0,
    deadline: float = NOW + LIFETIME_SECONDS,
    recording: str | None = None,
) -> Job:
    """A job of a call of its own, unless `call` names one, and of the recording that is named as the call."""
    call = call or f"call {number}"
    facts = {"extenOrUniqueId": recording or call}
    told = Notification("noojee", f"noojee/{action}", call, facts, NOW, LIFETIME_SECONDS)
    return Job(number, told, deadline, recovered=recovered, due=due, in_doubt=recovered)


def filled(lane: Lane, jobs: Sequence[Job]) -> Lane:
    for one in jobs:
        lane.add(one)
    return lane


def is_empty(lane: Lane) -> bool:
    return lane.seconds_to_next(NOW) is None and not lane.in_flight


def numbers(lane: Lane, now: float = NOW) -> list[int]:
    """All that may go out at `now`."""
    found = []
    while (taken := lane.take(now)) is not None:
        found.append(taken.id)
    return found


def taken(lane: Lane, now: float = NOW) -> Job:
    found = lane.take(now)
    assert found is not None
    return found


def attempted(lane: Lane, now: float = NOW, due: float = NOW) -> Job:
    """Takes a job and puts it back, as an attempt without a verdict does."""
    one = taken(lane, now)
    one.attempts += 1
    lane.put_back(one, due)
    return one


def troubled(concurrency: int = 100) -> Lane:
    """A lane whose last three attempts, all of job 1, ended without a verdict; that one is due much later."""
    lane = filled(a_lane(concurrency), [job(1)])
    for n in range(AWAY_AFTER):
        attempted(lane, NOW - 100 + 10 * n, NOW - 90 + 10 * n if n < AWAY_AFTER - 1 else NOW + 10_000)
    assert lane.pace.vendor_is_away
    return lane


# -- what is next ------------------------------------------------------------------------------------


def test_an_empty_lane_has_nothing_to_do() -> None:
    lane = a_lane()
    assert lane.take(NOW) is None
    assert lane.seconds_to_next(NOW) is None
    assert is_empty(lane)


def test_fresh_jobs_go_out_at_once_and_in_their_order() -> None:
    lane = filled(a_lane(), [job(n) for n in (1, 2, 3)])
    assert lane.seconds_to_next(NOW) == 0
    assert numbers(lane) == [1, 2, 3]


def test_fresh_jobs_go_before_a_backlog() -> None:
    lane = filled(a_lane(), [job(1, recovered=True), job(2, recovered=True), job(3), job(4)])
    assert numbers(lane)[:2] == [3, 4]


def test_a_fresh_job_does_not_wait_for_the_pace_of_the_backlog() -> None:
    lane = filled(a_lane(), [job(n, recovered=True) for n in range(1, 6)])
    numbers(lane)
    lane.add(job(9))
    assert lane.seconds_to_next(NOW) == 0
    assert taken(lane).id == 9


def test_a_job_put_back_waits_until_it_is_due() -> None:
    lane = filled(a_lane(), [job(1)])
    attempted(lane, due=NOW + 5)
    assert lane.take(NOW + 5 - MOMENT) is None
    assert lane.seconds_to_next(NOW) == 5
    assert taken(lane, NOW + 5).id == 1


def test_a_recovered_job_waits_until_it_is_due() -> None:
    lane = filled(a_lane(), [job(1, recovered=True, due=NOW + 5)])
    assert lane.take(NOW) is None
    assert taken(lane, NOW + 5).id == 1


def test_a_backlog_goes_out_by_the_time_it_is_due_and_then_by_age() -> None:
    due = {1: NOW, 2: NOW - 5, 3: NOW - 5, 4: NOW - 9}
    lane = filled(a_lane(), [job(n, recovered=True, due=at) for n, at in due.items()])
    assert [taken(lane, NOW + n).id for n in range(4)] == [4, 2, 3, 1]


def test_a_backlog_goes_out_at_its_pace() -> None:
    lane = filled(a_lane(concurrency=1000), [job(n, recovered=True) for n in range(1000)])
    now, out = NOW, 0
    while now < NOW + 1:
        out += len(numbers(lane, now))
        now += 0.001
    assert 150 <= out <= 1 / BACKLOG_PAUSE_SECONDS + 2
    assert (lane.seconds_to_next(now) or 0.0) <= BACKLOG_PAUSE_SECONDS


def test_no_more_are_under_way_than_the_vendor_allows() -> None:
    lane = filled(a_lane(concurrency=2), [job(n) for n in (1, 2, 3)])
    one, _ = taken(lane), taken(lane)
    assert lane.take(NOW) is None
    assert lane.seconds_to_next(NOW) is None
    lane.finish(one, verdict=True)
    assert lane.seconds_to_next(NOW) == 0
    assert taken(lane).id == 3


# -- the order within a call -------------------------------------------------------------------------


def test_only_the_first_of_a_call_goes_out() -> None:
    lane = filled(a_lane(), [job(1, "a"), job(2, "a"), job(3, "b"), job(4, "a")])
    assert numbers(lane) == [1, 3]
    assert lane.seconds_to_next(NOW) == LIFETIME_SECONDS


def test_the_next_of_a_call_goes_out_when_the_one_before_has_ended() -> None:
    lane = filled(a_lane(), [job(n, "a") for n in (1, 2, 3)])
    for n in (1, 2, 3):
        one = taken(lane)
        assert one.id == n
        assert lane.take(NOW) is None
        lane.finish(one, verdict=n != 2)
    assert is_empty(lane)


def test_those_behind_wait_through_all_retries_of_the_first() -> None:
    lane = filled(a_lane(), [job(1, "a"), job(2, "a", "stop")])
    for n in range(5):
        attempted(lane, NOW + n, NOW + n + 1)
        assert lane.take(NOW + n + 1 - MOMENT) is None
    lane.finish(taken(lane, NOW + 5), verdict=True)
    assert taken(lane, NOW + 5).id == 2


def test_another_call_does_not_wait_for_the_first_ones_retries() -> None:
    lane = filled(a_lane(), [job(1, "a"), job(2, "b")])
    attempted(lane, due=NOW + 30)
    assert taken(lane).id == 2


def test_a_fresh_job_waits_for_a_recovered_one_of_its_call() -> None:
    lane = filled(a_lane(), [job(1, "a", recovered=True, due=NOW + 5), job(2, "a", "stop")])
    assert lane.take(NOW) is None
    assert taken(lane, NOW + 5).id == 1
    assert lane.take(NOW + 5) is None


def test_a_call_that_has_ended_may_begin_again() -> None:
    lane = a_lane()
    for n in (1, 2):
        lane.add(job(n, "a"))
        lane.finish(taken(lane), verdict=True)
        assert is_empty(lane)


# -- a start that a stop has made needless -----------------------------------------------------------


def superseded(jobs: Sequence[Job], undoes: Callable[[Notification, Notification], bool] = noojee.undoes) -> bool:
    lane = filled(Lane(5, noojee.keys_of, undoes), jobs)
    return lane.is_superseded(taken(lane))


def test_a_start_behind_which_a_stop_waits_is_needless() -> None:
    assert superseded([job(1, "a"), job(2, "a", "stop")])
    assert superseded([job(1, "a"), job(2, "a"), job(3, "a", "stop")])


def test_a_start_alone_is_not_needless() -> None:
    assert not superseded([job(1, "a")])
    assert not superseded([job(1, "a"), job(2, "a")])


def test_no_job_makes_itself_needless() -> None:
    assert not superseded([job(1, "a")], lambda _newer, _older: True)


def test_a_stop_of_another_call_makes_nothing_needless() -> None:
    assert not superseded([job(1, "a"), job(2, "b", "stop")])


def test_a_stop_is_never_needless() -> None:
    assert not superseded([job(1, "a", "stop"), job(2, "a", "stop"), job(3, "a")])


def test_a_vendor_that_knows_no_such_thing_has_no_needless_jobs() -> None:
    assert not superseded([job(1, "a"), job(2, "a", "stop")], never)


def test_a_start_that_was_attempted_is_not_needless() -> None:
    # The vendor may have taken it although no answer came.
    lane = filled(a_lane(), [job(1, "a"), job(2, "a", "stop")])
    attempted(lane)
    assert not lane.is_superseded(taken(lane))


def test_a_start_found_in_the_store_is_not_needless() -> None:
    # It may have been attempted by the process that died.
    assert not superseded([job(1, "a", recovered=True), job(2, "a", "stop")])


def test_the_stop_before_a_start_does_not_make_that_one_needless() -> None:
    lane = filled(a_lane(), [job(1, "a", "stop"), job(2, "a")])
    lane.finish(taken(lane), verdict=True)
    assert not lane.is_superseded(taken(lane))


# -- a recording that two calls name -----------------------------------------------------------------


def test_commands_for_one_recording_keep_their_order_whatever_call_they_name() -> None:
    lane = filled(a_lane(), [job(1, "a", recording="201"), job(2, "b", "stop", recording="201"), job(3, "c")])
    start = taken(lane)
    start.attempts += 1
    lane.put_back(start, NOW + 5)
    assert numbers(lane) == [3]
    lane.finish(taken(lane, NOW + 5), verdict=True)
    assert numbers(lane, NOW + 5) == [2]


def test_a_job_waits_for_its_call_and_for_its_recording() -> None:
    lane = filled(
        a_lane(), [job(1, "a", recording="201"), job(2, "b", recording="202"), job(3, "a", "stop", recording="202")]
    )
    one, two = taken(lane), taken(lane)
    lane.finish(two, verdict=True)
    assert lane.take(NOW) is None
    lane.finish(one, verdict=True)
    assert numbers(lane) == [3]


def test_a_stop_in_another_calls_name_makes_a_start_of_the_same_recording_needless() -> None:
    assert superseded([job(1, "a", recording="201"), job(2, "b", "stop", recording="201")])


def test_a_stop_of_the_same_call_for_another_recording_makes_nothing_needless() -> None:
    assert not superseded([job(1, "a", recording="201"), job(2, "a", "stop", recording="202")])


# -- a start that may come late, and the stop that is sent twice --------------------------------------


def started(lane: Lane, number: int, in_doubt: bool = True, **names: str) -> None:
    """A start that has ended, with or without an attempt that had no answer."""
    lane.add(job(number, **names))
    one = taken(lane)
    one.in_doubt = in_doubt
    lane.finish(one, verdict=True)


def stopped(lane: Lane, number: int, **names: str) -> Job:
    """A stop that the recorder has just taken."""
    lane.add(job(number, action="stop", **names))
    return taken(lane)


def put_back_to_repeat(lane: Lane, one: Job) -> None:
    assert lane.has_to_be_repeated(one)
    one.word = TAKEN
    lane.put_back(one, NOW + 5, verdict=True, firm=True)


def test_a_stop_is_repeated_where_its_start_had_no_answer_and_only_then() -> None:
    lane = a_lane()
    started(lane, 1, in_doubt=False, call="a")
    assert not lane.has_to_be_repeated(stopped(lane, 2, call="a"))
    started(lane, 3, call="b")
    assert lane.has_to_be_repeated(stopped(lane, 4, call="b"))


def test_a_stop_in_another_calls_name_is_repeated_and_one_of_another_recording_is_not() -> None:
    lane = a_lane()
    started(lane, 1, call="a", recording="201")
    assert not lane.has_to_be_repeated(stopped(lane, 2, call="a", recording="202"))
    assert lane.has_to_be_repeated(stopped(lane, 3, call="b", recording="201"))


def test_a_start_that_may_come_late_is_not_forgotten_for_another_recording_of_its_call() -> None:
    lane = a_lane()
    started(lane, 1, call="1.1", recording="1.1")
    started(lane, 2, call="1.1", recording="2.2")
    for number, recording in ((3, "1.1"), (4, "2.2")):
        assert lane.has_to_be_repeated(stopped(lane, number, call="1.1", recording=recording)), recording
        lane.finish(next(one for one in lane._order if one.id == number), verdict=True)


def test_a_stop_is_repeated_once_and_the_next_one_not_at_all() -> None:
    lane = a_lane()
    started(lane, 1, call="a")
    put_back_to_repeat(lane, stopped(lane, 2, call="a"))
    assert lane.take(NOW + 5 - MOMENT) is None
    again = taken(lane, NOW + 5)
    assert not lane.has_to_be_repeated(again)
    lane.finish(again, verdict=True)
    assert not lane.has_to_be_repeated(stopped(lane, 3, call="a"))


def test_the_repetition_of_a_stop_never_comes_behind_a_newer_start() -> None:
    lane = a_lane()
    started(lane, 1, call="a")
    put_back_to_repeat(lane, stopped(lane, 2, call="a"))
    lane.add(job(3, "a"))
    ends = taken(lane)
    assert (ends.id, ends.over) == (2, True)
    lane.finish(ends, verdict=False)
    assert numbers(lane) == [3]


def test_nor_behind_one_that_came_while_the_verdict_was_told() -> None:
    lane = a_lane()
    started(lane, 1, call="a")
    stop = stopped(lane, 2, call="a")
    assert lane.has_to_be_repeated(stop)
    lane.add(job(3, "a"))
    stop.word = TAKEN
    lane.put_back(stop, NOW + 5, verdict=True, firm=True)
    ends = taken(lane)
    assert (ends.id, ends.over) == (2, True)
    lane.finish(ends, verdict=False)
    assert numbers(lane) == [3]


def test_a_repetition_that_is_under_way_when_a_newer_start_comes_is_taken_by_nobody_else() -> None:
    lane = a_lane()
    started(lane, 1, call="a")
    put_back_to_repeat(lane, stopped(lane, 2, call="a"))
    again = taken(lane, NOW + 5)
    lane.add(job(3, "a"))
    assert lane.take(NOW + 5) is None
    lane.finish(again, verdict=True)
    assert numbers(lane, NOW + 5) == [3]


def test_a_stop_that_had_no_answer_either_does_not_hide_its_start() -> None:
    lane = a_lane()
    started(lane, 1, call="a")
    stop = stopped(lane, 2, call="a")
    stop.in_doubt = True
    lane.finish(stop, verdict=False)
    assert lane.has_to_be_repeated(stopped(lane, 3, call="a"))


def test_a_start_that_waits_already_is_not_stopped_by_a_repetition_and_the_doubt_stays_for_its_stop() -> None:
    lane = a_lane()
    started(lane, 1, call="a")
    stop = stopped(lane, 2, call="a")
    lane.add(job(3, "a"))
    assert not lane.has_to_be_repeated(stop)
    lane.finish(stop, verdict=True)
    lane.finish(taken(lane), verdict=True)
    assert lane.has_to_be_repeated(stopped(lane, 4, call="a"))


def test_a_doubt_that_is_old_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doubts, "DOUBT_SECONDS", 0.0)
    lane = a_lane()
    started(lane, 1, call="a")
    assert not lane.has_to_be_repeated(stopped(lane, 2, call="a"))


def test_no_more_doubts_are_held_than_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doubts, "MOST_DOUBTS", 3)
    lane = a_lane()
    for number in range(1, 6):
        started(lane, number)
    repeated = [lane.has_to_be_repeated(stopped(lane, 10 + n, call=f"call {n}")) for n in range(1, 6)]
    assert repeated == [False, False, True, True, True]


# -- trouble -----------------------------------------------------------------------------------------


def test_so_many_attempts_without_a_verdict_are_trouble_and_one_less_is_not() -> None:
    lane = filled(a_lane(), [job(n) for n in range(AWAY_AFTER)])
    for n in range(AWAY_AFTER):
        assert not lane.pace.vendor_is_away
        attempted(lane, due=NOW + 100 + n)
    assert lane.pace.vendor_is_away


def test_a_verdict_in_between_means_that_the_vendor_is_well() -> None:
    lane = filled(a_lane(), [job(n) for n in range(9)])
    for _ in range(3):
        for _ in range(AWAY_AFTER - 1):
            attempted(lane, due=NOW + 100)
        lane.finish(taken(lane), verdict=True)
        assert not lane.pace.vendor_is_away


def test_while_the_vendor_is_away_only_a_few_are_under_way() -> None:
    lane = filled(troubled(), [job(n) for n in range(10, 20)])
    now, out = NOW, 0
    for _ in range(100):
        out += len(numbers(lane, now))
        now += AWAY_PAUSE_SECONDS
    assert out == MOST_WHILE_AWAY
    assert lane.seconds_to_next(now) is None


def test_those_under_way_when_the_trouble_begins_count() -> None:
    lane = filled(a_lane(), [job(n) for n in range(10)])
    flying = [taken(lane) for _ in range(5)]
    for _ in range(AWAY_AFTER):
        attempted(lane, due=NOW + 100)
    assert lane.pace.vendor_is_away
    assert lane.take(NOW + 50) is None
    for one in flying[:4]:
        lane.finish(one, verdict=False)
    assert lane.in_flight == 1
    assert lane.take(NOW + 50) is not None


def test_while_the_vendor_is_away_fresh_jobs_are_paced_too_and_still_go_first() -> None:
    lane = filled(troubled(), [job(2, recovered=True), *(job(n) for n in range(10, 90))])
    now, order = NOW, []
    while now < NOW + 2:
        while (one := lane.take(now)) is not None:
            order.append(one.id)
            one.attempts += 1
            lane.put_back(one, NOW + 10_000)
        now += 0.01
    assert len(order) <= 2 / AWAY_PAUSE_SECONDS + 2
    assert len(order) >= 2 / AWAY_PAUSE_SECONDS - 2
    assert order == list(range(10, 10 + len(order)))
    assert (lane.seconds_to_next(now) or 0.0) <= AWAY_PAUSE_SECONDS


def test_the_first_verdict_ends_the_trouble() -> None:
    lane = filled(troubled(), [job(n) for n in range(10, 30)])
    lane.finish(taken(lane), verdict=True)
    assert not lane.pace.vendor_is_away
    assert lane.seconds_to_next(NOW) == 0
    assert numbers(lane) == [*range(11, 30), 1]


def test_a_verdict_behind_trouble_makes_all_that_waits_due_at_the_pace_of_a_backlog() -> None:
    lane = filled(a_lane(), [job(n) for n in range(1, 41)])
    for one in [taken(lane) for _ in range(40)]:
        lane.put_back(one, NOW + 18)
    lane.add(job(99))
    lane.finish(taken(lane, NOW + 1), verdict=True)
    now, out = NOW + 1, []
    while now < NOW + 1.5:
        out += numbers(lane, now)
        now += 0.001
    assert out == list(range(1, 41))
    assert len(out) * BACKLOG_PAUSE_SECONDS >= 0.2


def test_the_first_verdict_behind_a_start_makes_due_what_the_last_process_had_put_off() -> None:
    lane = filled(a_lane(), [job(1, recovered=True, due=NOW + 18), job(2)])
    lane.finish(taken(lane), verdict=True)
    assert numbers(lane) == [1]


def test_an_attempt_that_was_under_way_when_the_vendor_came_back_is_made_again_at_once() -> None:
    lane = filled(a_lane(), [job(1), job(2)])
    hung = taken(lane)
    for _ in range(AWAY_AFTER):
        lane.pace.note_miss()
    lane.finish(taken(lane, NOW + 1), verdict=True)
    lane.put_back(hung, NOW + 30)
    assert taken(lane, NOW + 2) is hung


def test_the_vendors_own_wish_is_kept_though_it_is_back() -> None:
    lane = filled(a_lane(), [job(n) for n in range(1, AWAY_AFTER + 2)])
    for one in [taken(lane) for _ in range(AWAY_AFTER)]:
        lane.put_back(one, NOW + 18, firm=True)
    lane.finish(taken(lane, NOW + 1), verdict=True)
    assert lane.take(NOW + 18 - MOMENT) is None
    assert taken(lane, NOW + 18).id == 1


def test_a_job_that_always_fails_though_the_vendor_is_well_is_hurried_a_few_times_only() -> None:
    lane = filled(a_lane(), [job(1)])
    attempted(lane, due=NOW + 1000)
    hurries = 0
    for number in range(2, 12):
        for _ in range(AWAY_AFTER):
            lane.pace.note_miss()
        lane.add(job(number))
        lane.finish(taken(lane, NOW + number), verdict=True)
        one = lane.take(NOW + number + 0.5)
        if one is not None:
            hurries += 1
            lane.put_back(one, NOW + 1000)
    assert hurries == 3


def test_a_job_that_ends_without_the_vendors_word_ends_no_trouble() -> None:
    lane = filled(troubled(), [job(10)])
    lane.finish(taken(lane), verdict=False)
    assert lane.pace.vendor_is_away


def test_where_another_host_tries_a_vendor_that_is_away_it_is_seldom_tried_here() -> None:
    lane = filled(troubled(), [job(n) for n in range(10, 90)])
    lane.pace.limit(100, hosts=3, stands_aside=True)
    now, tried = NOW, 0
    while now < NOW + 3 * ASIDE_PAUSE_SECONDS:
        while (one := lane.take(now)) is not None:
            assert lane.take(now) is None
            lane.put_back(one, NOW + 10_000)
            tried += 1
        assert (lane.seconds_to_next(now) or 0.0) <= ASIDE_PAUSE_SECONDS
        now += 1
    assert 3 <= tried <= 4


def test_and_at_once_when_it_is_well_there() -> None:
    lane = filled(troubled(), [job(n) for n in range(10, 90)])
    lane.pace.limit(100, hosts=3, stands_aside=True)
    while (one := lane.take(NOW)) is not None:
        lane.put_back(one, NOW + 10_000)
    lane.pace.limit(100, hosts=3, stands_aside=False)
    assert lane.seconds_to_next(NOW) == 0
    lane.finish(taken(lane), verdict=True)
    assert len(numbers(lane)) > 70


def test_one_that_stood_aside_and_finds_it_well_goes_on_at_once() -> None:
    lane = filled(troubled(), [job(n, recovered=True) for n in range(10, 20)])
    lane.pace.limit(100, hosts=3, stands_aside=True)
    attempted(lane, due=NOW + 10_000)
    lane.finish(taken(lane), verdict=True)
    assert lane.seconds_to_next(NOW) == 0


def test_without_a_slot_nothing_is_attempted_and_what_needs_no_attempt_ends_all_the_same() -> None:
    lane = filled(a_lane(), [job(1), job(2)])
    lane.pace.limit(0, hosts=5, stands_aside=False)
    assert lane.take(NOW) is None
    given_up, late = dict.fromkeys(lane._order)
    assert lane.seconds_to_next(NOW) == late.steady_deadline - NOW
    lane.give_up(given_up, State.DUPLICATE, "another host has it")
    assert lane.seconds_to_next(NOW) == 0
    assert taken(lane) is given_up
    assert lane.take(NOW) is None
    assert taken(lane, late.steady_deadline) is late


def test_hosts_share_the_pace_of_a_backlog() -> None:
    lane = filled(a_lane(concurrency=1000), [job(n, recovered=True) for n in range(1000)])
    lane.pace.limit(1000, hosts=4, stands_aside=False)
    now, out = NOW, 0
    while now < NOW + 1:
        out += len(numbers(lane, now))
        now += 0.001
    assert 40 <= out <= 1 / (4 * BACKLOG_PAUSE_SECONDS) + 2


def test_one_lanes_trouble_is_its_own() -> None:
    sick, well = troubled(), a_lane()
    filled(well, [job(n) for n in range(50)])
    assert sick.pace.vendor_is_away
    assert not well.pace.vendor_is_away
    assert numbers(well) == list(range(50))


# -- whatever happens --------------------------------------------------------------------------------


class AnyLane(RuleBasedStateMachine):
    """Any sequence of what the delivery does to a lane, next to a model that keeps lists."""

    CONCURRENCY = 4

    def __init__(self) -> None:
        super().__init__()
        self.lane = a_lane(self.CONCURRENCY)
        self.now = NOW
        self.added = 0
        self.open: list[Job] = []  # in the order given
        self.pairs: set[tuple[int, int]] = set()  # an earlier one and a later one that shares its call or recording
        self.flying: list[Job] = []
        self.ended: list[int] = []
        self.doubts: list[Job] = []  # starts that have ended and may be carried out late
        self.given_up: list[Job] = []

    def line(self, one: Job) -> Iterator[tuple[bool, Job]]:
        """Who shares its call or its recording, and whether that one was given later."""
        for other in self.sharing(one):
            yield (one.id, other.id) in self.pairs, other

    def sharing(self, one: Job) -> Iterator[Job]:
        keys = set(noojee.keys_of(one.notification))
        for other in self.open:
            if other is not one and keys & set(noojee.keys_of(other.notification)):
                yield other

    def heads(self) -> list[Job]:
        waiting = (one for one in self.open if one not in self.flying and not one.held)
        return [one for one in waiting if all(later for later, _ in self.line(one))]

    def undoes_one_behind_it(self, one: Job) -> bool:
        behind = (other for later, other in self.line(one) if later)
        return any(noojee.undoes(one.notification, other.notification) for other in behind)

    def is_cancelled(self, one: Job) -> bool:
        return one in self.given_up or (one.word is not None and self.undoes_one_behind_it(one))

    @rule(
        call=st.sampled_from(["", "a", "b", "c"]),
        recording=st.sampled_from(["a", "201", "202"]),
        action=st.sampled_from(["start", "stop"]),
        recovered=st.booleans(),
    )
    def add(self, call: str, recording: str, action: str, recovered: bool) -> None:
        """Without `call` on a channel of its own."""
        self.added += 1
        end = self.now + LIFETIME_SECONDS
        one = job(self.added, call, action, recovered, due=self.now, deadline=end, recording=recording)
        self.pairs |= {(other.id, one.id) for other in self.sharing(one)}
        self.open.append(one)
        self.lane.add(one)

    @rule(
        call=st.sampled_from(["a", "b", "c"]),
        recording=st.sampled_from(["a", "201", "202"]),
        action=st.sampled_from(["start", "stop"]),
        age=st.floats(0, 50),
    )
    def adopt(self, call: str, recording: str, action: str, age: float) -> None:
        """Another host's, which is older than some of ours."""
        self.added += 1
        end = self.now - age + LIFETIME_SECONDS
        one = job(-self.added, call, action, True, due=self.now, deadline=end, recording=recording)
        one.home = "pbx2:7"
        for other in self.sharing(one):
            is_older = other.birth <= end - LIFETIME_SECONDS
            self.pairs.add((other.id, one.id) if other.begun or is_older else (one.id, other.id))
        self.open.append(one)
        self.lane.add(one)

    def resting(self) -> list[Job]:
        return [one for one in self.open if one not in self.flying and not one.over]

    @precondition(lambda self: self.resting())
    @rule(data=st.data())
    def hold(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(self.resting()))
        self.lane.hold(one)
        assert one.held

    @precondition(lambda self: any(one.held for one in self.open))
    @rule(data=st.data())
    def let_go(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from([one for one in self.open if one.held]))
        self.lane.let_go(one)
        assert not one.held or one.over

    @precondition(lambda self: self.in_time())
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(self.in_time()))
        self.flying.remove(one)
        if one.word:
            self.given_up.append(one)
        self.lane.give_back(one)

    @precondition(lambda self: self.resting())
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(self.resting()))
        self.given_up.append(one)
        self.lane.give_up(one, *TAKEN)

    @rule(seconds=st.sampled_from([0.0, 0.001, BACKLOG_PAUSE_SECONDS, AWAY_PAUSE_SECONDS, 1.0, 40.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def take(self) -> None:
        soon = self.lane.seconds_to_next(self.now)
        one = self.lane.take(self.now)
        if one is None:
            again = self.lane.seconds_to_next(self.now)
            assert again is None or again > 0
            return
        assert soon == 0
        heads = self.heads()
        if one.steady_deadline > self.now and not self.is_cancelled(one):
            assert one in heads
            fresh = [head for head in heads if not head.attempts and not head.recovered]
            assert one in fresh or not fresh
            assert one in fresh or one.due <= self.now
        wanted = one.notification.action == "noojee/start" and not one.attempts and not one.recovered
        followers = [other for later, other in self.line(one) if later]
        stopped = any(noojee.undoes(later.notification, one.notification) for later in followers)
        assert self.lane.is_superseded(one) == (wanted and stopped)
        self.flying.append(one)

    def in_time(self) -> list[Job]:
        return [one for one in self.flying if not one.over]

    @precondition(lambda self: self.in_time())
    @rule(data=st.data(), seconds=st.floats(0, 40), in_doubt=st.booleans(), firm=st.booleans())
    def put_back(self, data: st.DataObject, seconds: float, in_doubt: bool, firm: bool) -> None:
        one = data.draw(st.sampled_from(self.in_time()))
        if one.word:  # it is sent once more, and not more often
            self.end(one, verdict=False)
            return
        self.flying.remove(one)
        one.attempts += 1
        one.in_doubt |= in_doubt
        self.lane.put_back(one, self.now + seconds, firm=firm)

    @precondition(lambda self: self.in_time())
    @rule(data=st.data())
    def have_word(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(self.in_time()))
        doubted = any(noojee.undoes(one.notification, older.notification) for older in self.doubts)
        again = self.lane.has_to_be_repeated(one)
        assert again == (doubted and not one.word and not self.undoes_one_behind_it(one))
        if not again:
            self.end(one, verdict=True)
        else:
            self.flying.remove(one)
            one.attempts += 1
            one.word = TAKEN
            self.lane.put_back(one, self.now + 5, verdict=True, firm=True)
        assert not self.lane.pace.vendor_is_away

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        self.end(data.draw(st.sampled_from(self.flying)), verdict=False)

    def end(self, one: Job, verdict: bool) -> None:
        self.flying.remove(one)
        self.open.remove(one)
        self.ended.append(one.id)
        if one.in_doubt and one.notification.action == "noojee/start":
            self.doubts.append(one)
        if one.word and not one.over:
            self.doubts = [it for it in self.doubts if not noojee.undoes(one.notification, it.notification)]
        self.lane.finish(one, verdict)

    @invariant()
    def the_lane_knows_what_is_under_way(self) -> None:
        assert self.lane.in_flight == len(self.flying) <= self.CONCURRENCY

    @invariant()
    def no_two_of_one_recording_or_call_are_under_way(self) -> None:
        names = [name for one in self.flying if not one.over for name in noojee.keys_of(one.notification)]
        assert len(names) == len(set(names))

    @invariant()
    def it_can_say_when_to_look_again(self) -> None:
        soon = self.lane.seconds_to_next(self.now)
        most = MOST_WHILE_AWAY if self.lane.pace.vendor_is_away else self.CONCURRENCY
        if len(self.flying) >= most or not self.open:
            assert soon is None
        elif self.heads():
            assert soon is not None
        assert soon is None or soon >= 0

    def teardown(self) -> None:
        """Nothing is lost: whoever waits as long as the lane says gets all of them out."""
        for one in list(self.flying):
            self.end(one, verdict=False)
        while (soon := self.lane.seconds_to_next(self.now)) is not None:
            self.now += soon + MOMENT
            one = self.lane.take(self.now)
            if one is not None:
                assert one in self.heads() or one.steady_deadline <= self.now or self.is_cancelled(one)
                self.flying.append(one)
                self.end(one, verdict=False)
        assert sorted(map(abs, self.ended)) == list(range(1, self.added + 1))
        assert not self.open


AnyLane.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestAnyLane = AnyLane.TestCase


def test_jobs_that_end_with_their_attempt_show_a_vendor_that_is_away_too() -> None:
    """A dead recorder that is told by extension only: each job's 10 s go in one attempt."""
    lane = a_lane()
    for number in range(1, AWAY_AFTER + 1):
        lane.add(job(number))
        one = taken(lane, NOW)
        lane.pace.note_miss()
        lane.finish(one, verdict=False)
    assert lane.pace.vendor_is_away


# -- time that is over --------------------------------------------------------------------------------


def test_a_job_whose_time_is_over_comes_out_at_once_though_the_vendor_is_away() -> None:
    lane = troubled()
    for number in range(2, 102):
        lane.add(job(number, deadline=NOW + 5))
    for number in range(2, 102):
        overdue = taken(lane, NOW + 5)
        assert overdue.id == number
        lane.finish(overdue, verdict=False)


def test_an_overdue_job_that_waits_for_its_next_try_does_not_wait_for_it() -> None:
    lane = filled(a_lane(), [job(1, deadline=NOW + 5)])
    attempted(lane, due=NOW + 30)
    assert lane.seconds_to_next(NOW) == 5
    assert taken(lane, NOW + 5).id == 1
    assert lane.take(NOW + 30) is None


def test_an_overdue_stop_leaves_the_line_behind_a_start_that_is_under_way() -> None:
    lane = filled(a_lane(), [job(1, "a"), job(2, "a", "stop", deadline=NOW + 5), job(3, "a", "stop")])
    start = taken(lane)
    overdue = taken(lane, NOW + 5)
    assert overdue.id == 2
    lane.finish(overdue, verdict=False)
    assert lane.take(NOW + 5) is None
    lane.finish(start, verdict=True)
    assert numbers(lane, NOW + 5) == [3]


def test_two_overdue_jobs_of_a_call_end_in_any_order() -> None:
    lane = filled(a_lane(), [job(n, "a", deadline=NOW + 5) for n in (1, 2, 3)])
    first, second, third = (taken(lane, NOW + 5) for _ in range(3))
    for one in (second, first, third):
        lane.finish(one, verdict=False)
    assert is_empty(lane)
    lane.add(job(4, "a"))
    assert numbers(lane, NOW + 5) == [4]


# -- several hosts -----------------------------------------------------------------------------------


def adopted(number: int, call: str, action: str = "start", age: float = 0.0) -> Job:
    one = job(-number, call, action, recovered=True, deadline=NOW - age + LIFETIME_SECONDS)
    one.home = f"pbx2:{number}"
    return one


def test_a_job_that_is_held_has_no_turn_and_keeps_its_place_before_its_call() -> None:
    lane = a_lane()
    start, stop = job(1, "a"), job(2, "a", "stop")
    start.held = stop.held = True
    filled(lane, [start, stop, job(3)])
    assert numbers(lane) == [3]
    lane.let_go(stop)
    assert numbers(lane) == []
    lane.let_go(start)
    assert numbers(lane) == [1]
    lane.finish(start, verdict=True)
    assert numbers(lane) == [2]


def test_a_job_that_is_held_still_ends_with_its_time() -> None:
    one = job(1)
    one.held = True
    lane = filled(a_lane(), [one])
    assert lane.seconds_to_next(NOW) == LIFETIME_SECONDS
    assert taken(lane, NOW + LIFETIME_SECONDS) is one


def test_an_adopted_start_goes_before_an_own_stop_that_was_not_tried() -> None:
    stop = job(1, "a", "stop")
    lane = filled(a_lane(), [stop, adopted(2, "a", age=5)])
    assert numbers(lane) == [-2]
    lane.finish(next(iter(lane._order)), verdict=True)
    assert numbers(lane) == [1]


def test_an_adopted_job_goes_behind_an_own_one_that_was_tried_and_behind_an_older_one() -> None:
    older, tried = job(1, "b", deadline=NOW - 9 + LIFETIME_SECONDS), job(2, "a")
    lane = filled(a_lane(), [tried])
    attempted(lane, due=NOW + 1)
    lane = filled(lane, [adopted(3, "a", age=5)])
    assert numbers(lane, NOW + 2) == [2]
    assert numbers(filled(a_lane(), [older, adopted(4, "b", age=5)])) == [1]


def test_a_job_taken_too_early_is_held_again_and_one_given_up_meanwhile_ends() -> None:
    lane = filled(a_lane(), [job(1), job(2)])
    first, second = taken(lane), taken(lane)
    lane.give_up(second, State.DUPLICATE, "pbx2 has it")
    assert numbers(lane) == []
    lane.give_back(first)
    lane.give_back(second)
    assert first.held
    assert taken(lane) is second
    assert (second.over, second.word) == (True, (State.DUPLICATE, "pbx2 has it"))


def test_what_is_let_go_may_be_held_again_before_its_turn() -> None:
    one, two = job(1), job(2, recovered=True)
    lane = filled(a_lane(), [one, two])
    lane.hold(one)
    lane.hold(two)
    assert numbers(lane) == []
    lane.let_go(two)
    assert numbers(lane) == [2]
