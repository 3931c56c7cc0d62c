"""One holder at a time, of all processes; the kernel takes the lock back from the dead."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from callsign.outbox.lock import FileLock, open_or_make
from store_play import OtherProcess

HOLDER = """
import sys
from pathlib import Path
from callsign.outbox.lock import FileLock
lock = FileLock(Path(sys.argv[1]))
print(lock.try_now(), flush=True)
sys.stdin.readline()
lock.release()
print("released", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.lock"


@pytest.fixture
def lock(path: Path) -> Iterator[FileLock]:
    made = FileLock(path)
    yield made
    made.close()


@pytest.fixture
def holder(path: Path) -> Iterator[OtherProcess]:
    with OtherProcess(HOLDER, path) as other:
        assert other.hear() == "True"
        yield other


def test_a_lock_that_another_process_holds_cannot_be_had(lock: FileLock, holder: OtherProcess) -> None:
    assert not lock.try_now()


def test_a_lock_that_another_process_releases_can_be_had(lock: FileLock, holder: OtherProcess) -> None:
    holder.say()
    assert holder.hear() == "released"
    assert lock.try_now()


def test_a_lock_is_free_once_its_holder_was_killed(lock: FileLock, holder: OtherProcess) -> None:
    holder.kill()
    assert lock.try_now()


def test_the_wait_for_a_lock_ends_and_says_whose_fault_it_was(lock: FileLock, holder: OtherProcess) -> None:
    with pytest.raises(TimeoutError, match=r"another process has kept \S+store.lock locked"), lock.held(0.02):
        pytest.fail("the lock was had by two")


def test_the_wait_for_a_lock_is_over_when_the_holder_goes(lock: FileLock, holder: OtherProcess) -> None:
    holder.say()
    with lock.held(30):
        assert not FileLock(lock.path).try_now()


def test_two_locks_on_one_file_exclude_each_other_within_a_process_too(lock: FileLock, path: Path) -> None:
    other = FileLock(path)
    with lock.held(1):
        assert not other.try_now()
    assert other.try_now()
    other.close()
    assert lock.try_now()


def test_who_has_the_lock_may_ask_again_and_who_has_not_may_give_it_back(lock: FileLock) -> None:
    lock.release()
    assert lock.try_now()
    assert lock.try_now()
    lock.close()
    lock.close()


def test_a_fault_in_the_body_gives_the_lock_back(lock: FileLock, path: Path) -> None:
    with pytest.raises(ZeroDivisionError), lock.held(1):
        _ = 1 / 0
    assert FileLock(path).try_now()


def test_where_the_file_was_removed_the_next_one_to_come_locks_the_same_new_file(lock: FileLock, path: Path) -> None:
    assert lock.try_now()
    lock.release()
    path.unlink()
    assert lock.try_now()
    assert not FileLock(path).try_now()


def test_a_lock_file_that_cannot_be_made_is_an_oserror(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FileLock(tmp_path / "no folder" / "lock").try_now()


def test_a_new_file_is_for_its_owner_and_group_alone(path: Path) -> None:
    before = os.umask(0)
    try:
        os.close(open_or_make(path))
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o660


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")
def test_what_root_makes_belongs_to_the_owner_of_the_folder_and_what_is_there_stays(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.touch()
    os.chown(tmp_path, 12345, 23456)
    os.close(open_or_make(tmp_path / "new"))
    os.close(open_or_make(own))
    assert ((tmp_path / "new").stat().st_uid, (tmp_path / "new").stat().st_gid) == (12345, 23456)
    assert own.stat().st_uid == 0
