"""When a job is tried again: soon, then seldom, never past its end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callsign.delivery.retry import (
    FIRST_SECONDS,
    JITTER,
    LAST_CHANCE_SECONDS,
    LONGEST_SECONDS,
    next_delay_seconds,
)
from callsign.outbox.jobs import LONGEST_PAUSE_SECONDS

MIDDLE = 0.5  # the chance that spreads nothing
LONG = 14 * 60.0

attempts = st.integers(1, 10_000)
lives = st.floats(FIRST_SECONDS, 4000)
wishes = st.none() | st.floats(0, 1_000_000)
chances = st.floats(0, 1, exclude_max=True)


def test_a_store_that_is_read_again_takes_no_usual_pause_for_that_of_a_clock_that_was_set_back() -> None:
    assert LONGEST_PAUSE_SECONDS == LONGEST_SECONDS * (1 + JITTER)


def test_the_delays_double_from_half_a_second_up_to_half_a_minute() -> None:
    found = [next_delay_seconds(n, LONG, None, MIDDLE) for n in range(1, 10)]
    assert found == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_jobs_of_one_outage_do_not_return_in_step() -> None:
    soonest, latest = (next_delay_seconds(5, LONG, None, chance) for chance in (0.0, 0.999999))
    assert soonest == 6.0
    assert latest == pytest.approx(10.0, rel=1e-4)


@given(attempts, lives, wishes, chances)
def test_another_attempt_always_lies_within_the_jobs_life(
    made: int, left: float, wish: float | None, chance: float
) -> None:
    delay = next_delay_seconds(made, left, wish, chance)
    assert delay is not None
    assert 0 < delay < left


@given(attempts, st.floats(-1000, FIRST_SECONDS, exclude_max=True), wishes, chances)
def test_a_life_that_is_all_but_over_gets_no_attempt(made: int, left: float, wish: float | None, chance: float) -> None:
    assert next_delay_seconds(made, left, wish, chance) is None


@given(attempts, lives, chances)
def test_without_a_wish_at_most_half_of_the_life_passes_idly(made: int, left: float, chance: float) -> None:
    delay = next_delay_seconds(made, left, None, chance)
    assert delay is not None
    assert delay <= min(left / 2, LONGEST_SECONDS * (1 + JITTER))


def test_a_recording_by_extension_gets_several_attempts_in_its_ten_seconds() -> None:
    left, made = 10.0, 1
    while (delay := next_delay_seconds(made, left, None, MIDDLE)) is not None:
        left -= delay
        made += 1
    assert made >= 5


@pytest.mark.parametrize("wish", [5.0, 120.0])
def test_the_vendors_wish_makes_the_delay_longer(wish: float) -> None:
    assert next_delay_seconds(1, LONG, wish, MIDDLE) == wish


@given(attempts, lives, st.floats(0, 1_000_000), chances)
def test_the_vendors_wish_never_makes_the_delay_shorter(made: int, left: float, wish: float, chance: float) -> None:
    wished, usual = (next_delay_seconds(made, left, w, chance) for w in (wish, None))
    assert wished is not None
    assert usual is not None
    assert wished >= usual


def test_a_retry_after_of_zero_does_not_hammer_a_vendor_that_is_down() -> None:
    assert next_delay_seconds(7, LONG, 0.0, MIDDLE) == LONGEST_SECONDS


def test_a_wish_beyond_the_end_still_leaves_a_last_attempt_before_it() -> None:
    # Only an outcome or the deadline ends a job, and a service that is back early need not say so.
    assert next_delay_seconds(1, 60.0, 3600.0, MIDDLE) == 60.0 - LAST_CHANCE_SECONDS
