"""Looking into the store from any thread and process, without a hand on it."""

from __future__ import annotations

import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from callsign.notification import State
from callsign.outbox.file import write_lock_of
from callsign.outbox.outbox import Job, Outbox, OutboxError
from callsign.outbox.reader import OutboxReader
from store_play import LONG_SECONDS, OtherProcess, call_from, eventually, recording

READS_WITHOUT_RIGHTS = """
import os, sys
from pathlib import Path
from callsign.outbox.outbox import OutboxError
from callsign.outbox.reader import OutboxReader
reader = OutboxReader(Path(sys.argv[1]))
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    reader.jobs()
except OutboxError as fault:
    print(fault)
"""


@pytest.fixture
def lived(outbox: Outbox) -> list[Job]:
    """Five jobs: delivered, refused, superseded, tried and open, open."""
    jobs: list[Job] = []
    outbox.listen(jobs.extend)
    outbox.add(call_from("0470000001", call="call-1"))
    outbox.add(call_from("0470000002", call="call-2"))
    for action in ("start", "stop"):
        outbox.add(recording(action, "call-1"))
    outbox.add(call_from("0470000005", call="call-5"))
    assert eventually(lambda: len(jobs) == 5)
    for job in jobs:
        job.attempts = 1
    outbox.end(jobs[0], State.DELIVERED, "", 1.0)
    outbox.end(jobs[1], State.REFUSED, "HASH_MISMATCH", 2.0)
    outbox.end(jobs[2], State.SUPERSEDED, "a stop came before it was tried")
    outbox.note_attempt(jobs[3], 60.0, "HTTP 503", 4.0)
    outbox.stop_listening(LONG_SECONDS)
    return jobs


@pytest.mark.usefixtures("lived")
def test_the_state_of_a_job_is_told_with_its_reason_also_while_it_waits(reader: OutboxReader) -> None:
    assert reader.state_of(1) == (State.DELIVERED, "")
    assert reader.state_of(2) == (State.REFUSED, "HASH_MISMATCH")
    assert reader.state_of(3) == (State.SUPERSEDED, "a stop came before it was tried")
    assert reader.state_of(4) == (State.WAITING, "HTTP 503")
    assert reader.state_of(5) == (State.WAITING, "")
    assert reader.state_of(6) is None


def test_jobs_come_the_newest_first_with_what_an_administrator_asks(reader: OutboxReader, lived: list[Job]) -> None:
    newest = reader.jobs()[0]
    assert [row.job for row in reader.jobs()] == [5, 4, 3, 2, 1]
    assert (newest.system, newest.action, newest.call, newest.state) == ("skarabee", "skarabee", "call-5", "waiting")
    assert newest.at == lived[4].notification.created_at
    assert (newest.ended, newest.next_try) == (None, None)
    (tried,) = reader.jobs(job=4)
    assert tried.next_try is not None
    assert tried.next_try > tried.at
    (ended,) = reader.jobs(job=2)
    assert ended.ended is not None
    assert ended.ended >= ended.at


def test_what_waits_and_what_has_ended_is_counted_by_system(reader: OutboxReader, lived: list[Job]) -> None:
    assert reader.waiting() == {
        "noojee": (1, lived[3].notification.created_at),
        "skarabee": (1, lived[4].notification.created_at),
    }
    assert reader.ended_counts() == {
        ("skarabee", "delivered"): 1,
        ("skarabee", "refused"): 1,
        ("noojee", "superseded"): 1,
    }


@pytest.mark.usefixtures("lived")
def test_only_what_has_failed_since_then_counts_as_failed(reader: OutboxReader) -> None:
    (refused,) = reader.jobs(state="refused")
    assert refused.ended is not None
    failed = {"skarabee": 1, "noojee": 1}  # also a recording that was never made
    assert reader.failed_since(refused.ended - 1) == reader.failed_since(refused.ended) == failed
    assert reader.failed_since(refused.ended + 1) == {}


@pytest.mark.usefixtures("lived")
@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        ({"job": 3}, [3]),
        ({"job": 33}, []),
        ({"state": "waiting"}, [5, 4]),
        ({"state": "refused"}, [2]),
        ({"system": "noojee"}, [4, 3]),
        ({"call": "call-1"}, [4, 3, 1]),
        ({"call": "call-1", "system": "skarabee"}, [1]),
        ({"most": 2}, [5, 4]),
    ],
)
def test_jobs_can_be_asked_for_by_each_of_their_traits(
    reader: OutboxReader, wanted: dict[str, object], ids: list[int]
) -> None:
    assert [row.job for row in reader.jobs(**wanted)] == ids  # type: ignore[arg-type]


def test_of_what_has_failed_the_numbers_are_told_the_oldest_first_and_no_fact_is_read(
    path: Path, reader: OutboxReader, outbox: Outbox
) -> None:
    jobs: list[Job] = []
    outbox.listen(jobs.extend)
    told = [call_from("0470000001"), recording("start", "1.1"), call_from("0470000002"), call_from("0470000003")]
    for one in told:
        outbox.add(one)
    assert eventually(lambda: len(jobs) == 4)
    states = State.EXPIRED, State.REFUSED, State.DELIVERED, State.REFUSED
    for job, state in reversed(list(zip(jobs, states, strict=True))):
        outbox.end(job, state, "")
    outbox.stop_listening(LONG_SECONDS)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE ended SET facts = 'damaged'")
    assert reader.failed() == [1, 2, 4]
    assert reader.failed("skarabee") == [1, 4]
    assert reader.failed(since=told[3].created_at) == [4]


@pytest.mark.usefixtures("lived")
def test_neither_a_job_nor_its_life_shows_a_number(reader: OutboxReader) -> None:
    shown = repr([reader.jobs(), [reader.history_of(job) for job in range(1, 6)]])
    assert "04700000" not in shown
    assert "056528998" not in shown


@pytest.mark.usefixtures("lived")
def test_text_that_the_disk_has_damaged_keeps_nothing_back(path: Path, reader: OutboxReader) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        damaged = b'{"phonefrom": "047\xff000001"}'
        db.execute(
            "UPDATE ended SET facts = CAST(? AS TEXT), reason = CAST(? AS TEXT) WHERE id = 1", (damaged, damaged)
        )
        db.execute("UPDATE job SET facts = CAST(? AS TEXT), reason = CAST(? AS TEXT) WHERE id = 4", (damaged, damaged))
        db.execute("UPDATE life SET reason = CAST(? AS TEXT) WHERE job = 2", (damaged,))
    assert [row.job for row in reader.jobs()] == [5, 4, 3, 2, 1]
    assert [row.job for row in reader.jobs(hint="0470000002", fits=lambda facts: "0470000002" in facts.values())] == [2]
    assert [row.job for row in reader.jobs(hint="call-1", fits=lambda facts: "call-1" in facts.values())] == [3]
    assert reader.state_of(1) is not None
    assert reader.state_of(4) is not None
    assert [event.event for event in reader.history_of(2)] == ["refused"]
    assert set(reader.summaries()) == {"skarabee", "noojee"}


@pytest.mark.parametrize("column", ["facts", "at", "lifetime"])
def test_of_what_expired_lately_a_damaged_row_keeps_nothing_back(
    path: Path, outbox: Outbox, reader: OutboxReader, column: str
) -> None:
    jobs: list[Job] = []
    outbox.listen(jobs.extend)
    for number in range(3):
        outbox.add(recording("start", f"1.{number}"))
    assert eventually(lambda: len(jobs) == 3)
    for job in jobs:
        job.attempts = 1
        outbox.end(job, State.EXPIRED, "")
    outbox.stop_listening(LONG_SECONDS)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(f"UPDATE ended SET {column} = 'damaged' WHERE id = 2")
    assert [told.call for told in reader.expired_lately(0.0, 10)] == ["1.0", "1.2"]


def test_the_summary_tells_what_waits_what_ended_and_how(reader: OutboxReader, lived: list[Job]) -> None:
    at = [job.notification.created_at for job in lived]
    noojee, skarabee = (reader.summaries()[system] for system in ("noojee", "skarabee"))
    assert noojee.counts == {"superseded": 1, "waiting": 1}
    assert skarabee.counts == {"delivered": 1, "refused": 1, "waiting": 1}
    assert (noojee.oldest_waiting_at, skarabee.oldest_waiting_at) == (at[3], at[4])
    assert skarabee.next_try == at[4]
    assert noojee.next_try == pytest.approx(at[3] + 60, abs=LONG_SECONDS)


@pytest.mark.usefixtures("lived")
def test_last_success_and_last_trouble_are_told_by_system(reader: OutboxReader) -> None:
    noojee, skarabee = (reader.summaries()[system] for system in ("noojee", "skarabee"))
    assert noojee.last_success is None
    assert noojee.last_trouble is not None
    assert (noojee.last_trouble.job, noojee.last_trouble.reason) == (4, "HTTP 503")
    assert skarabee.last_success is not None
    assert (skarabee.last_success.job, skarabee.last_success.reason) == (1, "")
    assert skarabee.last_trouble is not None
    assert (skarabee.last_trouble.job, skarabee.last_trouble.reason) == (2, "HASH_MISMATCH")


def test_the_later_of_a_failed_attempt_and_a_failed_job_is_the_last_trouble(
    reader: OutboxReader, lived: list[Job], outbox: Outbox
) -> None:
    outbox.note_attempt(lived[4], 1.0, "no connection", 4.0)
    outbox.stop_listening(LONG_SECONDS)
    trouble = reader.summaries()["skarabee"].last_trouble
    assert trouble is not None
    assert (trouble.job, trouble.reason) == (5, "no connection")


@pytest.mark.usefixtures("lived")
def test_what_happened_while_the_clock_was_years_ahead_is_neither_of_the_last_hour_nor_the_last(
    path: Path, reader: OutboxReader
) -> None:
    def told() -> object:
        found = reader.summaries()
        return [(name, found[name].last_success, found[name].last_trouble) for name in sorted(found)]

    before, failed = told(), reader.failed_since(0.0)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("CREATE TEMP TABLE ahead AS SELECT * FROM ended")
        db.execute("UPDATE ahead SET id = id + 100, ended = ended + 12 * 365 * 86400.0, reason = 'years ahead'")
        db.execute("INSERT INTO ended SELECT * FROM ahead")
        tried = "SELECT job, 9, at + 12 * 365 * 86400.0, event, 1, 'years ahead' FROM life WHERE job = 4"
        db.execute(f"INSERT INTO life {tried}")
    assert told() == before
    assert reader.failed_since(0.0) == failed


def test_the_newest_open_job_is_told_and_0_where_none_is(
    reader: OutboxReader, lived: list[Job], outbox: Outbox
) -> None:
    assert reader.newest_open() == 5
    for job in lived[3:]:
        outbox.end(job, State.DELIVERED, "")
    outbox.stop_listening(LONG_SECONDS)
    assert reader.newest_open() == 0


def test_what_is_stored_after_the_first_look_is_seen_by_the_next(reader: OutboxReader, outbox: Outbox) -> None:
    for number in range(1, 4):
        assert outbox.add(call_from(f"047000{number:04}")).job == number
        assert len(reader.jobs()) == number


def test_many_threads_may_look_at_once_while_others_store(reader: OutboxReader, outbox: Outbox) -> None:
    with ThreadPoolExecutor(20) as pool:
        adds = [pool.submit(outbox.add, call_from(f"047000{n:04}"), LONG_SECONDS) for n in range(100)]
        looks = [pool.submit(reader.jobs) for _ in range(100)]
        assert all(add.result() for add in adds)
        assert all(look.result() is not None for look in looks)
    assert len(reader.jobs()) == 100


def test_where_there_is_no_store_that_is_said_and_none_is_made(reader: OutboxReader, path: Path) -> None:
    with pytest.raises(OutboxError, match=f"there is no store at {path} yet: has callsign run"):
        reader.state_of(1)
    assert not path.exists()
    outbox = Outbox(path)
    outbox.add(call_from())
    assert reader.state_of(1) == (State.WAITING, "")
    outbox.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="takes the rights of root away")
def test_a_store_that_may_not_be_looked_into_is_not_called_missing(outbox: Outbox, path: Path) -> None:
    outbox.add(call_from())
    with OtherProcess(READS_WITHOUT_RIGHTS, path) as other:
        assert other.hear() == f"the store {path} cannot be read: Permission denied"


def test_what_is_no_store_is_said_and_looked_at_anew_each_time(reader: OutboxReader, path: Path) -> None:
    path.write_bytes(b"no database at all, " * 1000)
    with pytest.raises(OutboxError, match=f"the store {path} cannot be read: file is not a database"):
        reader.jobs()
    path.unlink()
    outbox = Outbox(path)
    outbox.add(call_from())
    outbox.close()
    assert len(reader.jobs()) == 1


def test_somebody_who_keeps_the_store_to_himself_does_not_hold_a_look_up_for_long(path: Path, outbox: Outbox) -> None:
    outbox.add(call_from())
    outbox.close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    reader = OutboxReader(path, patience_seconds=0.01)
    with pytest.raises(OutboxError, match="database is locked"):
        reader.jobs()
    other.close()
    assert len(reader.jobs()) == 1
    reader.close()


def test_a_reader_that_is_closed_twice_or_was_never_used_is_no_trouble(path: Path, outbox: Outbox) -> None:
    OutboxReader(path).close()
    reader = OutboxReader(path)
    outbox.add(call_from())
    assert len(reader.jobs()) == 1
    reader.close()
    reader.close()
    assert len(reader.jobs()) == 1
    reader.close()


def test_a_reader_closes_its_connection_under_the_lock_for_that_may_be_a_checkpoint(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Outbox(path).close()
    connect, free_at_close = sqlite3.connect, list[bool]()

    class Noting(sqlite3.Connection):
        def close(self) -> None:
            other = write_lock_of(path)
            free_at_close.append(other.try_now())
            other.close()
            super().close()

    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, factory=Noting, **k))
    reader = OutboxReader(path)
    reader.jobs()
    reader.close()
    assert free_at_close == [False]


def test_a_store_has_a_name_of_its_own_that_stays(path: Path, outbox: Outbox, reader: OutboxReader) -> None:
    outbox.add(call_from())
    name = reader.store_id()
    assert len(name) == 16
    outbox.close()
    Outbox(path).close()
    assert reader.store_id() == name
    other = path.with_name("other.db")
    Outbox(other).close()
    assert OutboxReader(other).store_id() not in (name, "")


def test_what_the_other_hosts_may_know_of_is_kept(path: Path, outbox: Outbox, reader: OutboxReader) -> None:
    outbox.wait_open(LONG_SECONDS)
    assert reader.known() == (0, None)
    outbox.add(call_from())
    outbox.note_known(1)
    outbox.add(call_from())
    outbox.close()
    Outbox(path).close()
    assert reader.known() == (2, 1)
    again = Outbox(path)
    again.note_known(None)
    again.close()
    assert reader.known() == (2, None)


def test_a_store_that_an_earlier_callsign_still_uses_has_no_name_and_gets_one(path: Path, reader: OutboxReader) -> None:
    Outbox(path).close()
    earlier = sqlite3.connect(path)
    earlier.executescript("DROP TABLE meta; PRAGMA user_version = 3")
    earlier.close()
    assert reader.store_id() == ""
    Outbox(path).close()
    assert len(reader.store_id()) == 16


def test_files_beside_the_store_that_cannot_be_made_are_a_store_that_cannot_be_read(
    path: Path, outbox: Outbox, reader: OutboxReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox.close()
    monkeypatch.setattr(os, "getegid", lambda: os.stat(path.parent).st_gid + 1)
    path.with_name(path.name + "-wal").symlink_to(path.with_name("nowhere") / "wal")
    with pytest.raises(OutboxError, match=r"cannot be read: .*No such file"):
        reader.newest_open()
