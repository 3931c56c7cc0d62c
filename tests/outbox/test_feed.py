"""What was open at the start: read beside the writer, in order, and before what came meanwhile."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from callsign.delivery.deliverer import Delivery
from callsign.outbox import feed
from callsign.outbox.feed import Backlog
from callsign.outbox.hand_over import HandOver
from callsign.outbox.outbox import Job, Outbox
from callsign.outbox.reader import OutboxReader
from callsign.outbox.values import StoreBroken
from callsign.record import replace
from callsign.vendors.registry import VENDORS
from store_play import LONG_SECONDS, SETTINGS, PlayedVendor, call_from, eventually

STORED = 25


@pytest.fixture
def outbox(path: Path) -> Iterator[Outbox]:
    made = Outbox(path)
    for number in range(STORED):
        made.add(call_from(f"047000{number:04}"), LONG_SECONDS)
    yield made
    made.close()


@pytest.fixture
def in_small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "AT_ONCE", 2)
    monkeypatch.setattr(feed, "REST_SECONDS", 0.0)


class Heard:
    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.jobs: list[Job] = []

    def __call__(self, jobs: list[Job]) -> None:
        self.groups.append([job.id for job in jobs])
        self.jobs += jobs

    def ids(self) -> list[int]:
        return [job.id for job in self.jobs]


def a_job(number: int) -> Job:
    return Job(number, call_from(), 1.0)


@pytest.mark.usefixtures("outbox", "in_small_pieces")
def test_all_that_was_open_comes_at_once_in_order_though_it_is_read_in_pieces(path: Path) -> None:
    heard = Heard()
    Backlog(path, STORED, heard)
    assert eventually(lambda: heard.groups)
    assert heard.groups[0] == list(range(1, STORED + 1))
    assert all(job.recovered for job in heard.jobs)
    assert heard.jobs[3].notification.facts["phonefrom"] == "0470000003"


def test_what_was_stored_a_moment_before_somebody_listened_goes_out_before_an_old_backlog(path: Path) -> None:
    old, vendor = Outbox(path), PlayedVendor()
    for number in range(STORED):
        told = call_from(f"047000{number:04}")
        old.add(replace(told, created_at=told.created_at - 60), LONG_SECONDS)
    old.add(call_from("0470999999"), LONG_SECONDS)  # a call that waits for it
    delivery = Delivery(old, lambda: SETTINGS, vendor.send)
    assert delivery.try_start()
    assert vendor.was_asked_times(STORED + 1)
    delivery.stop(LONG_SECONDS)
    old.close()
    concurrency = VENDORS["skarabee"].concurrency
    assert "skarabee 0470999999" in vendor.asked[:concurrency]


@pytest.mark.usefixtures("outbox")
def test_what_lies_above_is_left_to_the_writer(path: Path) -> None:
    heard = Heard()
    Backlog(path, 7, heard)
    assert eventually(lambda: heard.groups)
    assert heard.ids() == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.usefixtures("outbox")
def test_what_comes_meanwhile_comes_behind_it(path: Path) -> None:
    heard, reached, go_on = Heard(), threading.Event(), threading.Event()

    def slowly(jobs: list[Job]) -> None:
        if not heard.groups:
            reached.set()
            assert go_on.wait(LONG_SECONDS)
        heard(jobs)

    backlog = Backlog(path, STORED, slowly)
    assert reached.wait(LONG_SECONDS)
    for number in (101, 102):
        backlog.hand_over([a_job(number)])
    assert heard.groups == []
    go_on.set()
    assert eventually(lambda: len(heard.jobs) == STORED + 2)
    assert heard.ids() == [*range(1, STORED + 1), 101, 102]
    backlog.hand_over([a_job(103)])
    assert heard.ids()[-1] == 103


def test_an_empty_backlog_is_told_too(path: Path) -> None:
    Outbox(path).close()
    heard = Heard()
    Backlog(path, 0, heard)
    assert eventually(lambda: heard.groups == [[]])


def test_a_broken_store_is_reported_once_and_its_rest_is_read_no_more(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_bytes(b"no database" * 1000)
    heard, broken = Heard(), list[StoreBroken]()
    Backlog(path, STORED, heard, on_broken=broken.append)
    assert eventually(lambda: heard.groups)
    assert (heard.groups, len(broken), caplog.text) == ([[]], 1, "")


@pytest.mark.usefixtures("outbox")
def test_what_has_come_another_way_is_not_told_again(path: Path) -> None:
    hand_over, heard = HandOver(path, lambda _: None), Heard()
    with closing(OutboxReader(path)) as reader:
        found, _ = reader.open_jobs(0, STORED, STORED)
    assert hand_over.unknown(found[:3]) == found[:3]  # by the writer's own look, say
    Backlog(path, STORED, heard, hand_over.unknown)
    assert eventually(lambda: heard.groups)
    assert heard.ids() == list(range(4, STORED + 1))


@pytest.mark.usefixtures("outbox")
def test_who_has_stopped_listening_hears_nothing_more(path: Path) -> None:
    heard = Heard()
    backlog = Backlog(path, STORED, heard)
    assert eventually(lambda: heard.groups)
    backlog.close()
    backlog.hand_over([a_job(101)])
    assert heard.ids() == list(range(1, STORED + 1))


@pytest.mark.usefixtures("outbox")
def test_a_store_that_cannot_be_read_holds_up_nothing_new_and_is_read_when_it_can_be(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(feed, "AGAIN_SECONDS", 0.01)
    hidden = path.with_name("hidden")
    os.rename(path, hidden)
    heard = Heard()
    backlog = Backlog(path, STORED, heard)
    assert eventually(lambda: heard.groups)
    backlog.hand_over([a_job(101)])
    assert eventually(lambda: heard.ids() == [101])
    os.rename(hidden, path)
    assert eventually(lambda: len(heard.jobs) == STORED + 1)
    assert heard.ids() == [101, *range(1, STORED + 1)]
    assert caplog.text.count("what waits there is read as soon as it can be") == 1


DAMAGED = [b'{"phonefrom": ', 100_000 * b"[", b'{"phonefrom": "047\xff000004"}']


@pytest.mark.parametrize("facts", DAMAGED, ids=["cut", "deep", "no UTF-8"])
@pytest.mark.usefixtures("in_small_pieces")
def test_a_damaged_row_is_told_and_left_alone(
    outbox: Outbox, path: Path, facts: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with sqlite3.connect(path) as db:
        db.execute("UPDATE job SET facts = CAST(? AS TEXT) WHERE id = 5", (facts,))
    db.close()
    heard = Heard()
    Backlog(path, STORED, heard)
    assert eventually(lambda: heard.groups)
    assert heard.ids() == [number for number in range(1, STORED + 1) if number != 5]
    assert "job=5: its row in the store is damaged" in caplog.text
    assert "phonefrom" not in caplog.text


@pytest.mark.usefixtures("outbox")
def test_where_no_thread_is_to_be_had_it_is_read_all_the_same(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", none)
    heard = Heard()
    Backlog(path, STORED, heard)
    assert heard.ids() == list(range(1, STORED + 1))


@pytest.mark.usefixtures("outbox", "in_small_pieces")
def test_a_fault_of_ours_in_the_reading_holds_up_nothing_new_and_it_is_read_again(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(feed, "AGAIN_SECONDS", 0.01)
    heard, faults = Heard(), [RuntimeError("0470000003"), RuntimeError("0470000003")]

    def unknown(jobs: list[Job]) -> list[Job]:
        if faults:
            raise faults.pop()
        return jobs

    Backlog(path, STORED, heard, unknown)
    assert eventually(lambda: len(heard.jobs) == STORED)
    assert heard.ids() == list(range(1, STORED + 1))
    assert caplog.text.count("a fault in callsign itself: RuntimeError at outbox/test_feed.py:") == 1
    assert "0470000003" not in caplog.text
