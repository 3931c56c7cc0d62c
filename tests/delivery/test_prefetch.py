"""What is fetched beside the calls: again and again, bounded, and no fault of anybody's ends it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator, Iterator
from typing import Any

import pytest

from callsign.delivery import prefetch
from callsign.delivery.prefetch import Prefetcher
from callsign.http.messages import Answer, NoAnswer, Reply, Request
from callsign.settings.secret import Secret
from callsign.settings.sections import Settings, Sraps
from callsign.vendors.interface import Prefetch, Vendor
from callsign.vendors.registry import VENDORS
from callsign.verdicts import Delivered, Outcome, TryLater
from store_play import eventually

LONG_SECONDS = 30.0
SETTINGS_OF_NOBODY: Any = None
HERE = Settings(sraps=Sraps("http://127.0.0.1:1", "id", Secret("secret")))


def fetch(_section: object, _numbers: object, memory: Any) -> Generator[Request, Reply, Outcome]:
    reply = yield Request("GET", "http://127.0.0.1:1/", is_safe=True)
    if isinstance(reply, NoAnswer):
        return TryLater(reply.reason)
    if reply.status == 500:
        raise RuntimeError("056528998")
    memory.append(reply.body)
    return Delivered(reply.headers.get("warning", ""))


class Office:
    """Prefetcher with a vendor that is a function, and whose fetches the test counts."""

    def __init__(self) -> None:
        self.settings = HERE
        self.memory: list[bytes] = []
        self.reply: Reply = Answer(200, {}, b"x")
        self.given: list[float] = []
        self._fetched = threading.Semaphore(0)
        self.prefetcher = Prefetcher(lambda: self.settings, self.send, lambda _: self.memory)

    def send(self, _request: Request, seconds: float) -> Reply:
        self.given.append(seconds)
        self._fetched.release()
        return self.reply

    def fetches(self, more: int) -> None:
        """Waits until so many more have begun."""
        for _ in range(more):
            assert self._fetched.acquire(timeout=LONG_SECONDS)

    def is_quiet(self, seconds: float = 0.2) -> bool:
        return not self._fetched.acquire(timeout=seconds)


@pytest.fixture
def office(monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    for system in list(VENDORS):
        monkeypatch.delitem(VENDORS, system)
    blank: Any = None
    monkeypatch.setitem(VENDORS, "sraps", Vendor(blank, blank, list, prefetch=Prefetch(fetch, 0.01, 7.0)))
    monkeypatch.setitem(VENDORS, "mor", Vendor(blank, blank))
    monkeypatch.setattr(prefetch, "LONGEST_PAUSE_SECONDS", 0.05)
    made = Office()
    yield made
    made.prefetcher.stop()


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.levelname, record.getMessage()) for record in caplog.records]


def test_it_fetches_again_and_again_into_the_memory_until_it_is_stopped(office: Office) -> None:
    office.prefetcher.start()
    office.fetches(5)
    assert len(office.memory) >= 4
    office.prefetcher.stop()
    while not office.is_quiet():
        pass
    assert all(6.0 < seconds <= 7.0 for seconds in office.given)


def test_nothing_is_fetched_while_the_settings_lack_the_section(office: Office) -> None:
    office.settings = Settings()
    office.prefetcher.start()
    assert office.is_quiet()
    office.settings = HERE  # SIGHUP
    office.fetches(1)


def test_an_account_is_fetched_from_when_the_settings_are_read_again_and_as_long_as_they_have_it(
    office: Office,
) -> None:
    office.settings = Settings()
    office.prefetcher.start()
    further = Settings(further={"sraps.antwerp": HERE.section("sraps"), "sraps.gent": HERE.section("sraps")})
    for _ in range(2):
        office.settings = further
        office.prefetcher.start()  # SIGHUP
        office.fetches(5)
        office.settings = Settings()
        assert eventually(lambda: not [t for t in threading.enumerate() if t.name.startswith("prefetch-sraps.")])
    while not office.is_quiet():
        pass


def test_an_account_that_got_no_thread_gets_one_when_the_settings_are_read_again(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as none_left:
        none_left.setattr(threading.Thread, "start", start)
        office.prefetcher.start()
    office.prefetcher.start()
    office.fetches(1)


def test_trouble_is_told_once_and_so_is_its_end(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    office.reply = NoAnswer("it is gone", sent=False)
    office.prefetcher.start()
    office.fetches(14)  # pauses grow only to their bound: doubled for ever these would take minutes
    office.reply = Answer(200, {}, b"x")
    office.fetches(4)
    office.reply = NoAnswer("it hangs", sent=True)
    office.fetches(4)
    assert lines(caplog) == [
        ("WARNING", "system=sraps: it is gone"),
        ("INFO", "system=sraps: works again"),
        ("WARNING", "system=sraps: it hangs"),
    ]


class Pauses(threading.Event):
    """Keeps what a thread would have waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.seconds.append(timeout)
        return self.is_set()


def test_pauses_grow_while_a_vendor_is_in_trouble_and_are_usual_again_behind_it(office: Office) -> None:
    replies: list[Reply] = [
        *[NoAnswer("it is gone", sent=False)] * 4,
        Answer(200, {}, b"x"),
        NoAnswer("gone", sent=False),
    ]
    pauses = Pauses()
    office.prefetcher._stopping = pauses

    def send(request: Request, seconds: float) -> Reply:
        office.reply = replies.pop(0)
        if not replies:
            pauses.set()
        return office.send(request, seconds)

    office.prefetcher._send = send
    office.prefetcher.start()
    office.fetches(6)
    assert eventually(lambda: len(pauses.seconds) == 6)
    assert pauses.seconds == [0.02, 0.04, 0.05, 0.05, 0.01, 0.02]


def test_a_warning_of_a_fetch_that_went_well_is_told_once(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    office.reply = Answer(200, {"warning": "half of it is hidden"}, b"x")
    office.prefetcher.start()
    office.fetches(5)
    assert lines(caplog) == [("WARNING", "system=sraps: half of it is hidden")]


def test_our_own_fault_is_told_without_its_text_and_ends_nothing(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    office.reply = Answer(500, {}, b"")
    office.prefetcher.start()
    office.fetches(3)
    office.reply = Answer(200, {}, b"x")
    office.fetches(3)
    assert office.memory
    assert "a fault in callsign itself" in caplog.text
    assert "056528998" not in caplog.text


def test_a_fault_of_ours_about_the_settings_does_not_end_the_thread(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    office.prefetcher.start()
    office.fetches(1)
    office.settings = SETTINGS_OF_NOBODY
    assert eventually(lambda: "a fault in callsign itself" in caplog.text)
    office.settings = HERE
    while not office.is_quiet(0.0):
        pass
    office.fetches(3)
