"""An attempt begins behind the calls that wait for their status, and never waits long for them."""

from __future__ import annotations

import threading

import pytest

from callsign import calls_first
from callsign.calls_first import CallsFirst, NobodyElse

LONG = 10.0


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for the limit by accident: it is far away."""
    monkeypatch.setattr(calls_first, "LONGEST_SECONDS", LONG)


def in_a_thread(calls: CallsFirst) -> tuple[threading.Thread, threading.Event]:
    passed = threading.Event()

    def run() -> None:
        calls.take_turn()
        passed.set()
        calls.end_turn()

    thread = threading.Thread(target=run)
    thread.start()
    return thread, passed


def test_nobody_waits_where_no_call_does(patient: None) -> None:
    CallsFirst().take_turn()


def test_each_end_is_told_once_and_whether_another_call_waits() -> None:
    calls, ends = CallsFirst(), list[bool]()
    calls.on_end = ends.append
    calls.begin()
    other = threading.Thread(target=lambda: (calls.begin(), calls.end(), calls.end()))
    other.start()
    other.join()
    assert ends == [False]
    calls.end()
    assert ends == [False, True]


def test_an_attempt_waits_until_the_last_call_has_its_status(patient: None) -> None:
    calls = CallsFirst()
    other_begun, other_may_end = threading.Event(), threading.Event()

    def other_call() -> None:
        calls.begin()
        other_begun.set()
        other_may_end.wait(LONG)
        calls.end()

    other = threading.Thread(target=other_call)
    other.start()
    assert other_begun.wait(LONG)
    calls.begin()
    thread, passed = in_a_thread(calls)
    calls.end()
    assert not passed.is_set()
    other_may_end.set()
    assert passed.wait(LONG)
    thread.join()
    other.join()


def test_an_attempt_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls_first, "LONGEST_SECONDS", 0.001)
    calls = CallsFirst()
    calls.begin()
    _, passed = in_a_thread(calls)
    assert passed.wait(LONG)


def test_ending_twice_counts_once(patient: None) -> None:
    calls = CallsFirst()
    calls.begin()
    calls.end()
    calls.end()  # first when the call begins to wait for the vendor, then at the session's end
    calls.begin()
    thread, passed = in_a_thread(calls)
    assert not passed.is_set()
    calls.end()
    assert passed.wait(LONG)
    thread.join()


def test_one_attempt_works_at_a_time(patient: None) -> None:
    calls = CallsFirst()
    calls.take_turn()
    thread, passed = in_a_thread(calls)
    assert not passed.is_set()
    calls.end_turn()
    assert passed.wait(LONG)
    thread.join()


def test_an_attempt_does_not_wait_for_ever_for_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls_first, "LONGEST_SECONDS", 0.001)
    calls = CallsFirst()
    calls.take_turn()
    _, passed = in_a_thread(calls)
    assert passed.wait(LONG)


def test_a_turn_is_taken_and_ended_once_however_often_it_is_said(patient: None) -> None:
    calls = CallsFirst()
    for again in (calls.take_turn, calls.take_turn, calls.end_turn, calls.end_turn):
        again()
    calls.take_turn()
    thread, passed = in_a_thread(calls)
    assert not passed.is_set()
    calls.end_turn()
    assert passed.wait(LONG)
    thread.join()


def test_who_is_held_up_in_a_turn_holds_up_nobody_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls_first, "LONGEST_SECONDS", 0.001)
    calls = CallsFirst()
    calls.take_turn()  # and does not end it
    monkeypatch.setattr(calls_first, "LONGEST_SECONDS", LONG)
    for _ in range(3):
        thread, passed = in_a_thread(calls)
        assert passed.wait(LONG / 2)
        thread.join()


def test_an_attempt_that_ends_its_turn_while_a_call_waits_lets_no_other_begin(patient: None) -> None:
    calls = CallsFirst()
    calls.take_turn()
    calls.begin()
    thread, passed = in_a_thread(calls)
    calls.end_turn()
    assert not passed.is_set()
    calls.end()
    assert passed.wait(LONG)
    thread.join()


def test_where_nobody_else_is_every_attempt_works_at_once(patient: None) -> None:
    alone = NobodyElse()
    alone.take_turn()
    thread, passed = in_a_thread(alone)
    assert passed.wait(LONG)
    thread.join()
