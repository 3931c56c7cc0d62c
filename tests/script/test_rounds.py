"""Scripts deliver in turns, hand over to whoever delivers better, and leave no job alone."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from callsign import clocks
from callsign.delivery import retry
from callsign.delivery.deliverer import Delivery
from callsign.notification import Notification, State
from callsign.outbox.lock import FileLock
from callsign.outbox.outbox import Outbox
from callsign.outbox.reader import OutboxReader
from callsign.script import rounds
from callsign.script.rounds import ScriptDelivery
from settings_file import load, write
from store_play import GONE, LONG_SECONDS, SETTINGS, Gate, PlayedVendor, call_from, eventually, recording


class Script:
    """A script's hand on the store and its share in the delivery."""

    def __init__(self, path: Path) -> None:
        self.outbox = Outbox(path)
        self.share = ScriptDelivery(self.outbox, SETTINGS)
        self._behind: threading.Thread | None = None

    def goes_on_behind(self, linger: bool = True) -> None:
        self._behind = threading.Thread(target=self.share.deliver_rest, args=(linger,), daemon=True)
        self._behind.start()

    def delivers_and_leaves(self, linger: bool = True) -> bool:
        self.goes_on_behind(linger)
        return self.has_left()

    def has_left(self, seconds: float = LONG_SECONDS) -> bool:
        assert self._behind is not None
        self._behind.join(seconds)
        return not self._behind.is_alive()


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> PlayedVendor:
    """At the far end of every script's `send`."""
    played = PlayedVendor()
    monkeypatch.setattr(rounds, "_send", played.send)
    return played


@pytest.fixture
def scripts(path: Path, vendor: PlayedVendor) -> Iterator[Callable[[], Script]]:
    made: list[Script] = []

    def new() -> Script:
        made.append(Script(path))
        return made[-1]

    yield new
    vendor.answers.clear()
    for script in made:
        script.outbox.close()


def test_a_script_does_not_wait_for_a_vendor_that_cannot_be_reached(
    scripts: Callable[[], Script], vendor: PlayedVendor
) -> None:
    vendor.answers["start"] = GONE
    script = scripts()
    job = script.outbox.add(recording("start", "1.1")).job
    assert script.share.wait_for(job, 100 * LONG_SECONDS) is None
    assert vendor.was_asked("start 1.1")
    script.delivers_and_leaves(linger=False)


def test_a_job_that_another_process_has_delivered_before_this_one_began_holds_no_call(
    scripts: Callable[[], Script],
) -> None:
    script, other = scripts(), scripts()
    job = script.outbox.add(call_from()).job
    assert other.delivers_and_leaves()
    assert script.share.wait_for(job, LONG_SECONDS) == (State.DELIVERED, "")


@pytest.fixture
def restless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries come soon, and rounds end as soon as something is not due yet."""
    monkeypatch.setattr(retry, "FIRST_SECONDS", 0.05)
    monkeypatch.setattr(rounds, "DUE_SOON_SECONDS", 0.01)


def test_with_nothing_open_there_is_nothing_to_stay_for(scripts: Callable[[], Script]) -> None:
    assert scripts().delivers_and_leaves()


def test_a_script_delivers_its_own_job_and_those_it_finds(
    scripts: Callable[[], Script], reader: OutboxReader, vendor: PlayedVendor
) -> None:
    script = scripts()
    script.outbox.add(call_from("0470000001"))
    script.outbox.add(call_from("0470000002"))
    assert script.delivers_and_leaves()
    assert reader.newest_open() == 0
    assert sorted(vendor.asked) == ["skarabee 0470000001", "skarabee 0470000002"]


def test_a_script_leaves_at_once_where_another_process_delivers(
    scripts: Callable[[], Script], path: Path, vendor: PlayedVendor
) -> None:
    script = scripts()
    script.outbox.add(call_from())
    deliverer = FileLock(path.with_name("outbox.db.deliver"))
    assert deliverer.try_now()
    assert script.delivers_and_leaves()
    deliverer.close()
    assert vendor.asked == []


@pytest.mark.usefixtures("restless")
def test_a_script_stays_until_an_outage_is_over(
    scripts: Callable[[], Script], reader: OutboxReader, vendor: PlayedVendor
) -> None:
    script = scripts()
    vendor.answers["skarabee"] = GONE
    script.outbox.add(call_from())
    script.goes_on_behind()
    assert vendor.was_asked_times(3)
    assert not script.has_left(0.0)
    vendor.answers.clear()
    assert script.has_left()
    assert reader.state_of(1) == (State.DELIVERED, "")


@pytest.mark.usefixtures("restless")
def test_a_script_that_stays_through_an_outage_follows_the_settings(
    scripts: Callable[[], Script], vendor: PlayedVendor, tmp_path: Path
) -> None:
    section = '[skarabee]\nurl = "https://voip.example/"\nbusinessid = "8103"\nkey = "{}"\n'
    script = scripts()
    script.share = ScriptDelivery(script.outbox, load(tmp_path, section.format("mistyped")))
    vendor.answers["skarabee"] = GONE
    script.outbox.add(call_from())
    script.goes_on_behind()
    assert vendor.was_asked_times(1)
    write(tmp_path, "[skarabee]\nhalf-written")
    assert vendor.was_asked_times(3)
    write(tmp_path, section.format("the-key"))
    assert eventually(lambda: len({dict(request.query)["hash"] for request in vendor.requests}) == 2)
    vendor.answers.clear()
    assert script.has_left()


@pytest.mark.parametrize(
    "cut_short", ["", '[noojee]\nurl = "https://pbx.example"\nkey = "k"\n'], ids=["empty", "other"]
)
@pytest.mark.usefixtures("restless")
def test_a_script_does_not_take_a_file_that_lost_the_section_of_a_waiting_job_for_new_settings(
    scripts: Callable[[], Script],
    vendor: PlayedVendor,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    cut_short: str,
) -> None:
    section = '[skarabee]\nurl = "https://voip.example/"\nbusinessid = "8103"\nkey = "the-key"\n'
    script = scripts()
    script.share = ScriptDelivery(script.outbox, load(tmp_path, section))
    vendor.answers["skarabee"] = GONE
    script.outbox.add(call_from())
    script.goes_on_behind()
    assert vendor.was_asked_times(1)
    write(tmp_path, cut_short)
    assert vendor.was_asked_times(4)
    vendor.answers.clear()
    assert script.has_left()
    assert [r.getMessage() for r in caplog.records if "section" in r.getMessage()] == [
        "the settings have no section [skarabee], whose jobs wait: this script goes on with those it began with"
    ]


@pytest.mark.usefixtures("restless")
def test_one_script_is_enough_to_watch_over_what_waits(
    scripts: Callable[[], Script], reader: OutboxReader, vendor: PlayedVendor
) -> None:
    watcher, others = scripts(), [scripts() for _ in range(3)]
    vendor.answers["skarabee"] = GONE
    watcher.outbox.add(call_from("0470000001"))
    watcher.goes_on_behind()
    assert vendor.was_asked_times(2)
    for number, other in enumerate(others, 2):
        other.outbox.add(call_from(f"047000000{number}"))
        other.goes_on_behind()
    assert eventually(lambda: sum(script.has_left(0.0) for script in (watcher, *others)) == 3)
    vendor.answers.clear()
    assert all(script.has_left() for script in (watcher, *others))
    assert reader.newest_open() == 0


@pytest.mark.usefixtures("restless")
def test_a_script_leaves_what_waits_to_the_one_that_watches(
    scripts: Callable[[], Script], path: Path, reader: OutboxReader, vendor: PlayedVendor
) -> None:
    watch = FileLock(path.with_name("outbox.db.linger"))
    assert watch.try_now()
    script = scripts()
    vendor.answers["skarabee"] = GONE
    script.outbox.add(call_from())
    assert script.delivers_and_leaves()
    watch.close()
    assert vendor.asked
    assert reader.state_of(1) == (State.WAITING, "nobody there")


@pytest.mark.usefixtures("restless")
def test_who_shall_not_linger_leaves_what_is_not_due_yet(
    scripts: Callable[[], Script], reader: OutboxReader, vendor: PlayedVendor
) -> None:
    script = scripts()
    vendor.answers["skarabee"] = GONE
    script.outbox.add(call_from())
    assert script.delivers_and_leaves(linger=False)
    assert vendor.asked
    assert reader.state_of(1) == (State.WAITING, "nobody there")


@pytest.mark.usefixtures("restless")
def test_a_server_that_stands_by_takes_over_and_the_script_leaves(
    scripts: Callable[[], Script], path: Path, reader: OutboxReader, vendor: PlayedVendor
) -> None:
    script = scripts()
    vendor.answers["skarabee"] = GONE
    script.outbox.add(call_from())
    script.goes_on_behind()
    assert vendor.was_asked_times(2)
    servers_vendor = PlayedVendor()
    servers_vendor.answers["skarabee"] = GONE
    outbox = Outbox(path)
    server = Delivery(outbox, lambda: SETTINGS, servers_vendor.send)
    server.start()
    assert servers_vendor.was_asked_times(2)
    assert script.has_left()
    servers_vendor.answers.clear()
    assert eventually(lambda: reader.state_of(1) == (State.DELIVERED, ""))
    server.stop(LONG_SECONDS)
    outbox.close()


def test_a_round_ends_in_time_for_a_server_though_there_is_always_something_to_do(
    scripts: Callable[[], Script], vendor: PlayedVendor, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "FIRST_SECONDS", 0.02)
    monkeypatch.setattr(retry, "LONGEST_SECONDS", 0.02)
    monkeypatch.setattr(rounds, "ROUND_SECONDS", 0.1)
    script = scripts()
    vendor.answers["skarabee"] = GONE
    script.outbox.add(call_from())
    script.goes_on_behind()
    servers_vendor, outbox = PlayedVendor(), Outbox(path)
    assert vendor.was_asked_times(2)
    server = Delivery(outbox, lambda: SETTINGS, servers_vendor.send)
    server.start()
    assert servers_vendor.was_asked_times(1)
    assert script.has_left()
    server.stop(LONG_SECONDS)
    outbox.close()


# -- no job is left alone -----------------------------------------------------------------------------------------


def test_a_job_stored_while_the_deliverer_is_about_to_leave_is_delivered_by_it(
    scripts: Callable[[], Script], reader: OutboxReader, vendor: PlayedVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = scripts(), scripts()
    stop_listening, between = Outbox.stop_listening, [second]

    def stops(self: Outbox, seconds: float) -> None:
        stop_listening(self, seconds)
        if between:  # the first hears of no job any more, and still has the lock
            other = between.pop()
            other.outbox.add(call_from("0470000002"))
            assert other.delivers_and_leaves()  # finds another process delivering, and leaves
            assert vendor.asked == ["skarabee 0470000001"]

    monkeypatch.setattr(Outbox, "stop_listening", stops)
    first.outbox.add(call_from("0470000001"))
    assert first.delivers_and_leaves()
    assert reader.newest_open() == 0
    assert vendor.asked == ["skarabee 0470000001", "skarabee 0470000002"]


@pytest.mark.usefixtures("restless")
def test_a_job_that_was_left_to_the_watcher_is_delivered_though_the_watcher_was_about_to_leave(
    scripts: Callable[[], Script], reader: OutboxReader, vendor: PlayedVendor, path: Path
) -> None:
    watcher, other = scripts(), scripts()
    vendor.answers["skarabee 0470000001"] = GONE
    gate = Gate(GONE)
    vendor.answers["skarabee 0470000002"] = gate
    watcher.outbox.add(call_from("0470000001"))
    watcher.goes_on_behind()
    assert vendor.was_asked_times(2)
    deliverer = FileLock(path.with_name("outbox.db.deliver"))
    assert eventually(deliverer.try_now)  # between two rounds: the watcher finds another process delivering
    assert watcher.has_left()
    other.outbox.add(call_from("0470000002"))
    deliverer.close()
    other.goes_on_behind()  # nobody delivers or watches: it is its turn
    assert gate.reached.wait(LONG_SECONDS)
    vendor.answers.clear()
    gate.open()
    assert other.has_left()
    assert reader.newest_open() == 0


@pytest.mark.usefixtures("restless")
def test_who_comes_behind_the_last_look_of_a_watcher_watches_itself(
    scripts: Callable[[], Script], reader: OutboxReader, vendor: PlayedVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher, other = scripts(), scripts()
    newest_open, between = OutboxReader.newest_open, [other]

    def looks(self: OutboxReader) -> int:
        found = newest_open(self)
        if between:
            between.pop().outbox.add(call_from("0470000002"))
            other.goes_on_behind()
            assert eventually(lambda: vendor.asked.count("skarabee 0470000002") > 1 or other.has_left(0))
        return found

    monkeypatch.setattr(rounds, "LOOK_SECONDS", 0.001)  # so that a second attempt is one of a second round
    monkeypatch.setattr(OutboxReader, "newest_open", looks)
    vendor.answers |= {"skarabee 0470000001": GONE, "skarabee 0470000002": GONE}
    watcher.outbox.add(call_from("0470000001"))
    watcher.goes_on_behind()
    assert vendor.was_asked_times(2)
    del vendor.answers["skarabee 0470000001"]
    assert watcher.has_left()
    vendor.answers.clear()
    assert other.has_left()
    assert reader.newest_open() == 0


@pytest.mark.usefixtures("restless")
def test_who_leaves_the_rest_to_a_watcher_leaves_it_to_one_that_looks_once_more(
    scripts: Callable[[], Script],
    reader: OutboxReader,
    vendor: PlayedVendor,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    deliverer = FileLock(path.with_name("outbox.db.deliver"))
    try_start = Delivery.try_start

    def tries(self: Delivery) -> bool:
        is_won = try_start(self)
        if not is_won:  # who delivers has found somebody watching, and leaves
            vendor.answers.clear()
            deliverer.close()
        return is_won

    watcher = scripts()
    vendor.answers["skarabee"] = GONE
    watcher.outbox.add(call_from())
    watcher.goes_on_behind()
    assert vendor.was_asked_times(2)
    monkeypatch.setattr(Delivery, "try_start", tries)
    assert eventually(deliverer.try_now)
    assert watcher.has_left()
    assert reader.newest_open() == 0


def test_what_cannot_be_delivered_at_all_does_not_keep_a_script(
    scripts: Callable[[], Script], path: Path, vendor: PlayedVendor
) -> None:
    script = scripts()
    script.outbox.add(Notification("later", "later/thing", "1.1", {}, clocks.wall(), 3600.0))
    script.outbox.add(recording("start", "1.1"))
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("UPDATE job SET facts = 'damaged' WHERE id = 2")
    db.close()
    script.outbox.add(recording("stop", "2.2"))
    assert script.delivers_and_leaves()
    assert vendor.asked == ["stop 2.2"]


def test_a_broken_store_does_not_keep_a_script_for_ever(
    scripts: Callable[[], Script], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callsign.delivery.deliverer.LOAD_SECONDS", 0.05)
    path.write_bytes(b"no database at all, " * 1000)
    assert scripts().delivers_and_leaves()


def test_scripts_that_come_and_go_at_random_leave_nothing_behind(
    scripts: Callable[[], Script], reader: OutboxReader, vendor: PlayedVendor
) -> None:
    made = [scripts() for _ in range(12)]
    ready = threading.Barrier(len(made))

    def runs(number: int) -> None:
        ready.wait(LONG_SECONDS)
        made[number].outbox.add(call_from(f"04700000{number:02}"), LONG_SECONDS)
        made[number].share.deliver_rest()

    threads = [threading.Thread(target=runs, args=(number,)) for number in range(len(made))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG_SECONDS)
    assert not any(thread.is_alive() for thread in threads)
    assert reader.newest_open() == 0
    assert sorted(vendor.asked) == [f"skarabee 04700000{number:02}" for number in range(len(made))]
