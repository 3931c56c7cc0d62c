"""Files that are removed, cut, replaced or broken under a running process, or found so: what waits is not lost."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import stat
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from callsign.delivery.deliverer import Delivery
from callsign.notification import State
from callsign.outbox import aside as outbox_aside
from callsign.outbox import check as outbox_check
from callsign.outbox import file as outbox_file
from callsign.outbox import upkeep, watch, writer
from callsign.outbox.edits import drop
from callsign.outbox.lock import FileLock
from callsign.outbox.outbox import Job, Outbox, OutboxError
from callsign.outbox.reader import OutboxReader
from callsign.outbox.values import StoreBroken
from store_play import GONE, LONG_SECONDS, SETTINGS, OtherProcess, PlayedVendor, call_from, eventually, in_the_wal_alone

HOLDS = """
import logging, sys
from pathlib import Path
from callsign.outbox import check as outbox_check, watch as outbox_watch
from callsign.notification import State
from callsign.outbox.outbox import Outbox
from store_play import call_from, eventually

outbox_watch.OTHERS_SECONDS = 0.0
logging.basicConfig(stream=sys.stdout, level=logging.ERROR, format="LOG %(message)s")
jobs = []
if sys.argv[2] == "looks often":
    outbox_check.AGAIN_SECONDS, outbox_check.TIMES_AS_LONG = 0.02, 1
outbox = Outbox(Path(sys.argv[1]), at_once=sys.argv[2] != "queued")
outbox.listen(jobs.extend)
for line in sys.stdin:
    word, _, number = line.strip().partition(" ")
    if word == "add":
        print("stored", outbox.add(call_from(f"0470{int(number):06}", once=number), 30).job, flush=True)
    elif word == "end":
        assert eventually(lambda: any(job.id == int(number) for job in jobs))
        outbox.end(next(job for job in jobs if job.id == int(number)), State.DELIVERED, "", 1.0)
        outbox.wait_written(30)
        print("ended", number, flush=True)
    elif word == "close":
        outbox.stop_listening(30)
        outbox.close()
        print("closed", flush=True)
"""


@pytest.fixture(params=["queued", "at once"])
def way(request: pytest.FixtureRequest) -> str:
    """Whether a call's own thread may commit, as in the server, or always the writer's, as in a script."""
    return str(request.param)


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each commit looks at all three files."""
    monkeypatch.setattr(watch, "OTHERS_SECONDS", 0.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "outbox.db"


def rows(path: Path, what: str = "id FROM job ORDER BY id") -> list[object]:
    with closing(sqlite3.connect(path)) as db:
        return [row[0] for row in db.execute(f"SELECT {what}")]


def has(path: Path, *jobs: int) -> bool:
    """Whether these wait in the store, as far as there is one yet."""
    try:
        with closing(OutboxReader(path)) as reader:
            return [row.job for row in reader.jobs()] == [*reversed(jobs)]
    except OutboxError:
        return False


def aside(path: Path) -> list[Path]:
    return outbox_aside.found_aside(path)


def remove(folder: Path) -> None:
    """At once: while its files went one by one somebody might make another in it."""
    gone = folder.with_name("gone")
    folder.rename(gone)
    shutil.rmtree(gone)


def beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def heard(process: OtherProcess, word: str) -> str:
    """The next line that begins so; those of the log are passed over."""
    while not (line := process.hear()).startswith(word):
        assert line.startswith("LOG"), line
    return line


# -- what somebody does to the files ------------------------------------------------------------------------------


def _remove(*endings: str) -> Callable[[Path], None]:
    return lambda path: [beside(path, ending).unlink() for ending in endings] and None


def _cut(ending: str, size: int = 0) -> Callable[[Path], None]:
    return lambda path: os.truncate(beside(path, ending), size)


def _replace_wal(path: Path) -> None:
    new = path.with_name("new")
    shutil.copy(beside(path, "-wal"), new)
    new.rename(beside(path, "-wal"))


def _replace_database(path: Path) -> None:
    new = path.with_name("new")
    Outbox(new).close()  # a copy would have in it what the last checkpoint put there
    new.rename(path)


def _remove_all_names(path: Path) -> None:
    for file in path.parent.glob("outbox.db*"):
        file.unlink()


DEEDS = {
    "the WAL removed": _remove("-wal"),
    "the WAL emptied": _cut("-wal"),
    "half the WAL cut off": _cut("-wal", 5000),
    "the WAL replaced": _replace_wal,
    "the database removed": _remove(""),
    "the database replaced": _replace_database,
    "the database emptied": _cut(""),
    "the index removed": _remove("-shm"),
    "both removed": _remove("", "-wal"),
    "all three removed": _remove("", "-wal", "-shm"),
    "all that begins so removed": _remove_all_names,
    "the folder removed": lambda path: remove(path.parent),
}


@pytest.mark.parametrize("deed", DEEDS.values(), ids=DEEDS.keys())
def test_what_is_done_to_the_files_costs_no_job_once_the_next_add_has_returned(
    path: Path, way: str, deed: Callable[[Path], None]
) -> None:
    Outbox(path).close()
    with OtherProcess(HOLDS, path, way) as holder, in_the_wal_alone(path):
        for number in range(1, 6):
            holder.say(f"add {number}")
            assert heard(holder, "stored") == f"stored {number}"
        holder.say("end 2")
        heard(holder, "ended")
        deed(path)
        holder.say("add 6")
        told = holder.hear()
        assert told.startswith("LOG the store")
        assert "while in use" in told
        assert heard(holder, "stored") == "stored 6"
        holder.kill()
    assert rows(path) == [1, 3, 4, 5, 6]
    assert rows(path, "count(*) FROM once WHERE job IN (1, 6)") == [2]
    found: list[Job] = []
    again = Outbox(path)
    again.listen(found.extend)
    assert eventually(lambda: [job.id for job in found] == [1, 3, 4, 5, 6])
    again.close()
    assert rows(path, "count(*) FROM pragma_quick_check WHERE quick_check = 'ok'") == [1]


def test_what_was_done_is_told_also_where_a_look_has_found_the_store_broken_by_it_already(path: Path) -> None:
    path.parent.mkdir()
    file = outbox_file.StoreFile(path, full=False)
    file.opened(0, on_disk=False)
    DEEDS["half the WAL cut off"](path)
    file.report(StoreBroken("the store is broken", watch.inode_of(path)))
    assert "was cut short while in use" in file.trouble()
    file.close()


def test_a_copy_of_the_database_in_its_place_costs_no_job_and_brings_back_at_most_what_had_ended(
    path: Path, way: str
) -> None:
    with OtherProcess(HOLDS, path, way) as holder:
        for number in range(1, 4):
            holder.say(f"add {number}")
            heard(holder, "stored")
        holder.say("end 2")
        heard(holder, "ended")
        shutil.copy(path, path.with_name("new"))  # what the last checkpoint put there is in it, maybe job 2
        path.with_name("new").rename(path)
        holder.say("add 4")
        assert heard(holder, "stored") == "stored 4"
        holder.kill()
    assert set(rows(path)) - {2} == {1, 3, 4}


def test_the_first_commit_after_an_opening_is_missed_too(path: Path, way: str) -> None:
    Outbox(path).close()
    with OtherProcess(HOLDS, path, way) as holder:
        holder.say("add 1")
        heard(holder, "stored")
        DEEDS["the WAL emptied"](path)
        holder.say("add 2")
        heard(holder, "stored")
        holder.kill()
    assert rows(path) == [1, 2]


@pytest.mark.parametrize("deed", ["the WAL removed", "the WAL emptied", "all three removed", "the folder removed"])
def test_where_no_call_comes_it_is_noticed_within_moments(path: Path, deed: str) -> None:
    Outbox(path).close()
    with OtherProcess(HOLDS, path, "at once") as holder, in_the_wal_alone(path):
        for number in range(1, 4):
            holder.say(f"add {number}")
            heard(holder, "stored")
        DEEDS[deed](path)
        assert holder.hear().startswith("LOG the store")
        assert eventually(lambda: has(path, 1, 2, 3))
        holder.kill()
    assert rows(path) == [1, 2, 3]


@pytest.mark.parametrize("deed", ["the WAL removed", "all three removed", "the folder removed"])
def test_an_orderly_end_keeps_them_too(path: Path, way: str, deed: str) -> None:
    with OtherProcess(HOLDS, path, way) as holder:
        for number in range(1, 4):
            holder.say(f"add {number}")
            heard(holder, "stored")
        DEEDS[deed](path)
        holder.say("close")
        heard(holder, "closed")
    assert rows(path) == [1, 2, 3]


def test_what_ended_and_is_not_written_yet_is_in_the_new_store_too(path: Path) -> None:
    jobs: list[Job] = []
    outbox = Outbox(path)
    outbox.listen(jobs.extend)
    outbox.add(call_from("0470000001"))
    outbox.add(call_from("0470000002"))
    assert eventually(lambda: len(jobs) == 2)
    remove(path.parent)
    outbox.end(jobs[0], State.REFUSED, "HASH_MISMATCH", 1.0)
    outbox.close()
    assert rows(path) == [2]
    assert rows(path, "reason FROM ended") == ["HASH_MISMATCH"]


def test_attempts_and_the_next_try_are_kept(path: Path) -> None:
    jobs: list[Job] = []
    outbox = Outbox(path)
    outbox.listen(jobs.extend)
    outbox.add(call_from("0470000001"))
    assert eventually(lambda: jobs)
    jobs[0].attempts = 3
    jobs[0].due = 1.0
    DEEDS["all three removed"](path)
    outbox.close()
    assert rows(path, "attempts || ' ' || (next_try < at) FROM job") == ["3 1"]


def test_who_cuts_the_wal_by_a_checkpoint_has_done_no_harm(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    outbox = Outbox(path)
    for number in range(1, 4):
        outbox.add(call_from(f"047000000{number}"))
        with closing(sqlite3.connect(path)) as shell:
            assert shell.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)
    outbox.add(call_from("0470000004"))
    outbox.close()
    assert rows(path) == [1, 2, 3, 4]
    assert not aside(path)
    assert not caplog.records


def test_who_delivers_stays_the_only_one_though_its_lock_and_its_socket_were_removed_with_the_store(path: Path) -> None:
    outbox, vendor = Outbox(path), PlayedVendor()
    vendor.answers["skarabee"] = GONE
    outbox.wait_open(LONG_SECONDS)
    delivery = Delivery(outbox, lambda: SETTINGS, vendor.send)
    assert delivery.try_start()
    outbox.add(call_from("0470000001"))
    assert eventually(lambda: beside(path, ".sock").exists())
    DEEDS["all that begins so removed"](path)
    outbox.add(call_from("0470000002"))
    assert eventually(lambda: beside(path, ".sock").exists())
    with closing(FileLock(beside(path, ".deliver"))) as other:
        assert not other.try_now()
    delivery.stop(LONG_SECONDS)
    outbox.close()
    assert rows(path) == [1, 2]


def test_a_job_that_was_dropped_does_not_come_back_with_the_new_store(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    outbox, vendor = Outbox(path), PlayedVendor()
    vendor.answers["skarabee"] = GONE
    outbox.wait_open(LONG_SECONDS)
    delivery = Delivery(outbox, lambda: SETTINGS, vendor.send)
    assert delivery.try_start()
    outbox.add(call_from("0470000001"))
    assert eventually(lambda: "TRY LATER" in caplog.text)
    drop(path, [1])
    assert eventually(lambda: "DROPPED" in caplog.text)
    outbox.wait_written(LONG_SECONDS)
    DEEDS["all three removed"](path)
    outbox.add(call_from("0470000002"))
    delivery.stop(LONG_SECONDS)
    outbox.close()
    assert rows(path) == [2]


def test_what_has_ended_in_the_store_that_is_put_in_its_place_does_not_come_back(path: Path, outbox: Outbox) -> None:
    jobs: list[Job] = []
    outbox.listen(jobs.extend)
    for number in (1, 2):
        outbox.add(call_from(f"047000000{number}"), LONG_SECONDS)
    assert eventually(lambda: len(jobs) == 2)
    copy = path.with_name("copy.db")
    with closing(OutboxReader(path)) as reader:
        reader.copy_to(copy)
    assert drop(copy, [1])[0].done
    DEEDS["all three removed"](path)
    copy.rename(path)
    outbox.add(call_from("0470000003"), LONG_SECONDS)
    outbox.close()
    assert rows(path) == [2, 3]


# -- a store that is broken ---------------------------------------------------------------------------------------


def _header(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"\xff" * 100)


def _every_page(path: Path) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.write(random.Random(7).randbytes(size))


def _all_but_the_first_page(path: Path) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))


def _garbage(path: Path) -> None:
    path.write_bytes(b"no database at all, " * 1000)


SPOILT = [_header, _every_page, _all_but_the_first_page, _garbage]


@pytest.mark.parametrize("spoil", SPOILT)
def test_a_store_that_is_found_broken_is_set_aside_and_no_call_is_refused(
    path: Path, way: str, spoil: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    outbox = Outbox(path)
    outbox.add(call_from("0470000001"))
    outbox.close()
    spoil(path)
    broken = path.read_bytes()
    again = Outbox(path, at_once=way == "at once")
    assert again.add(call_from("0470000002"), LONG_SECONDS).job == 1
    again.close()
    (kept,) = aside(path)
    assert kept.read_bytes() == broken
    assert kept.name.startswith("outbox.db.broken-20")
    (line,) = (record.getMessage() for record in caplog.records if record.levelname == "ERROR")
    assert str(kept) in line
    assert ".recover" in line
    assert rows(path) == [1]


@pytest.mark.parametrize("spoil", SPOILT)
def test_a_store_that_breaks_under_a_running_process_costs_no_job_that_it_knows(
    path: Path, way: str, spoil: Callable[[Path], None]
) -> None:
    with OtherProcess(HOLDS, path, way) as holder:
        for number in range(1, 4):
            holder.say(f"add {number}")
            heard(holder, "stored")
        with closing(sqlite3.connect(path)) as shell:
            shell.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            shell.execute("VACUUM")  # so that another connection has written: what is remembered holds no more
            shell.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        spoil(path)
        holder.say("add 4")
        assert heard(holder, "stored") == "stored 4"
        holder.say("close")
        heard(holder, "closed")
    assert rows(path) == [1, 2, 3, 4]
    assert len(aside(path)) == 1


@pytest.mark.parametrize("spoil", SPOILT)
def test_what_is_overwritten_where_sqlite_need_not_look_is_found_all_the_same(
    path: Path, spoil: Callable[[Path], None]
) -> None:
    with OtherProcess(HOLDS, path, "looks often") as holder:
        for number in range(1, 4):
            holder.say(f"add {number}")
            heard(holder, "stored")
        with closing(sqlite3.connect(path)) as shell:
            shell.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        spoil(path)
        assert holder.hear().startswith("LOG the store ")
        assert eventually(lambda: has(path, 1, 2, 3))
        holder.kill()
    assert len(aside(path)) == 1


def test_each_look_at_the_whole_store_reads_it_from_the_file_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Outbox(path).close()
    monkeypatch.setattr(outbox_check, "AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(outbox_check, "TIMES_AS_LONG", 1)
    connect, opened, found = sqlite3.connect, list[object](), list[StoreBroken]()
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: opened.append(a) or connect(*a, **k))
    is_open = threading.Event()
    check = outbox_check.StoreCheck(path, is_open, found.append)
    is_open.set()
    assert eventually(lambda: len(opened) > 2)
    assert not found
    _all_but_the_first_page(path)
    assert eventually(lambda: found)
    check.close()


def test_a_look_that_is_under_way_ends_before_the_store_is_closed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, began, alive = OutboxReader.check, threading.Event(), list[bool]()

    def check(reader: OutboxReader) -> None:
        read(reader)  # it has opened the store
        began.set()
        assert outbox._writer._check is not None
        assert outbox._writer._check._stopped.wait(LONG_SECONDS)
        alive.append(outbox.is_alive)

    monkeypatch.setattr(OutboxReader, "check", check)
    outbox = Outbox(path, at_once=True)
    outbox.add(call_from("0470000001"))
    assert began.wait(LONG_SECONDS)
    outbox.close()
    assert alive == [True]
    assert not path.with_name(f"{path.name}-wal").exists(), "what an orderly end leaves is one whole file"


def test_of_two_processes_that_find_it_broken_one_sets_it_aside(path: Path) -> None:
    Outbox(path).close()
    _all_but_the_first_page(path)
    with OtherProcess(HOLDS, path, "queued") as one, OtherProcess(HOLDS, path, "queued") as other:
        for number in range(1, 11):
            one.say(f"add {number}")
            other.say(f"add {100 + number}")
        ids = [heard(process, "stored") for process in (one, other) for _ in range(10)]
    assert len(set(ids)) == 20
    assert len(rows(path)) == 20
    assert len(aside(path)) == 1


def test_a_backup_put_back_beside_the_wal_of_another_store_is_found_at_the_start(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    outbox = Outbox(path)
    for number in range(300):
        outbox.add(call_from(f"0470{number:06}"))
    outbox.close()
    backup = path.with_name("backup")
    shutil.copy(path, backup)
    with OtherProcess(HOLDS, path, "queued") as holder:
        for number in range(1000, 1040):
            holder.say(f"add {number}")
            heard(holder, "stored")
        holder.kill()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:  # the other store: laid out otherwise
        db.execute("DELETE FROM job WHERE id % 3")
        db.execute("VACUUM")
    # the WAL of that one, not in it yet, and the backup in its place
    holder = OtherProcess(HOLDS, path, "queued")
    with holder:
        for number in range(2000, 2040):
            holder.say(f"add {number}")
            heard(holder, "stored")
        holder.kill()
    shutil.copy(backup, path)
    with pytest.raises(StoreBroken), closing(OutboxReader(path)) as reader:
        reader.check()
    jobs: list[Job] = []
    again = Outbox(path, at_once=True)
    again.listen(jobs.extend)
    assert eventually(lambda: aside(path))
    assert again.add(call_from("0470999999"), LONG_SECONDS)
    again.close()
    with closing(OutboxReader(path)) as reader:
        reader.check()
    assert "is lost" in caplog.text


def test_where_it_breaks_again_and_again_the_disk_is_not_filled_with_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_aside, "MOST_ASIDE", 2)
    for _ in range(2):
        Outbox(path).close()
        _garbage(path)
        outbox = Outbox(path)
        outbox.add(call_from(), LONG_SECONDS)
        outbox.close()
    _garbage(path)
    outbox = Outbox(path)
    with pytest.raises(OutboxError, match="2 broken ones lie there already"):
        outbox.add(call_from(), LONG_SECONDS)
    outbox.close()
    assert len(aside(path)) == 2


# -- readers ------------------------------------------------------------------------------------------------------


def test_a_reader_goes_on_with_the_new_store(path: Path) -> None:
    outbox = Outbox(path)
    outbox.add(call_from("0470000001"))
    with closing(OutboxReader(path)) as reader:
        assert [row.job for row in reader.jobs()] == [1]
        DEEDS["all three removed"](path)
        outbox.add(call_from("0470000002"))
        assert [row.job for row in reader.jobs()] == [2]
    outbox.close()


def test_a_reader_of_a_lost_store_that_closes_leaves_the_new_one_its_files(path: Path) -> None:
    jobs: list[Job] = []
    outbox = Outbox(path)
    outbox.listen(jobs.extend)
    outbox.add(call_from("0470000001"))
    reader = OutboxReader(path)
    reader.jobs()
    DEEDS["the WAL removed"](path)
    outbox.add(call_from("0470000002"))
    reader.close()
    assert beside(path, "-wal").stat().st_size
    assert rows(path) == [1, 2]
    outbox.close()


# -- the folder ---------------------------------------------------------------------------------------------------


def test_a_folder_that_is_made_is_the_groups_too_and_nobody_elses_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        path = tmp_path / "var" / "lib" / "outbox.db"
        outbox = Outbox(path)
        outbox.add(call_from())
        files = {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
        outbox.close()
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o2770
    assert stat.S_IMODE(path.parent.parent.stat().st_mode) == 0o755
    assert files == {0o660}


def test_a_folder_that_is_removed_comes_back_as_it_was(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.parent.mkdir()
    path.parent.chmod(0o2750)
    if os.geteuid() == 0:
        os.chown(path.parent, 1234, 2345)
    outbox = Outbox(path)
    outbox.add(call_from())
    before = path.parent.stat()
    remove(path.parent)
    outbox.add(call_from())
    after = path.parent.stat()
    outbox.close()
    assert (before.st_mode, before.st_uid, before.st_gid) == (after.st_mode, after.st_uid, after.st_gid)
    assert "is made again" in caplog.text


def test_a_folder_that_is_removed_gets_its_acl_again(path: Path) -> None:
    entries = [(1, 7, 0xFFFFFFFF), (2, 7, 65534), (4, 7, 0xFFFFFFFF), (16, 7, 0xFFFFFFFF), (32, 0, 0xFFFFFFFF)]
    acl = (2).to_bytes(4, "little") + b"".join(
        tag.to_bytes(2, "little") + bits.to_bytes(2, "little") + who.to_bytes(4, "little") for tag, bits, who in entries
    )
    path.parent.mkdir()
    try:
        for name in ("access", "default"):
            os.setxattr(path.parent, f"system.posix_acl_{name}", acl)
    except OSError:
        pytest.skip("this file system has no ACLs")
    outbox = Outbox(path)
    outbox.add(call_from())
    remove(path.parent)
    outbox.add(call_from())
    outbox.close()
    assert {os.getxattr(path.parent, f"system.posix_acl_{name}") for name in ("access", "default")} == {acl}


# -- the WAL's length ---------------------------------------------------------------------------------------------


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> int:
    """A bound that a test reaches."""
    limit = 100_000
    for module in ("watch", "file", "upkeep"):
        monkeypatch.setattr(sys.modules[f"callsign.outbox.{module}"], "WAL_BYTES", limit)
    return limit


def test_after_a_rush_of_calls_the_wal_is_short_again_when_it_is_quiet(
    path: Path, way: str, small: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "QUIET_SECONDS", 0.3)
    connect, opened = sqlite3.connect, list[object]()
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: opened.append(a) or connect(*a, **k))
    outbox = Outbox(path, at_once=way == "at once")
    longest = 0
    for number in range(100):
        outbox.add(call_from(f"047000{number:04}"))
        longest = max(longest, beside(path, "-wal").stat().st_size)
    assert longest > small
    assert eventually(lambda: not beside(path, "-wal").stat().st_size)
    for number in range(100, 103):
        outbox.add(call_from(f"047000{number:04}"))
    outbox.close()
    assert opened.count((path,)) == 1, "what we have cut ourselves needs no look"


def test_under_load_a_wal_that_is_in_the_database_is_cut_by_the_next_commit(
    path: Path, small: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(upkeep, "CHECKPOINT_AFTER_WRITES", 40)
    monkeypatch.setattr(writer, "QUIET_SECONDS", 100 * LONG_SECONDS)
    outbox = Outbox(path)
    sizes = []
    for number in range(200):
        outbox.add(call_from(f"047000{number:04}"))
        sizes.append(beside(path, "-wal").stat().st_size)
    outbox.close()
    assert max(sizes) > small
    assert min(sizes[sizes.index(max(sizes)) :]) <= small
    assert not caplog.records


def test_a_store_that_comes_after_a_lost_one_has_its_name(path: Path) -> None:
    outbox = Outbox(path)
    outbox.add(call_from("0470000001"))
    with closing(OutboxReader(path)) as reader:
        name = reader.store_id()
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink()
        outbox.add(call_from("0470000002"))
        assert reader.store_id() == name
    outbox.close()
