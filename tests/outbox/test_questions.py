"""What the store keeps of questions: how many ended how, and the last ones; never what was asked."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from callsign import clocks
from callsign.outbox import schema as sql
from callsign.outbox.access import StoreAccess
from callsign.outbox.outbox import Outbox
from callsign.outbox.reader import OutboxReader
from callsign.outbox.shown import LastQuestion, Questions
from callsign.outbox.unwritten import Unwritten
from callsign.outbox.upkeep import Tidying
from clocks_play import Clock
from store_play import LONG_SECONDS, call_from, eventually


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The wall clock, set by the test."""
    clock = Clock(1_800_000_000.0)
    monkeypatch.setattr(clocks, "wall", clock)
    return clock


def look(path: Path, hour_ago: float) -> dict[str, Questions]:
    with closing(OutboxReader(path)) as reader:
        return reader.questions(hour_ago)


def test_questions_are_counted_by_status_and_the_last_ones_kept(path: Path, outbox: Outbox, clock: Clock) -> None:
    for status, reason in (("OK", ""), ("UNREACHABLE", "HTTP 503"), ("OK", ""), ("ERROR", "no section")):
        outbox.note_question("mor", "mor/balance", status, reason)
        clock.now += 1
    outbox.note_question("sraps", "sraps/endpoint", "OK", "")
    outbox.wait_written(LONG_SECONDS)
    found = look(path, clock.now - 3600)
    assert found["mor"].of_last_hour == {"OK": 2, "UNREACHABLE": 1, "ERROR": 1}
    assert found["mor"].last_answer == LastQuestion(clock.now - 2, "mor/balance", "OK", "")
    assert found["mor"].last_trouble == LastQuestion(clock.now - 3, "mor/balance", "UNREACHABLE", "HTTP 503")
    assert found["mor"].last_error == LastQuestion(clock.now - 1, "mor/balance", "ERROR", "no section")
    assert found["sraps"].last_trouble is None


def test_only_the_last_hour_counts_and_the_last_trouble_stays(path: Path, outbox: Outbox, clock: Clock) -> None:
    outbox.note_question("mor", "mor/balance", "UNREACHABLE", "HTTP 503")
    outbox.wait_written(LONG_SECONDS)
    clock.now += 3700
    found = look(path, clock.now - 3600)["mor"]
    assert found.of_last_hour == {}
    assert found.last_trouble is not None
    assert found.last_trouble.reason == "HTTP 503"


def test_what_was_asked_while_the_clock_was_years_ahead_is_neither_of_the_last_hour_nor_the_last(
    path: Path, outbox: Outbox, clock: Clock
) -> None:
    true = clock.now
    outbox.note_question("mor", "mor/balance", "OK", "")
    outbox.note_question("mor", "mor/balance", "UNREACHABLE", "HTTP 503")
    outbox.wait_written(LONG_SECONDS)
    before = look(path, true - 3600)["mor"]
    clock.now += 12 * 365 * 86400
    for status in ("OK", "UNREACHABLE"):
        outbox.note_question("mor", "mor/balance", status, "TLS: the certificate has expired")
    outbox.wait_written(LONG_SECONDS)
    clock.now = true + 60
    found = look(path, clock.now - 3600)["mor"]
    assert (found.of_last_hour, found.last_answer) == (before.of_last_hour, before.last_answer)
    assert found.last_trouble == before.last_trouble
    clock.now = true + 7200
    with closing(StoreAccess(path, full=False)) as store:
        Tidying(store, 86400.0).do(quiet=True, prune=True)
    assert look(path, clock.now - 3600)["mor"].last_answer == before.last_answer


def rows(path: Path) -> list[tuple[str, int]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT status, minute - 30000000 FROM asked ORDER BY status, minute").fetchall()


def test_what_is_older_than_an_hour_is_forgotten_but_for_the_last_of_its_kind(
    path: Path, outbox: Outbox, clock: Clock
) -> None:
    for minutes in (0, 1, 70, 71):
        clock.now = 1_800_000_000.0 + 60 * minutes
        outbox.note_question("mor", "mor/balance", "OK", "")
    clock.now = 1_800_000_000.0
    outbox.note_question("mor", "mor/balance", "ERROR", "")
    outbox.wait_written(LONG_SECONDS)
    clock.now += 60 * 80
    for keep_seconds, left in ((86400.0, [("ERROR", 0), ("OK", 70), ("OK", 71)]), (0.0, [("OK", 70), ("OK", 71)])):
        with closing(StoreAccess(path, full=False)) as store:
            Tidying(store, keep_seconds).do(quiet=True, prune=True)
        assert rows(path) == left


def test_what_was_asked_is_nowhere_in_the_store(path: Path, outbox: Outbox) -> None:
    outbox.note_question("mor", "mor/caller", "OK", "")
    outbox.wait_written(LONG_SECONDS)
    with closing(sqlite3.connect(path)) as db:
        columns = [row[1] for row in db.execute("PRAGMA table_info(asked)")]
    assert columns == ["system", "status", "minute", "questions", "at", "action", "reason"]


def test_while_the_store_cannot_be_written_questions_are_not_counted_and_hold_nothing_up(path: Path) -> None:
    path.mkdir()
    outbox = Outbox(path)
    outbox.wait_open(LONG_SECONDS)
    with pytest.raises(Exception, match="cannot be written"):
        outbox.add(call_from(), LONG_SECONDS)
    for _ in range(1000):
        outbox.note_question("mor", "mor/balance", "OK", "")
    assert outbox._queue.is_empty
    path.rmdir()
    outbox.add(call_from(), LONG_SECONDS)
    outbox.note_question("mor", "mor/balance", "OK", "")
    outbox.close()
    assert look(path, 0.0)["mor"].of_last_hour == {"OK": 1}


def test_questions_that_could_not_be_written_are_kept_with_the_ends_of_jobs(tmp_path: Path, path: Path) -> None:
    unwritten = Unwritten(path, {"RUNTIME_DIRECTORY": str(tmp_path)})
    told = (sql.NOTE_ASKED, ("mor", "OK", 1, 60.0, "mor/balance", ""))
    assert unwritten.found() == []
    assert unwritten.keep([told])
    assert Unwritten(path, {"RUNTIME_DIRECTORY": str(tmp_path)}).found() == [told]


def test_a_store_that_an_earlier_callsign_still_uses_has_no_questions(path: Path, outbox: Outbox) -> None:
    outbox.wait_open(LONG_SECONDS)
    assert eventually(lambda: path.exists())
    outbox.wait_written(LONG_SECONDS)
    with closing(sqlite3.connect(path)) as db:
        db.execute("DROP TABLE asked")
    assert look(path, 0.0) == {}
