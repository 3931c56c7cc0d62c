"""Questions: bounded by their wait whatever the vendor does, beside each other, and never our own fault's victim."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path

import pytest

from callsign import clocks
from callsign.delivery import asking
from callsign.delivery.asking import PLACES, Asking
from callsign.http.messages import Answer, NoAnswer, Reply, Request
from callsign.outbox.outbox import Outbox
from callsign.record import replace
from callsign.settings.sections import Settings
from callsign.steps.answer import Services, answer
from callsign.steps.handlers import HANDLERS
from callsign.steps.step import read_step
from callsign.vendors.interface import Ask, Vendor
from callsign.vendors.registry import VENDORS
from callsign.verdicts import Found, Invalid, Refused, TryLater, Verdict
from settings_file import load
from waiting import wait_until

SYSTEM = "sraps"
SECTION = '[sraps]\nurl = "http://127.0.0.1:1"\nkey_id = "id"\nkey_secret = "secret"\n'
OWN = "SRAPSNAME"
LONG_SECONDS = 30.0

Conversation = Generator[Request, Reply, Verdict]


def reads(_section: object, _numbers: object, facts: Mapping[str, str], _memory: object) -> Conversation:
    reply = yield Request("GET", "http://127.0.0.1:1/", is_safe=True)
    if isinstance(reply, NoAnswer):
        return TryLater(reply.reason)
    if reply.status == 403:
        return Refused("it said no")
    return Found({OWN: reply.body.decode() + facts.get("number", "")})


def changes(_section: object, _numbers: object, _facts: Mapping[str, str], _memory: object) -> Conversation:
    yield Request("PUT", "http://127.0.0.1:1/")
    return Found({})


def changes_and_reads(_section: object, _numbers: object, _facts: Mapping[str, str], _memory: object) -> Conversation:
    yield Request("PUT", "http://127.0.0.1:1/")
    yield Request("GET", "http://127.0.0.1:1/", is_safe=True)
    return Found({})


def is_unfit(_section: object, _numbers: object, _facts: Mapping[str, str], _memory: object) -> Conversation:
    return Invalid("two are called so")
    yield


def is_broken(_section: object, _numbers: object, _facts: Mapping[str, str], _memory: object) -> Conversation:
    yield Request("GET", "http://127.0.0.1:1/", is_safe=True)
    raise RuntimeError("056528998")


def is_not_to_be_had(_section: object, _numbers: object, _facts: Mapping[str, str], _memory: object) -> Conversation:
    raise ImportError("its code cannot be loaded")


ASKS = {
    "sraps/not-there": Ask((), (OWN,), is_not_to_be_had),
    "sraps/reads": Ask(("number", "days"), (OWN,), reads, caller="number"),
    "sraps/changes": Ask(("mac",), (OWN,), changes, needs=("mac",)),
    "sraps/changes-and-reads": Ask((), (OWN,), changes_and_reads),
    "sraps/unfit": Ask((), (OWN,), is_unfit),
    "sraps/broken": Ask((), (OWN,), is_broken),
}


class Desk:
    """Settings and a vendor that is a function."""

    def __init__(self, folder: Path) -> None:
        self.settings = load(folder, SECTION)
        self.vendor: Callable[[Request, float], Reply] = lambda *_: Answer(200, {}, b"reception ")
        self.outbox = Outbox(folder / "outbox.db")
        self.asking = Asking(lambda: self.settings, lambda request, seconds: self.vendor(request, seconds))
        self.services = Services(lambda: self.settings, self.outbox, lambda *_: None, self.asking.ask)

    def ask(self, line: str, *args: str, **env: str) -> dict[str, str]:
        told = answer(read_step({"agi_callerid": "056528999", **env}, args, request=line), self.services)
        return {name.removeprefix("SRAPS"): value for name, value in told.items()}


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    toy = Vendor(VENDORS["noojee"].explain, VENDORS["noojee"].probe, asks=ASKS)
    monkeypatch.setitem(VENDORS, SYSTEM, toy)
    for path, ask in ASKS.items():
        monkeypatch.setitem(HANDLERS, path, ask)
    made = Desk(tmp_path)
    yield made
    made.outbox.close()


def test_an_answer_is_ok_with_its_variables(desk: Desk) -> None:
    assert desk.ask("sraps/reads") == {"STATUS": "OK", "REASON": "", "JOB": "", "NAME": "reception 056528999"}


def test_what_is_remembered_of_a_vendor_is_made_at_its_first_question_and_kept(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []
    seen: list[object] = []

    def notes(_section: object, _numbers: object, _facts: Mapping[str, str], memory: object) -> Conversation:
        seen.append(memory)
        return Found({})
        yield

    def new_memory() -> object:
        made.append(object())
        return made[-1]

    ask = Ask((), (OWN,), notes)
    toy = Vendor(VENDORS["noojee"].explain, VENDORS["noojee"].probe, asks={"sraps/notes": ask}, new_memory=new_memory)
    monkeypatch.setitem(VENDORS, SYSTEM, toy)
    monkeypatch.setitem(HANDLERS, "sraps/notes", ask)
    desk.services = replace(desk.services, ask=Asking(lambda: desk.settings, desk.vendor).ask)
    assert made == []
    assert desk.ask("sraps/notes")["STATUS"] == desk.ask("sraps/notes")["STATUS"] == "OK"
    assert seen == 2 * made


def test_an_argument_goes_before_the_callers_number(desk: Desk) -> None:
    assert desk.ask("sraps/reads", "0470000001")["NAME"] == "reception 0470000001"


@pytest.mark.parametrize("env", [{"agi_callingpres": "32"}, {"agi_callerid": "unknown"}])
def test_a_withheld_number_is_not_asked_about(desk: Desk, env: dict[str, str]) -> None:
    asked: list[Request] = []
    desk.vendor = lambda request, _: asked.append(request) or Answer(200, {}, b"")  # type: ignore[func-returns-value]
    told = desk.ask("sraps/reads", **env)
    assert (told["STATUS"], told["NAME"], asked) == ("SKIPPED", "", [])
    assert "anonymous" in told["REASON"]


def test_a_vendors_no_is_refused_and_its_variables_are_empty(desk: Desk) -> None:
    desk.vendor = lambda *_: Answer(403, {}, b"")
    assert desk.ask("sraps/reads") == {"STATUS": "REFUSED", "REASON": "it said no", "JOB": "", "NAME": ""}


def test_a_missing_argument_an_unfit_question_and_a_missing_section_are_errors(desk: Desk) -> None:
    missing = desk.ask("sraps/changes")
    assert (missing["STATUS"], missing["NAME"]) == ("ERROR", "")
    assert "mac" in missing["REASON"]
    assert desk.ask("sraps/unfit")["REASON"] == "two are called so"
    desk.settings = Settings(source="callsign.toml")
    told = desk.ask("sraps/reads")
    assert (told["STATUS"], told["NAME"]) == ("ERROR", "")
    assert "[sraps]" in told["REASON"]


def test_our_own_fault_is_an_error_without_its_text(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    told = desk.ask("sraps/broken")
    assert (told["STATUS"], told["NAME"]) == ("ERROR", "")
    assert "fault in callsign itself" in told["REASON"]
    assert "RuntimeError" in caplog.text
    assert "056528998" not in caplog.text


def test_a_question_that_cannot_be_begun_takes_no_place_from_the_others(desk: Desk) -> None:
    for _ in range(PLACES):
        assert desk.ask("sraps/not-there")["STATUS"] == "ERROR"
    assert desk.ask("sraps/reads")["STATUS"] == "OK"


def test_a_question_that_has_no_thread_takes_no_place_from_the_others(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setattr(asking, "PLACES", 1)
    request.getfixturevalue("no_more_threads")
    for _ in range(2):
        assert desk.ask("sraps/reads")["REASON"] == "the system gives callsign no thread for the question"


def test_a_vendor_that_does_not_come_back_holds_the_call_no_longer_than_its_wait(desk: Desk) -> None:
    hangs, ended = threading.Event(), threading.Event()

    def vendor(_request: Request, _seconds: float) -> Reply:
        hangs.wait(LONG_SECONDS)
        ended.set()
        return NoAnswer("", sent=True)

    desk.vendor = vendor
    began = time.monotonic()
    told = desk.ask("sraps/changes?wait=0.3", "000413aabbcc")
    assert time.monotonic() - began < LONG_SECONDS / 2
    assert (told["STATUS"], told["REASON"]) == ("UNREACHABLE", "no answer within 0.3 s; it may have been done")
    assert desk.ask("sraps/reads?wait=0.3")["REASON"] == "no answer within 0.3 s"
    hangs.set()
    assert ended.wait(LONG_SECONDS)


def test_a_change_that_was_answered_is_not_in_doubt_though_what_follows_hangs(desk: Desk) -> None:
    hangs = threading.Event()

    def vendor(request: Request, _seconds: float) -> Reply:
        if request.is_safe:
            hangs.wait(LONG_SECONDS)
        return Answer(200, {}, b"")

    desk.vendor = vendor
    assert desk.ask("sraps/changes-and-reads?wait=0.3")["REASON"] == "no answer within 0.3 s"
    hangs.set()


def test_the_vendor_gets_no_more_time_than_the_wait(desk: Desk) -> None:
    given: list[float] = []
    desk.vendor = lambda _, seconds: given.append(seconds) or Answer(200, {}, b"")  # type: ignore[func-returns-value]
    desk.ask("sraps/reads?wait=0.5")
    desk.ask("sraps/reads")
    assert given[0] <= 0.5 < given[1] <= 3.0


def test_no_time_at_all_is_told_as_such(desk: Desk) -> None:
    told = desk.ask("sraps/reads?wait=0")
    assert (told["STATUS"], told["REASON"]) in {
        ("UNREACHABLE", "no verdict within 0 s"),
        ("UNREACHABLE", "no answer within 0 s"),
    }


def test_one_question_too_many_waits_for_a_place_and_no_longer_than_its_wait(desk: Desk) -> None:
    hangs, under_way = threading.Event(), threading.Semaphore(0)

    def vendor(_request: Request, _seconds: float) -> Reply:
        under_way.release()
        hangs.wait(LONG_SECONDS)
        return Answer(200, {}, b"")

    desk.vendor = vendor
    calls = [
        threading.Thread(target=desk.ask, args=("sraps/reads?wait=30",)) for _ in range(PLACES)
    ]  # busy or not, all get there
    for call in calls:
        call.start()
    for _ in calls:
        assert under_way.acquire(timeout=LONG_SECONDS)
    told = desk.ask("sraps/reads?wait=0.2")
    assert told["STATUS"] == "UNREACHABLE"
    assert "waiting already" in told["REASON"]
    hangs.set()
    desk.vendor = lambda *_: Answer(200, {}, b"")
    wait_until(lambda: desk.ask("sraps/reads")["STATUS"] == "OK")
    for call in calls:
        call.join(LONG_SECONDS)


def test_what_a_question_has_waited_for_its_place_is_part_of_its_wait(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "PLACES", 1)
    steady, ahead, hangs = clocks.steady, [0.0], [threading.Event(), threading.Event()]
    under_way, left = threading.Semaphore(0), list(hangs)
    begun: set[threading.Thread] = set()

    def now() -> float:
        moment = steady() + ahead[0]
        begun.add(threading.current_thread())
        return moment

    def vendor(_request: Request, _seconds: float) -> Reply:
        hang = left.pop(0)
        under_way.release()
        hang.wait(LONG_SECONDS)  # as a name server does, whatever time there is
        return Answer(200, {}, b"")

    desk.vendor = vendor
    monkeypatch.setattr(clocks, "steady", now)
    calls = [threading.Thread(target=desk.ask, args=("sraps/reads?wait=60",)) for _ in range(2)]
    calls[0].start()
    assert under_way.acquire(timeout=LONG_SECONDS)
    calls[1].start()
    wait_until(lambda: calls[1] in begun)
    ahead[0] = 59.0
    hangs[0].set()
    calls[1].join(LONG_SECONDS / 2)
    assert not calls[1].is_alive()
    hangs[1].set()
    calls[0].join(LONG_SECONDS)


def test_hostile_text_comes_back_as_one_short_line(desk: Desk) -> None:
    desk.vendor = lambda *_: Answer(200, {}, b'a"\r\nHANGUP\x00' + b"x" * 9999)
    name = desk.ask("sraps/reads")["NAME"]
    assert name.isprintable()
    assert len(name) < 500
