"""A stop while the store cannot be written: the log says how many ends are missing, and the next start has them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from callsign.delivery import deliverer
from callsign.notification import State
from callsign.outbox import access, writer
from callsign.outbox import file as outbox_file
from callsign.outbox.unwritten import FILE
from side import Side
from store_play import LONG_SECONDS, WELL, Gate, call_from, eventually

JOBS = 5


@contextmanager
def a_store_that_cannot_be_written(path: Path) -> Iterator[None]:
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        db.close()


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for module in (access, outbox_file):
        monkeypatch.setattr(module, "LOCK_SECONDS", 0.05)
    monkeypatch.setattr(deliverer, "WRITE_DOWN_SECONDS", LONG_SECONDS)
    monkeypatch.setattr(writer, "CLOSE_SECONDS", LONG_SECONDS)
    return tmp_path / "outbox.db"


def unwritten_after_a_stop(path: Path) -> list[str]:
    """A process that delivers all, and stops while another one keeps the store locked.

    What was kept when it let others deliver.
    """
    process = Side(path)
    assert process.delivery.try_start()
    gate = Gate(WELL["skarabee"])
    process.vendor.answers["skarabee"] = gate
    for number in range(JOBS):
        process.outbox.add(call_from(f"047000000{number}"), LONG_SECONDS)
    assert process.vendor.was_asked_times(JOBS)
    with a_store_that_cannot_be_written(path):
        gate.open()
        process.delivery.stop(LONG_SECONDS)
        kept = [file.name for file in path.with_name("run").glob("*")]
        process.close()
    return kept


def delivers(path: Path) -> list[str]:
    """What the next process sends until nothing is open."""
    process = Side(path)
    assert process.delivery.try_start()
    last = process.outbox.add(call_from("0479999999"), LONG_SECONDS).job
    assert process.delivery.outcomes.wait_for(last, LONG_SECONDS) == (State.DELIVERED, "")
    assert eventually(lambda: [row.state for row in process.reader.jobs()] == ["delivered"] * (JOBS + 1))
    process.close()
    return process.vendor.asked


def test_ends_that_the_store_cannot_take_are_kept_for_the_next_start(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(folder))
    assert unwritten_after_a_stop(path) == [FILE], "before another process looks"
    assert f"ends of jobs that the store {path} could not take: {JOBS}; the next start writes them down" in caplog.text
    assert (folder / FILE).stat().st_mode & 0o777 == 0o600
    assert delivers(path) == ["skarabee 0479999999"]
    assert list(folder.iterdir()) == []


def test_ends_of_another_store_are_left_to_the_process_that_has_that_one(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    unwritten_after_a_stop(path)
    other = Side(tmp_path / "other.db")
    assert other.delivery.try_start()
    assert other.delivery.outcomes.wait_for(other.outbox.add(call_from(), LONG_SECONDS).job, LONG_SECONDS)
    other.close()
    assert delivers(path) == ["skarabee 0479999999"]


def test_a_process_that_has_delivered_nothing_yet_leaves_them_where_they_are(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    unwritten_after_a_stop(path)
    with a_store_that_cannot_be_written(path):
        process = Side(path)
        process.outbox.note_question("mor", "mor/balance", "OK", "")
        assert eventually(lambda: process.outbox._writer.is_stuck)
        process.close()
    assert delivers(path) == ["skarabee 0479999999"]


def test_without_a_place_for_them_the_log_says_that_they_go_out_again(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    unwritten_after_a_stop(path)
    assert f"could not take: {JOBS}; those jobs go out again after the next start" in caplog.text
    assert len(delivers(path)) == JOBS + 1


OF_OTHER_STATEMENTS = ("[9, []]", "[0, [1]]", "[3, [{}, 1.5]]", f"[3, [{10**30}, 1.5]]", "[4, [null, 1, 1, 1, 1, 1]]")
DAMAGED = [b"", b"{", b"[]", b'{"store": 1}', b"\xff", b"[" * 100_000]
DAMAGED += [f'{{"store": "STORE", "changes": [{change}]}}'.encode() for change in OF_OTHER_STATEMENTS]


@pytest.mark.parametrize("content", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_file_hinders_nothing(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    (tmp_path / FILE).write_bytes(content.replace(b"STORE", str(path).encode()))
    process = Side(path)
    assert process.delivery.try_start()
    job = process.outbox.add(call_from(), LONG_SECONDS).job
    assert process.delivery.outcomes.wait_for(job, LONG_SECONDS) == (State.DELIVERED, "")
    process.close()
