"""Threads: where the system gives no more, one line says so, then a count."""

from __future__ import annotations

import logging
import threading

import pytest

from callsign import thread_starts
from callsign.thread_starts import ThreadStarts
from product import PROJECT
from waiting import wait_until

LONG_SECONDS = 30.0


def test_a_thread_is_started_with_its_arguments() -> None:
    told: list[tuple[str, int]] = []
    ran = threading.Event()

    def run(number: int) -> None:
        told.append((threading.current_thread().name, number))
        ran.set()

    assert ThreadStarts().begin("some-name", run, 7)
    assert ran.wait(LONG_SECONDS)
    assert told == [("some-name", 7)]


@pytest.mark.usefixtures("no_more_threads")
def test_where_there_are_no_more_the_log_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    starts = ThreadStarts()
    assert not any(starts.begin("one", print) for _ in range(1000))
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage().startswith("no more threads to be had (can't start new thread): ")


@pytest.mark.usefixtures("no_more_threads")
def test_the_next_line_counts_what_came_meanwhile(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = ThreadStarts()
    for _ in range(5):
        starts.begin("one", print)
    monkeypatch.setattr(thread_starts.time, "monotonic", lambda: starts._next_line)
    starts.begin("one", print)
    assert [record.getMessage().partition(")")[2].partition(":")[0] for record in caplog.records] == [
        "",
        "; 5 times since the last such line",
    ]


def test_a_thread_that_has_no_memory_to_begin_is_none_and_holds_nobody(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []
    with monkeypatch.context() as without_memory:
        without_memory.setattr(threading.Thread, "_bootstrap", lambda _: None)
        assert not ThreadStarts().begin("one", ran.append, "one")
    assert "no more threads to be had (one has not begun within 1 s): " in caplog.text
    assert ThreadStarts().begin("another", ran.append, "another")
    assert not ran[:-1]


def test_every_thread_beside_calls_begins_so() -> None:
    package = PROJECT / "agi" / "callsign"
    rooms = [path for path in package.iterdir() if path.name not in ("sandbox", "commands")]
    modules = [module for room in rooms for module in ([room] if room.is_file() else room.rglob("*.py"))]
    assert [module for module in modules if "threading.Thread(" in module.read_text(encoding="utf-8")] == []


def test_a_thread_that_begins_late_does_nothing_for_the_caller_has_gone_on(monkeypatch: pytest.MonkeyPatch) -> None:
    begin, bootstrap = threading.Event(), threading.Thread._bootstrap  # type: ignore[attr-defined]
    late: list[threading.Thread] = []

    def begin_late(thread: threading.Thread) -> None:
        begin.wait(LONG_SECONDS)
        late.append(thread)
        bootstrap(thread)

    ran: list[str] = []
    monkeypatch.setattr(threading.Thread, "_bootstrap", begin_late)
    assert not ThreadStarts().begin("one", ran.append, "one")
    begin.set()
    wait_until(lambda: bool(late) and late[0].ident is not None)
    late[0].join(LONG_SECONDS)
    assert not ran


def test_a_fault_that_ends_a_thread_is_logged_by_its_place_and_nothing_else_is_written(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise RuntimeError("056528998")

    monkeypatch.setattr(threading, "excepthook", threading.excepthook)  # put back behind the test
    thread_starts.log_faults()
    thread = threading.Thread(target=fail, name="some-name")
    thread.start()
    thread.join(LONG_SECONDS)
    said = "thread some-name has ended: a fault in callsign itself: RuntimeError at tests/test_thread_starts.py:"
    assert said in caplog.text
    assert "056528998" not in caplog.text + "".join(capfd.readouterr())
