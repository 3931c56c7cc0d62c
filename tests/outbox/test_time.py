"""Deadlines, durability and forgetting: what the store does with time."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from callsign import clocks
from callsign.notification import State
from callsign.outbox import upkeep, writer
from callsign.outbox.file import StoreFile
from callsign.outbox.outbox import Added, Job, Outbox
from callsign.outbox.reader import OutboxReader
from store_play import LONG_SECONDS, call_from, eventually

PROMISED_SECONDS = 0.05  # README: on disk within 50 ms
BUSY_SECONDS = 2.0  # what a busy machine may add

HOUR = 3600.0
DAY = 86400.0


class Clocks:
    """Both clocks and the boot, as a test sets them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall = 1_700_000_000.0
        self.steady = 5000.0
        self.boot = "this-boot"
        monkeypatch.setattr(clocks, "wall", lambda: self.wall)
        monkeypatch.setattr(clocks, "steady", lambda: self.steady)
        monkeypatch.setattr(clocks, "boot_id", lambda: self.boot)

    def pass_by(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    return Clocks(monkeypatch)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The writer tidies up after every little pause."""
    monkeypatch.setattr(writer, "QUIET_SECONDS", 0.01)
    monkeypatch.setattr(upkeep, "PRUNE_SECONDS", 0.01)
    monkeypatch.setattr(upkeep, "PRUNE_AGAIN_SECONDS", 0.01)
    return


def found_by(outbox: Outbox, number: int = 1) -> list[Job]:
    """Listens, and waits for so many jobs."""
    jobs: list[Job] = []
    grew = threading.Condition()

    def listener(more: list[Job]) -> None:
        with grew:
            jobs.extend(more)
            grew.notify_all()

    outbox.listen(listener)
    with grew:
        assert grew.wait_for(lambda: len(jobs) >= number, LONG_SECONDS)
    return jobs


# -- deadlines ----------------------------------------------------------------------------------------------------


def test_a_deadline_counts_from_the_moment_the_dialplan_told_us(path: Path, time: Clocks) -> None:
    outbox = Outbox(path)
    told = call_from(lifetime=60.0)
    time.pass_by(2.0)
    outbox.add(told)
    assert found_by(outbox)[0].steady_deadline == 5060.0
    outbox.close()


@pytest.mark.parametrize("jump", [-HOUR, HOUR])
def test_a_jump_of_the_wall_clock_neither_ends_a_stored_job_nor_prolongs_it(
    path: Path, time: Clocks, jump: float
) -> None:
    outbox = Outbox(path)
    outbox.add(call_from(lifetime=60.0))
    outbox.close()
    time.pass_by(20.0)
    time.wall += jump
    again = Outbox(path)
    assert found_by(again)[0].steady_deadline - time.steady == 40.0
    again.close()


def test_after_a_restart_of_the_machine_the_wall_clock_says_what_is_left(path: Path, time: Clocks) -> None:
    outbox = Outbox(path)
    outbox.add(call_from(lifetime=60.0))
    outbox.close()
    time.wall += 45.0
    time.steady, time.boot = 10.0, "next-boot"
    again = Outbox(path)
    assert found_by(again)[0].steady_deadline == 10.0 + 15.0
    again.close()


def test_a_wall_clock_set_back_across_a_restart_of_the_machine_gives_no_job_more_than_its_life(
    path: Path, time: Clocks
) -> None:
    outbox = Outbox(path)
    outbox.add(call_from(lifetime=60.0))
    outbox.close()
    time.wall -= HOUR
    time.steady, time.boot = 10.0, "next-boot"
    again = Outbox(path)
    assert found_by(again)[0].steady_deadline == 10.0 + 60.0
    again.close()


@pytest.mark.parametrize(("jump", "pause"), [(0.0, 20.0), (HOUR, 0.0), (-HOUR, 0.0)])
def test_a_next_try_that_was_stored_is_kept_unless_the_clock_was_set_meanwhile(
    path: Path, time: Clocks, jump: float, pause: float
) -> None:
    outbox = Outbox(path)
    outbox.add(call_from())
    job = found_by(outbox)[0]
    job.attempts = 7
    outbox.note_attempt(job, 20.0, "HTTP 503", 1.0)
    outbox.close()
    time.wall += jump
    again = Outbox(path)
    found = found_by(again)[0]
    assert (found.due - time.steady, found.attempts) == (pause, 7)
    again.close()


# -- durability ---------------------------------------------------------------------------------------------------


class Traced(sqlite3.Connection):
    """Notes how hard each commit is written."""

    commits: list[str] = []
    level = ""

    def execute(self, statement: str, *values: object) -> sqlite3.Cursor:  # type: ignore[override]
        if statement.startswith("PRAGMA synchronous"):
            self.level = statement.rsplit(" ", 1)[1]
        if statement == "COMMIT":
            Traced.commits.append(self.level)
        return super().execute(statement, *values)


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, factory=Traced, **k))
    Traced.commits = []
    return Traced.commits


def test_with_full_a_notification_waits_for_the_disk_and_an_outcome_does_not(path: Path, commits: list[str]) -> None:
    outbox = Outbox(path, "full")
    job = found_by_adding(outbox)
    commits.clear()
    outbox.end(job, State.DELIVERED, "")
    outbox.stop_listening(LONG_SECONDS)
    assert set(commits) == {"NORMAL"}
    commits.clear()
    outbox.add(call_from())
    assert commits == ["FULL"]
    outbox.close()


@pytest.mark.parametrize(("durability", "level"), [("full", 2), ("interval", 1)])
def test_what_is_stored_first_after_an_opening_waits_for_the_disk_where_it_is_to(
    path: Path, durability: str, level: int
) -> None:
    file = StoreFile(path, durability == "full")
    assert file.opened(0, on_disk=True).execute("PRAGMA synchronous").fetchone() == (level,)
    file.close()


def test_with_interval_no_notification_waits_for_the_disk_and_the_wal_is_put_there_beside_it(
    path: Path, commits: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    synced, sync = threading.Event(), os.fdatasync

    def noticed(fd: int) -> None:
        sync(fd)
        if os.readlink(f"/proc/self/fd/{fd}") == str(path) + "-wal":
            synced.set()

    monkeypatch.setattr(os, "fdatasync", noticed)
    outbox = Outbox(path, "interval")
    outbox.add(call_from())
    assert set(commits) == {"NORMAL"}
    assert synced.wait(PROMISED_SECONDS + BUSY_SECONDS)
    outbox.close()


def test_what_a_call_commits_in_its_own_thread_is_put_on_disk_within_moments_too(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed_by: list[threading.Thread] = []
    synced, sync, connect = threading.Event(), os.fdatasync, sqlite3.connect

    class Noting(sqlite3.Connection):
        def execute(self, statement: str, *values: object) -> sqlite3.Cursor:  # type: ignore[override]
            if statement == "COMMIT":
                committed_by.append(threading.current_thread())
            return super().execute(statement, *values)

    def noticed(fd: int) -> None:
        sync(fd)
        synced.set()

    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, factory=Noting, **k))
    outbox = Outbox(path, "interval", at_once=True)
    outbox.wait_written(LONG_SECONDS)
    committed_by.clear()
    monkeypatch.setattr(os, "fdatasync", noticed)
    for number in range(100):
        synced.clear()
        outbox.add(call_from(f"0470{number:06}"))
        if committed_by[-1] is threading.current_thread():
            break
    assert committed_by[-1] is threading.current_thread()
    assert synced.wait(PROMISED_SECONDS + BUSY_SECONDS)
    outbox.close()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (OSError(5, "Input/output error"), "Input/output error"),
        (MemoryError(), "a fault in callsign itself: MemoryError"),
    ],
)
def test_a_wal_that_cannot_be_put_on_disk_is_told_once_and_tried_again_with_each_job(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fault: Exception, words: str
) -> None:
    tried = threading.Semaphore(0)

    def broken(_: int) -> None:
        tried.release()
        raise fault

    monkeypatch.setattr(os, "fdatasync", broken)
    outbox = Outbox(path)
    for _ in range(3):
        outbox.add(call_from())
        assert tried.acquire(timeout=LONG_SECONDS)
    outbox.close()
    assert caplog.text.count(f"cannot be put on disk: {words}") == 1


def found_by_adding(outbox: Outbox, once: str = "") -> Job:
    outbox.add(call_from(once=once))
    return found_by(outbox)[0]


# -- forgetting ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("hurried")
def test_what_has_ended_is_forgotten_after_keep_days_and_what_waits_is_not(path: Path, time: Clocks) -> None:
    outbox, reader = Outbox(path, keep_days=7), OutboxReader(path)
    job = found_by_adding(outbox)
    outbox.end(job, State.REFUSED, "HASH_MISMATCH", 3.0)
    outbox.add(call_from("0470000002"))
    time.pass_by(7 * DAY - 60)
    outbox.stop_listening(LONG_SECONDS)
    jobs = found_by(outbox)
    outbox.end(jobs[0], State.DELIVERED, "", 3.0)
    assert eventually(lambda: len(reader.history_of(2)) == 1)
    assert [row.job for row in reader.jobs()] == [2, 1]
    outbox.add(call_from("0470000003"))
    time.pass_by(61)
    assert eventually(lambda: [row.job for row in reader.jobs()] == [3, 2])
    assert (reader.history_of(1), len(reader.history_of(2))) == ([], 1)
    time.pass_by(30 * DAY)
    assert eventually(lambda: [row.job for row in reader.jobs()] == [3])
    outbox.close()
    reader.close()


@pytest.mark.usefixtures("hurried")
def test_more_than_one_helping_of_old_jobs_is_forgotten_too(path: Path, time: Clocks) -> None:
    number = 2 * upkeep.PRUNE_AT_ONCE + 1
    outbox, reader = Outbox(path, keep_days=1), OutboxReader(path)
    for n in range(number):
        outbox.add(call_from(f"047{n:07}"))
    for job in found_by(outbox, number):
        outbox.end(job, State.DELIVERED, "")
    time.pass_by(DAY + 1)
    assert eventually(lambda: not reader.jobs())
    outbox.close()
    reader.close()


@pytest.mark.usefixtures("hurried")
def test_a_damaged_row_keeps_no_other_from_being_forgotten(
    path: Path, time: Clocks, caplog: pytest.LogCaptureFixture
) -> None:
    outbox, reader = Outbox(path, keep_days=1), OutboxReader(path)
    for n in range(3):
        outbox.add(call_from(f"047{n:07}"))
    for job in found_by(outbox, 3):
        outbox.end(job, State.DELIVERED, "")
    outbox.wait_written(LONG_SECONDS)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE ended SET ended = 'damaged' WHERE id = 1")
    time.pass_by(DAY + 1)
    assert eventually(lambda: [row.job for row in reader.jobs()] == [1])
    assert caplog.text == ""
    outbox.close()
    reader.close()


@pytest.mark.usefixtures("hurried")
def test_what_ended_while_the_clock_was_years_ahead_keeps_nothing_else_from_being_forgotten(
    path: Path, time: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "PRUNE_AT_ONCE", 3)
    outbox, reader = Outbox(path, keep_days=1), OutboxReader(path)
    true = time.wall
    for year in (12, 0):
        time.wall = true + year * 365 * DAY
        for n in range(7):
            outbox.add(call_from(f"047{year:02}{n:05}", once=f"{year} {n}"))
        outbox.wait_written(LONG_SECONDS)
    for job in found_by(outbox, 14):
        time.wall = job.notification.created_at
        outbox.end(job, State.DELIVERED, "")
    time.wall = true + DAY + 1
    assert eventually(lambda: [row.job for row in reader.jobs()] == [7, 6, 5, 4, 3, 2, 1])
    assert eventually(lambda: once_in(path) == [1, 2, 3, 4, 5, 6, 7])
    outbox.close()
    reader.close()


def test_a_row_that_stays_slows_the_forgetting_of_the_others_down_by_nothing(
    path: Path, time: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Outbox(path, keep_days=1)
    for n in range(10):
        before.add(call_from(f"047{n:07}"))
    for job in found_by(before, 10):
        before.end(job, State.DELIVERED, "")
    before.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE ended SET ended = 'damaged' WHERE id = 1")
    time.pass_by(DAY + 1)
    monkeypatch.setattr(writer, "QUIET_SECONDS", 0.01)
    monkeypatch.setattr(upkeep, "PRUNE_SECONDS", 100 * LONG_SECONDS)
    monkeypatch.setattr(upkeep, "PRUNE_AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(upkeep, "PRUNE_AT_ONCE", 3)
    outbox, reader = Outbox(path, keep_days=1), OutboxReader(path)
    outbox.listen(lambda _: None)
    assert eventually(lambda: [row.job for row in reader.jobs()] == [1])
    outbox.close()
    reader.close()


def once_in(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as db:
        return [job for (job,) in db.execute("SELECT job FROM once ORDER BY job")]


@pytest.mark.usefixtures("hurried")
def test_a_call_stays_known_as_notified_for_a_day_also_with_keep_days_0(path: Path, time: Clocks) -> None:
    outbox, reader = Outbox(path, keep_days=0), OutboxReader(path)
    outbox.end(found_by_adding(outbox, once="a"), State.DELIVERED, "")
    time.pass_by(DAY - 1)
    assert eventually(lambda: not reader.jobs())
    assert outbox.add(call_from(once="a")) == Added(1, duplicate=True)
    time.pass_by(2)
    assert eventually(lambda: not outbox.add(call_from(once="a")).duplicate)
    outbox.close()
    reader.close()


@pytest.mark.usefixtures("hurried")
def test_when_it_is_quiet_the_wal_goes_into_the_store(path: Path) -> None:
    outbox = Outbox(path)
    outbox.add(call_from("0470000001"))
    assert eventually(lambda: b"call-0001" in path.read_bytes())
    outbox.close()


def test_when_much_was_written_the_wal_goes_into_the_store_without_a_pause(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "CHECKPOINT_AFTER_WRITES", 10)
    monkeypatch.setattr(writer, "QUIET_SECONDS", 100 * LONG_SECONDS)
    outbox = Outbox(path)
    for number in range(30):
        outbox.add(call_from(f"047000{number:04}"))
    assert eventually(lambda: b"call-0009" in path.read_bytes())
    outbox.close()
