"""Each account has its lane, its memory and its section: what befalls one of them touches no other."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from callsign import clocks
from callsign.delivery import retry, workers
from callsign.delivery.asking import PLACES, Asking
from callsign.http.messages import Answer, NoAnswer, Reply, Request
from callsign.notification import Notification, State
from callsign.record import replace
from callsign.settings.secret import Secret
from callsign.settings.sections import Mor, Noojee, Settings
from callsign.vendors.noojee import vendor as noojee
from callsign.vendors.noojee.conversation import text_to_sign
from callsign.vendors.signing import sha256_hex
from callsign.verdicts import Found
from side import Side
from store_play import LONG_SECONDS, eventually

DONE = Answer(200, {}, b'{"Message":"","Code":0}')
BALANCE = Answer(200, {}, b"<page><balance>1</balance></page>")


def recorder(name: str) -> Noojee:
    return Noojee(f"https://{name}.example", Secret(f"key-of-{name}"))


SETTINGS = Settings(
    noojee=recorder("main"),
    mor=Mor("https://main.example", "admin", Secret("k")),
    further={
        "noojee.antwerp": recorder("antwerp"),
        "noojee.gent": recorder("gent"),
        "mor.antwerp": Mor("https://antwerp.example", "admin", Secret("k")),
    },
)


class Recorders:
    """All recorders by their host: each gives its own time, and does what the test says."""

    def __init__(self) -> None:
        self.sent: list[Request] = []
        self.answers: dict[str, Callable[[], Reply]] = {}

    def send(self, request: Request, _seconds: float) -> Reply:
        self.sent.append(request)
        host = request.host()
        if host in self.answers:
            return self.answers[host]()
        if request.url.endswith("/Time"):
            return Answer(200, {}, str(1000 + len(host)).encode())
        return DONE

    def asked(self, host: str) -> list[str]:
        return [urlsplit(request.url).path for request in self.sent if request.host() == host]


class Office(Side):
    """With a recorder of each account."""

    def __init__(self, path: Path) -> None:
        self.recorders = Recorders()
        super().__init__(path, SETTINGS, self.recorders.send)

    def start(self, account: str, call: str = "1.1") -> int:
        facts = {"extenOrUniqueId": call}
        return self.add(Notification(account, "noojee/start", call, facts, clocks.wall(), 60.0))


@pytest.fixture
def side(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path / "outbox.db")
    assert made.delivery.try_start()
    yield made
    made.close()


def test_each_account_is_told_at_its_own_address_with_its_own_token_and_key(side: Office) -> None:
    for account in ("noojee", "noojee.antwerp", "noojee.gent"):
        assert side.end_of(side.start(account)) == (State.DELIVERED, "")
    for host, stamp in (("main.example", "1012"), ("antwerp.example", "1015"), ("gent.example", "1012")):
        assert side.recorders.asked(host) == ["/Time", "/CallManagementAPI/start"]
        command = dict(next(r for r in side.recorders.sent if r.host() == host and r.query).query)
        key = Secret(f"key-of-{host.partition('.')[0]}")
        assert command["timeStamp"] == stamp
        assert command["hash"] == sha256_hex(text_to_sign(key, stamp))


def test_a_dead_recorder_of_one_tenant_holds_up_no_other(side: Office) -> None:
    let_go = threading.Event()

    def hangs() -> Reply:
        let_go.wait(LONG_SECONDS)
        return NoAnswer("it is silent", sent=False)

    side.recorders.answers["antwerp.example"] = hangs
    for number in range(2 * noojee.CONCURRENCY):
        side.start("noojee.antwerp", f"2.{number}")
    assert eventually(lambda: side.recorders.asked("antwerp.example"))
    for account in ("noojee", "noojee.gent"):
        assert side.end_of(side.start(account)) == (State.DELIVERED, "")
    let_go.set()


def test_a_call_waits_for_its_own_account_though_another_ones_recorder_is_away(side: Office) -> None:
    side.recorders.answers["antwerp.example"] = lambda: NoAnswer("no connection", sent=False)
    away = side.start("noojee.antwerp")
    assert side.delivery.outcomes.wait_for(away, LONG_SECONDS) is None
    assert side.end_of(side.start("noojee.gent")) == (State.DELIVERED, "")


def test_a_reason_names_the_accounts_own_section(side: Office, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    side.recorders.answers["antwerp.example"] = lambda: Answer(401, {}, b"")
    state, reason = side.end_of(side.start("noojee.antwerp")) or (None, "")
    assert state is State.REFUSED
    assert "check [noojee.antwerp] key" in reason
    assert eventually(lambda: "system=noojee.antwerp action=noojee/start" in caplog.text)  # behind the outcome


@pytest.mark.parametrize("account", ["noojee.antwerp", "noojee.gone"])
def test_jobs_of_an_account_that_left_the_settings_wait_until_it_is_back(
    side: Office, monkeypatch: pytest.MonkeyPatch, account: str
) -> None:
    monkeypatch.setattr(retry, "FIRST_SECONDS", 0.01)
    side.settings = Settings(noojee=SETTINGS.noojee)
    job = side.start(account)
    words = f"the settings have no section [{account}] any more"
    assert eventually(lambda: side.reader.state_of(job) == (State.WAITING, words))
    side.settings = replace(SETTINGS, further={account: recorder("antwerp")})
    assert side.end_of(job) == (State.DELIVERED, "")
    assert side.recorders.asked("antwerp.example")


def test_an_office_that_left_the_settings_is_named_as_it_is_written(side: Office) -> None:
    facts = {"businessid": "9001", "phoneto": "1", "phonefrom": "2"}
    told = Notification("skarabee.brugge", "skarabee", "1.1", facts, clocks.wall(), 60.0)
    job = side.outbox.add(told, LONG_SECONDS).job
    words = 'the settings have no section [[skarabee.office]] with name = "brugge" any more'
    assert eventually(lambda: side.reader.state_of(job) == (State.WAITING, words))


def test_what_may_still_be_carried_out_is_remembered_by_account(tmp_path: Path) -> None:
    before = Office(tmp_path / "outbox.db")
    assert before.delivery.try_start()
    before.recorders.answers["antwerp.example"] = lambda: NoAnswer("it is silent", sent=True)
    told = Notification("noojee.antwerp", "noojee/start", "1.1", {"extenOrUniqueId": "1.1"}, clocks.wall(), 1.0)
    before.outbox.add(told, LONG_SECONDS)
    assert eventually(lambda: before.reader.expired_lately(clocks.wall() - 60, 10))
    before.close()
    after = Office(tmp_path / "outbox.db")
    try:
        assert after.delivery.try_start()
        for account in ("noojee.gent", "noojee.antwerp"):
            facts = {"extenOrUniqueId": "1.1"}
            after.outbox.add(Notification(account, "noojee/stop", "1.1", facts, clocks.wall(), 60.0), LONG_SECONDS)
        # that start has no verdict, so its stop is told once more
        reason = "once more, for what it undoes"
        assert eventually(lambda: [row for row in after.reader.jobs(system="noojee.antwerp") if reason in row.reason])
        assert not [row for row in after.reader.jobs(system="noojee.gent") if reason in row.reason]
    finally:
        after.close()


def lanes_threads(account: str) -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(f"{account}-")]


def test_the_threads_of_a_further_account_end_when_nothing_came_for_a_while(
    side: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "REST_SECONDS", 0.01)
    for number in range(3):  # it begins anew each time
        job = side.start("noojee.antwerp", f"3.{number}")
        assert side.end_of(job) == (State.DELIVERED, "")
        assert eventually(lambda: not lanes_threads("noojee.antwerp"))
    assert side.end_of(side.start("noojee")) == (State.DELIVERED, "")
    assert lanes_threads("noojee")


def test_a_lane_that_got_no_thread_gets_one_when_somebody_else_is_told(
    side: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    side.delivery.start()
    begin = workers.thread_starts.begin
    monkeypatch.setattr(workers.thread_starts, "begin", lambda *_: False)
    waiting = side.start("noojee.antwerp")
    assert eventually(lambda: side.delivery.newest_seen >= waiting)
    monkeypatch.setattr(workers.thread_starts, "begin", begin)
    side.start("noojee.gent")
    assert side.end_of(waiting) == (State.DELIVERED, "")


# -- questions ------------------------------------------------------------------------------------------------------


def test_questions_to_one_account_that_hangs_leave_the_other_its_places() -> None:
    let_go, begun = threading.Event(), threading.Semaphore(0)

    def send(request: Request, _seconds: float) -> Reply:
        if request.host() == "antwerp.example":
            begun.release()
            let_go.wait(LONG_SECONDS)
        return BALANCE

    asking = Asking(lambda: SETTINGS, send)
    facts: Mapping[str, str] = {"username": "bob"}
    held = [
        threading.Thread(target=asking.ask, args=("mor.antwerp", "mor/balance", facts, LONG_SECONDS), daemon=True)
        for _ in range(PLACES)
    ]
    for thread in held:
        thread.start()
        assert begun.acquire(timeout=LONG_SECONDS)
    assert asking.ask("mor", "mor/balance", facts, LONG_SECONDS) == Found({"MORBALANCE": "1"})
    let_go.set()
    for thread in held:
        thread.join(LONG_SECONDS)


def test_what_is_remembered_is_remembered_of_one_account() -> None:
    asking = Asking(lambda: SETTINGS, lambda *_: BALANCE)
    assert asking.memory_of("kalliope.a") is asking.memory_of("kalliope.a")
    assert asking.memory_of("kalliope.a") is not asking.memory_of("kalliope.b")
    assert asking.memory_of("sraps.a") is not asking.memory_of("sraps")


def test_a_question_to_an_account_that_was_just_taken_away_is_an_error_with_its_name() -> None:
    asking = Asking(lambda: Settings(), lambda *_: BALANCE)
    verdict = asking.ask("mor.antwerp", "mor/balance", {"username": "bob"}, 1.0)
    assert verdict.reason == "the settings have no section [mor.antwerp] any more"
