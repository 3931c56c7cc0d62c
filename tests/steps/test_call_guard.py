"""A call whose own thread is held is told by another and goes on; the thread finds it gone and stays silent."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from ipaddress import ip_network

import pytest

from agi_lines import say_that_it_was_all
from callsign.agi.session import AgiSession
from callsign.sandbox.asterisk.behaviour import Conduct, Session
from callsign.sandbox.asterisk.call import Call
from callsign.sandbox.asterisk.play import run_fastagi
from callsign.server import listening
from callsign.steps import call_guard
from callsign.steps.step import Step
from fastagi import AnsweringServer
from waiting import WAIT_SECONDS, wait_until


class Held:
    """A server whose answers are held while `hold` is clear; a step of 0.2 s is late."""

    def __init__(self) -> None:
        self.hold = threading.Event()
        self.answered = threading.Semaphore(0)
        self.waiting = 0
        networks = ip_network("127.0.0.1")
        self.server = AnsweringServer(listening.new(("127.0.0.1", 0)), lambda: (networks,), self._answer)

    def _answer(self, step: Step) -> dict[str, str]:
        self.waiting += 1
        self.hold.wait(WAIT_SECONDS)
        self.answered.release()
        return {"SKARABEESTATUS": "QUEUED", "SKARABEEREASON": "", "SKARABEEJOB": "7"}

    def call(self, path: str = "skarabee") -> Session:
        url = f"agi://127.0.0.1:{self.server.address[1]}/{path}"
        return run_fastagi(url, Call(callerid="056528999"), conduct=Conduct(timeout_seconds=WAIT_SECONDS))


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    monkeypatch.setattr(call_guard, "longest_seconds", lambda step: 60.0 if step.options else 0.2)
    monkeypatch.setattr(call_guard, "LOOK_SECONDS", 0.02)
    made = Held()
    made.server.start()
    yield made
    made.hold.set()
    made.server.stop(WAIT_SECONDS)


def test_a_call_that_is_answered_in_time_hears_its_own_thread(held: Held) -> None:
    held.hold.set()
    assert held.call().variables["SKARABEEJOB"] == "7"


def test_a_held_call_goes_on_with_error_and_is_told_once(held: Held) -> None:
    session = held.call()
    assert session.status == "SUCCESS"
    assert (session.variables["SKARABEESTATUS"], session.variables["SKARABEEJOB"]) == ("ERROR", "")
    assert "may be stored all the same" in session.variables["SKARABEEREASON"]
    held.hold.set()
    assert held.answered.acquire(timeout=WAIT_SECONDS)
    assert held.call().variables["SKARABEEJOB"] == "7", "its thread takes calls again"


def test_a_call_that_is_being_told_hears_nothing_of_its_own_thread(held: Held) -> None:
    address = held.server.address[:2]
    block = Call(callerid="056528999").environment(f"agi://127.0.0.1:{address[1]}/skarabee")
    with socket.create_connection(address, WAIT_SECONDS) as asterisk:
        asterisk.sendall("".join(f"{line}\n" for line in [*block, ""]).encode())
        say_that_it_was_all(asterisk)
        commands = asterisk.recv(4096)
        held.hold.set()
        wait_until(lambda: held.server.sessions == 0)
        asterisk.sendall(b"200 result=1\n")
        while data := asterisk.recv(4096):
            commands += data
            asterisk.sendall(b"200 result=1\n")
    assert b"ERROR" in commands
    assert b"QUEUED" not in commands


def test_a_call_whose_own_thread_comes_back_at_that_very_moment_hears_only_that(
    held: Held, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    end = call_guard.CallGuard.end

    def end_second(calls: call_guard.CallGuard, session: AgiSession) -> bool:
        if threading.current_thread().name == "call-guard":
            held.hold.set()
            wait_until(lambda: session not in calls._held)
        return end(calls, session)

    monkeypatch.setattr(call_guard.CallGuard, "end", end_second)
    assert held.call().variables["SKARABEESTATUS"] == "QUEUED"
    held.server.stop(WAIT_SECONDS)
    for name in ("call-guard", "call-guard-tells"):  # the one begins the other
        for thread in [one for one in threading.enumerate() if one.name == name]:
            thread.join(WAIT_SECONDS)
    assert "goes on with ERROR" not in caplog.text


def test_held_calls_go_on_beside_each_other_and_their_places_are_free_again(held: Held) -> None:
    calls = [threading.Thread(target=held.call) for _ in range(20)]
    for call in calls:
        call.start()
    for call in calls:
        call.join(WAIT_SECONDS)
        assert not call.is_alive()
    held.hold.set()
    for _ in calls:
        assert held.answered.acquire(timeout=WAIT_SECONDS)
    wait_until(lambda: held.call().variables["SKARABEEJOB"] == "7")


def test_held_calls_go_on_though_no_more_threads_are_to_be_had(held: Held, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue("no_more_threads")  # those of the server are there by now
    for _ in range(2):
        assert held.call().variables["SKARABEESTATUS"] == "ERROR"


def test_a_fault_of_ours_leaves_a_held_call_its_status(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as fault:
        fault.setattr(AgiSession, "set_variables", lambda *args, **more: [][1])
        session = held.call()
    assert (session.status, session.variables["SKARABEESTATUS"]) == ("SUCCESS", "ERROR")


def test_a_fault_of_ours_behind_that_leaves_the_call_a_status_and_so_has_the_next_one(
    held: Held, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as fault:
        fault.setattr(call_guard, "ids_of", lambda step: [][1])
        assert held.call().variables["SKARABEESTATUS"] == "ERROR"
    assert "a fault in callsign itself: IndexError at steps/test_call_guard.py:" in caplog.text
    assert held.call().variables["SKARABEESTATUS"] == "ERROR"


def test_a_fault_of_ours_in_the_looking_does_not_end_it(
    held: Held, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_connection(held.server.address[:2], WAIT_SECONDS) as asterisk, monkeypatch.context() as fault:
        fault.setattr(call_guard, "_tell", lambda *_: [][1])
        asterisk.sendall(b"agi_network_script: skarabee\n\n")
        say_that_it_was_all(asterisk)
        asterisk.settimeout(WAIT_SECONDS)
        assert asterisk.recv(1) == b""  # that call goes on, the next one is told
    assert "a fault in callsign itself: IndexError" in caplog.text
    assert held.call().variables["SKARABEESTATUS"] == "ERROR"


@pytest.mark.parametrize(
    ("context", "fresh_seconds", "is_told"),
    [("callsign-step", WAIT_SECONDS, False), ("callsign-step", 0.0, True), ("from-trunk", WAIT_SECONDS, True)],
)
def test_at_the_end_a_subroutine_that_has_just_called_is_left_to_its_fallback_and_another_call_is_told(
    held: Held, context: str, fresh_seconds: float, is_told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_guard, "FRESH_SECONDS", fresh_seconds)
    address = held.server.address[:2]
    block = f"agi_network_script: mor/caller?wait=60\nagi_context: {context}\n\n"
    with socket.create_connection(address, WAIT_SECONDS) as asterisk:
        asterisk.sendall(block.encode())
        say_that_it_was_all(asterisk)
        wait_until(lambda: held.waiting == 1)
        assert held.server.stop(0.0) == 1
        commands = b""
        while data := asterisk.recv(4096):
            commands += data
            asterisk.sendall(b"200 result=1\n" * data.count(b"\n"))
    assert (b"MORSTATUS" in commands) == is_told
    assert (b"was stopped while" in commands) == is_told


def test_an_end_waits_until_its_last_calls_have_heard(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_guard, "LAST_SECONDS", WAIT_SECONDS)
    has_heard = threading.Event()
    with socket.create_connection(held.server.address[:2], WAIT_SECONDS) as asterisk:
        asterisk.sendall(b"agi_network_script: mor/caller?wait=60\nagi_context: from-trunk\n\n")
        say_that_it_was_all(asterisk)
        wait_until(lambda: held.waiting == 1)

        def hear() -> None:
            while data := asterisk.recv(4096):
                has_heard.wait(0.1)  # a busy Asterisk takes its time
                asterisk.sendall(b"200 result=1\n" * data.count(b"\n"))
            has_heard.set()
            asterisk.shutdown(socket.SHUT_WR)

        hearing = threading.Thread(target=hear)
        hearing.start()
        held.server.stop(0.0)
        is_told = has_heard.is_set()
        hearing.join(WAIT_SECONDS)
    assert is_told


def test_a_step_may_take_its_wait_and_what_the_store_may_take() -> None:
    longest = call_guard.longest_seconds
    assert longest(Step("skarabee", {}, (), {})) == 1.0
    assert longest(Step("noojee/start", {}, (), {})) == 3.0
    assert longest(Step("noojee/start", {"wait": "10"}, (), {})) == 11.0
    assert longest(Step("noojee/start", {"wait": "x"}, (), {})) == 1.0
    assert longest(Step("unknown", {}, (), {})) == 1.0
    assert longest(Step("ping", {}, (), {})) == 1.0
