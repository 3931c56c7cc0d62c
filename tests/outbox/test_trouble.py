"""A store that cannot be written refuses in time and in clear words, tells the log once, and works when mended."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import callsign.outbox.outbox
from callsign.notification import Notification, State
from callsign.outbox import access, file, writer
from callsign.outbox import schema as sql
from callsign.outbox.jobs import new_job_of
from callsign.outbox.lock import FileLock
from callsign.outbox.outbox import Added, Job, Outbox, OutboxError
from callsign.outbox.reader import OutboxReader
from store_play import LONG_SECONDS, OtherProcess, call_from, eventually

NOBODY = 65534

ADDS_WHEN_TOLD = """
import logging, os, resource, sys, tempfile
from pathlib import Path
from callsign.outbox.outbox import Outbox, OutboxError
from store_play import call_from

class Told(logging.Handler):
    def emit(self, record):
        lines.append(record.getMessage())

with tempfile.TemporaryDirectory() as folder:  # loads all that it may not be allowed to read afterwards
    warm = Outbox(Path(folder) / "outbox.db")
    warm.add(call_from())
    warm.close()
lines = []
logging.getLogger("callsign").addHandler(Told())
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
outbox = Outbox(Path(sys.argv[1]))
print("ready", flush=True)
for line in sys.stdin:
    word, _, number = line.strip().partition(" ")
    if word == "limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(number) if number else hard, hard))
        print("limited", flush=True)
        continue
    if word == "log":
        outbox.stop_listening(30)  # the writer has done all that went before
        print(lines, flush=True)
        continue
    added, refused = [], ""
    for n in range(int(number or 1)):
        try:
            added.append(outbox.add(call_from(f"0470{n:06}"), 30).job)
        except OutboxError as fault:
            refused = str(fault)
            break
    print(f"{len(added)} {refused}", flush=True)
outbox.close()
"""


@pytest.fixture(params=[False, True], ids=["queued", "at once"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call's own thread may commit, as in the server, or always the writer's, as in a script."""
    monkeypatch.setattr(sys.modules[__name__], "Outbox", partial(Outbox, at_once=request.param))


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that a process without rights can reach, unlike pytest's own; it is that process's."""
    folder = Path(tempfile.mkdtemp(prefix="callsign-"))
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    yield folder
    folder.chmod(0o700)
    shutil.rmtree(folder)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer gives up on a locked store after a moment."""
    monkeypatch.setattr(file, "LOCK_SECONDS", 0.05)
    monkeypatch.setattr(access, "LOCK_SECONDS", 0.05)


def ids(path: Path, table: str = "job") -> list[int]:
    db = sqlite3.connect(path)
    try:
        return [id_ for (id_,) in db.execute(f"SELECT id FROM {table} ORDER BY id")]
    finally:
        db.close()


def troubles(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if "cannot be written" in r.getMessage()]


# -- patience ---------------------------------------------------------------------------------------------------


def test_while_another_process_keeps_the_lock_add_refuses_and_what_it_refused_is_never_stored(path: Path) -> None:
    outbox = Outbox(path)
    outbox.add(call_from("0470000001"))
    others = FileLock(path.with_name("outbox.db.lock"))
    with others.held(LONG_SECONDS), pytest.raises(OutboxError, match=r"did not answer within 0\.05 s"):
        outbox.add(call_from("0470000002"), 0.05)
    assert outbox.add(call_from("0470000003"), LONG_SECONDS) == Added(2, duplicate=False)
    outbox.close()
    assert ids(path) == [1, 2]


def test_while_somebody_keeps_sqlites_own_lock_add_refuses_and_nothing_is_stored_later(path: Path) -> None:
    outbox = Outbox(path)
    outbox.add(call_from("0470000001"))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(OutboxError, match=r"did not answer within 0\.05 s"):
        outbox.add(call_from("0470000002"), 0.05)
    other.execute("COMMIT")
    other.close()
    assert outbox.add(call_from("0470000003"), LONG_SECONDS).job == 2
    outbox.close()
    assert ids(path) == [1, 2]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("kind", ["flock", "sqlite"])
def test_a_patient_caller_hears_who_keeps_the_store(path: Path, kind: str) -> None:
    outbox = Outbox(path)
    outbox.add(call_from())
    others, other = FileLock(path.with_name("outbox.db.lock")), sqlite3.connect(path, isolation_level=None)
    if kind == "flock":
        assert eventually(others.try_now)  # a reader of ours may have it for a moment
    else:
        other.execute("BEGIN IMMEDIATE")
    with pytest.raises(OutboxError, match=r"cannot be written: (another process has kept|database is locked)"):
        outbox.add(call_from(), LONG_SECONDS)
    others.close()
    other.close()
    assert outbox.add(call_from(), LONG_SECONDS).job == 2
    outbox.close()


def test_a_transaction_waits_for_sqlites_own_lock_and_for_nothing_else(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Outbox(path).close()
    ours, other = (sqlite3.connect(path, isolation_level=None, timeout=wait) for wait in (0, LONG_SECONDS))
    waits: list[float] = []

    def pause(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            other.execute("COMMIT")

    monkeypatch.setattr(file, "time", SimpleNamespace(monotonic=time.monotonic, sleep=pause))
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="database is locked"):
        file.begin(ours, 0)
    assert not waits
    file.begin(ours, LONG_SECONDS)
    assert ours.in_transaction
    assert len(waits) == 3
    with pytest.raises(sqlite3.OperationalError, match="within a transaction"):
        file.begin(ours, LONG_SECONDS)
    assert len(waits) == 3
    ours.close()
    other.close()


class SlowCommit(sqlite3.Connection):
    """A disk that takes its time: the next COMMIT waits until it may go on, and may fail."""

    reached = threading.Event()
    go_on = threading.Event()
    fault: str = ""
    slow = False

    def execute(self, statement: str, *values: object) -> sqlite3.Cursor:  # type: ignore[override]
        if statement == "COMMIT" and SlowCommit.slow:
            SlowCommit.slow = False
            SlowCommit.reached.set()
            assert SlowCommit.go_on.wait(LONG_SECONDS)
            if SlowCommit.fault:
                raise sqlite3.OperationalError(SlowCommit.fault)
        return super().execute(statement, *values)


@pytest.fixture
def slow_disk(monkeypatch: pytest.MonkeyPatch) -> type[SlowCommit]:
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, factory=SlowCommit, **k))
    SlowCommit.reached, SlowCommit.go_on, SlowCommit.fault = threading.Event(), threading.Event(), ""
    return SlowCommit


@pytest.mark.parametrize("fault", ["", "database or disk is full"])
def test_what_the_writer_has_begun_with_ends_as_the_writer_says_though_the_patience_is_over(
    path: Path, slow_disk: type[SlowCommit], fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callsign.outbox.outbox.COMMIT_SECONDS", LONG_SECONDS)
    outbox = callsign.outbox.outbox.Outbox(path)  # the writer's thread commits
    outbox.add(call_from())
    slow_disk.slow, slow_disk.fault = True, fault
    result: list[object] = []

    def adds() -> None:
        try:
            result.append(outbox.add(call_from(), 0.3))
        except OutboxError as refused:
            result.append(str(refused))

    caller = threading.Thread(target=adds)
    caller.start()
    assert slow_disk.reached.wait(LONG_SECONDS)
    caller.join(0.5)
    assert caller.is_alive()  # its patience is long over
    slow_disk.go_on.set()
    caller.join(LONG_SECONDS)
    outbox.close()
    if fault:
        assert result == [f"the store {path} cannot be written: {fault}"]
        assert ids(path) == [1]
    else:
        assert result == [Added(2, duplicate=False)]
        assert ids(path) == [1, 2]


def test_a_commit_that_hangs_lets_the_call_go_on_and_says_that_it_may_still_be_stored(
    path: Path, slow_disk: type[SlowCommit], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callsign.outbox.outbox.COMMIT_SECONDS", 0.01)
    outbox = callsign.outbox.outbox.Outbox(path)  # the writer's thread commits
    outbox.add(call_from())
    slow_disk.slow = True
    with pytest.raises(OutboxError, match="hangs in a commit: it may be stored all the same"):
        outbox.add(call_from(), 0.5)
    slow_disk.go_on.set()
    outbox.close()
    assert ids(path) == [1, 2]


def test_what_another_process_stored_is_found_though_the_commit_that_came_upon_it_failed(
    path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setattr(writer, "QUIET_SECONDS", 100 * LONG_SECONDS)
    connect = sqlite3.connect
    slow_disk = request.getfixturevalue("slow_disk")
    outbox, jobs = Outbox(path), []
    outbox.listen(jobs.extend)
    outbox.wait_written(LONG_SECONDS)
    with closing(connect(path, isolation_level=None)) as other:
        other.execute(sql.INSERT_JOB, new_job_of(call_from()).row)
    slow_disk.slow, slow_disk.fault = True, "database or disk is full"
    slow_disk.go_on.set()
    outbox.poll()
    outbox.wait_written(LONG_SECONDS)
    assert slow_disk.reached.is_set()
    outbox.poll()
    assert eventually(lambda: [job.id for job in jobs] == [1])
    outbox.close()


# -- a store that cannot be used --------------------------------------------------------------------------------


def test_a_folder_that_may_not_be_written_refuses_until_it_may(open_folder: Path) -> None:
    open_folder.chmod(0o500)
    with OtherProcess(ADDS_WHEN_TOLD, open_folder / "outbox.db") as other:
        assert other.hear() == "ready"
        for _ in range(3):
            other.say("add")
            refusal = other.hear()
            assert refusal.startswith("0 the store ")
            assert "Permission denied" in refusal
        open_folder.chmod(0o700)
        other.say("add")
        assert other.hear() == "1 "
        other.say("log")
        said = other.hear()
    assert said.count("cannot be written") == 1
    assert "calls go on with ERROR until it can: see [outbox] path" in said
    assert said.count("works again") == 1


def test_a_full_disk_refuses_loses_nothing_and_takes_again_when_there_is_room(open_folder: Path) -> None:
    path = open_folder / "outbox.db"
    with OtherProcess(ADDS_WHEN_TOLD, path) as other:
        assert other.hear() == "ready"
        other.say("add")
        assert other.hear() == "1 "
        other.say("limit 400000")
        assert other.hear() == "limited"
        other.say("add 1000")
        stored, _, refusal = other.hear().partition(" ")
        assert 0 < int(stored) < 1000
        assert "cannot be written: " in refusal
        other.say("add 1000")
        again = int(other.hear().partition(" ")[0])
        other.say("limit")
        other.hear()
        other.say("add 10")
        assert other.hear() == "10 "
        other.say("log")
        assert other.hear().count("works again") >= 1
        assert other.process.stdin is not None
        other.process.stdin.close()
        other.ended()
    assert len(ids(path)) == 1 + int(stored) + again + 10
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()


FULL = """
    CREATE TRIGGER one BEFORE INSERT ON job BEGIN SELECT RAISE(FAIL, 'full'); END;
    CREATE TRIGGER other BEFORE UPDATE ON meta BEGIN SELECT RAISE(FAIL, 'full'); END;
"""


def test_a_store_works_again_only_when_something_was_written(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    commits: list[bool] = []
    commit = writer.OutboxWriter._commit

    def counted(self: writer.OutboxWriter, batch: Any, quiet: bool) -> None:
        commit(self, batch, quiet)
        commits.append(quiet)

    monkeypatch.setattr(writer.OutboxWriter, "_commit", counted)
    monkeypatch.setattr(writer, "QUIET_SECONDS", 0.01)
    outbox = Outbox(path)
    outbox.listen(lambda _: None)
    assert outbox.add(call_from(), LONG_SECONDS).job == 1
    with closing(sqlite3.connect(path)) as db:
        db.executescript(FULL)
        with pytest.raises(OutboxError, match="full"):
            outbox.add(call_from("0478000001"), LONG_SECONDS)
        commits.clear()
        assert eventually(lambda: len(commits) > 3)
        assert outbox.is_stuck
        assert "works again" not in caplog.text
        db.executescript("DROP TRIGGER one; DROP TRIGGER other")
    assert eventually(lambda: not outbox.is_stuck)
    assert caplog.text.count("works again") == 1
    assert len(troubles(caplog)) == 1
    outbox.close()


def _later(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version = {len(sql.STEPS) + 1}")
    db.close()


def _of_something_else(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE cdr (calldate)")
    db.close()


def _folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_later, r"it was made by a later callsign \(schema 6, known 5\)"),
        (_of_something_else, "it is a database of something else, not a store of callsign"),
        (_folder, "unable to open database file"),
    ],
)
def test_a_file_that_is_no_store_refuses_untouched_and_works_when_it_is_put_away(
    path: Path, spoil: object, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert callable(spoil)
    spoil(path)
    before = path.read_bytes() if path.is_file() else b""
    outbox = Outbox(path)
    for _ in range(3):
        with pytest.raises(OutboxError, match=f"the store {path} cannot be written: {words}"):
            outbox.add(call_from(), LONG_SECONDS)
    assert len(troubles(caplog)) == 1
    if path.is_file():
        assert path.read_bytes() == before
    path.rename(path.with_name("put away"))
    assert outbox.add(call_from(), LONG_SECONDS) == Added(1, duplicate=False)
    outbox.close()
    assert "works again" in caplog.text


def test_a_folder_that_is_not_there_is_made(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "var" / "lib" / "outbox.db")
    assert outbox.add(call_from()).job == 1
    outbox.close()


# -- what is kept for better days -------------------------------------------------------------------------------


@pytest.mark.usefixtures("quick")
def test_what_ended_while_the_store_was_locked_is_written_down_when_it_is_free(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    outbox, jobs = Outbox(path), []
    outbox.listen(jobs.extend)
    outbox.add(call_from("0470000001"))
    outbox.add(call_from("0470000002"))
    assert eventually(lambda: len(jobs) == 2)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    outbox.end(jobs[0], State.DELIVERED, "", 1.0)
    assert eventually(lambda: troubles(caplog))
    outbox.note_attempt(jobs[1], 5.0, "HTTP 503", 1.0)
    with pytest.raises(OutboxError):
        outbox.add(call_from("0470000003"), LONG_SECONDS)
    other.close()
    outbox.stop_listening(LONG_SECONDS)
    outbox.close()
    assert (ids(path), ids(path, "ended")) == ([2], [1])
    reader = OutboxReader(path)
    assert reader.state_of(2) == (State.WAITING, "HTTP 503")
    assert [line.event for line in reader.history_of(2)] == ["try later"]
    reader.close()


def test_a_store_that_is_removed_while_in_use_is_noticed_and_its_numbers_are_not_given_again(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    outbox, jobs = Outbox(path), []
    outbox.listen(jobs.extend)
    for number in range(3):
        outbox.add(call_from(f"047000{number:04}"))
    assert eventually(lambda: len(jobs) == 3)
    for name in ("outbox.db", "outbox.db-wal", "outbox.db-shm", "outbox.db.lock"):
        path.with_name(name).unlink()
    assert outbox.add(call_from("0470000009")) == Added(4, duplicate=False)
    assert "outbox.db-wal was removed while in use; nothing is left" in caplog.text
    assert ids(path) == [1, 2, 3, 4]
    outbox.close()
    assert ids(path) == [1, 2, 3, 4]


def test_a_store_put_in_the_place_of_another_is_read_whole_and_keeps_its_jobs(path: Path) -> None:
    outbox, jobs = Outbox(path), []
    outbox.listen(jobs.extend)
    for number in range(3):
        outbox.add(call_from(f"047000{number:04}"))
    assert eventually(lambda: len(jobs) == 3)
    new = path.with_name("new.db")
    with OtherProcess(ADDS_WHEN_TOLD.replace("os.geteuid() == 0", "False"), new) as other:
        assert other.hear() == "ready"
        other.say("add 2")
        assert other.hear() == "2 "
        assert other.process.stdin is not None
        other.process.stdin.close()
        other.ended()
    for name in ("outbox.db-wal", "outbox.db-shm"):
        path.with_name(name).unlink()
    new.rename(path)
    for job in jobs[:3]:
        outbox.end(job, State.DELIVERED, "")  # ends of jobs 1 and 2 of the old store
    outbox.poll()
    assert eventually(lambda: len(jobs) == 5)
    outbox.close()
    assert [job.id for job in jobs] == [1, 2, 3, 1, 2]
    assert (ids(path), ids(path, "ended")) == ([1, 2], [3])


# -- our own faults and others' -----------------------------------------------------------------------------------


def test_a_damaged_row_is_named_and_left_alone_and_the_others_are_found(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    outbox = Outbox(path)
    for number in range(4):
        outbox.add(call_from(f"047000{number:04}"))
    outbox.close()
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("UPDATE job SET facts = 'no JSON' WHERE id = 2")
    db.execute("UPDATE job SET lifetime = 'long' WHERE id = 3")
    db.close()
    again, jobs = Outbox(path), []
    again.listen(jobs.extend)
    assert eventually(lambda: len(jobs) == 2)
    again.close()
    assert [job.id for job in jobs] == [1, 4]
    assert "job=2: its row in the store is damaged" in caplog.text
    assert "job=3: its row in the store is damaged" in caplog.text
    assert ids(path) == [1, 2, 3, 4]


def test_text_that_another_process_has_stored_and_the_disk_has_damaged_refuses_no_call(path: Path) -> None:
    outbox, jobs = Outbox(path), []
    outbox.listen(jobs.extend)
    outbox.add(call_from("0470000001"))
    assert eventually(lambda: len(jobs) == 1)
    copied = "INSERT INTO job (system, action, call, facts, at, lifetime, boot, steady_deadline)"
    row = "SELECT system, action, call, CAST(x'7bff7d' AS TEXT), at, lifetime, boot, steady_deadline FROM job"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(f"{copied} {row}")
    outbox.add(call_from("0470000003"), LONG_SECONDS)
    assert eventually(lambda: [job.id for job in jobs] == [1, 3])
    outbox.close()


def test_a_fault_of_our_own_ends_neither_the_writer_nor_anybodys_wait(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    outbox = Outbox(path)
    outbox.add(call_from())
    with pytest.raises(OutboxError, match="a fault in callsign itself"):
        outbox.add(Notification("skarabee", "skarabee", "\udcff", {}, 1.0, 1.0), LONG_SECONDS)
    assert outbox.add(call_from(), LONG_SECONDS).job == 2

    def faulty(_: list[Job]) -> None:
        raise KeyError("0478123456")

    outbox.listen(faulty)
    assert outbox.add(call_from(), LONG_SECONDS).job == 3
    assert eventually(lambda: "KeyError at outbox/test_trouble.py" in caplog.text)
    outbox.stop_listening(LONG_SECONDS)
    assert outbox.add(call_from(), LONG_SECONDS).job == 4
    outbox.close()
    assert ids(path) == [1, 2, 3, 4]
    assert "0478123456" not in caplog.text
