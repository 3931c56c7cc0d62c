"""What the store has taken is there at once, for everybody, after every end, once, and in order."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from callsign import clocks
from callsign.notification import Notification, State
from callsign.outbox import writer
from callsign.outbox.lock import FileLock
from callsign.outbox.outbox import Added, Job, Outbox, OutboxError
from callsign.outbox.reader import OutboxReader
from store_play import LONG_SECONDS, OtherProcess, call_from, eventually, recording

ADDS_AND_DIES = """
import os, signal, sys
from pathlib import Path
from callsign.outbox.outbox import Outbox
from store_play import call_from
outbox = Outbox(Path(sys.argv[1]), sys.argv[2], at_once=True)
for number in range(20):
    print(outbox.add(call_from(f"047000{number:04}", once=f"once {number}")).job, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""

ADDS_WHEN_TOLD = """
import json, sys
from pathlib import Path
from callsign.outbox.outbox import Outbox
from store_play import call_from
outbox = Outbox(Path(sys.argv[1]))
print("ready", flush=True)
for line in sys.stdin:
    made = [outbox.add(call_from(caller, once=caller)) for caller in json.loads(line)]
    print(json.dumps([(added.job, added.duplicate) for added in made]), flush=True)
outbox.close()
"""


class Listener:
    """Takes what the outbox hands out."""

    def __init__(self) -> None:
        self.groups: list[list[Job]] = []
        self._grew = threading.Condition()

    def __call__(self, jobs: list[Job]) -> None:
        with self._grew:
            self.groups.append(list(jobs))
            self._grew.notify_all()

    @property
    def jobs(self) -> list[Job]:
        return [job for group in self.groups for job in group]

    def has(self, number: int) -> bool:
        """Waits for so many jobs."""
        with self._grew:
            return self._grew.wait_for(lambda: len(self.jobs) >= number, LONG_SECONDS)

    def heard(self) -> bool:
        """Waits for the first look, which may bring nothing."""
        with self._grew:
            return self._grew.wait_for(lambda: bool(self.groups), LONG_SECONDS)


@pytest.fixture(params=[False, True], ids=["queued", "at once"])
def outbox(path: Path, request: pytest.FixtureRequest) -> Iterator[Outbox]:
    made = Outbox(path, at_once=request.param)
    yield made
    made.close()


def rows(path: Path, table: str = "job") -> list[int]:
    """The ids that a connection of its own sees."""
    db = sqlite3.connect(path)
    try:
        return [id_ for (id_,) in db.execute(f"SELECT id FROM {table} ORDER BY id")]
    finally:
        db.close()


@pytest.mark.parametrize("durability", ["interval", "full"])
def test_what_add_returned_for_is_seen_by_everybody_at_once(path: Path, durability: str) -> None:
    outbox = Outbox(path, durability)
    for number in range(20):
        added = outbox.add(call_from(f"047000{number:04}"))
        assert added == Added(number + 1, duplicate=False)
        assert rows(path)[-1] == added.job
    outbox.close()


@pytest.mark.parametrize("durability", ["interval", "full"])
def test_what_add_returned_for_is_there_after_kill_9(path: Path, durability: str) -> None:
    with OtherProcess(ADDS_AND_DIES, path, durability) as other:
        told = [int(other.hear()) for _ in range(20)]
        other.ended()
    assert rows(path) == told
    outbox = Outbox(path, durability)
    assert outbox.add(call_from("0470009999")).job == 21
    outbox.close()


def test_what_add_returned_for_is_there_after_an_orderly_end(path: Path, outbox: Outbox) -> None:
    outbox.add(call_from())
    outbox.close()
    assert rows(path) == [1]
    assert not path.with_name("outbox.db-wal").exists()


def test_an_outbox_that_is_closed_refuses_at_once(outbox: Outbox) -> None:
    outbox.close()
    with pytest.raises(OutboxError, match="is closed"):
        outbox.add(call_from())


def test_facts_come_back_as_they_went_in_whatever_their_characters(outbox: Outbox, path: Path) -> None:
    facts = {"tag": 'O\'Brien "Bob" (x, é \\', "stray": "\udcff", "empty": ""}
    outbox.add(Notification("noojee", "noojee/start", "1.1", facts, 1_700_000_000.25, 60.0))
    second, listener = Outbox(path), Listener()
    second.listen(listener)
    assert listener.has(1)
    told = listener.jobs[0].notification
    assert (told.facts, told.created_at, told.lifetime_seconds, told.call) == (facts, 1_700_000_000.25, 60.0, "1.1")
    second.close()


# -- once ------------------------------------------------------------------------------------------------


def test_the_same_once_is_stored_once_and_answered_with_the_job_there_is(outbox: Outbox, path: Path) -> None:
    assert outbox.add(call_from(once="a")) == Added(1, duplicate=False)
    assert outbox.add(call_from(once="a")) == Added(1, duplicate=True)
    assert outbox.add(call_from(once="b")) == Added(2, duplicate=False)
    assert outbox.add(call_from()) == Added(3, duplicate=False)
    assert outbox.add(call_from()) == Added(4, duplicate=False)
    assert rows(path) == [1, 2, 3, 4]


def test_once_holds_after_the_job_has_ended_and_after_a_restart(outbox: Outbox, path: Path) -> None:
    listener = Listener()
    outbox.listen(listener)
    outbox.add(call_from(once="a"))
    assert listener.has(1)
    outbox.end(listener.jobs[0], State.REFUSED, "no")
    outbox.close()
    assert (rows(path), rows(path, "ended")) == ([], [1])
    again = Outbox(path)
    assert again.add(call_from(once="a")) == Added(1, duplicate=True)
    again.close()


def test_once_holds_between_processes_that_store_at_the_same_time(outbox: Outbox, path: Path) -> None:
    callers = [f"047000{number:04}" for number in range(100)]
    with OtherProcess(ADDS_WHEN_TOLD, path) as other:
        assert other.hear() == "ready"
        other.say(str(callers).replace("'", '"'))
        ours = [outbox.add(call_from(caller, once=caller)) for caller in callers]
        theirs = other.hear_json()
    assert isinstance(theirs, list)
    for mine, (job, duplicate) in zip(ours, theirs, strict=True):
        assert mine.job == job
        assert mine.duplicate is not duplicate
    assert len(rows(path)) == 100


def test_the_store_does_not_keep_the_number_that_once_was_made_of(outbox: Outbox, path: Path) -> None:
    outbox.add(recording("start", "1.1"))
    outbox.add(Notification("noojee", "noojee/stop", "1.1", {}, 1.0, 1.0, dedupe_key="noojee|0478123456"))
    outbox.close()
    assert b"0478123456" not in path.read_bytes()


# -- groups --------------------------------------------------------------------------------------------------


def test_what_comes_while_the_writer_is_kept_waiting_goes_out_as_one_group(outbox: Outbox, path: Path) -> None:
    listener = Listener()
    outbox.listen(listener)
    assert listener.heard()
    others = FileLock(path.with_name("outbox.db.lock"))
    with others.held(LONG_SECONDS), ThreadPoolExecutor(50) as pool:
        outbox.poll()
        assert eventually(lambda: outbox._queue.is_empty)  # the writer has it, and waits for the lock
        adds = [pool.submit(outbox.add, call_from(f"047000{n:04}"), LONG_SECONDS) for n in range(50)]
        assert eventually(lambda: outbox._queue._items.qsize() > 40)
        others.release()
        ids = sorted(add.result().job for add in adds)
    assert ids == list(range(1, 51))
    assert listener.has(50)
    assert [job.id for job in listener.jobs] == ids
    assert len(listener.groups) < 12


def test_a_hundred_threads_get_a_row_each(outbox: Outbox, path: Path) -> None:
    with ThreadPoolExecutor(100) as pool:
        added = list(pool.map(lambda n: outbox.add(call_from(f"047000{n:04}"), LONG_SECONDS), range(1000)))
    assert sorted(one.job for one in added) == rows(path) == list(range(1, 1001))


# -- listening ------------------------------------------------------------------------------------------------


def test_a_job_committed_at_once_is_handed_over_when_its_call_says_so(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "QUIET_SECONDS", 100 * LONG_SECONDS)
    outbox, listener = Outbox(path, at_once=True), Listener()
    outbox.wait_open(LONG_SECONDS)
    outbox.listen(listener)
    assert listener.heard()
    assert eventually(lambda: not outbox._writer._turn.locked())  # else the job would be queued
    outbox.add(call_from())
    assert not listener.jobs
    outbox.hand_over()
    assert [job.id for job in listener.jobs] == [1]
    outbox.close()


def test_a_job_whose_call_never_ends_is_handed_over_in_the_next_pause(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "QUIET_SECONDS", 0.01)
    outbox, listener = Outbox(path, at_once=True), Listener()
    outbox.wait_open(LONG_SECONDS)
    outbox.listen(listener)
    assert listener.heard()
    outbox.add(call_from())
    assert listener.has(1)
    outbox.close()


def test_a_listener_hears_of_each_job_after_it_is_stored_and_once(outbox: Outbox, path: Path) -> None:
    seen: list[tuple[int, list[int]]] = []
    listener = Listener()

    def looks(jobs: list[Job]) -> None:
        seen.extend((job.id, rows(path)) for job in jobs)
        listener(jobs)

    outbox.listen(looks)
    for number in range(5):
        outbox.add(call_from(f"047000{number:04}"))
    assert listener.has(5)
    assert [id_ for id_, _ in seen] == [1, 2, 3, 4, 5]
    assert all(id_ in stored for id_, stored in seen)
    assert not any(job.recovered for job in listener.jobs)


def test_the_first_look_tells_a_listener_also_that_nothing_is_open(outbox: Outbox) -> None:
    listener = Listener()
    outbox.listen(listener)
    assert listener.heard()
    assert listener.jobs == []


def test_jobs_of_other_processes_are_heard_of_in_the_order_of_their_ids_among_ours(outbox: Outbox, path: Path) -> None:
    listener = Listener()
    outbox.listen(listener)
    theirs = [[f"048{group:03}{n:04}" for n in range(10)] for group in range(10)]
    with OtherProcess(ADDS_WHEN_TOLD, path) as other:
        assert other.hear() == "ready"
        for number, callers in enumerate(theirs):
            other.say(str(callers).replace("'", '"'))
            outbox.add(call_from(f"047000{number:04}"))
        for _ in theirs:
            other.hear()
    outbox.poll()
    assert listener.has(110)
    assert [job.id for job in listener.jobs] == rows(path) == list(range(1, 111))


def test_jobs_of_other_processes_are_found_without_any_sign_by_the_look_every_second(
    outbox: Outbox, path: Path
) -> None:
    listener = Listener()
    outbox.listen(listener)
    assert listener.heard()
    with OtherProcess(ADDS_WHEN_TOLD, path) as other:
        assert other.hear() == "ready"
        other.say('["0480000001"]')
        other.hear()
    assert listener.has(1)


def test_who_listens_no_more_hears_nothing_and_who_listens_next_hears_all(outbox: Outbox) -> None:
    first, second = Listener(), Listener()
    outbox.listen(first)
    outbox.add(call_from("0470000001"))
    assert first.has(1)
    outbox.end(first.jobs[0], State.DELIVERED, "")
    outbox.stop_listening(LONG_SECONDS)
    outbox.add(call_from("0470000002"))
    outbox.listen(second)
    assert second.has(1)
    assert [job.id for job in first.jobs] == [1]
    assert [(job.id, job.recovered) for job in second.jobs] == [(2, True)]


def test_when_stop_listening_returns_what_was_ended_is_written(outbox: Outbox, path: Path) -> None:
    listener = Listener()
    outbox.listen(listener)
    for number in range(200):
        outbox.add(call_from(f"047000{number:04}"))
    assert listener.has(200)
    for job in listener.jobs:
        outbox.end(job, State.DELIVERED, "")
    outbox.stop_listening(LONG_SECONDS)
    assert rows(path) == []


# -- a job's life ----------------------------------------------------------------------------------------------


def test_a_job_that_was_open_at_a_start_comes_with_its_attempts_and_its_next_try(outbox: Outbox, path: Path) -> None:
    listener, later = Listener(), Listener()
    outbox.listen(listener)
    outbox.add(call_from("0470000001"))
    outbox.add(call_from("0470000002"))
    assert listener.has(2)
    tried = listener.jobs[0]
    tried.attempts = 3
    outbox.note_attempt(tried, 20.0, "HTTP 503", 12.5)
    outbox.close()
    again = Outbox(path)
    again.listen(later)
    assert later.has(2)
    first, second = later.jobs
    assert (first.id, first.attempts, first.recovered) == (1, 3, True)
    assert (second.id, second.attempts, second.recovered) == (2, 0, True)
    assert 10 < first.due - clocks.steady() <= 20
    again.close()


def test_a_job_leaves_a_line_for_each_thing_that_happened_to_it(outbox: Outbox, path: Path) -> None:
    listener, reader = Listener(), OutboxReader(path)
    outbox.listen(listener)
    outbox.add(call_from())
    assert listener.has(1)
    job = listener.jobs[0]
    for attempt, reason in enumerate(["HTTP 503", "no answer"], 1):
        job.attempts = attempt
        outbox.note_attempt(job, 0.5, reason, 10.0 * attempt)
    job.attempts = 3
    outbox.end(job, State.DELIVERED, "at last", 30.0)
    outbox.close()
    lines = [(line.event, line.milliseconds, line.reason) for line in reader.history_of(1)]
    assert lines == [
        ("try later", 10.0, "HTTP 503"),
        ("try later", 20.0, "no answer"),
        ("delivered", 30.0, "at last"),
    ]
    (row,) = reader.jobs(job=1)
    assert (row.state, row.attempts, row.reason) == ("delivered", 3, "at last")
    reader.close()


def test_a_store_is_waited_for_until_it_is_open_or_broken_and_no_longer(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "outbox.db", tmp_path / "file" / "outbox.db"):
        outbox = Outbox(path)
        outbox.wait_open(LONG_SECONDS)
        assert path.exists() is (path.parent == tmp_path)
        outbox.close()
    lock = FileLock(tmp_path / "outbox.db.lock")
    assert lock.try_now()
    outbox = Outbox(tmp_path / "outbox.db")
    outbox.wait_open(0.01)
    lock.close()
    outbox.close()
