"""Moments as an administrator writes them, with --since and --until."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime

import pytest

from callsign.commands.common import UsageFault
from callsign.commands.moments import since, until


@pytest.fixture(autouse=True)
def in_brussels(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Europe/Brussels")
        time.tzset()
        yield
    time.tzset()


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


NOW = "2026-05-03 12:00:00"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("10:30", "2026-05-03 10:30:00"),
        ("10:30:15", "2026-05-03 10:30:15"),
        ("13:00", "2026-05-02 13:00:00"),  # the last one that there was
        ("2h", "2026-05-03 10:00:00"),
        ("30m", "2026-05-03 11:30:00"),
        ("3d", "2026-04-30 12:00:00"),
        ("2026-05-01", "2026-05-01 00:00:00"),
        ("2026-05-01 10:30", "2026-05-01 10:30:00"),
        ("2026-05-01T10:30", "2026-05-01 10:30:00"),
    ],
)
def test_since_names_the_moment_from_which_on(text: str, moment: str) -> None:
    assert since(text, at(NOW)) == at(moment)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("10:30", "2026-05-03 10:31:00"),  # the minute is in it
        ("2h", "2026-05-03 10:00:00"),
        ("2026-05-01", "2026-05-02 00:00:00"),  # and so is the day
        ("2026-05-01 10:30", "2026-05-01 10:31:00"),
        ("2026-03-29", "2026-03-30 00:00:00"),  # which has 23 hours
    ],
)
def test_until_includes_the_day_or_minute_that_it_names(text: str, moment: str) -> None:
    assert until(text, at(NOW)) == at(moment)


def test_a_time_of_day_behind_since_is_the_one_after_it() -> None:
    assert until("08:00", at(NOW), since("22:00", at(NOW))) == at("2026-05-03 08:01:00")
    assert until("14:00", at(NOW), since("11:00", at(NOW))) == at("2026-05-03 14:01:00")


@pytest.mark.parametrize("now", ["2026-10-25 02:45:00+01:00", "2026-10-25 12:00:00", "2026-10-26 01:00:00"])
@pytest.mark.parametrize("day", ["", "2026-10-25 "])
def test_a_time_that_the_clock_shows_twice_means_from_the_first_to_the_end_of_the_second(day: str, now: str) -> None:
    assert since(f"{day}02:30", at(now)) == at("2026-10-25 02:30:00+02:00")
    assert until(f"{day}02:30", at(now)) == at("2026-10-25 02:31:00+01:00")


def test_a_time_that_the_clock_leaves_out_leaves_nothing_out_around_it() -> None:
    assert since("2026-03-29 02:30", at(NOW)) <= at("2026-03-29 03:00:00")
    assert until("2026-03-29 02:30", at(NOW)) >= at("2026-03-29 03:00:00")


@pytest.mark.parametrize(
    "text", ["", "soon", "25:00", "10.30", "2026-13-01", "2026-02-30", "2w", "-1h", "2026-05-01 x", "999999999d"]
)
def test_what_is_no_moment_says_what_is_wanted(text: str) -> None:
    with pytest.raises(UsageFault, match="wanted a time"):
        since(text, at(NOW))


def test_the_end_of_the_last_day_that_a_calendar_has_is_on_none() -> None:
    with pytest.raises(UsageFault, match="on no calendar"):
        until("9999-12-31", at(NOW))
