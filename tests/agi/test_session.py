"""AgiSession on the wire: what pyst2 gets wrong, held with real sockets read 4096, 16 and 1 bytes at a time."""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Any
from unittest import mock

import pytest
from asterisk.agi import (
    AGIAppError,
    AGIDBError,
    AGIError,
    AGIHangup,
    AGIInvalidCommand,
    AGIResultHangup,
    AGISIGPIPEHangup,
    AGIUnknownError,
    AGIUsageError,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

from callsign.agi import block as agi_block
from callsign.agi import lines as bounded_lines
from callsign.agi import session as agi_session
from callsign.agi import socket_connection as agi_connection
from callsign.agi.block import LINE_BREAK, NOT_CONFIRMED, OUT_OF_PLACE, UNCHECKED, ProvenThreads
from callsign.agi.connection import StreamConnection
from callsign.agi.pyst2 import DeadChannel, UnfitCommand
from callsign.agi.session import AgiSession, BadPeer, quote
from callsign.agi.socket_connection import SocketConnection
from callsign.sandbox.asterisk.behaviour import Conduct, Session
from callsign.sandbox.asterisk.call import Call
from callsign.sandbox.asterisk.parsing import split_words
from callsign.sandbox.asterisk.play import play
from callsign.sandbox.asterisk.wire import Wire
from callsign.steps.answer import MAX_REASON_CHARACTERS

WAIT_SECONDS = 10.0  # for what comes at once
CHUNK_SIZES = (4096, 16, 1)
BLOCK = b"agi_network: yes\nagi_network_script: ping\nagi_uniqueid: 1700000000.1\n\n"
USAGE = b"520-Invalid command syntax.  Proper usage follows:\nUsage: NOOP\n\tDoes nothing.\n520 End of proper usage.\n"
NO_LINE_END = st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"])


@pytest.fixture(params=CHUNK_SIZES, ids="{}-bytes-a-read".format)
def chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(agi_connection, "RECEIVE_BYTES", request.param)
    size: int = request.param
    return size


class Line:
    """Both ends of a connection: `session` once the block is read, and Asterisk's socket."""

    def __init__(self, block: bytes = BLOCK) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 256 * 1024)
        self.theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1024 * 1024)
        self.theirs.settimeout(WAIT_SECONDS)
        self.theirs.sendall(block)

    def open(self) -> AgiSession:
        self.session = AgiSession(SocketConnection(self.ours))
        return self.session

    def ask(self, reply: bytes, then_close: bool = False) -> Any:
        """What the session makes of `reply` to a command."""
        self.session.send_command("NOOP")
        assert self.theirs.recv(100) == b"NOOP\n"
        self.theirs.sendall(reply)
        if then_close:
            self.theirs.shutdown(socket.SHUT_WR)
        return self.session.get_result()

    def unread(self) -> int:
        """Bytes that were sent to the session and that it has not taken from the socket."""
        self.ours.setblocking(False)
        left = 0
        try:
            while data := self.ours.recv(65536):
                left += len(data)
        except BlockingIOError:
            pass
        return left

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self.ours.close()
        self.theirs.close()


def ask(reply: bytes, then_close: bool = False) -> Any:
    with Line() as line:
        line.open()
        return line.ask(reply, then_close)


def opened(block: bytes) -> AgiSession:
    """The session after that block, and nothing behind it."""
    with Line(block) as line:
        line.theirs.shutdown(socket.SHUT_WR)
        return line.open()


def environment(block: bytes) -> dict[str, str]:
    return opened(block).env


@contextmanager
def in_another_thread(work: Callable[[], Any]) -> Iterator[Future[Any]]:
    """Does `work` beside the block; its result is known after it."""
    done: Future[Any] = Future()
    thread = threading.Thread(target=lambda: done.set_result(work()))
    thread.start()
    try:
        yield done
    finally:
        thread.join(WAIT_SECONDS)


@contextmanager
def asterisk(
    call: Call | None = None, conduct: Conduct | None = None, arguments: tuple[str, ...] = ()
) -> Iterator[tuple[AgiSession, Future[Session]]]:
    """A session with all of Asterisk's side behind it; what came of it is known after the block."""
    ours, theirs = socket.socketpair()
    conduct = conduct or Conduct(timeout_seconds=WAIT_SECONDS)

    def run() -> Session:
        wire = Wire(theirs, theirs, conduct.timeout_seconds, conduct.send_bytes)
        return play(wire, "agi://127.0.0.1/ping", call or Call(), arguments, conduct)

    with in_another_thread(run) as ended, ours:
        session = AgiSession(SocketConnection(ours))
        yield session, ended
        session.connection.finish()


def send_without_end(session: AgiSession) -> None:
    for _ in range(10_000):
        session.send_command("VERBOSE", "x" * 1900)


class TestTheBlock:
    def test_its_lines_become_facts_and_arguments(self, chunk: int) -> None:
        call = Call(callerid="0123", calleridname='O\'Brien "Bob" é', uniqueid="17.1")
        conduct = Conduct(timeout_seconds=WAIT_SECONDS, send_bytes=chunk)
        with asterisk(call, conduct, ("one", "", "a=b,c")) as (session, _):
            assert session.args == ["one", "", "a=b,c"]
            assert session.env["agi_calleridname"] == 'O\'Brien "Bob" é'
            assert session.env["agi_uniqueid"] == "17.1"
            assert session.env["agi_network_script"] == "ping"
            assert session.env["agi_dnid"] == "unknown"

    def test_a_colon_belongs_to_the_value(self, chunk: int) -> None:
        assert environment(b"agi_request: agi://127.0.0.1:4591/x:y\n\n") == {"agi_request": "agi://127.0.0.1:4591/x:y"}

    @pytest.mark.parametrize(
        ("raw", "seen"),
        [(b"Fran\xe7ois", "Fran�ois"), (b"Zo\xc3", "Zo�"), (b"Zo\xc3\xab", "Zoë"), (b"\xff\xfe\x80", "���")],
    )
    def test_a_name_in_any_encoding_is_read(self, chunk: int, raw: bytes, seen: str) -> None:
        assert environment(b"agi_calleridname: " + raw + b"\n\n") == {"agi_calleridname": seen}

    @pytest.mark.parametrize(
        "block",
        [
            b"agi_calleridname: Bob\nthe builder: yes\njunk\nagi_extension: 200\n\n",
            b"agi_calleridname: Bob\nagi_dnid\n\n",
            b"agi_callerid: 1\nagi_arg_0478123456: x\n\n",
        ],
    )
    def test_lines_that_a_line_break_in_a_text_has_made_are_a_fault(self, chunk: int, block: bytes) -> None:
        assert opened(block).fault == LINE_BREAK

    @pytest.mark.parametrize(
        ("block", "name"),
        [
            (
                b"agi_network_script: skarabee\nagi_calleridname: Bob\nagi_network_script: noojee/stop\n\n",
                "agi_network_script",
            ),
            (b"agi_callerid: 1\nagi_callingpres: 0\nagi_callingpres: 32\n\n", "agi_callingpres"),
            (b"agi_callerid: 1\nagi_arg_1: forged\nagi_threadid: 140\nagi_arg_1: call=9.9\n\n", "agi_threadid"),
            (b"agi_callerid: 1\nagi_arg_2: forged\nagi_threadid: 140\nagi_arg_1: call=9.9\n\n", "agi_arg_2"),
            (b"agi_callerid: 1\nagi_network_script: noojee/stop\n\n", "agi_network_script"),
            (b"agi_callerid: 1\nagi_mailbox: 200\n\n", "agi_mailbox"),
        ],
    )
    def test_a_line_that_is_out_of_place_is_named_without_its_value(self, chunk: int, block: bytes, name: str) -> None:
        assert opened(block).fault == OUT_OF_PLACE.format(name)
        assert len(OUT_OF_PLACE.format("x" * 35)) <= MAX_REASON_CHARACTERS

    def test_its_lines_may_come_in_another_order_and_some_may_be_left_out(self, chunk: int) -> None:
        session = opened(
            b"agi_request: x\nagi_network_script: ping\nagi_extension: 1\nagi_callerid: 2\nagi_arg_1: 3\n\n"
        )
        assert (session.fault, session.args, session.env["agi_network_script"]) == ("", ["3"], "ping")

    def test_carriage_returns_do_not_matter(self, chunk: int) -> None:
        assert environment(b"agi_network: yes\r\nagi_arg_1: x\r\n\r\n") == {"agi_network": "yes", "agi_arg_1": "x"}

    @pytest.mark.parametrize(
        "block",
        [
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"\x16\x03\x01\x02\x00\n",
            b"agi_network\n",
            b"\n",
            b" \n",
            b"failure\n",
        ],
    )
    def test_what_is_no_block_is_a_bad_peer(self, chunk: int, block: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(agi_block, "BLOCK_SECONDS", 0.2)  # "agi_network" could still go on
        with Line(block) as line, pytest.raises(BadPeer):
            line.open()

    def test_its_end_at_every_byte_is_a_bad_peer(self, chunk: int) -> None:
        for length in range(len(BLOCK)):
            with pytest.raises(BadPeer, match="connection was closed before its agi_ block was whole"):
                environment(BLOCK[:length])
        assert environment(BLOCK)["agi_network_script"] == "ping"

    def test_a_reset_is_an_end_too(self, chunk: int) -> None:
        with loopback() as (ours, theirs):
            theirs.sendall(b"agi_network: yes\n")
            reset(theirs)
            with pytest.raises(BadPeer, match="connection was closed"):
                AgiSession(SocketConnection(ours))

    def test_it_must_be_whole_in_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(agi_block, "BLOCK_SECONDS", 0.05)
        with Line(BLOCK[:-1]) as line, pytest.raises(BadPeer, match=r"not whole within 0\.05 s"):
            line.open()

    def test_time_is_up_also_for_one_that_always_has_more(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(agi_block, "BLOCK_SECONDS", 0.0)
        with Line() as line, pytest.raises(BadPeer, match="not whole within"):
            line.open()

    def test_65536_bytes_are_taken_and_no_more(self) -> None:
        lines = [b"agi_arg_%d: " % number for number in range(1, 1025)]
        whole = b"".join(line.ljust(63, b"x") + b"\n" for line in lines)[:-2] + b"\n\n"
        assert len(whole) == bounded_lines.MAX_BLOCK_BYTES
        session = opened(whole)
        assert (session.fault, len(session.args)) == ("", 1024)
        session = opened(b"agi_context: \n" + whole)
        assert "too long" in session.fault
        assert len(session.args) <= 1024

    def test_bytes_are_counted_not_characters(self) -> None:
        lines = [b"agi_arg_%d: " % number + "\U0001f514".encode() * 1000 + b"\n" for number in range(1, 21)]
        assert "too long" in opened(b"".join(lines) + b"\n").fault

    def test_a_line_may_have_8192_bytes_and_no_more(self, chunk: int) -> None:
        before = b"agi_network_script: skarabee\n"
        longest = b"agi_arg_1: ".ljust(bounded_lines.MAX_LINE_BYTES, b"x")
        session = opened(before + longest + b"\n\n")
        assert (session.fault, len(session.args[0])) == ("", bounded_lines.MAX_LINE_BYTES - len("agi_arg_1: "))
        session = opened(before + longest + b"x\n\n")
        assert session.env == {"agi_network_script": "skarabee"}
        assert "too long" in session.fault

    def test_one_that_is_too_long_is_read_to_its_end_but_not_for_ever(self) -> None:
        assert "too long" in opened(b"agi_callerid: 1\nagi_calleridname: " + b"x" * 500_000 + b"\n\n").fault
        with pytest.raises(BadPeer, match="more than 1048576 bytes"):
            opened(b"agi_callerid: 1\nagi_calleridname: " + b"x" * 1_100_000 + b"\n\n")

    @given(
        st.lists(st.sampled_from([b"agi_", b"x", b":", b" ", b"\n", b"\r", b"agi_a: b\n", b"\n\n", b"\xff", b"y" * 40]))
        | st.lists(st.binary()),
        st.sampled_from(CHUNK_SIZES),
    )
    def test_any_bytes_end_in_facts_or_a_bad_peer_within_the_limits(self, pieces: list[bytes], chunk: int) -> None:
        sent = b"".join(pieces)
        with (
            Line(sent) as line,
            mock.patch.object(agi_connection, "RECEIVE_BYTES", chunk),
            mock.patch.object(bounded_lines, "MAX_BLOCK_BYTES", 100),
            mock.patch.object(bounded_lines, "MAX_CUT_BLOCK_BYTES", 100),
            mock.patch.object(bounded_lines, "MAX_LINE_BYTES", 30),
        ):
            line.theirs.shutdown(socket.SHUT_WR)
            try:
                session = line.open()
            except BadPeer:
                pass
            else:
                assert all(name.startswith("agi_") for name in session.env)
                assert not any("\n" in value for value in session.env.values())
            assert len(sent) - line.unread() <= 100 + 30 + chunk


TEXTS = ("callerid", "calleridname", "dnid", "rdnis", "extension", "context", "accountcode", "channel", "argument")
REST = [
    *("agi_calleridname: x", "agi_callingpres: 0", "agi_callingani2: 0", "agi_callington: 0", "agi_callingtns: 0"),
    *("agi_dnid: 1", "agi_rdnis: 1", "agi_context: x", "agi_extension: 9", "agi_priority: 1", "agi_enhanced: 0.0"),
    *("agi_accountcode: ", "agi_threadid: 139999999999999"),
]
PIECES = [
    *("\n", "\n\n", "\n\n\n", "\r\n", "\r", " ", "x", ":", ")", "(", "201", "\N{LINE SEPARATOR}", "HANGUP\n"),
    *(
        "200 result=1\n",
        "200 result=1 (x)\n",
        "510 x\n",
        "100 x\n",
        "agi_arg_1: 9\n",
        "agi_arg_2: 9\n",
        "agi_arg_3: 9\n",
    ),
    *("agi_network_script: noojee/stop\n", "agi_other: 1\n", *(f"{line}\n" for line in REST)),
    *("\n" + "\n".join(REST[start:]) + "\n\n" for start in (0, 6, 8, 11, 12)),
]
FOREIGN_THREADS = ProvenThreads()
FOREIGN_THREADS.add({"agi_threadid": "140000000000000"})  # the one that `Call` names

FORGED = b"agi_uniqueid: 7.1\nagi_version: 22.10.1\nagi_callerid: 0\nagi_arg_1: 201\n\n200 result=1\n"


def marked(question: bytes, appdata: bytes = b"x") -> bytes:
    """What an Asterisk answers to `confirm`."""
    return b"200 result=1 (" + question.split()[-1].replace(b"${CHANNEL(appdata)}", appdata) + b")\n"


def readable(sock: socket.socket, seconds: float) -> bool:
    return bool(select.select([sock], [], [], seconds)[0])


class TestAForgedEnd:
    @settings(max_examples=400, deadline=None)
    @given(
        st.sampled_from(TEXTS),
        st.lists(st.sampled_from(PIECES), max_size=6).map("".join) | st.text(NO_LINE_END),
        st.lists(st.sampled_from(["", "one", "call=1.5"]), max_size=2),
        st.lists(st.sampled_from(["", "last"]), max_size=1),
        st.sampled_from(CHUNK_SIZES),
        st.booleans(),
    )
    @example("rdnis", "\n" + "\n".join(REST[7:]) + "\n\n", [], [], 1, True)
    @example("argument", "x\nagi_arg_3: y", [""], [], 1, True)
    @example("argument", "x)\nagi_arg_2: y", [], [], 1, True)
    @example("argument", "x\n", [], ["last"], 1, True)
    @example("callerid", "1\n\n200 result=1", [], [], 1, False)
    def test_whatever_a_text_holds_the_facts_are_those_that_asterisk_meant_or_there_is_a_fault(
        self, which: str, text: str, before: list[str], after: list[str], chunk: int, proven: bool
    ) -> None:
        arguments = (*before, *([text] if which == "argument" else []), *after)
        call = Call() if which == "argument" else Call(**{which: text})
        conduct = Conduct(timeout_seconds=WAIT_SECONDS, send_bytes=chunk)
        with asterisk(call, conduct, arguments) as (session, ended):
            session.confirm(FOREIGN_THREADS if proven else None)
            if not session.fault:
                meant = [line.partition(":") for line in call.environment("agi://127.0.0.1/ping", arguments)]
                assert session.env == {name: value.strip() for name, _, value in meant}
                assert session.args == [text.strip() for text in arguments]
            session.set_variables({"STATUS": "OK", "REASON": 'not "plain"'})
        assert ended.result(WAIT_SECONDS).variables == {"STATUS": "OK", "REASON": 'not "plain"'}

    def test_the_rest_may_come_late(self, chunk: int) -> None:
        with Line(b"agi_callerid: 1\n\n") as line:
            session = line.open()

            def asterisk_goes_on() -> None:
                assert line.theirs.recv(100).startswith(b"GET FULL VARIABLE ")
                line.theirs.sendall(b"agi_calleridname: Bob\n\n200 result=1 (")

            with in_another_thread(asterisk_goes_on):
                session.confirm()
            assert session.fault == LINE_BREAK

    @pytest.mark.parametrize(
        "reply",
        [
            b"200 result=1\n", b"200 result=0\n", b"200 result=1 (x)\n", b"510 Invalid\n", b"200 result=1 (a\nb)\n",
            b"100 Trying\n200 result=1\n", b"200 result=1\r\n\r\n", USAGE,
        ],
    )  # fmt: skip
    def test_a_peer_that_is_no_asterisk_may_answer_otherwise(self, chunk: int, reply: bytes) -> None:
        with Line() as line:
            session = line.open()
            line.theirs.sendall(b"HANGUP\n" + reply)
            session.confirm(proven := ProvenThreads())
            assert (session.fault, session.hung_up) == ("", True)
            assert not proven.vouch_for(session.env)

    def test_where_an_asterisk_has_been_proved_no_other_answer_counts_however_late_the_rest_comes(
        self, chunk: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(agi_block, "QUIET_SECONDS", 0.0001)
        proven = ProvenThreads()
        with asterisk() as (session, _):
            session.confirm(proven, "127.0.0.1")
        with Line(FORGED) as line:
            session = line.open()

            def asterisk_goes_on() -> None:
                mark = marked(line.theirs.recv(100))
                assert not readable(line.theirs, 0.05)  # the session has done nothing yet
                line.theirs.sendall(b"agi_calleridname: Bob\n\n" + mark)

            with in_another_thread(asterisk_goes_on):
                session.confirm(proven, "127.0.0.1")
            assert (session.fault, session.hung_up) == (LINE_BREAK, False)

    def test_the_answer_behind_a_remark_is_waited_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(agi_block, "QUIET_SECONDS", 0.0001)
        with Line() as line:
            session = line.open()
            line.theirs.sendall(b"100 Trying\n")

            def answer() -> None:
                assert line.theirs.recv(100)
                assert not readable(line.theirs, 0.05)
                line.theirs.sendall(b"HANGUP\n200 result=1\n")

            with in_another_thread(answer):
                session.confirm()
            assert session.hung_up

    def test_where_the_last_argument_forged_the_answer_the_true_end_of_the_block_shows_it(self, chunk: int) -> None:
        with Line(b"agi_threadid: 1\nagi_arg_1: x\nagi_arg_2: y\n\n200 result=1\n\n") as line:
            session = line.open()
            session.confirm()
            assert session.fault == LINE_BREAK

    def test_where_an_asterisk_has_been_proved_silence_confirms_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(agi_block, "ANSWER_SECONDS", 0.05)
        monkeypatch.setattr(agi_block, "QUIET_SECONDS", 0.0001)
        proven = ProvenThreads()
        with asterisk() as (session, _):
            session.confirm(proven, "127.0.0.1")
        for address, version, fault in (
            ("127.0.0.1", b"22.10.1", NOT_CONFIRMED), ("127.0.0.2", b"22.10.1", ""), ("127.0.0.1", b"by hand", "")
        ):  # fmt: skip
            with Line(FORGED.replace(b"22.10.1", version)) as line:
                session = line.open()
                session.confirm(proven, address)
                assert session.fault == fault

    def test_a_rest_that_shows_a_forged_answer_too_late_is_an_error_in_the_log_once(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(agi_block, "QUIET_SECONDS", 0.0001)
        with Line(FORGED) as line:
            session = line.open()
            session.confirm()
            assert not session.fault
            line.theirs.sendall(b"agi_calleridname: 0478123456\nagi_callingpres: 0\n\n200 result=1 (x)\n")
            session.set_variable("A", "1")
        (said,) = caplog.messages
        assert said.startswith("call=7.1 channel=7.1: a line break")
        assert "0478123456" not in said

    def test_a_marked_answer_that_stops_in_the_middle_confirms_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(agi_block, "ANSWER_SECONDS", 0.3)
        with Line() as line:
            session = line.open()

            def stop_in_the_middle() -> None:
                line.theirs.sendall(marked(line.theirs.recv(100), b"ping,a\nb")[:-10])

            with in_another_thread(stop_in_the_middle):
                session.confirm(proven := ProvenThreads())
            assert (session.fault, session.hung_up) == (LINE_BREAK, False)
            assert not proven.know("", session.env)

    @pytest.mark.parametrize(
        ("appdata", "fault"),
        [(b"", UNCHECKED), (b"x", ""), (b"x" * 4094, ""), (b"x" * 4095, UNCHECKED), (b"x\ny", LINE_BREAK)],
    )
    def test_arguments_count_only_where_all_that_was_given_to_agi_can_be_looked_at(
        self, chunk: int, appdata: bytes, fault: str
    ) -> None:
        with Line(b"agi_threadid: 1\nagi_arg_1: x\n\n") as line:
            session = line.open()
            with in_another_thread(lambda: line.theirs.sendall(marked(line.theirs.recv(100), appdata))):
                session.confirm()
            assert session.fault == fault

    @pytest.mark.parametrize("block", [BLOCK, b"agi_context: callsign-step\nagi_arg_1: x\n\n"])
    def test_without_arguments_or_with_our_own_dialplans_nothing_need_be_looked_at(self, block: bytes) -> None:
        with Line(block) as line:
            session = line.open()
            with in_another_thread(lambda: line.theirs.sendall(marked(line.theirs.recv(100), b""))):
                session.confirm()
            assert not session.fault

    def test_after_a_forged_answer_nothing_more_must_come(self, chunk: int) -> None:
        with Line(b"agi_callerid: 1\n\n200 result=1\nagi_calleridname: Bob\n\n") as line:
            session = line.open()
            session.confirm()
            assert session.fault == LINE_BREAK

    def test_asterisk_answers_once(self, chunk: int) -> None:
        with Line() as line:
            session = line.open()

            def answer_twice() -> None:
                line.theirs.sendall(b"200 result=1\n" + marked(line.theirs.recv(100)))

            with in_another_thread(answer_twice):
                session.confirm()
            assert session.fault == LINE_BREAK

    def test_one_that_has_ended_has_said_all(self) -> None:
        session = opened(BLOCK)
        with Line(BLOCK + b"HANGUP\n") as line:
            session = line.open()
            line.theirs.close()
            session.confirm()
            assert (session.fault, session.hung_up) == ("", True)
        with Line(BLOCK + b"agi_extension: 1\n\n") as line:
            session = line.open()
            line.theirs.shutdown(socket.SHUT_WR)
            session.confirm()
            assert session.fault == LINE_BREAK

    def test_one_that_does_not_answer_gets_its_status_all_the_same(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(agi_block, "ANSWER_SECONDS", 0.05)
        monkeypatch.setattr(agi_session, "REPLY_SECONDS", 0.05)
        with Line() as line:
            session = line.open()
            session.confirm()
            assert not session.fault
            with pytest.raises(TimeoutError):
                session.set_variable("A", "1")
            assert line.theirs.recv(200).endswith(b'SET VARIABLE "A" "1"\n')

    def test_a_thread_of_asterisks_that_is_known_spares_the_question(self) -> None:
        proven = ProvenThreads()
        for arguments, context, questions in (
            ((), "x", 1), ((), "x", 0), (("a",), "x", 1), (("a",), "callsign-step", 0)
        ):  # fmt: skip
            with asterisk(Call(context=context), arguments=arguments) as (session, ended):
                session.confirm(proven)
                session.set_variable("A", "1")
            commands = ended.result(WAIT_SECONDS).commands
            assert sum(command.startswith("GET FULL") for command in commands) == questions

    @pytest.mark.parametrize(
        "thread", ["", "1", "3086123456", "-12193713472512", "1400000000000a0", "140000000000000\u0660"]
    )
    def test_what_could_be_guessed_vouches_for_nothing(self, thread: str) -> None:
        proven = ProvenThreads()
        proven.add({"agi_threadid": thread})
        assert not proven.vouch_for({"agi_threadid": thread})
        assert not proven.vouch_for({})

    def test_a_forged_block_makes_no_thread_known(self) -> None:
        proven = ProvenThreads()
        with asterisk(Call(callerid="1\nagi_arg_1: 9")) as (session, _):
            session.confirm(proven)
            assert session.fault
            assert not proven.vouch_for({"agi_threadid": "140000000000000"})

    def test_threads_are_not_kept_without_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(agi_block, "MOST_THREADS", 3)
        proven = ProvenThreads()
        threads = [str(140_000_000_000_000 + number) for number in range(10)]
        for thread in threads:
            proven.add({"agi_threadid": thread})
        assert 1 <= sum(proven.vouch_for({"agi_threadid": thread}) for thread in threads) <= 3


class TestReplies:
    @pytest.mark.parametrize(
        ("reply", "result"),
        [
            (b"200 result=0\n", {"result": ("0", "")}),
            (b"200 result=1 (x)\n", {"result": ("1", "x")}),
            (b"200 result=1 ()\n", {"result": ("1", "")}),
            (b"200 result=0 endpos=1234\n", {"result": ("0", ""), "endpos": ("1234", "")}),
            (b"200 result=0 (timeout) endpos=8\n", {"result": ("0", "timeout"), "endpos": ("8", "")}),
            (b"200 result= (timeout)\n", {"result": ("", "timeout")}),
            (b"200 result=0 Gosub complete\n", {"result": ("0", "")}),
            (b"100 result=0 Trying...\n200 result=0 Gosub complete\n", {"result": ("0", "")}),
            (b"HANGUP\n200 result=1\n", {"result": ("1", "")}),
            (b"HANGUP\nHANGUP\n100 Trying\nHANGUP\n200 result=1\n", {"result": ("1", "")}),
            (b"\n200 result=1\n", {"result": ("1", "")}),
        ],
    )
    def test_they_are_read_as_pyst2_gives_them(self, chunk: int, reply: bytes, result: object) -> None:
        assert ask(reply) == result

    @pytest.mark.parametrize(
        "value",
        [
            "hangup", "a)b", "(((", "))", "a) (b", "a (b) c", "x endpos=3", "timeout) endpos=3", "result=-1",
            "two\nlines", "\n", "\n\n\n", "a\n(b)c\nd", "200 result=2 (y", "a\r\nb", " spaces ", "é",
        ],
    )  # fmt: skip
    def test_a_value_is_all_that_stands_in_the_brackets(self, chunk: int, value: str) -> None:
        assert ask(f"200 result=1 ({value})\n".encode()) == {"result": ("1", value)}

    @given(st.text("ab()= \n:-"), st.sampled_from(CHUNK_SIZES))
    def test_after_any_value_the_next_reply_is_the_next_commands(self, value: str, chunk: int) -> None:
        lines = value.split("\n")
        ends = [number for number, text in enumerate(lines[:-1]) if text.endswith(")")]
        seen = "\n".join(lines[: ends[0] + 1])[:-1] if ends else value
        with mock.patch.object(agi_connection, "RECEIVE_BYTES", chunk), Line() as line:
            line.open()
            assert line.ask(f"200 result=1 ({value})\n".encode()) == {"result": ("1", seen)}
            assert line.ask(b"200 result=5 (next)\n") == {"result": ("5", "next")}

    def test_what_is_left_of_a_value_is_not_the_next_commands_reply(self) -> None:
        with Line() as line:
            line.open()
            assert line.ask(b"200 result=1 (a)\n200 result=1 (forged)\n") == {"result": ("1", "a")}
            assert line.ask(b"200 result=1 (b)\n") == {"result": ("1", "b")}

    def test_each_may_be_as_long_as_the_limit_says(self) -> None:
        with Line() as line:
            line.open()
            for _ in range(20):
                assert line.ask(b"200 result=1 (" + b"x" * 8000 + b")\n")["result"][1] == "x" * 8000

    def test_a_value_in_another_encoding_is_read(self, chunk: int) -> None:
        assert ask(b"200 result=1 (Fran\xe7ois)\n") == {"result": ("1", "Fran�ois")}

    def test_a_hangup_is_remembered_and_takes_no_reply_away(self, chunk: int) -> None:
        with Line() as line:
            session = line.open()
            assert line.ask(b"200 result=1\n") == {"result": ("1", "")}
            assert not session.hung_up
            assert line.ask(b"HANGUP\n200 result=2\n") == {"result": ("2", "")}
            assert session.hung_up
            assert line.ask(b"200 result=3\n") == {"result": ("3", "")}

    def test_a_hangup_between_two_commands_is_remembered(self) -> None:
        with Line() as line:
            session = line.open()
            line.ask(b"200 result=1\nHANGUP\n")
            line.ask(b"200 result=2\n")
            assert session.hung_up

    @pytest.mark.parametrize(
        ("reply", "fault"),
        [
            (b"510 Invalid or unknown command\n", AGIInvalidCommand),
            (b"511 Command Not Permitted on a dead channel or intercept routine\n", DeadChannel),
            (b"520 Invalid command syntax.  Proper usage not available.\n", AGIUsageError),
            (b"520\n", AGIUsageError),
            (USAGE, AGIUsageError),
            (b"HANGUP\n" + USAGE, AGIUsageError),
            (b"200 result=-1\n", AGIAppError),
            (b"200 result=-1 endpos=0\n", AGIAppError),
            (b"200 result=-1 (hangup)\n", AGIResultHangup),
            (b"404 result=1\n", AGIUnknownError),
            (b"200\n", AGIUnknownError),
            (b"200 nothing\n", AGIUnknownError),
        ],
    )
    def test_a_refusal_is_an_error_of_its_kind_and_the_next_command_is_answered(
        self, chunk: int, reply: bytes, fault: type[Exception]
    ) -> None:
        with Line() as line:
            line.open()
            with pytest.raises(fault) as raised:
                line.ask(reply)
            assert type(raised.value) is fault
            assert line.ask(b"200 result=4\n") == {"result": ("4", "")}

    def test_the_usage_is_told_whole(self, chunk: int) -> None:
        with pytest.raises(AGIUsageError) as raised:
            ask(USAGE)
        assert "Usage: NOOP\n\tDoes nothing." in str(raised.value)

    @pytest.mark.parametrize(
        "reply",
        [
            b"200 result=1\n",
            b"200 result=1 (a\nb)\n",
            USAGE,
            b"520 Wrong\n",
            b"HANGUP\n100 x\n200 result=0\n",
            b"511 x\n",
        ],
    )
    def test_its_end_at_every_byte_is_a_hangup(self, chunk: int, reply: bytes) -> None:
        for length in range(len(reply)):
            with Line() as line:
                session = line.open()
                with pytest.raises(AGIHangup):
                    line.ask(reply[:length], then_close=True)
                assert session.hung_up
                with pytest.raises(AGIHangup):
                    session.execute("NOOP")

    def test_a_reset_while_waiting_is_a_hangup(self, chunk: int) -> None:
        with loopback() as (ours, theirs):
            theirs.sendall(BLOCK)
            session = AgiSession(SocketConnection(ours))
            session.send_command("NOOP")
            reset(theirs)
            with pytest.raises(AGISIGPIPEHangup):
                session.get_result()

    def test_sending_to_one_that_is_gone_is_a_hangup(self) -> None:
        with loopback() as (ours, theirs):
            theirs.sendall(BLOCK)
            session = AgiSession(SocketConnection(ours))
            reset(theirs)
            with pytest.raises(AGISIGPIPEHangup):
                session.send_command("NOOP")

    def test_one_that_never_comes_is_waited_for_no_longer_than_the_limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(agi_session, "REPLY_SECONDS", 0.05)
        for begun in (b"", b"HANGUP\n", b"200 result=1", b"200 result=1 (a\n", b"520-Usage\n", b"100 Trying\n"):
            with Line() as line:
                line.open()
                with pytest.raises(TimeoutError):
                    line.ask(begun)

    def test_after_one_that_came_too_late_the_session_is_over(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(agi_session, "REPLY_SECONDS", 0.05)
        with Line() as line:
            session = line.open()
            with pytest.raises(TimeoutError):
                session.get_variable("A")
            line.theirs.sendall(b"200 result=1 (A's value)\n")
            with pytest.raises(AGIHangup):
                session.get_variable("B")

    @pytest.mark.parametrize("endless", [b"HANGUP\n", b"100 Trying\n", b"junk\n", b"\n"])
    def test_remarks_without_end_are_a_bad_peer(self, endless: bytes) -> None:
        with pytest.raises(BadPeer, match="more than 65536 bytes"):
            ask(endless * (70000 // len(endless)))

    @pytest.mark.parametrize("start", [b"200 result=1 (", b"520-"])
    def test_a_reply_without_end_is_a_bad_peer(self, start: bytes) -> None:
        with pytest.raises(BadPeer, match="more than 65536 bytes"):
            ask(start + b"x\n" * 40000)

    def test_a_line_without_end_is_a_bad_peer(self, chunk: int) -> None:
        with pytest.raises(BadPeer, match="a line of more than 8192 bytes"):
            ask(b"200 result=1 (" + b"x" * 9000)

    @given(
        st.lists(
            st.sampled_from(
                [b"200", b" ", b"result=", b"1", b"-1", b"(", b")", b"\n", b"520", b"-", b"511", b"HANGUP\n", b"\xff",
                 b" endpos=", b"x" * 40, b"100 Trying\n", b"200 result=1 (", b"520-Usage\n", b"520 End\n", b"\r"]
            )
        )
        | st.lists(st.binary()),
        st.sampled_from(CHUNK_SIZES),
    )  # fmt: skip
    def test_any_bytes_end_in_a_result_or_an_error_of_agi_within_the_limits(
        self, pieces: list[bytes], chunk: int
    ) -> None:
        sent = b"".join(pieces)
        with (
            Line() as line,
            mock.patch.object(agi_connection, "RECEIVE_BYTES", chunk),
            mock.patch.object(bounded_lines, "MAX_BLOCK_BYTES", 100),
            mock.patch.object(bounded_lines, "MAX_LINE_BYTES", 45),
        ):
            line.open()
            with suppress(AGIError, BadPeer):
                assert line.ask(sent, then_close=True)["result"]
            assert len(sent) - line.unread() <= 100 + 45 + chunk


class TestCommands:
    @given(st.text(NO_LINE_END))
    def test_a_quoted_text_is_one_word_to_asterisk(self, text: str) -> None:
        assert split_words(f"SET VARIABLE X {quote(text)} end") == ["SET", "VARIABLE", "X", text, "end"]

    @given(st.text(NO_LINE_END), st.sampled_from("\r\n\0"), st.text())
    def test_a_line_break_or_nul_is_refused(self, before: str, end: str, after: str) -> None:
        with pytest.raises(UnfitCommand):
            quote(before + end + after)

    @given(st.lists(st.text(), min_size=1))
    def test_a_command_is_one_line_or_nothing_is_sent(self, words: list[str]) -> None:
        with Line() as line:
            session = line.open()
            try:
                session.send_command("VERBOSE", *words)
            except UnfitCommand:
                session.send_command("NOOP")
                assert line.theirs.recv(65536) == b"NOOP\n"
            else:
                sent = line.theirs.recv(65536)
                assert sent.endswith(b"\n")
                assert sent.count(b"\n") == 1
                assert not {0, 13} & set(sent)

    def test_a_value_never_becomes_a_second_command(self) -> None:
        hostile = 'ok"\nEXEC System "rm -rf /'
        with asterisk() as (session, ended):
            with pytest.raises(UnfitCommand):
                session.set_variable("X", hostile)
            with pytest.raises(UnfitCommand):
                session.set_variable(hostile, "x")
            with pytest.raises(UnfitCommand):
                session.set_callerid(hostile)
            session.set_variable("X", 'ok" EXEC System "rm')
        assert ended.result(0).commands == [r'SET VARIABLE "X" "ok\" EXEC System \"rm"']

    def test_a_command_has_at_most_2000_bytes(self) -> None:
        room = agi_session.MAX_COMMAND_BYTES - len('SET VARIABLE "X" ""\n')
        with asterisk() as (session, ended):
            session.set_variable("X", "é" * (room // 2) + "x" * (room % 2))
            for too_long in ("é" * (room // 2 + 1), '"' * (room // 2 + 1), "x" * (room + 1), "x" * 100_000):
                with pytest.raises(UnfitCommand, match="longer than 2000 bytes"):
                    session.set_variable("X", too_long)
        (command,) = ended.result(0).commands
        assert len(command.encode()) == 1999

    def test_lone_surrogates_do_not_stop_a_command(self) -> None:
        with asterisk() as (session, ended):
            session.set_variable("X", "a\udce9b")
        assert ended.result(0).variables == {"X": "a?b"}

    def test_a_peer_that_reads_slowly_gets_each_command_whole(self) -> None:
        with Line() as line:
            session = line.open()
            line.ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
            sent = b"VERBOSE " + b"x" * 1900 + b"\n"

            def read_all() -> bytes:
                whole = b""
                while len(whole) < 40 * len(sent):
                    whole += line.theirs.recv(700)
                return whole

            with in_another_thread(read_all) as read:
                for _ in range(40):
                    session.send_command("VERBOSE", "x" * 1900)
            assert read.result(0) == 40 * sent

    def test_a_peer_that_reads_nothing_is_waited_for_no_longer_than_the_limit(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(agi_session, "REPLY_SECONDS", 0.05)
        with Line() as line:
            session = line.open()
            line.ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
            with pytest.raises(TimeoutError, match="reads nothing"):
                send_without_end(session)


def as_asterisk_takes(variables: Mapping[str, str]) -> Session:
    with asterisk() as (session, ended):
        session.set_variables(variables)
    return ended.result(0)


class TestSettingVariables:
    def test_plain_values_go_in_one_command(self) -> None:
        told = {"SKARABEESTATUS": "QUEUED", "SKARABEEREASON": "", "SKARABEEJOB": "17"}
        session = as_asterisk_takes(told)
        assert session.commands == ['EXEC MSet "SKARABEESTATUS=QUEUED,SKARABEEREASON=\\"\\",SKARABEEJOB=17"']
        assert session.variables == told
        assert session.ended_well

    def test_other_values_go_alone(self) -> None:
        told = {"STATUS": "REFUSED", "REASON": 'HASH_MISMATCH: "a", (b) ${C} \\', "JOB": "1"}
        session = as_asterisk_takes(told)
        assert [command.split()[0] for command in session.commands] == ["EXEC", "SET"]
        assert session.variables == told

    @pytest.mark.parametrize(
        "value", ["${SHELL(id)}", "$[1+1]", "${", "}", "a,b", 'a"b', "a\\b", "(a", "a)", "[a", "a]"]
    )
    def test_what_mset_would_split_or_expand_goes_alone(self, value: str) -> None:
        # Asterisk expands what EXEC is given where the channel has AGIEXECFULL=yes
        session = as_asterisk_takes({"STATUS": "REFUSED", "REASON": value, "JOB": "1"})
        assert session.commands == ['EXEC MSet "STATUS=REFUSED,JOB=1"', f'SET VARIABLE "REASON" {quote(value)}']

    def test_a_single_plain_value_goes_alone(self) -> None:
        session = as_asterisk_takes({"STATUS": "OK"})
        assert session.commands == ['SET VARIABLE "STATUS" "OK"']

    def test_plain_values_that_do_not_fit_together_go_alone(self) -> None:
        told = {"STATUS": "OK", "A": "x" * 1200, "B": "y" * 1200}
        session = as_asterisk_takes(told)
        assert len(session.commands) == 3
        assert session.variables == told
        assert session.ended_well

    @pytest.mark.parametrize("unfit", ["two\nlines", "x" * 3000, "é" * 1000, "nul\0"])
    def test_a_value_that_cannot_be_sent_costs_no_other_its_place(self, unfit: str) -> None:
        with asterisk() as (session, ended), pytest.raises(UnfitCommand):
            session.set_variables({"NAME": unfit, "STATUS": "OK", "REASON": "(a, b)", "JOB": "1"})
        assert ended.result(0).variables == {"STATUS": "OK", "REASON": "(a, b)", "JOB": "1"}

    def test_every_character_arrives_among_others(self) -> None:
        with asterisk() as (session, ended):
            for number in range(32, 127):
                session.set_variables({f"A{number}": f"<{chr(number)}>", f"B{number}": chr(number), f"C{number}": "x"})
        wanted: dict[str, str] = {}
        for number in range(32, 127):
            wanted |= {f"A{number}": f"<{chr(number)}>", f"B{number}": chr(number), f"C{number}": "x"}
        assert ended.result(0).variables == wanted

    @given(
        st.dictionaries(
            st.sampled_from(["STATUS", "REASON", "JOB", "NAME"]),
            st.text(NO_LINE_END, max_size=100)
            | st.text("ab ,\"'\\()[]${}=;:#%/+-_.|&~", max_size=30)
            | st.text("ab .:;/@#*!?<>~^&|+-_", max_size=30),
        )
    )
    def test_whatever_they_hold_asterisk_gets_them_as_they_are(self, told: dict[str, str]) -> None:
        session = as_asterisk_takes(told)
        assert session.variables == told
        assert session.ended_well or not told
        assert len(session.commands) <= len(told)

    def test_none_is_no_command(self) -> None:
        assert as_asterisk_takes({}).commands == []

    def test_a_hung_up_channel_still_takes_them(self) -> None:
        conduct = Conduct(timeout_seconds=WAIT_SECONDS, hangup_after=0)
        with asterisk(conduct=conduct) as (session, ended):
            session.set_variables({"STATUS": "OK", "JOB": "1", "REASON": "(x)"})
            assert session.hung_up
        assert ended.result(0).variables == {"STATUS": "OK", "JOB": "1", "REASON": "(x)"}


class TestPyst2sMethods:
    def test_they_keep_their_names_and_meaning(self, chunk: int) -> None:
        call = Call(variables={"A": "hangup", "B": "x) (y", "C": "1"})
        conduct = Conduct(timeout_seconds=WAIT_SECONDS, send_bytes=chunk)
        with asterisk(call, conduct) as (session, ended):
            assert session.get_variable("A") == "hangup"
            assert session.get_variable("B") == "x) (y"
            assert session.get_variable("NONE") == ""
            assert session.get_full_variable("${A}-${C}") == "hangup-1"
            assert session.get_full_variable("${C}", call.channel) == "1"
            session.set_variable("N", 5)
            session.verbose('a "message"', 3)
            session.noop()
            assert session.appexec("MSet", "D=1,E=2") == "0"
            with pytest.raises(AGIAppError, match="Nonesuch"):
                session.appexec("Nonesuch")
            assert session.channel_status() == 4
            assert session.channel_status("SIP/other") == -1
            session.answer()
            assert session.channel_status() == 6
            assert session.stream_file("hello", "12") == ""
            assert session.wait_for_digit(100) == ""
            assert session.get_data("hello") == ""
            assert session.say_digits("12", [1, "#"]) == ""
            session.set_context("other")
            session.goto_on_exit(extension="5")
            session.exec_command("Set", "F=3")
            session.database_put("family", "a key", 'a "value"')
            session.database_del("family", "a key")
            session.hangup()
        ended_session = ended.result(0)
        assert ended_session.variables == {"N": "5", "D": "1", "E": "2", "F": "3"}
        assert 'VERBOSE "a \\"message\\"" 3' in ended_session.commands
        assert 'DATABASE PUT "family" "a key" "a \\"value\\""' in ended_session.commands

    def test_a_dead_channel_refuses_with_a_name_of_its_own(self) -> None:
        with asterisk(conduct=Conduct(timeout_seconds=WAIT_SECONDS, dead=True)) as (session, _):
            with pytest.raises(DeadChannel):
                session.answer()
            assert session.channel_status() == -1
            session.set_variable("A", "1")

    def test_a_database_value_is_asked_for_by_the_name_it_was_stored_under(self) -> None:
        asked = []

        def reply(line: str) -> bytes:
            asked.append(split_words(line))
            return b"200 result=1 (the value)\n" if len(asked) == 1 else b"200 result=0\n"

        with asterisk(conduct=Conduct(timeout_seconds=WAIT_SECONDS, replies=reply)) as (session, _):
            assert session.database_get("family", "a key") == "the value"
            with pytest.raises(AGIDBError):
                session.database_get("family", "none")
        assert asked[0] == ["DATABASE", "GET", "family", "a key"]

    def test_nothing_goes_to_the_standard_streams(self, capfd: pytest.CaptureFixture[str]) -> None:
        with asterisk(Call(callerid="0123456789")) as (session, _):
            session.set_variables({"A": "1", "B": "2"})
            session.get_variable("A")
        assert tuple(capfd.readouterr()) == ("", "")

    def test_no_signal_is_touched_and_any_thread_will_do(self) -> None:
        before = {number: signal.getsignal(number) for number in signal.valid_signals()}

        def work() -> str:
            with asterisk(Call(variables={"A": "1"})) as (session, _):
                return str(session.get_variable("A"))

        with in_another_thread(work) as worked:
            assert work() == "1"
        assert worked.result(0) == "1"
        assert {number: signal.getsignal(number) for number in signal.valid_signals()} == before


@contextmanager
def loopback() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a TCP connection, which can be reset."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    with ours, theirs:
        theirs.settimeout(WAIT_SECONDS)
        yield ours, theirs


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class TestFinishing:
    def test_asterisk_goes_on_at_our_end_and_its_last_word_finds_us(self) -> None:
        with loopback() as (ours, theirs):
            thread = threading.Thread(target=SocketConnection(ours).finish)
            thread.start()
            assert theirs.recv(100) == b""
            for _ in range(3):
                theirs.sendall(b"HANGUP\n")
            assert theirs.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
            theirs.close()
            thread.join(WAIT_SECONDS)
            assert not thread.is_alive()
            assert ours.fileno() == -1

    def test_one_that_never_closes_is_not_waited_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(agi_connection, "DRAIN_SECONDS", 0.05)
        with loopback() as (ours, theirs):
            SocketConnection(ours).finish()
            assert ours.fileno() == -1
            assert theirs.recv(100) == b""

    def test_one_that_never_stops_talking_is_not_listened_to(self) -> None:
        with Line() as line:
            line.theirs.sendall(b"HANGUP\n" * 50_000)
            SocketConnection(line.ours).finish()
            with pytest.raises(ConnectionResetError):  # closed with something unread
                line.theirs.recv(100)

    def test_one_that_is_gone_does_not_matter(self) -> None:
        with loopback() as (ours, theirs):
            connection = SocketConnection(ours)
            reset(theirs)
            connection.finish()
            connection.finish()


class TestAScriptsStreams:
    @pytest.fixture
    def pipes(self) -> Iterator[tuple[StreamConnection, int, int]]:
        """Our end, what we read from, and where our commands arrive."""
        commands, ours_out = os.pipe()
        ours_in, answers = os.pipe()
        with os.fdopen(ours_in, "rb") as reader, os.fdopen(ours_out, "wb") as writer:
            yield StreamConnection(reader, writer), answers, commands
        for fd in (commands, answers):
            try:
                os.close(fd)
            except OSError:
                continue

    def test_they_carry_a_session(self, pipes: tuple[StreamConnection, int, int], chunk: int) -> None:
        connection, answers, commands = pipes
        os.write(answers, b"agi_request: callsign.agi\nagi_arg_1: x\n\n")
        session = AgiSession(connection)
        assert session.args == ["x"]
        session.send_command("NOOP")
        assert os.read(commands, 100) == b"NOOP\n"
        os.write(answers, b"HANGUP\n200 result=0\n")
        assert session.get_result() == {"result": ("0", "")}
        session.connection.finish()
        session.connection.finish()
        assert os.read(commands, 100) == b""

    def test_their_end_is_a_hangup(self, pipes: tuple[StreamConnection, int, int]) -> None:
        connection, answers, _ = pipes
        os.write(answers, BLOCK)
        session = AgiSession(connection)
        os.close(answers)
        with pytest.raises(AGIHangup):
            session.execute("NOOP")

    def test_a_broken_pipe_is_a_hangup(self, pipes: tuple[StreamConnection, int, int]) -> None:
        connection, answers, commands = pipes
        os.write(answers, BLOCK)
        session = AgiSession(connection)
        os.close(commands)
        with pytest.raises(AGISIGPIPEHangup):
            session.execute("NOOP")

    def test_every_wait_ends(self, pipes: tuple[StreamConnection, int, int], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(agi_block, "BLOCK_SECONDS", 0.05)
        monkeypatch.setattr(agi_session, "REPLY_SECONDS", 0.05)
        connection, answers, _ = pipes
        with pytest.raises(BadPeer, match="not whole within"):
            AgiSession(connection)
        os.write(answers, BLOCK)
        session = AgiSession(connection)
        with pytest.raises(TimeoutError):
            session.execute("NOOP")
        with pytest.raises(TimeoutError, match="reads nothing"):
            send_without_end(session)
