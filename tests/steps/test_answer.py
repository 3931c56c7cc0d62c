"""From a step to the channel's variables, with a real store, a real delivery, and a vendor played by a function."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agi_lines import CALLER, UNIQUE_ID, a_step
from callsign import __version__
from callsign.delivery.asking import Asking
from callsign.delivery.deliverer import Delivery
from callsign.http.messages import Answer, NoAnswer, Reply, Request
from callsign.notification import Notification, State
from callsign.outbox.outbox import ADD_SECONDS, Added, Outbox
from callsign.outbox.reader import OutboxReader
from callsign.outbox.shown import JobRow
from callsign.record import replace
from callsign.steps.answer import (
    MAX_REASON_CHARACTERS,
    STATUS_OF,
    Services,
    answer,
    log_step,
    status_variables,
    system_of,
)
from callsign.steps.handlers import HANDLERS
from callsign.steps.step import Step, read_step
from settings_file import NOOJEE, SKARABEE, load
from waiting import wait_until

AT_MOST_SECONDS = 30.0
"""How long a test waits for what must come; none waits that long when all is well."""

KNOWN = f"known are {', '.join(HANDLERS)}"


def says(body: object, status: int = 200) -> Callable[[Request], Reply]:
    return lambda _: Answer(status, {}, json.dumps(body).encode())


def a_friendly_vendor(request: Request) -> Reply:
    if request.url.endswith("/Time"):
        return Answer(200, {}, b"1700000000000")
    return says({"Status": "OK", "Message": "", "Code": 0})(request)


class Desk:
    """What a server has: settings, store, delivery; the vendor is a function that a test may replace."""

    def __init__(self, folder: Path, sections: str = SKARABEE + NOOJEE) -> None:
        self.settings = load(folder, sections)
        self.vendor: Callable[[Request], Reply] = a_friendly_vendor
        self.seen: list[Request] = []
        self.outbox = Outbox(folder / "outbox.db")
        self.delivery = Delivery(self.outbox, lambda: self.settings, self._send)
        self.delivery.start()
        self.asking = Asking(lambda: self.settings, self._send)
        self.services = Services(lambda: self.settings, self.outbox, self.delivery.outcomes.wait_for, self.asking.ask)

    def _send(self, request: Request, seconds: float) -> Reply:
        self.seen.append(request)
        return self.vendor(request)

    def ask(self, request: str, *args: str, **env: str) -> dict[str, str]:
        return answer(a_step(request, *args, **env), self.services)

    def end_of(self, told: dict[str, str]) -> tuple[State, str] | None:
        """The end of the job that `told` names, which must come."""
        (job,) = (int(value) for name, value in told.items() if name.endswith("JOB"))
        return self.delivery.outcomes.wait_for(job, AT_MOST_SECONDS)

    def close(self) -> None:
        self.delivery.stop(AT_MOST_SECONDS)
        self.outbox.close()


@contextmanager
def open_desk(folder: Path, sections: str = SKARABEE + NOOJEE) -> Iterator[Desk]:
    desk = Desk(folder, sections)
    try:
        yield desk
    finally:
        desk.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with open_desk(tmp_path) as desk:
        yield desk


@pytest.fixture
def held(desk: Desk) -> Iterator[threading.Event]:
    """The vendor takes requests and answers none until this is set."""
    let_go = threading.Event()

    def vendor(request: Request) -> Reply:
        let_go.wait(AT_MOST_SECONDS)
        return a_friendly_vendor(request)

    desk.vendor = vendor
    yield let_go
    let_go.set()


def stored_in(desk: Desk) -> list[JobRow]:
    reader = OutboxReader(desk.outbox.path)
    try:
        return reader.jobs()
    finally:
        reader.close()


# -- the statuses --------------------------------------------------------------------------------------


def test_what_the_vendor_took_in_time_is_ok(desk: Desk) -> None:
    told = desk.ask(f"skarabee?wait={AT_MOST_SECONDS:g}")
    assert told == {"SKARABEESTATUS": "OK", "SKARABEEREASON": "", "SKARABEEJOB": told["SKARABEEJOB"]}
    assert int(told["SKARABEEJOB"]) > 0
    (request,) = desk.seen
    assert dict(request.query)["phonefrom"] == CALLER


def test_a_warning_of_the_vendor_is_the_reason(desk: Desk) -> None:
    def vendor(request: Request) -> Reply:
        return (
            a_friendly_vendor(request)
            if request.url.endswith("/Time")
            else says({"Code": 1, "Message": "low"})(request)
        )

    desk.vendor = vendor
    told = desk.ask(f"noojee/start?wait={AT_MOST_SECONDS:g}")
    assert (told["NOOJEESTATUS"], told["NOOJEEREASON"]) == ("OK", "low")


def test_a_path_that_does_not_wait_is_queued_and_goes_on_behind_the_call(desk: Desk) -> None:
    told = desk.ask("skarabee")
    assert (told["SKARABEESTATUS"], told["SKARABEEREASON"]) == ("QUEUED", "")
    assert desk.end_of(told) == (State.DELIVERED, "")


def test_a_wait_that_ends_before_the_vendor_answers_is_queued(desk: Desk, held: threading.Event) -> None:
    told = desk.ask("skarabee?wait=1")
    assert (told["SKARABEESTATUS"], told["SKARABEEREASON"]) == ("QUEUED", "")
    held.set()
    assert desk.end_of(told) == (State.DELIVERED, "")


def test_a_path_has_its_own_wait_and_the_option_changes_it(desk: Desk, held: threading.Event) -> None:
    waits: list[str] = []

    def wait_for(job: int, seconds: float) -> tuple[State, str] | None:
        waits.append("held")
        held.set()
        return desk.delivery.outcomes.wait_for(job, seconds)

    desk.services = replace(desk.services, wait_for=wait_for)
    assert desk.ask("noojee/start?wait=0")["NOOJEESTATUS"] == "QUEUED"
    assert desk.ask("skarabee")["SKARABEESTATUS"] == "QUEUED"
    assert waits == []
    desk.ask("noojee/stop")
    assert waits == ["held"]


def test_the_time_that_the_store_takes_is_part_of_the_wait(desk: Desk) -> None:
    class SlowStore(Outbox):
        def add(self, notification: Notification, patience_seconds: float = ADD_SECONDS) -> Added:
            added = desk.outbox.add(notification)
            threading.Event().wait(0.05)
            return added

    waits: list[float] = []
    slow = SlowStore(desk.outbox.path)
    services = replace(desk.services, outbox=slow, wait_for=lambda _job, seconds: waits.append(seconds))
    assert answer(a_step("noojee/start?wait=10"), services)["NOOJEESTATUS"] == "QUEUED"
    assert answer(a_step("noojee/stop?wait=0.04"), services)["NOOJEESTATUS"] == "QUEUED"
    slow.close()
    assert len(waits) == 1, "nothing is left of the second one's wait"
    assert waits[0] <= 9.95


def test_what_the_vendor_refuses_is_refused_in_its_own_words(desk: Desk) -> None:
    desk.vendor = says({"Status": "HASH_MISMATCH", "Message": "The hash provided doesn't match the parameters."})
    told = desk.ask(f"skarabee?wait={AT_MOST_SECONDS:g}")
    assert told["SKARABEESTATUS"] == "REFUSED"
    assert told["SKARABEEREASON"].startswith("HASH_MISMATCH: The hash provided doesn't match the parameters")
    assert told["SKARABEEJOB"]


def test_a_start_that_a_stop_made_needless_is_skipped(desk: Desk, held: threading.Event) -> None:
    desk.ask("noojee/start?wait=0", "201", "call=1")  # keeps the call's lane busy
    wait_until(lambda: desk.seen)  # who is elected later finds both in the store, where a start may have been tried
    stored = threading.Event()
    told: list[dict[str, str]] = []
    services = replace(desk.services, wait_for=lambda *what: (stored.set(), desk.delivery.outcomes.wait_for(*what))[1])
    step = a_step(f"noojee/start?wait={AT_MOST_SECONDS:g}", "202", "call=1")
    call = threading.Thread(target=lambda: told.append(answer(step, services)))
    call.start()
    assert stored.wait(AT_MOST_SECONDS)
    stop = desk.ask("noojee/stop?wait=0", "202", "call=1")
    wait_until(lambda: desk.delivery.newest_seen >= int(stop["NOOJEEJOB"]))
    held.set()
    call.join(AT_MOST_SECONDS)
    assert (told[0]["NOOJEESTATUS"], told[0]["NOOJEEREASON"]) == ("SKIPPED", "a stop came before it was tried")


def test_every_end_of_a_job_has_a_status() -> None:
    assert set(STATUS_OF) == set(State) - {State.WAITING}
    assert set(STATUS_OF.values()) <= {"OK", "QUEUED", "SKIPPED", "REFUSED", "UNREACHABLE"}


def test_ping_needs_neither_store_nor_settings(desk: Desk) -> None:
    services = replace(desk.services, settings=_no_settings)
    told = answer(a_step("ping"), services)
    assert told == {"CALLSIGNSTATUS": "OK", "CALLSIGNREASON": "", "CALLSIGNVERSION": __version__}


# -- nothing to send -----------------------------------------------------------------------------------


def test_the_same_call_to_the_same_number_is_notified_once(desk: Desk) -> None:
    first = desk.ask("skarabee", agi_dnid="056528998")
    again = desk.ask("skarabee?wait=5", agi_dnid="+3256528998")
    assert first["SKARABEESTATUS"] == "QUEUED"
    assert again == {
        "SKARABEESTATUS": "SKIPPED",
        "SKARABEEREASON": "this call was notified already",
        "SKARABEEJOB": first["SKARABEEJOB"],
    }
    assert desk.ask("skarabee", agi_dnid="056528997")["SKARABEESTATUS"] == "QUEUED"
    assert desk.ask("skarabee", "call=1", agi_dnid="056528998")["SKARABEESTATUS"] == "QUEUED"


def test_it_is_notified_once_also_across_a_restart(tmp_path: Path) -> None:
    with open_desk(tmp_path) as desk:
        first = desk.ask(f"skarabee?wait={AT_MOST_SECONDS:g}")
    with open_desk(tmp_path) as desk:
        again = desk.ask("skarabee")
        assert (again["SKARABEESTATUS"], again["SKARABEEJOB"]) == ("SKIPPED", first["SKARABEEJOB"])
        assert desk.seen == []


def test_a_recording_may_be_started_twice_in_one_call(desk: Desk) -> None:
    assert desk.ask("noojee/start")["NOOJEEJOB"] != desk.ask("noojee/start")["NOOJEEJOB"]


def test_a_withheld_caller_is_skipped_and_nothing_is_stored(desk: Desk) -> None:
    told = desk.ask("skarabee", agi_callingpres="32")
    assert told["SKARABEESTATUS"] == "SKIPPED"
    assert "anonymous" in told["SKARABEEREASON"]
    assert told["SKARABEEJOB"] == ""
    desk.ask("skarabee", "call=next")
    assert [row.call for row in stored_in(desk)] == ["next"]


# -- what cannot be done -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_line", "args", "system", "reason"),
    [
        ("skarabe", [], "CALLSIGN", f'path "skarabe" is unknown, did you mean skarabee? {KNOWN}'),
        ("Skarabee", [], "SKARABEE", f'path "Skarabee" is unknown, did you mean skarabee? {KNOWN}'),
        ("noojee/begin", [], "NOOJEE", f'path "noojee/begin" is unknown, did you mean noojee/start? {KNOWN}'),
        ("noojee/end", [], "NOOJEE", f'path "noojee/end" is unknown, did you mean noojee/stop? {KNOWN}'),
        ("noojee/strat", [], "NOOJEE", f'path "noojee/strat" is unknown, did you mean noojee/start? {KNOWN}'),
        ("mor/nothing", [], "MOR", f'path "mor/nothing" is unknown; {KNOWN}'),
        ("zzz?wait=1", [], "CALLSIGN", f'path "zzz" is unknown; {KNOWN}'),
        ("", [], "CALLSIGN", f"no path given; {KNOWN}"),
        ("skarabee?wait=x", [], "SKARABEE", "option wait=x: wanted seconds from 0 to 60"),
        ("skarabee?wiat=1", [], "SKARABEE", "option wiat: unknown, the options are wait=SECONDS and account=NAME"),
        ("ping?wait=x", [], "CALLSIGN", "option wait=x: wanted seconds from 0 to 60"),
        ("ping", ["x"], "CALLSIGN", "1 arguments, but ping takes none"),
        ("noojee/stop", ["1", "2", "3", "4"], "NOOJEE", "4 arguments, but noojee/stop takes at most 3: "),
        ("noojee/start", ["a b"], "NOOJEE", "extenOrUniqueId: wanted an extension or a unique id"),
        ("skarabee", ["businessid=1"], "SKARABEE", "businessid 1: no such office in the settings, known: 8103"),
    ],
)
def test_what_cannot_be_done_is_an_error_with_its_reason(
    desk: Desk, request_line: str, args: list[str], system: str, reason: str
) -> None:
    told = desk.ask(request_line, *args)
    assert told[f"{system}STATUS"] == "ERROR"
    assert told[f"{system}REASON"].startswith(reason)
    assert told.get(f"{system}JOB", "") == ""
    assert desk.seen == []


@pytest.mark.parametrize(("request_line", "section"), [("skarabee", "skarabee"), ("noojee/stop", "noojee")])
def test_a_missing_section_is_an_error_that_names_it(tmp_path: Path, request_line: str, section: str) -> None:
    with open_desk(tmp_path, "") as desk:
        told = desk.ask(request_line)
    assert told[f"{section.upper()}STATUS"] == "ERROR"
    assert f"no section [{section}]" in told[f"{section.upper()}REASON"]
    assert "callsign.toml" in told[f"{section.upper()}REASON"]


def test_settings_that_are_read_again_count_for_the_next_call(desk: Desk, tmp_path: Path) -> None:
    desk.settings = load(tmp_path, NOOJEE)
    assert desk.ask("skarabee")["SKARABEESTATUS"] == "ERROR"


def test_a_store_that_cannot_be_written_is_an_error_and_the_call_goes_on(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    settings = load(tmp_path, SKARABEE)
    outbox = Outbox(in_the_way / "outbox.db")
    try:
        delivery = Delivery(outbox, lambda: settings, lambda *_: NoAnswer("", sent=False))
        asking = Asking(lambda: settings, lambda *_: NoAnswer("", sent=False))
        told = answer(a_step("skarabee"), Services(lambda: settings, outbox, delivery.outcomes.wait_for, asking.ask))
    finally:
        outbox.close()
    assert told["SKARABEESTATUS"] == "ERROR"
    assert str(in_the_way) in told["SKARABEEREASON"]
    assert told["SKARABEEJOB"] == ""


# -- our own faults ------------------------------------------------------------------------------------


def _no_settings() -> Any:
    raise RuntimeError(f"a text with {CALLER} in it")


def test_a_fault_of_ours_is_an_error_and_never_an_exception(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    told = answer(a_step("skarabee"), replace(desk.services, settings=_no_settings))
    assert told == {
        "SKARABEESTATUS": "ERROR",
        "SKARABEEREASON": "a fault in callsign itself, see its log",
        "SKARABEEJOB": "",
    }
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("callsign.step", "ERROR")
    assert "path=skarabee" in record.getMessage()
    assert "RuntimeError at steps/test_answer.py:" in record.getMessage()  # where, and not what it said
    assert CALLER not in caplog.text


def test_a_fault_after_the_job_is_stored_leaves_it_queued(desk: Desk) -> None:
    # as when no thread can be started: what is stored will be delivered, and the dialplan must know
    def no_threads(_job: int, _seconds: float) -> None:
        raise RuntimeError("can't start new thread")

    told = answer(a_step("skarabee?wait=1"), replace(desk.services, wait_for=no_threads))
    assert told["SKARABEESTATUS"] == "QUEUED"
    assert told["SKARABEEREASON"] == "a fault in callsign itself, see its log"
    assert desk.end_of(told) == (State.DELIVERED, "")


# -- numbers stay in -----------------------------------------------------------------------------------


def test_no_callers_number_is_in_a_log_or_a_reason(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    desk.vendor = says({"Status": "HASH_MISMATCH", "Message": f"phonefrom {CALLER} to +32 56 52 89 98"})
    steps = [
        a_step("skarabee?wait=20", agi_dnid="056528998"),
        a_step("skarabee?wait=20", "+32478123456", "056528998", agi_callingpres="32"),
        a_step("skarabee", "", "", CALLER),
        a_step("skarabee", CALLER, CALLER, CALLER, CALLER, CALLER),
        a_step(f"skarabee?wait={CALLER}"),
        a_step(f"skarabee?{CALLER}=1"),
        a_step(f"skarabee/{CALLER}"),
        a_step(CALLER),
        a_step("skarabee", f"call=pbx2-1700000000.5;told={CALLER}", agi_dnid=CALLER),
        a_step("noojee/start", f"{CALLER} x"),
        a_step("noojee/start", f"call=pbx2-1700000000.5;told={CALLER}"),
        a_step("ping", CALLER),
    ]
    reasons = []
    for step in steps:
        told = answer(step, desk.services)
        log_step(step, told, 1.0)
        reasons += [value for name, value in told.items() if name.endswith("REASON")]
    assert "phonefrom … to …" in reasons[0]
    assert len(caplog.records) > len(steps)
    for text in (caplog.text, *reasons):
        assert CALLER not in text
        assert CALLER.lstrip("0") not in text
        assert "52 89 98" not in text


def test_a_call_is_one_line_in_the_log(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "callsign.step")
    step = a_step("skarabee", agi_uniqueid="pbx\x1b[2J-1700000000.1")
    for told in (
        {"SKARABEESTATUS": "QUEUED", "SKARABEEREASON": "", "SKARABEEJOB": "7"},
        status_variables("x", "ERROR", "why"),
    ):
        log_step(step, told, 1.25)
    quiet, loud = caplog.records[:2]
    pbx = "pbx [2J-1700000000.1"
    assert quiet.getMessage() == f"call={pbx} channel={pbx} path=skarabee job=7 QUEUED ms=1.2"
    assert quiet.levelname == "INFO"
    assert loud.getMessage().endswith("ERROR ms=1.2: why")
    assert loud.levelname == "WARNING"
    for status in ("REFUSED", "UNREACHABLE"):
        log_step(step, status_variables("skarabee", status, "why"), 1.0)
        assert caplog.records[-1].levelname == "WARNING"
    log_step(read_step({}, []), {}, 1.0)
    assert caplog.records[-1].getMessage() == "call=- channel=- path=- job=- - ms=1.0"


# -- any step ------------------------------------------------------------------------------------------

paths = st.one_of(st.sampled_from([*HANDLERS, "mor/balance", "", "skarabee/x"]), st.text(max_size=20))
options = st.one_of(st.sampled_from(["", "?", "?wait=0", "?wait=0.01", "?wait=x", "?x"]), st.text(max_size=9))
args = st.one_of(
    st.text(max_size=20), st.sampled_from(["phoneto=056528998", "call=1", "extenOrUniqueId=201", "x" * 999])
)
names = st.sampled_from(["agi_callerid", "agi_dnid", "agi_extension", "agi_uniqueid", "agi_callingpres"])
lines = st.dictionaries(names, st.one_of(st.text(max_size=30), st.sampled_from(["unknown", "s", "32", "056528998"])))


@pytest.fixture(scope="module")
def busy_desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with open_desk(tmp_path_factory.mktemp("busy")) as desk:
        yield desk


@settings(deadline=None)
@given(st.builds("{}{}".format, paths, options), st.lists(args, max_size=5), lines)
def test_any_step_gets_the_variables_of_its_system(
    busy_desk: Desk, request_line: str, given_: list[str], env: dict[str, str]
) -> None:
    step = a_step(request_line, *given_, **env)
    told = answer(step, busy_desk.services)
    system = system_of(step.path).upper()
    assert told[f"{system}STATUS"] in {"OK", "QUEUED", "SKIPPED", "ERROR"}
    assert told[f"{system}REASON"] != "a fault in callsign itself, see its log"
    assert all(name.startswith(system) for name in told)
    assert all(value.isprintable() and len(value) <= MAX_REASON_CHARACTERS for value in told.values())
    if told[f"{system}STATUS"] == "ERROR":
        assert told[f"{system}REASON"]


@pytest.mark.parametrize(
    ("path", "system"),
    [
        *((path, path.partition("/")[0].replace("ping", "callsign")) for path in HANDLERS),
        *(("mor/x", "mor"), ("KALLIOPE", "kalliope"), ("sraps/x/y", "sraps")),
        *(
            ("server", "callsign"),
            ("outbox/x", "callsign"),
            ("numbers", "callsign"),
            ("", "callsign"),
            ("x", "callsign"),
        ),
    ],
)
def test_a_path_sets_the_variables_of_the_system_it_begins_with(path: str, system: str) -> None:
    assert system_of(path) == system


def test_a_reason_is_one_short_line() -> None:
    told = status_variables("skarabee", "ERROR", "a\r\nb\x00" + "x" * 999)
    assert told["SKARABEEREASON"].startswith("a b")
    assert told["SKARABEEREASON"].isprintable()
    assert len(told["SKARABEEREASON"]) == MAX_REASON_CHARACTERS
    assert "CALLSIGNJOB" not in status_variables("callsign", "ERROR", "")


def test_a_step_without_any_line_gets_an_error(desk: Desk) -> None:
    for path in ("skarabee", "noojee/start", "noojee/stop"):
        told = answer(Step(path, {}, (), {}), desk.services)
        assert told[f"{system_of(path).upper()}STATUS"] == "ERROR"


def test_the_stored_call_is_the_one_that_was_named(desk: Desk) -> None:
    desk.ask("skarabee", f"call={UNIQUE_ID}x")
    assert [row.call for row in stored_in(desk)] == [f"{UNIQUE_ID}x"]
