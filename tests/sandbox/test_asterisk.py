"""Asterisk's half of AGI. What is asserted here was seen on Asterisk 16.28 and 22.10, where it is not about hooks."""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callsign.sandbox.asterisk.behaviour import Conduct, Session
from callsign.sandbox.asterisk.call import AgiUrl, Call
from callsign.sandbox.asterisk.channel import Channel
from callsign.sandbox.asterisk.parsing import split_arguments, split_words
from callsign.sandbox.asterisk.play import play, run_fastagi, run_script
from callsign.sandbox.asterisk.wire import Wire

CHUNKS = pytest.mark.parametrize("chunk", [4096, 16, 1], ids="{}-bytes-a-write".format)
ON_ONE_LINE = st.text(st.characters(exclude_characters="\n\0", exclude_categories=["Cs"]))


class Peer:
    """The other end: what a FastAGI server does on one connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._lines = connection.makefile("rb")

    def line(self) -> str:
        return self._lines.readline().decode("utf-8", "surrogateescape").removesuffix("\n")

    def environment(self) -> list[str]:
        return list(iter(self.line, ""))

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def ask(self, command: str) -> str:
        self.send(command.encode("utf-8", "surrogateescape") + b"\n")
        return self.line()

    def rest(self) -> list[str]:
        """All that comes until Asterisk closes."""
        return self._lines.read().decode().splitlines()

    def end(self) -> list[str]:
        """No more commands; what Asterisk says until it closes."""
        self.connection.shutdown(socket.SHUT_WR)
        return self.rest()

    def close(self) -> None:
        self._lines.close()
        self.connection.close()


@contextmanager
def server(handler: Callable[[Peer], Any]) -> Iterator[str]:
    """A FastAGI server for one connection; its URL. What goes wrong in it fails the test."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)

        def serve() -> None:
            connection, _ = listener.accept()
            connection.settimeout(10)
            peer = Peer(connection)
            try:
                handler(peer)
            finally:
                peer.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"agi://127.0.0.1:{listener.getsockname()[1]}/skarabee?wait=2"
        finally:
            thread.join(30)


def talk(*commands: str, call: Call = Call(), conduct: Conduct = Conduct()) -> tuple[list[str], Session]:  # noqa: B008
    """A session of these commands, one after the other's answer. The answers, what came at the end, and the session."""
    answers: list[str] = []

    def handler(peer: Peer) -> None:
        peer.environment()
        answers.extend(peer.ask(command) for command in commands)
        answers.extend(peer.end())

    with server(handler) as url:
        session = run_fastagi(url, call, conduct=conduct)
    return answers, session


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], Path]:
    """Writes an AGI script in Python that has read its agi_* lines into `environment`, and can `ask`."""
    start = f"""#!{sys.executable}
import os, signal, sys
environment = dict(line.rstrip("\\n").split(": ", 1) for line in iter(sys.stdin.readline, "\\n"))
def ask(command):
    print(command, flush=True)
    return sys.stdin.readline().rstrip("\\n")
"""

    def write(text: str) -> Path:
        path = tmp_path / "script.agi"
        path.write_text(start + text)
        path.chmod(0o755)
        return path

    return write


# -- words and arguments


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("NOOP", ["NOOP"]),
        ("  SET\tVARIABLE  X   y ", ["SET", "VARIABLE", "X", "y"]),
        (r'SET VARIABLE V "he said \"hi\" \\ back"', ["SET", "VARIABLE", "V", r'he said "hi" \ back']),
        ('a"b c"d', ["ab cd"]),
        (r"a\ b \"c", ["a b", '"c']),
        ('X ""', ["X", ""]),
        ('"never closed  ', ["never closed  "]),
        ("", []),
        ("y\r", ["y\r"]),
    ],
)
def test_a_command_line_falls_into_words(line: str, words: list[str]) -> None:
    assert split_words(line) == words


def test_more_words_than_res_agi_has_room_for_are_dropped() -> None:
    assert len(split_words("NOOP " * 200)) == 127


@given(st.lists(ON_ONE_LINE, max_size=5))
def test_words_survive_when_quote_and_backslash_are_escaped(words: list[str]) -> None:
    line = " ".join('"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"' for word in words)
    assert split_words(line) == words


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("a,b c,", ["a", "b c", ""]),
        ("x,foo (bar,baz", ["x", "foo (bar,baz"]),
        ("f(1,2),[3,4],5", ["f(1,2)", "[3,4]", "5"]),
        ("),a", [")", "a"]),
        ('a"b,c', ["ab,c"]),
        (r"a\,b\"c\\", ['a,b"c\\']),
        (r"a\(b,c", ["a(b", "c"]),
        ('a,""', ["a", "", ""]),
        ('""', [""]),
        ("a\\", ["a"]),
        ("", []),
        (",", ["", ""]),
    ],
)
def test_application_data_falls_into_arguments(text: str, arguments: list[str]) -> None:
    assert split_arguments(text) == arguments


def test_the_last_argument_there_is_room_for_is_taken_as_it_stands() -> None:
    assert split_arguments(r'X="a\=b"=', separator="=", most=2) == ["X", r'"a\=b"=']
    assert split_arguments("X=", separator="=", most=2) == ["X", ""]
    assert split_arguments("X", separator="=", most=2) == ["X"]


@given(st.dictionaries(st.from_regex(r"[A-Z]{1,8}", fullmatch=True), ON_ONE_LINE, min_size=1, max_size=5))
def test_mset_stores_what_its_backslashes_protect(values: dict[str, str]) -> None:
    channel = Channel(Call())
    protected = {name: "".join("\\" + c if c in '\\",()[]' else c for c in value) for name, value in values.items()}
    channel.set_many(",".join(f"{name}={value}" for name, value in protected.items()))
    assert channel.written == values


@given(ON_ONE_LINE)
def test_no_text_breaks_the_parsers(text: str) -> None:
    split_words(text)
    Channel(Call()).expand(text)
    Channel(Call()).set_many(text)


def test_mset_ignores_an_entry_without_a_sign_and_keeps_an_empty_value() -> None:
    channel = Channel(Call())
    channel.set_many("A=,B,C=x=y,__D=4")
    assert channel.written == {"A": "", "C": "x=y", "D": "4"}


# -- the agi_* lines


def test_the_environment_is_what_a_real_asterisk_sent() -> None:
    call = Call(
        callerid="0123",
        uniqueid="1795309479.5",
        channel="Local/s@t-00000002;2",
        context="t",
        priority=2,
        version="22.10.1+dfsg",
    )
    lines = call.environment("agi://127.0.0.1:42423/x?y=1", ["a", "b c", ""])
    assert [line for line in lines if not line.startswith("agi_threadid: ")] == [
        "agi_network: yes",
        "agi_network_script: x?y=1",
        "agi_request: agi://127.0.0.1:42423/x?y=1",
        "agi_channel: Local/s@t-00000002;2",
        "agi_language: en",
        "agi_type: Local",
        "agi_uniqueid: 1795309479.5",
        "agi_version: 22.10.1+dfsg",
        "agi_callerid: 0123",
        "agi_calleridname: unknown",
        "agi_callingpres: 0",
        "agi_callingani2: 0",
        "agi_callington: 0",
        "agi_callingtns: 0",
        "agi_dnid: unknown",
        "agi_rdnis: unknown",
        "agi_context: t",
        "agi_extension: s",
        "agi_priority: 2",
        "agi_enhanced: 0.0",
        "agi_accountcode: ",
        "agi_arg_1: a",
        "agi_arg_2: b c",
        "agi_arg_3: ",
    ]


def test_a_script_is_told_nothing_of_a_network() -> None:
    assert Call().environment("callsign.agi", ["ping"], network=False)[0] == "agi_request: callsign.agi"


def test_a_url_without_a_slash_has_no_script_line() -> None:
    assert Call().environment("agi://127.0.0.1?x=1")[:2] == ["agi_network: yes", "agi_request: agi://127.0.0.1?x=1"]


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("agi://127.0.0.1:4591/a/b?c=/d", AgiUrl("127.0.0.1", 4591, "a/b?c=/d")),
        ("AGI://pbx", AgiUrl("pbx", 4573, "")),
        ("agi://[::1]:80/x", AgiUrl("::1", 80, "x")),
        ("agi://[::1]/x", AgiUrl("::1", 4573, "x")),
        ("agi://::1/x", AgiUrl("::1", 4573, "x")),
    ],
)
def test_a_url_is_cut_at_the_first_slash(url: str, parts: AgiUrl) -> None:
    assert AgiUrl.parse(url) == parts


@pytest.mark.parametrize("url", ["agi://", "agi:///x", "agi://h:x/", "agi://h:65536/", "agi://[::1/x", "http://h/"])
def test_a_url_that_asterisk_could_not_follow_is_named(url: str) -> None:
    with pytest.raises(ValueError, match=r"wanted agi://|is written agi://|does not begin"):
        AgiUrl.parse(url)


# -- commands


@CHUNKS
def test_a_session_sets_variables_and_ends_in_success(chunk: int) -> None:
    seen: list[str] = []

    def handler(peer: Peer) -> None:
        seen.extend(peer.environment())
        assert peer.ask('SET VARIABLE SKARABEESTATUS "OK"') == "200 result=1"
        assert peer.ask('EXEC MSet "SKARABEEREASON=,SKARABEEJOB=17"') == "200 result=0"
        assert peer.end() == ["HANGUP"]

    call = Call(callerid="0475", calleridname='O\'Brien "Bob" \udce9', dnid="056528998")
    with server(handler) as url:
        session = run_fastagi(url, call, ["x", "y=1"], Conduct(send_bytes=chunk))
    assert 'agi_calleridname: O\'Brien "Bob" \udce9' in seen
    assert seen[-2:] == ["agi_arg_1: x", "agi_arg_2: y=1"]
    assert session.variables == {"SKARABEESTATUS": "OK", "SKARABEEREASON": "", "SKARABEEJOB": "17"}
    assert session.commands == ['SET VARIABLE SKARABEESTATUS "OK"', 'EXEC MSet "SKARABEEREASON=,SKARABEEJOB=17"']
    assert (session.status, session.trouble, session.ended_well) == ("SUCCESS", "", True)
    assert 0 < session.seconds < 5


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("GET VARIABLE GIVEN", "200 result=1 (from the dialplan)"),
        ("get variable __GIVEN", "200 result=0"),
        ("GET VARIABLE EMPTY", "200 result=1 ()"),
        ("GET VARIABLE NONE", "200 result=0"),
        ("GET VARIABLE UNIQUEID", "200 result=1 (1700000000.1)"),
        ("GET VARIABLE CHANNEL(linkedid)", "200 result=1 (1700000000.1)"),
        ("GET VARIABLE DB(a/b)", "200 result=0"),
        ("GET FULL VARIABLE GIVEN", "200 result=1 (GIVEN)"),
        ('GET FULL VARIABLE "<${GIVEN}|${NONE}|${G${E}N}>"', "200 result=1 (<from the dialplan||from the dialplan>)"),
        ("GET FULL VARIABLE ${GIVEN} SIP/other", "200 result=0"),
        ("SET VARIABLE X y", "200 result=1"),
        ("EXEC NoOp", "200 result=0"),
        ("EXEC verbose hello", "200 result=0"),
        ("EXEC Set X=1", "200 result=0"),
        ("EXEC Originate x", "200 result=-2"),
        ("VERBOSE hello 3", "200 result=1"),
        ('"NOOP" what ever', "200 result=0"),
        ("ANSWER", "200 result=0"),
        ("CHANNEL STATUS", "200 result=4"),
        ("CHANNEL STATUS SIP/other", "200 result=-1"),
        ("HANGUP SIP/other", "200 result=-1"),
        ("STREAM FILE beep #", "200 result=0 endpos=0"),
        ("NOOP\r", "510 Invalid or unknown command"),
        ("", "510 Invalid or unknown command"),
        ("GET", "510 Invalid or unknown command"),
        ('"GET VARIABLE" X', "510 Invalid or unknown command"),
    ],
)
def test_a_command_is_answered_as_asterisk_answers(command: str, answer: str) -> None:
    call = Call(variables={"__GIVEN": "from the dialplan", "EMPTY": "", "E": "IVE"})
    answers, session = talk(command, call=call)
    assert answers == [answer, "HANGUP"]
    assert session.ended_well is not answer.startswith("510")


def test_set_takes_all_behind_the_sign_and_ignores_what_has_none() -> None:
    assert talk('EXEC Set "A=x=\\"y\\",z"', "EXEC Set B")[1].variables == {"A": 'x="y",z'}


def test_an_answered_channel_is_up() -> None:
    assert talk("ANSWER", "CHANNEL STATUS")[0][1] == "200 result=6"


def test_get_variable_cuts_at_1023_bytes_even_inside_a_character() -> None:
    answers, session = talk("SET VARIABLE X " + 600 * "é", "GET VARIABLE X", "GET FULL VARIABLE ${X}")
    assert answers[1] == "200 result=1 (" + 511 * "é" + "\udcc3)"
    assert answers[2] == "200 result=1 (" + 600 * "é" + ")"
    assert session.ended_well


@pytest.mark.parametrize("command", ["SET VARIABLE X", "SET VARIABLE X y z", "GET VARIABLE", "EXEC", "VERBOSE"])
def test_a_wrong_number_of_arguments_brings_the_usage_block(command: str) -> None:
    def handler(peer: Peer) -> None:
        peer.environment()
        assert peer.ask(command) == "520-Invalid command syntax.  Proper usage follows:"
        assert command.split()[0] in peer.line()
        assert peer.line() == "520 End of proper usage."
        assert peer.ask("NOOP") == "200 result=0"

    with server(handler) as url:
        session = run_fastagi(url)
    assert session.status == "SUCCESS"
    assert session.trouble == f"520 was the answer to {command!r}"
    assert not session.ended_well


# -- hanging up


def test_a_hangup_at_once_is_told_after_the_environment_and_the_session_goes_on_dead() -> None:
    commands = ["SET VARIABLE A 1", "ANSWER", "CHANNEL STATUS", "HANGUP", "NOOP"]
    answers, session = talk(*commands, conduct=Conduct(hangup_after=0))
    dead = "511 Command Not Permitted on a dead channel or intercept routine"
    assert answers == ["HANGUP", "200 result=1", dead, dead, dead, "200 result=0", "HANGUP"]
    assert session.variables == {"A": "1"}
    assert (session.status, session.ended_well) == ("HANGUP", True)


def test_a_hangup_between_commands_comes_before_the_next_answer() -> None:
    answers, _ = talk("NOOP", "VERBOSE x", "NOOP", conduct=Conduct(hangup_after=1))
    assert answers == ["200 result=0", "HANGUP", "200 result=1", "200 result=0", "HANGUP"]


def test_the_command_hangup_kills_the_channel_which_is_not_a_good_end() -> None:
    answers, session = talk("HANGUP", "ANSWER")
    dead = "511 Command Not Permitted on a dead channel or intercept routine"
    assert answers == ["200 result=1", "HANGUP", dead, "HANGUP"]
    assert (session.status, session.trouble, session.ended_well) == ("HANGUP", "", False)


def test_agisighup_no_keeps_the_word_hangup_away() -> None:
    answers, session = talk("NOOP", call=Call(variables={"AGISIGHUP": "no"}), conduct=Conduct(hangup_after=0))
    assert answers == ["200 result=0"]
    assert session.status == "HANGUP"


def test_agiexitonhangup_ends_the_session_at_once() -> None:
    call = Call(variables={"AGIEXITONHANGUP": "yes"})
    with server(lambda peer: (peer.environment(), peer.rest())) as url:
        session = run_fastagi(url, call, conduct=Conduct(hangup_after=0))
    assert (session.status, session.seconds < 5) == ("HANGUP", True)


def test_a_call_that_was_over_before_is_dead_but_a_success() -> None:
    answers, session = talk("ANSWER", "SET VARIABLE A 1", conduct=Conduct(dead=True))
    assert answers[1:] == ["200 result=1", "HANGUP"]
    assert answers[0].startswith("511")
    assert (session.status, session.ended_well) == ("SUCCESS", True)


# -- lines


def test_a_second_command_in_one_write_waits_for_more_bytes() -> None:
    def handler(peer: Peer) -> None:
        peer.environment()
        peer.send(b"VERBOSE a\nNOOP\n")
        assert peer.rest() == ["200 result=1"]

    with server(handler) as url:
        session = run_fastagi(url, conduct=Conduct(timeout_seconds=0.4))
    assert "waits behind another" in session.trouble
    assert session.status == "FAILURE"


def test_what_waits_is_executed_when_more_comes_and_at_the_end() -> None:
    def handler(peer: Peer) -> None:
        peer.environment()
        peer.send(b"VERBOSE a\nNOOP\nVERBOSE b\n")
        assert peer.line() == "200 result=1"
        peer.send(b"GET VARIABLE X\nNOOP\n")
        assert [peer.line() for _ in range(3)] == ["200 result=0", "200 result=1", "200 result=0"]
        assert peer.end() == ["200 result=0", "HANGUP"]

    with server(handler) as url:
        session = run_fastagi(url)
    assert session.commands == ["VERBOSE a", "NOOP", "VERBOSE b", "GET VARIABLE X", "NOOP"]


@pytest.mark.parametrize(
    ("buffer", "length", "pieces"),
    [(2048, 2046, 1), (2048, 2047, 2), (2048, 3000, 2), (2048, 4500, 3), (8192, 8190, 1), (8192, 9000, 2)],
)
def test_a_line_that_does_not_fit_the_buffer_is_executed_in_pieces(buffer: int, length: int, pieces: int) -> None:
    line = b"NOOP " + (length - 5) * b"x" + b"\n"

    def handler(peer: Peer) -> None:
        peer.environment()
        peer.send(line)
        unknown = ["510 Invalid or unknown command"] * (pieces - 1)
        assert peer.end() == ["200 result=0", *unknown, "HANGUP"]

    with server(handler) as url:
        session = run_fastagi(url, conduct=Conduct(line_bytes=buffer))
    assert "".join(session.commands) == line.decode().strip()
    assert max(map(len, session.commands)) < buffer
    assert session.ended_well is (pieces == 1)


def test_a_nul_swallows_the_rest_of_its_line_and_the_line_end() -> None:
    def handler(peer: Peer) -> None:
        peer.environment()
        peer.send(b"NOOP\0junk\n")
        assert peer.ask(" more") == "200 result=0"

    with server(handler) as url:
        session = run_fastagi(url)
    assert session.commands == ["NOOP more"]
    assert "NUL" in session.trouble


def test_a_last_line_without_an_end_is_executed_too() -> None:
    def handler(peer: Peer) -> None:
        peer.environment()
        peer.send(b"SET VARIABLE A 1")
        assert peer.end() == ["200 result=1", "HANGUP"]

    with server(handler) as url:
        session = run_fastagi(url)
    assert session.variables == {"A": "1"}
    assert session.trouble == "the last line has no line end"


def test_the_line_failure_ends_the_session_with_failure() -> None:
    def handler(peer: Peer) -> None:
        peer.environment()
        peer.send(b"Failure to launch\n")
        assert peer.rest() == ["HANGUP"]

    with server(handler) as url:
        session = run_fastagi(url)
    assert (session.status, session.commands) == ("FAILURE", [])


# -- ends and hooks


def test_a_peer_that_closes_at_once_is_a_success_for_the_dialplan_but_did_not_end_well() -> None:
    with server(lambda peer: peer.environment()) as url:
        session = run_fastagi(url)
    assert (session.status, session.ended_well) == ("SUCCESS", False)
    assert session.trouble == "the peer closed without giving a single command"


def test_a_peer_that_closes_with_an_answer_unread_did_not_end_well() -> None:
    def handler(peer: Peer) -> None:
        peer.environment()
        peer.send(b"NOOP\n")
        assert peer.connection.recv(1, socket.MSG_PEEK)

    with server(handler) as url:
        session = run_fastagi(url)
    assert (session.status, session.ended_well) == ("SUCCESS", False)
    assert "without reading all" in session.trouble


@pytest.mark.parametrize("sent", [b"", b"NOO"])
def test_a_silent_peer_ends_at_the_timeout(sent: bytes) -> None:
    def handler(peer: Peer) -> None:
        peer.environment()
        peer.send(sent)
        assert peer.rest() == []

    with server(handler) as url:
        session = run_fastagi(url, conduct=Conduct(timeout_seconds=0.2))
    assert session.status == "FAILURE"
    assert "Asterisk would hold the call" in session.trouble
    assert 0.2 <= session.seconds < 5


def test_a_peer_that_never_reads_ends_at_the_timeout() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        wire = Wire(ours, ours, seconds=0.2)
        session = play(wire, "agi://h/x", Call(calleridname="x" * 4_000_000))
    assert session.status == "FAILURE"
    assert "the peer reads nothing" in session.trouble


def test_a_refused_connection_is_a_failure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"agi://127.0.0.1:{listener.getsockname()[1]}/x"
    session = run_fastagi(url)
    assert (session.status, session.ended_well) == ("FAILURE", False)
    assert "refused" in session.trouble


def test_a_malformed_url_is_a_failure_that_says_why() -> None:
    assert "is no port number" in run_fastagi("agi://127.0.0.1:http?x").trouble


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[str, int]) -> None:
    answers = [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: answers)


def test_the_next_address_is_tried_after_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        refused = listener.getsockname()
    with server(lambda peer: (peer.environment(), peer.ask("NOOP"))) as url:
        resolving(monkeypatch, refused, ("127.0.0.1", AgiUrl.parse(url).port))
        assert run_fastagi("agi://pbx/x").commands == ["NOOP"]


def test_no_further_address_is_tried_after_one_that_fails_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        resolving(monkeypatch, ("255.255.255.255", 4573), listener.getsockname())
        session = run_fastagi("agi://pbx/x")
    assert session.status == "FAILURE"
    assert "255.255.255.255" in session.trouble


@CHUNKS
def test_a_command_can_be_answered_with_given_bytes(chunk: int) -> None:
    replies = {"EXEC MSet A=1": b"200 result=-2\n", "GET VARIABLE X": b"HANGUP\n200 result=1 (a)\nb)\n"}
    commands = [*replies, "NOOP", "NOOP"]
    answers, session = talk(*commands, conduct=Conduct(replies=replies.get, send_bytes=chunk))
    assert answers == ["200 result=-2", "HANGUP", "200 result=1 (a)", "b)", "200 result=0", "200 result=0", "HANGUP"]
    assert session.variables == {}


def test_asterisk_can_vanish_at_a_command_where_a_test_wants_it_to() -> None:
    def vanish(line: str) -> bytes | None:
        if line == "VERBOSE 2":
            raise TimeoutError
        return None

    answers, session = talk("VERBOSE 1", "VERBOSE 2", conduct=Conduct(replies=vanish))
    assert answers == ["200 result=1", ""]
    assert (session.status, session.ended_well) == ("FAILURE", False)


def test_each_line_is_shown_as_it_passes() -> None:
    shown: list[tuple[str, str]] = []

    def handler(peer: Peer) -> None:
        peer.environment()
        peer.ask("NOOP")
        peer.end()

    with server(handler) as url:
        run_fastagi(url, on_line=lambda direction, text: shown.append((direction, text)))
    assert shown[:2] == [("Tx", "agi_network: yes"), ("Tx", "agi_network_script: skarabee?wait=2")]
    assert shown[-4:] == [("Tx", ""), ("Rx", "NOOP"), ("Tx", "200 result=0"), ("Tx", "HANGUP")]


@CHUNKS
def test_each_write_has_the_size_that_was_asked_for(chunk: int) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)  # keeps writes apart
    with ours, theirs:
        theirs.shutdown(socket.SHUT_WR)
        wire = Wire(ours, ours, chunk_bytes=chunk)
        player = threading.Thread(target=play, args=(wire, "agi://h/x"))
        player.start()  # beside the reader: the kernel has no room for so many writes
        writes = [theirs.recv(8192)]
        while writes[-1]:
            writes.append(theirs.recv(8192))
        player.join()
    sent = b"".join(writes)
    assert sent.endswith(b"\n\nHANGUP\n")
    assert max(map(len, writes)) == min(chunk, len(sent) - len(b"HANGUP\n"))


def test_a_session_plays_over_a_pair_of_streams() -> None:
    commands_out, commands_in = os.pipe()
    answers_out, answers_in = os.pipe()
    with open(commands_in, "wb", 0) as peer:
        peer.write(b"SET VARIABLE A 1\n")
    wire = Wire(open(commands_out, "rb", 0), open(answers_in, "wb", 0), seconds=5)  # noqa: SIM115
    session = play(wire, "agi://h/x")
    with open(answers_out, "rb") as answers:
        assert answers.read().endswith(b"\n\n200 result=1\nHANGUP\n")
    assert session.variables == {"A": "1"}


def test_a_script_that_never_reads_ends_at_the_timeout() -> None:
    commands_out, commands_in = os.pipe()
    answers_out, answers_in = os.pipe()
    with open(commands_in, "wb", 0), open(answers_out, "rb", 0):
        wire = Wire(open(commands_out, "rb", 0), open(answers_in, "wb", 0), seconds=0.2)  # noqa: SIM115
        session = play(wire, "agi://h/x", Call(calleridname="x" * 4_000_000))
    assert "the peer reads nothing" in session.trouble


# -- scripts


def test_a_script_gets_its_arguments_both_ways_and_sets_variables(script: Callable[[str], Path]) -> None:
    path = script("""
ask('SET VARIABLE ARGV "%s"' % "|".join(sys.argv[1:]))
ask('SET VARIABLE LINES "%s"' % "|".join(environment[f"agi_arg_{n}"] for n in (1, 2)))
ask('SET VARIABLE NETWORK %s' % ("agi_network" in environment))
""")
    session = run_script(path, Call(callerid="1"), ["a b", "--c"])
    assert session.variables == {"ARGV": "a b|--c", "LINES": "a b|--c", "NETWORK": "False"}
    assert (session.status, session.trouble, session.ended_well) == ("SUCCESS", "", True)


def test_a_missing_script_is_not_found(tmp_path: Path) -> None:
    session = run_script(tmp_path / "none.agi")
    assert (session.status, session.ended_well) == ("NOTFOUND", False)
    assert "none.agi" in session.trouble


@pytest.mark.parametrize(("text", "mode"), [("#!/bin/sh\n", 0o644), ("no interpreter line\n", 0o755)])
def test_a_script_that_cannot_be_started_is_a_failure(tmp_path: Path, text: str, mode: int) -> None:
    path = tmp_path / "broken.agi"
    path.write_text(text)
    path.chmod(mode)
    session = run_script(path)
    assert session.status == "FAILURE"
    assert "is it executable" in session.trouble


def test_an_exit_status_is_a_failure(script: Callable[[str], Path]) -> None:
    session = run_script(script("ask('SET VARIABLE A 1'); sys.exit(3)"))
    assert (session.status, session.variables) == ("FAILURE", {"A": "1"})
    assert session.trouble == "the script ended with exit status 3"


def test_asterisk_waits_for_a_script_that_has_closed_its_output(tmp_path: Path) -> None:
    path = tmp_path / "lingers.agi"
    path.write_text(
        "#!/bin/sh\n"
        'while read -r line && [ -n "$line" ]; do :; done\n'
        'echo "SET VARIABLE PID $$"; read -r line\n'
        "exec sleep 60 >&-\n"
    )
    path.chmod(0o755)
    session = run_script(path, conduct=Conduct(timeout_seconds=1))
    assert session.status == "FAILURE"
    assert "Asterisk holds the call until it exits" in session.trouble
    wait_for_scripts()
    with pytest.raises(ProcessLookupError):
        os.kill(int(session.variables["PID"]), 0)


def test_a_script_that_forks_and_exits_holds_nobody(script: Callable[[str], Path], tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    path = script(f"""
ask('NOOP')
if not os.fork():
    os.close(0); os.close(1)
    open({str(gate)!r}).read()
os._exit(0)
""")
    session = run_script(path)
    with open(gate, "w"):  # the child still waits there, or this would block
        assert session.ended_well


def test_a_hangup_is_a_signal_to_a_script(script: Callable[[str], Path]) -> None:
    path = script("""
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
ask('NOOP')
signal.sigwait([signal.SIGHUP])
ask('SET VARIABLE AFTER "%s"' % ask('ANSWER')[:3])
""")
    session = run_script(path, conduct=Conduct(hangup_after=1))
    assert session.variables == {"AFTER": "511"}
    assert (session.status, session.ended_well) == ("HANGUP", True)


def test_a_script_that_dies_of_the_hangup_ended_in_order(script: Callable[[str], Path]) -> None:
    session = run_script(script("ask('NOOP')\nwhile True: signal.pause()"), conduct=Conduct(hangup_after=1))
    assert (session.status, session.trouble, session.ended_well) == ("HANGUP", "", True)


def wait_for_scripts() -> None:
    """Until every script that was left running has ended."""
    for thread in threading.enumerate():
        if thread.name == "reap-agi-script":
            thread.join(30)
