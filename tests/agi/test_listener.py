"""The FastAGI server with real threads and sockets, Asterisk's side played against it."""

from __future__ import annotations

import errno
import gc
import logging
import os
import resource
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from ipaddress import ip_network
from typing import Any

import pytest

from agi_lines import say_that_it_was_all
from callsign.agi import block as agi_block
from callsign.agi import fault_status, listener, peer_log, places, socket_connection, waiting_peers
from callsign.agi import session as agi_session
from callsign.agi.block import LINE_BREAK, NOT_CONFIRMED, AgiBlock
from callsign.agi.listener import Networks, is_allowed
from callsign.agi.session import AgiSession, BadPeer
from callsign.agi.socket_connection import SocketConnection
from callsign.agi.waiting_peers import WaitingPeers
from callsign.sandbox.asterisk.behaviour import Conduct, Session
from callsign.sandbox.asterisk.call import Call
from callsign.sandbox.asterisk.play import run_fastagi
from callsign.server import listening
from callsign.steps import attend, call_guard
from callsign.steps import step as dialplan_step
from callsign.steps.attend import Note
from callsign.steps.call_guard import CallGuard
from callsign.steps.step import Step
from fastagi import AnsweringServer
from waiting import wait_until

WAIT_SECONDS = 10.0  # for what comes at once
LOOPBACK: Networks = (ip_network("127.0.0.1"),)
TOLD = {"PINGSTATUS": "OK", "PINGREASON": "", "PINGJOB": "1"}
CONDUCT = Conduct(timeout_seconds=WAIT_SECONDS)

Answer = Callable[[Step], dict[str, str]]


@contextmanager
def running(
    answer: Answer = lambda step: TOLD,
    allow: Networks | Callable[[], Networks] = LOOPBACK,
    host: str = "127.0.0.1",
    on_end: Callable[[], None] = lambda: None,
    note: Note = lambda _step, _variables: None,
) -> Iterator[AnsweringServer]:
    given = listening.new((host, 0)), lambda: allow() if callable(allow) else allow, answer
    server = AnsweringServer(*given, on_end, note)
    server.start()
    try:
        yield server
    finally:
        server.stop(WAIT_SECONDS)
        for thread in agi_threads():
            thread.join(WAIT_SECONDS)
        assert agi_threads() == []


BLOCK = b"agi_request: agi://127.0.0.1/ping\nagi_network_script: ping\nagi_uniqueid: 1700000000.1\n\n"


def url(server: AnsweringServer) -> str:
    return f"agi://127.0.0.1:{server.address[1]}/ping"


def place_call(server: AnsweringServer, conduct: Conduct = CONDUCT, call: Call | None = None) -> Session:
    return run_fastagi(url(server), call or Call(), conduct=conduct)


def connect(server: AnsweringServer, data: bytes = b"") -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", server.address[1]), WAIT_SECONDS)
    sock.sendall(data)
    return sock


def vanish(_: str) -> bytes:
    """An answer of an Asterisk that is gone before it gives it."""
    raise TimeoutError


def vanish_in_answer(server: AnsweringServer) -> None:
    with connect(server, BLOCK) as sock:
        say_that_it_was_all(sock)
        assert sock.recv(4096).startswith(b"EXEC MSet")
        sock.sendall(b"200 re")


VANISHING: dict[str, Callable[[AnsweringServer], object]] = {
    "in the block": lambda server: connect(server, BLOCK[: len(BLOCK) // 2]).close(),
    "behind the block": lambda server: connect(server, BLOCK).close(),
    "behind a command": lambda server: place_call(server, Conduct(timeout_seconds=WAIT_SECONDS, replies=vanish)),
    "in an answer": vanish_in_answer,
}
"""Where Asterisk vanishes, its connection closed without a word."""


def send_without_end(sock: socket.socket) -> None:
    while True:
        sock.sendall(b"x" * 1000)


def is_closed(sock: socket.socket) -> bool:
    """Whether the other side ends the connection; waits for it."""
    try:
        return sock.recv(1) == b""
    except ConnectionError:
        return True


def agi_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "agi"]


def lines(caplog: pytest.LogCaptureFixture, level: int = logging.WARNING) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= level]


@contextmanager
def no_more_files() -> Iterator[None]:
    """This process cannot open anything within the block."""
    gc.collect()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 1, hard))
    taken: list[int] = []
    try:
        with suppress(OSError):
            while True:
                taken.append(os.dup(0))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in taken:
            os.close(fd)


class Gate:
    """An answer that holds each call until it is opened, and counts the calls that it holds."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.changed = threading.Condition()
        self.held = self.most_held = 0

    def __call__(self, step: Step) -> dict[str, str]:
        with self.changed:
            self.held += 1
            self.most_held = max(self.held, self.most_held)
            self.changed.notify_all()
        assert self.opened.wait(WAIT_SECONDS)
        with self.changed:
            self.held -= 1
        return TOLD

    def holds(self, count: int, seconds: float = WAIT_SECONDS) -> bool:
        with self.changed:
            return self.changed.wait_for(lambda: self.held >= count, seconds)


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.opened.set()


@pytest.fixture
def callers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(64) as pool:
        yield pool


class TestACall:
    def test_gets_its_variables_and_goes_on(self) -> None:
        with running() as server:
            session = place_call(server)
        assert session.variables == TOLD
        assert session.ended_well

    def test_gets_all_of_those_that_go_one_by_one(self) -> None:
        """Commas and letters beyond ASCII do, see set_variables; the end comes behind the last."""
        told = {"SRAPSSTATUS": "OK", "SRAPSNAME": "Büro, hinten", "SRAPSPROFILE": "Empfang (groß)", "SRAPSJOB": ""}
        with running(lambda step: told) as server:
            session = place_call(server)
        assert session.variables == told
        assert session.ended_well

    @pytest.mark.parametrize("size", [16, 1])
    def test_gets_them_however_its_bytes_come(self, size: int) -> None:
        with running() as server:
            session = place_call(server, Conduct(timeout_seconds=WAIT_SECONDS, send_bytes=size))
        assert session.variables == TOLD
        assert session.ended_well

    def test_is_answered_by_what_it_asked(self) -> None:
        steps: list[Step] = []

        def answer(step: Step) -> dict[str, str]:
            steps.append(step)
            return TOLD

        with running(answer) as server:
            place = f"agi://127.0.0.1:{server.address[1]}/noojee/start?wait=2"
            run_fastagi(place, Call(callerid="0123", uniqueid="17.1"), ["", "tag=x"], CONDUCT)
        (step,) = steps
        assert (step.path, step.options, list(step.args)) == ("noojee/start", {"wait": "2"}, ["", "tag=x"])
        assert step.fact("agi_callerid") == "0123"

    def test_that_was_hung_up_before_is_told_too(self) -> None:
        with running() as server:
            assert place_call(server, Conduct(timeout_seconds=WAIT_SECONDS, dead=True)).variables == TOLD
            assert place_call(server, Conduct(timeout_seconds=WAIT_SECONDS, hangup_after=0)).variables == TOLD

    @pytest.mark.parametrize("point", VANISHING)
    def test_that_vanishes_at_any_point_affects_no_other(self, point: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(places, "MAX_SESSIONS", 1)
        with running() as server:
            VANISHING[point](server)
            assert place_call(server).variables == TOLD

    def test_that_never_replies_is_given_up(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(agi_session, "REPLY_SECONDS", 0.05)
        monkeypatch.setattr(places, "MAX_SESSIONS", 1)
        with running() as server:
            with connect(server, BLOCK) as silent:
                say_that_it_was_all(silent)
                wait_until(lambda: len(lines(caplog)) == 1)
                assert silent.recv(4096).startswith(b"EXEC MSet ")
            monkeypatch.setattr(agi_session, "REPLY_SECONDS", WAIT_SECONDS)
            assert place_call(server).variables == TOLD
        assert len(lines(caplog)) == 1
        assert "the status could not be set" in lines(caplog)[0]

    def test_has_its_status_and_the_end_in_one_so_that_it_goes_on_before_its_reply_is_read(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(agi_session, "REPLY_SECONDS", 10 * WAIT_SECONDS)  # else its end would let the call go on
        with running() as server, connect(server, BLOCK) as slow:
            say_that_it_was_all(slow)
            told = b""
            while data := slow.recv(4096):  # to the end of file, though nothing was replied
                told += data
            assert told.startswith(b"EXEC MSet ")
            assert told.count(b"\n") == 1
            slow.sendall(b"200 result=0\n")

    @pytest.mark.parametrize(
        "reply", [b"510 Invalid or unknown command\n", b"520 Wrong\n", b"200 result=-1\n", b"200 junk\n"]
    )
    def test_whose_variables_are_refused_ends_all_the_same(
        self, reply: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(agi_session, "REPLY_SECONDS", 0.05)
        with running() as server:
            session = place_call(server, Conduct(timeout_seconds=WAIT_SECONDS, replies=lambda _: reply))
        assert session.status == "SUCCESS"
        assert any("the status could not be set" in line for line in lines(caplog))

    @pytest.mark.parametrize(
        "call",
        [
            *(call for point, call in VANISHING.items() if point != "in the block"),
            lambda server: place_call(server, Conduct(timeout_seconds=WAIT_SECONDS, replies=lambda _: b"510 x\n")),
            lambda server: place_call(server, Conduct(timeout_seconds=WAIT_SECONDS, replies=lambda _: b"x" * 9000)),
            place_call,
        ],
    )
    def test_however_it_ends_tells_that_its_job_may_be_delivered_and_is_a_line_in_the_log(
        self, call: Callable[[AnsweringServer], object], caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        ended = threading.Event()
        with running(on_end=ended.set) as server:
            call(server)
            assert ended.wait(WAIT_SECONDS)
            wait_until(lambda: any(" path=" in line for line in lines(caplog, logging.INFO)))

    def test_that_never_closes_holds_no_thread(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(socket_connection, "DRAIN_SECONDS", 0.05)
        monkeypatch.setattr(places, "MAX_SESSIONS", 1)
        with running() as server, connect(server, b"agi_network: yes\n\n") as sock:
            say_that_it_was_all(sock)
            assert sock.recv(100).startswith(b"EXEC MSet")
            sock.sendall(b"200 result=0\n")
            assert sock.recv(100) == b""
            assert place_call(server).variables == TOLD

    def test_may_have_a_last_word(self) -> None:
        with running() as server, connect(server, b"agi_network: yes\n\n") as sock:
            say_that_it_was_all(sock)
            assert sock.recv(100).startswith(b"EXEC MSet")
            sock.sendall(b"200 result=0\n")
            assert sock.recv(100) == b""
            for _ in range(3):
                sock.sendall(b"HANGUP\n")
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0

    def test_is_logged_without_its_numbers(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        call = Call(callerid="056528999", calleridname="Alice", extension="056528998", dnid="056528997", rdnis="0411")
        with running() as server:
            place_call(server, call=call)
            place_call(server, Conduct(timeout_seconds=WAIT_SECONDS, replies=vanish), call)
            place_call(server, Conduct(timeout_seconds=WAIT_SECONDS, replies=lambda _: b"510 x\n"), call)
        said = "\n".join(lines(caplog, logging.DEBUG))
        assert said.count(call.uniqueid) >= 3
        for secret in ("0565289", "Alice", "0411"):
            assert secret not in said

    def test_whose_id_holds_control_characters_does_not_forge_the_log(self, caplog: pytest.LogCaptureFixture) -> None:
        def fail(step: Step) -> dict[str, str]:
            raise RuntimeError

        with running(fail) as server, connect(server, b"agi_uniqueid: 17.1\x1b[2J\rx\n\n") as sock:
            say_that_it_was_all(sock)
            assert b"CALLSIGNSTATUS" in sock.recv(4096)
        wait_until(lambda: bool(lines(caplog)))
        assert "\x1b" not in lines(caplog)[0]
        assert "\r" not in lines(caplog)[0]


FAULTY = {"CALLSIGNSTATUS": "ERROR", "CALLSIGNREASON": "a fault in callsign itself, see its log"}

STAGES = [  # what a call passes, from accept() to its end, and the variables that it has if a fault comes there
    (listener, "is_allowed", ValueError, FAULTY),
    (listener, "SocketConnection", OSError, FAULTY),
    (WaitingPeers, "wait", ValueError, FAULTY),
    (agi_session, "AgiBlock", MemoryError, FAULTY),
    (AgiBlock, "read", ValueError, FAULTY),
    (attend, "AgiSession", ValueError, FAULTY),
    (AgiSession, "confirm", OSError, FAULTY),
    (AgiBlock, "hear_out", ValueError, FAULTY),
    (attend, "read_step", ValueError, FAULTY),
    (attend, "read_step", OSError, FAULTY),
    (dialplan_step, "_decodable", ValueError, FAULTY),
    (CallGuard, "begin", ValueError, FAULTY),
    (call_guard, "longest_seconds", ValueError, FAULTY),
    (CallGuard, "end", ValueError, TOLD),
    (AgiSession, "set_variables", ValueError, TOLD),
    (AgiSession, "send_command", MemoryError, TOLD),
    (AgiSession, "get_result", ValueError, TOLD),
    (SocketConnection, "finish", ValueError, TOLD),
    (attend, "log_step", ValueError, TOLD),
]


class TestOurOwnFaults:
    def test_cost_the_pool_no_thread(self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
        monkeypatch.setattr(places, "MAX_SESSIONS", 1)
        faults = [ValueError("caller 056528999"), RecursionError(), ZeroDivisionError()]

        def answer(step: Step) -> dict[str, str]:
            if faults:
                raise faults.pop()
            return TOLD

        with running(answer) as server:
            for _ in range(3):
                session = place_call(server)
                assert (session.status, session.variables) == ("SUCCESS", FAULTY)
            assert place_call(server).variables == TOLD
        said = lines(caplog, logging.ERROR)
        assert len(said) == 3
        assert "ValueError" in said[2]
        assert "056528999" not in said[2]

    @pytest.mark.parametrize(("owner", "name", "kind", "told"), STAGES)
    def test_at_any_stage_leave_the_call_its_status(
        self,
        owner: object,
        name: str,
        kind: type[Exception],
        told: dict[str, str],
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        working = getattr(owner, name)
        faulty = [1]

        def stage(*args: Any, **more: Any) -> Any:
            if faulty:
                faulty.pop()
                raise kind("caller 056528999")
            return working(*args, **more)

        monkeypatch.setattr(owner, name, stage)
        with running() as server:
            session = place_call(server, call=Call(uniqueid="1700000000.1"))
            assert session.status == "SUCCESS"
            assert session.variables == told
            wait_until(lambda: not faulty)
            assert place_call(server).variables == TOLD
        assert not any("056528999" in line for line in lines(caplog))

    def test_leave_each_value_what_asterisk_can_read_as_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        told = {"SKARABEESTATUS": "REFUSED", "SKARABEEREASON": 'it said "no \\ way"\nHANGUP', "SKARABEEJOB": "7"}
        monkeypatch.setattr(AgiSession, "set_variables", lambda *_, **__: [][1])
        with running(lambda step: told) as server:
            session = place_call(server)
        assert (session.status, session.trouble) == ("SUCCESS", "")
        assert session.variables == {**told, "SKARABEEREASON": "it said no  wayHANGUP"}

    @pytest.mark.parametrize("place", ["before its session", "at its end", "after it was told"])
    def test_around_a_call_cost_the_pool_neither_a_thread_nor_a_place(
        self, place: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(places, "MAX_SESSIONS", 1)
        faulty = threading.Event()
        faulty.set()

        def fault_at(here: str) -> None:
            if here == place and faulty.is_set():
                raise ValueError("caller 056528999")

        def said_so_often(number: int) -> bool:
            return len(lines(caplog, logging.ERROR)) == number

        def allow() -> Networks:
            fault_at("before its session")
            return LOOPBACK

        with running(allow=allow, on_end=lambda: fault_at("at its end")) as server:
            server.attendant.on_step = lambda step, told, seconds: fault_at("after it was told")
            for number in range(1, 4):
                place_call(server)
                wait_until(partial(said_so_often, number))
            faulty.clear()
            assert place_call(server).variables == TOLD
            wait_until(lambda: not server.sessions)
        said = lines(caplog, logging.ERROR)
        assert len(said) == 3
        assert "ValueError" in said[0]
        assert "056528999" not in said[0]

    def test_what_is_noted_of_a_step_holds_no_call_and_costs_none_its_status(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        may_note = threading.Event()

        def note(step: Step, told: dict[str, str]) -> None:
            assert may_note.wait(WAIT_SECONDS)
            raise ValueError("caller 056528999")

        with running(note=note) as server:
            assert place_call(server).variables == TOLD
            may_note.set()
            wait_until(lambda: len(lines(caplog, logging.ERROR)) == 1)
            assert place_call(server).variables == TOLD

    def test_at_the_door_do_not_close_it(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(listener, "FAILED_ACCEPT_SECONDS", 0.0)
        faults = [MemoryError("caller 056528999") for _ in range(2 * places.SPARE_THREADS)]

        class Door(socket.socket):
            def accept(self) -> tuple[socket.socket, Any]:
                if faults:
                    raise faults.pop()
                return super().accept()

        door = Door(fileno=listening.new(("127.0.0.1", 0)).detach())
        server = AnsweringServer(door, lambda: LOOPBACK, lambda step: TOLD)
        server.start()
        wait_until(lambda: not faults)
        assert place_call(server).variables == TOLD
        server.stop(WAIT_SECONDS)
        assert "calls cannot be accepted: a fault in callsign itself: MemoryError at " in caplog.text
        assert "056528999" not in caplog.text

    def test_in_what_is_left_to_do_cost_the_pool_neither_a_thread_nor_a_place(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(places, "MAX_SESSIONS", 1)
        faulty = [ValueError("caller 056528999") for _ in range(3)]

        def allow() -> Networks:
            if faulty:
                raise faulty.pop()
            return LOOPBACK

        with running(allow=allow) as server:
            with monkeypatch.context() as fault:
                fault.setattr(fault_status, "read_block", lambda receive: [][1])
                for _ in range(3):
                    place_call(server)
                wait_until(lambda: not faulty and not server.sessions)
            assert place_call(server).variables == TOLD
        assert "056528999" not in caplog.text

    def test_a_thread_that_cannot_be_started_costs_no_call(
        self, monkeypatch: pytest.MonkeyPatch, callers: ThreadPoolExecutor, gate: Gate
    ) -> None:
        monkeypatch.setattr(places, "SPARE_THREADS", 1)
        started = threading.Thread.start

        def start(thread: threading.Thread) -> None:
            if thread.name == "agi":
                raise RuntimeError("can't start new thread")
            started(thread)

        with running(gate) as server:
            monkeypatch.setattr(threading.Thread, "start", start)
            calls = [callers.submit(place_call, server) for _ in range(3)]
            assert gate.holds(1)
            gate.opened.set()
            assert [call.result(WAIT_SECONDS).variables for call in calls] == [TOLD] * 3
            monkeypatch.undo()

    def test_a_last_call_that_gets_no_thread_is_let_go_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def start(_: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        server = AnsweringServer(listening.new(("127.0.0.1", 0)), lambda: LOOPBACK, lambda step: TOLD)
        with connect(server, BLOCK) as call:
            monkeypatch.setattr(threading.Thread, "start", start)
            assert server.stop(0.0) == 0
            assert is_closed(call)

    def test_when_files_run_out_calls_wait_and_the_log_says_so_once(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(listener, "FAILED_ACCEPT_SECONDS", 0.01)
        monkeypatch.setattr(places, "MAX_SESSIONS", 2)
        monkeypatch.setattr(places, "SPARE_THREADS", 1)
        with running() as server, socket.socket() as first, socket.socket() as second:
            with no_more_files():
                for sock in (first, second):  # a thread in accept() may have a file for one call already
                    sock.settimeout(WAIT_SECONDS)
                    sock.connect(("127.0.0.1", server.address[1]))
                    sock.sendall(b"agi_network: yes\n\n")
                wait_until(lambda: bool(lines(caplog)))
                time.sleep(0.05)  # room for a second line that must not come
            for sock in (first, second):
                say_that_it_was_all(sock)
                assert sock.recv(100).startswith(b"EXEC MSet")
                sock.sendall(b"200 result=0\n")
        assert ["cannot be accepted" in line for line in lines(caplog)] == [True, False]
        assert lines(caplog)[1] == "calls are accepted again"


class TestAForgedBlock:
    FORGED = b"agi_network_script: ping\nagi_uniqueid: 17.1\nagi_callerid: 0478123456\nagi_arg_1: 9\n\n"
    REST = b"agi_calleridname: unknown\nagi_threadid: 140000000000000\nagi_arg_1: call=17.1\n\n"

    @pytest.mark.parametrize("when", ["at once", "late", "late, behind an answer"])
    def test_is_answered_with_its_fault_and_the_call_goes_on(self, when: str, caplog: pytest.LogCaptureFixture) -> None:
        steps = []

        def answer(step: Step) -> dict[str, str]:
            steps.append(step)
            return TOLD

        with running(answer) as server, connect(server, self.FORGED) as sock:
            if when == "at once":
                sock.sendall(self.REST)
            command = sock.recv(200)
            if when != "at once":
                sock.sendall((b"200 result=1\n" if "answer" in when else b"") + self.REST)
            sock.sendall(b"200 result=1 (" + command.split()[-1] + b")\n")
            assert sock.recv(200) == b'GET FULL VARIABLE "${CHANNEL(linkedid)}"\n'
            sock.sendall(b"200 result=1 (17.2)\n")
            assert sock.recv(200).startswith(b"EXEC MSet")
            sock.sendall(b"200 result=0\n")
            assert is_closed(sock)
        assert [(step.fault, step.linkedid) for step in steps] == [(LINE_BREAK, "17.2")]

    @pytest.mark.parametrize(("source", "fault"), [("127.0.0.1", NOT_CONFIRMED), ("127.0.0.2", "")])
    def test_an_answer_without_the_mark_does_not_count_from_where_an_asterisk_called_before(
        self, source: str, fault: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(agi_block, "ANSWER_SECONDS", 0.05)
        steps: list[Step] = []

        def answer(step: Step) -> dict[str, str]:
            steps.append(step)
            return TOLD

        with running(answer, allow=(ip_network("127.0.0.0/24"),)) as server:
            place_call(server)
            steps.clear()
            with socket.create_connection(server.address, WAIT_SECONDS, (source, 0)) as sock:
                sock.sendall(BLOCK[:-1] + f"agi_version: {Call().version}\n\n200 result=1\n".encode())
                assert sock.recv(200).startswith(b"GET FULL VARIABLE")
                assert sock.recv(200).startswith(b"EXEC MSet")
        assert [step.fault for step in steps] == [fault]


class TestABadPeer:
    @pytest.mark.parametrize(
        "sent",
        [
            b"GET / HTTP/1.1\r\nHost: pbx\r\n\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 41234 4591\r\n",
            b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\x00",
            b"SSH-2.0-scanner\r\n",
            b"x" * 65535,
            b"agi_callerid: " + b"x" * 65528 + b"\n",
            b"agi_callerid: y\n" * 100_000,
            b"\n",
            bytes(range(256)) * 300,
        ],
        ids=[
            "http",
            "proxy-1",
            "proxy-2",
            "tls",
            "ssh",
            "no-line",
            "long-line",
            "endless-block",
            "empty-block",
            "binary",
        ],
    )
    def test_is_closed_with_one_line_in_the_log_and_the_next_call_is_served(
        self, sent: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(places, "MAX_SESSIONS", 1)
        caplog.set_level(logging.DEBUG)
        with running() as server:
            with socket.create_connection(("127.0.0.1", server.address[1]), WAIT_SECONDS) as sock:
                with suppress(ConnectionError):  # closed while it was still sending
                    sock.sendall(sent)
                assert is_closed(sock)
            wait_until(lambda: bool(caplog.records))
            said = lines(caplog, logging.DEBUG)
            assert place_call(server).variables == TOLD
        assert len(said) == 1
        assert said[0].startswith("peer 127.0.0.1: ")
        assert said[0].endswith(": closed")

    @pytest.mark.parametrize("sent", [b"", b"agi_network: yes\nagi_call"])
    def test_that_leaves_before_its_block_is_whole_is_one_line_in_the_log(
        self, sent: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(places, "MAX_SESSIONS", 1)
        with running() as server:
            connect(server, sent).close()
            assert place_call(server).variables == TOLD
        assert lines(caplog) == ["peer 127.0.0.1: its connection was closed before its agi_ block was whole: closed"]

    @pytest.mark.parametrize(
        "header",
        [
            b"PROXY TCP4 192.0.2.1 192.0.2.2 41234 4591\r\n" + BLOCK,
            b"PROXY UNKNOWN\r\n",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(range(12)) + BLOCK,
            b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
        ],
        ids=["1", "1-of-a-check", "2", "2-of-a-check"],
    )
    def test_that_sends_a_proxy_header_is_told_apart(self, header: bytes, caplog: pytest.LogCaptureFixture) -> None:
        with running() as server, connect(server, header) as sock:
            assert is_closed(sock)
        assert ["HAProxy's PROXY header" in line for line in lines(caplog)] == [True]

    @pytest.mark.parametrize("behave", ["closes", "resets", "is-not-allowed"])
    def test_that_comes_again_and_again_is_one_line_then_a_count(
        self, behave: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        allow = (ip_network("10.0.0.0/8"),) if behave == "is-not-allowed" else LOOPBACK
        with running(allow=allow) as server:

            def probe() -> None:
                with connect(server) as sock:
                    if behave == "resets":
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

            for _ in range(20):
                probe()
            wait_until(lambda: sum(entry.counted for entry in server.peers._entries.values()) == 19)
            said = lines(caplog)
            assert len(said) == 1
            later = time.monotonic() + peer_log.FIRST_PAUSE_SECONDS
            monkeypatch.setattr(peer_log.time, "monotonic", lambda: later)
            probe()
            wait_until(lambda: len(lines(caplog)) == 2)
            assert lines(caplog)[1] == said[0] + " (19 times more since the last such line)"
            server.peers.forget()
            probe()
            wait_until(lambda: lines(caplog)[2:] == said)

    def test_that_says_nothing_is_closed_when_its_time_is_up(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(places, "MAX_SESSIONS", 1)
        monkeypatch.setattr(agi_block, "BLOCK_SECONDS", 0.05)
        with running() as server:
            with connect(server) as sock:
                assert is_closed(sock)
            monkeypatch.setattr(agi_block, "BLOCK_SECONDS", WAIT_SECONDS)
            assert place_call(server).variables == TOLD
        assert lines(caplog) == ["peer 127.0.0.1: its agi_ block was not whole within 0.05 s: closed"]

    def test_that_stays_holds_no_thread(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(places, "MAX_SESSIONS", 1)
        monkeypatch.setattr(socket_connection, "DRAIN_SECONDS", 86400.0)
        with running() as server, connect(server, b"GET / HTTP/1.1\r\n"):
            assert place_call(server).variables == TOLD

    def test_that_goes_on_sending_is_not_read_to_its_end(self) -> None:
        with running() as server, connect(server, b"GET / HTTP/1.1\r\n") as sock, pytest.raises(ConnectionError):
            send_without_end(sock)

    def test_that_is_not_allowed_is_closed_at_once_with_one_line_in_the_log(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        allow = (ip_network("10.0.0.0/8"), ip_network("::1"))
        with running(allow=allow) as server, connect(server) as sock:
            assert is_closed(sock)
        assert lines(caplog) == ["peer 127.0.0.1 is not in [server] allow: closed"]

    def test_that_is_allowed_as_ipv4_may_connect_to_an_ipv6_socket(self, caplog: pytest.LogCaptureFixture) -> None:
        with running(host="::ffff:127.0.0.1") as server:
            assert place_call(server).variables == TOLD
        with running(host="::ffff:127.0.0.1", allow=(ip_network("127.0.0.2"),)) as server, connect(server) as sock:
            assert is_closed(sock)
        assert lines(caplog) == ["peer ::ffff:127.0.0.1 is not in [server] allow: closed"]


@pytest.mark.parametrize(
    ("peer", "networks", "allowed"),
    [
        ("127.0.0.1", ["127.0.0.1"], True),
        ("127.0.0.2", ["127.0.0.1"], False),
        ("192.168.1.77", ["127.0.0.1", "192.168.1.0/24"], True),
        ("192.168.2.77", ["127.0.0.1", "192.168.1.0/24"], False),
        ("::1", ["127.0.0.1", "::1"], True),
        ("::1", ["127.0.0.1"], False),
        ("127.0.0.1", ["::1"], False),
        ("::ffff:127.0.0.1", ["127.0.0.1"], True),
        ("::ffff:127.0.0.1", ["::1"], False),
        ("::ffff:10.1.2.3", ["10.0.0.0/8"], True),
        ("::ffff:10.1.2.3", ["::ffff:10.1.2.3"], True),
        ("fe80::1%eth0", ["fe80::/10"], True),
        ("fe80::1%eth0", ["fe80::2"], False),
        ("127.0.0.1", [], False),
    ],
)
def test_a_peer_is_allowed_by_the_networks_it_lies_in(peer: str, networks: list[str], allowed: bool) -> None:
    assert is_allowed(peer, tuple(map(ip_network, networks))) is allowed


class TestManyCalls:
    @pytest.mark.parametrize("spare", [1, 2, 8])
    def test_beyond_the_limit_wait_and_are_served_afterwards(
        self, spare: int, monkeypatch: pytest.MonkeyPatch, gate: Gate, callers: ThreadPoolExecutor
    ) -> None:
        monkeypatch.setattr(places, "MAX_SESSIONS", 3)
        monkeypatch.setattr(places, "SPARE_THREADS", spare)
        with running(gate) as server:
            calls = [callers.submit(place_call, server) for _ in range(12)]
            assert gate.holds(3)
            assert not gate.holds(4, 0.1)
            gate.opened.set()
            assert [call.result(WAIT_SECONDS).variables for call in calls] == [TOLD] * 12
        assert gate.most_held == 3

    def test_at_once_are_all_answered_at_once(
        self, monkeypatch: pytest.MonkeyPatch, gate: Gate, callers: ThreadPoolExecutor
    ) -> None:
        monkeypatch.setattr(places, "SPARE_THREADS", 2)
        with running(gate) as server:
            calls = [callers.submit(place_call, server) for _ in range(50)]
            assert gate.holds(50)
            gate.opened.set()
            assert all(call.result(WAIT_SECONDS).ended_well for call in calls)
            wait_until(lambda: len(agi_threads()) <= 3)  # two spare ones, and one that is about to end

    def test_leave_no_more_threads_than_are_kept(self, callers: ThreadPoolExecutor) -> None:
        with running() as server:
            assert all(session.ended_well for session in callers.map(lambda _: place_call(server), range(500)))
            wait_until(lambda: len(agi_threads()) <= places.SPARE_THREADS + 1)

    def test_of_bad_peers_leave_no_thread_behind(
        self, monkeypatch: pytest.MonkeyPatch, callers: ThreadPoolExecutor
    ) -> None:
        monkeypatch.setattr(places, "MAX_SESSIONS", 4)
        with running() as server:

            def disturb(number: int) -> None:
                with connect(server, (b"", b"junk\n", b"agi_x: y\n", b"agi_x: y\n\n")[number % 4]):
                    pass

            list(callers.map(disturb, range(400)))
            assert place_call(server).variables == TOLD
            assert len(agi_threads()) <= 4


class TestThoseThatKeepUsWaiting:
    """Here there are 10 places, and they are short when fewer than 4 are free."""

    @pytest.fixture(autouse=True)
    def few_places(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(places, "MAX_SESSIONS", 10)
        monkeypatch.setattr(waiting_peers, "PLACES_KEPT", 4)

    @pytest.mark.parametrize("block", [b"agi_network: yes\n", BLOCK], ids=["for-a-block", "for-a-reply"])
    def test_are_left_alone_while_places_are_free(self, block: bytes) -> None:
        with running() as server, ExitStack() as peers:
            slow = [peers.enter_context(connect(server, block)) for _ in range(4)]
            assert place_call(server).variables == TOLD
            for sock in slow:
                sock.sendall(b"\n" if block != BLOCK else b"")
                say_that_it_was_all(sock)
                assert sock.recv(100).startswith(b"EXEC MSet")
                sock.sendall(b"200 result=0\n")
                assert is_closed(sock)

    def test_give_way_the_longest_first_when_places_run_short(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        with running() as server, ExitStack() as peers:
            slow = []
            for block in (b"agi_network: yes\n", BLOCK) * 10:
                slow.append(peers.enter_context(connect(server, block)))
                if block == BLOCK:
                    say_that_it_was_all(slow[-1])
                    assert slow[-1].recv(100).startswith(b"EXEC MSet")
                else:
                    wait_until(
                        lambda: slow[-1].getsockname() in [s.getpeername() for s in list(server._waiting._waiting)]
                    )
            assert place_call(server).variables == TOLD
            assert is_closed(slow[0])
            slow[-2].sendall(b"\n")
            say_that_it_was_all(slow[-2])
            assert slow[-2].recv(100).startswith(b"EXEC MSet")
        assert [line for line in lines(caplog) if "places ran short" in line] == [
            "peer 127.0.0.1: places ran short, and it had kept us waiting for longest: closed"
        ]

    def test_do_not_give_way_while_what_they_have_sent_lies_unread(self) -> None:
        waiting = WaitingPeers(lambda: 0)
        pairs = [socket.socketpair() for _ in range(5)]
        pairs[0][1].sendall(b"agi_network: yes\n")  # whose thread has had no turn yet
        waits = ExitStack()
        for ours, _ in pairs:
            waits.enter_context(waiting.wait(ours))
        pairs[1][1].settimeout(WAIT_SECONDS)
        assert is_closed(pairs[1][1])
        pairs[0][1].setblocking(False)
        with pytest.raises(BlockingIOError):
            pairs[0][1].recv(1)
        with pytest.raises(BadPeer, match="places ran short"):
            waits.close()
        for sock in (sock for pair in pairs for sock in pair):
            sock.close()

    def test_do_not_give_way_to_calls_that_a_vendor_holds(
        self, gate: Gate, callers: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with running(gate) as server, connect(server, b"agi_network: yes\n") as slow:
            calls = []
            for number in range(1, 10):  # one by one: a block that is not whole yet keeps us waiting too
                calls.append(callers.submit(place_call, server))
                assert gate.holds(number)
            slow.sendall(b"\n")
            say_that_it_was_all(slow)
            assert gate.holds(10)
            monkeypatch.setattr(waiting_peers, "PLACES_KEPT", 0)  # all are told at once: who replies late may stay
            gate.opened.set()
            assert slow.recv(100).startswith(b"EXEC MSet")
            assert [call.result(WAIT_SECONDS).variables for call in calls] == [TOLD] * 9


class TestStopping:
    def test_lets_the_running_ones_finish_and_answers_those_that_wait(
        self, monkeypatch: pytest.MonkeyPatch, gate: Gate, callers: ThreadPoolExecutor
    ) -> None:
        monkeypatch.setattr(places, "MAX_SESSIONS", 1)
        with running(gate) as server:
            address = server.address
            calls = [callers.submit(place_call, server)]
            assert gate.holds(1)
            waiting = [connect(server, b"agi_network: yes\n\n") for _ in range(5)]
            stopped: Future[int] = callers.submit(server.stop, WAIT_SECONDS)
            for sock in waiting:
                say_that_it_was_all(sock)
            assert gate.holds(6)  # the limit gives way to the end
            gate.opened.set()
            for sock in waiting:
                assert sock.recv(200).startswith(b"EXEC MSet")
                sock.sendall(b"200 result=0\n")
                assert is_closed(sock)
                sock.close()
            assert stopped.result(WAIT_SECONDS) == 0
            assert calls[0].result(WAIT_SECONDS).variables == TOLD
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(address, WAIT_SECONDS)

    def test_takes_no_new_call(self) -> None:
        with running() as server:
            place = url(server)
            assert server.stop() == 0
        assert run_fastagi(place, conduct=CONDUCT).status == "FAILURE"

    def test_cuts_off_what_does_not_end_in_time_and_says_how_many(
        self, gate: Gate, callers: ThreadPoolExecutor
    ) -> None:
        with running(gate) as server:
            calls = [callers.submit(place_call, server) for _ in range(2)]
            assert gate.holds(2)
            assert server.stop(0.05) == 2
            gate.opened.set()
            assert all(call.result(WAIT_SECONDS).ended_well for call in calls)

    def test_twice_is_no_fault(self) -> None:
        with running() as server:
            assert server.stop() == 0
            assert server.stop() == 0


def test_an_address_that_is_taken_is_an_error_and_leaves_no_socket_open() -> None:
    with running() as server:
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(OSError, match="in use") as kept:
            listening.new(server.address)
        assert len(os.listdir("/proc/self/fd")) <= before
        assert kept.value.errno == errno.EADDRINUSE
