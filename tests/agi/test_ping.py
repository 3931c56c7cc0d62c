"""The call that a server places to itself is answered exactly when a call of Asterisk's would be."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from ipaddress import ip_network

import pytest

from agi_lines import say_that_it_was_all
from callsign.agi import ping, places
from callsign.agi.listener import FastAgiServer
from callsign.agi.ping import BLOCK, is_answered, play
from callsign.outbox.outbox import Outbox
from callsign.server import listening
from callsign.steps import call_guard
from callsign.steps.step import Step
from fastagi import AnsweringServer
from waiting import wait_until

LONG_SECONDS, SHORT_SECONDS = 20.0, 0.3
NOBODY = (ip_network("192.0.2.1"),)


@pytest.fixture(params=["127.0.0.1", "0.0.0.0", "::1", "::"])
def server(request: pytest.FixtureRequest) -> Iterator[FastAgiServer]:
    running = AnsweringServer(
        listening.new((request.param, 0)), lambda: NOBODY, lambda step: {"CALLSIGNSTATUS": step.path}
    )
    running.start()
    yield running
    running.stop()


def test_a_server_answers_its_own_call_wherever_it_listens_without_a_word_in_the_log(
    server: FastAgiServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    assert all(server.answers(LONG_SECONDS) for _ in range(5))
    assert caplog.records == []


@pytest.mark.parametrize("server", ["127.0.0.1"], indirect=True)
def test_another_call_is_not_taken_for_its_own(server: FastAgiServer, caplog: pytest.LogCaptureFixture) -> None:
    assert server.answers(LONG_SECONDS)
    with socket.create_connection(server.address, LONG_SECONDS) as sock:
        sock.sendall(BLOCK)
        with suppress(ConnectionResetError):
            assert sock.recv(100) == b""
    wait_until(lambda: [record.getMessage()[-8:] for record in caplog.records] == [": closed"])


@pytest.mark.parametrize("server", ["127.0.0.1"], indirect=True)
def test_whoever_comes_from_the_port_that_its_own_call_had_is_admitted_by_allow_alone(
    server: FastAgiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[tuple[str, int]] = []
    bind = socket.socket.bind

    def note(sock: socket.socket, address: tuple[str, int]) -> None:
        bind(sock, address)
        used.append(sock.getsockname())

    monkeypatch.setattr(socket.socket, "bind", note)
    assert server.answers(LONG_SECONDS)
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(used[0])
        sock.settimeout(LONG_SECONDS)
        sock.connect(server.address)
        with suppress(ConnectionError):
            sock.sendall(BLOCK)
            assert sock.recv(100) == b""


@pytest.mark.parametrize("server", ["127.0.0.1"], indirect=True)
def test_one_connection_is_its_own_call_and_no_second_one(server: FastAgiServer) -> None:
    with socket.socket() as first, socket.socket() as second:
        for sock in (first, second):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.settimeout(LONG_SECONDS)
        first.bind(("127.0.0.1", 0))
        server._own_call = caller = first.getsockname()
        first.connect(server.address)
        first.sendall(BLOCK)
        assert first.recv(100).startswith(b"SET VARIABLE")
        first.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # leaves no TIME_WAIT
        first.close()
        second.bind(caller)
        second.connect(server.address)
        with suppress(ConnectionError):
            second.sendall(BLOCK)
            assert second.recv(100) == b""


@pytest.mark.parametrize("server", ["127.0.0.1"], indirect=True)
def test_its_own_call_may_ask_for_ping_alone(server: FastAgiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ping, "BLOCK", BLOCK.replace(ping.REQUEST, b"agi://own/noojee/start"))
    assert server.answers(LONG_SECONDS)  # agi_request: Asterisk's own words, which nobody asks
    monkeypatch.setattr(ping, "BLOCK", BLOCK.replace(b"script: ping", b"script: noojee/start"))
    assert not server.answers(LONG_SECONDS)


@pytest.mark.parametrize("in_time", [True, False])
def test_a_server_whose_every_place_is_taken_is_well_only_while_calls_that_hang_are_in_their_time(
    in_time: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "MAX_SESSIONS", 8)
    if not in_time:
        monkeypatch.setattr(call_guard, "longest_seconds", lambda step: 0.0)
    held, hangs = threading.Event(), threading.Semaphore(0)

    def answer(step: Step) -> dict[str, str]:
        if step.options:
            hangs.release()
            held.wait(LONG_SECONDS)
        return {"CALLSIGNSTATUS": "OK"}

    server = AnsweringServer(listening.new(("127.0.0.1", 0)), lambda: (ip_network("127.0.0.1"),), answer)
    server.start()
    try:
        with ExitStack() as calls:
            for _ in range(8):
                assert server.answers(LONG_SECONDS)
                sock = calls.enter_context(socket.create_connection(server.address, LONG_SECONDS))
                sock.sendall(BLOCK.replace(b"script: ping", b"script: noojee/start?wait=60"))
                say_that_it_was_all(sock)
                assert hangs.acquire(timeout=LONG_SECONDS)
                if not in_time:
                    assert b"ERROR" in sock.recv(4096)
            assert server.answers(SHORT_SECONDS) == in_time
            held.set()
        assert server.answers(LONG_SECONDS)
    finally:
        held.set()
        server.stop()


@pytest.mark.parametrize("said", [b"", b"VERBOSE x\n", b"SET VARIABLE A", b"x" * 10_000], ids=repr)
def test_a_peer_that_ends_without_a_status_has_not_answered(said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def play() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.sendall(said)

        thread = threading.Thread(target=play)
        thread.start()
        assert not is_answered(listener.getsockname()[:2], LONG_SECONDS, lambda caller: None)
        thread.join(LONG_SECONDS)


def test_where_nobody_listens_nobody_has_answered() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()[:2]
    assert not is_answered(address, LONG_SECONDS, lambda caller: None)


def test_a_store_is_alive_until_its_writer_has_ended(tmp_path_factory: pytest.TempPathFactory) -> None:
    outbox = Outbox(tmp_path_factory.mktemp("store") / "outbox.db")
    assert outbox.is_alive
    outbox.close()
    assert not outbox.is_alive


@pytest.mark.parametrize("server", ["127.0.0.1"], indirect=True)
def test_a_server_that_is_full_is_well_as_long_as_its_calls_end(
    server: FastAgiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "MAX_SESSIONS", 2)
    monkeypatch.setattr(server, "_allow", lambda: (ip_network("127.0.0.1"),))
    with ExitStack() as stack, ThreadPoolExecutor(1) as pool:
        silent = [stack.enter_context(socket.create_connection(server.address)) for _ in range(9)]
        for sock in silent:
            sock.sendall(BLOCK)
        wait_until(lambda: server.sessions >= 2)
        assert not server.answers(SHORT_SECONDS)
        look = pool.submit(server.answers, 2.0)
        wait_until(lambda: server._own_call is not None)
        silent[0].close()
        assert look.result(LONG_SECONDS)


@pytest.mark.parametrize("server", ["127.0.0.1"], indirect=True)
def test_a_call_that_is_admitted_by_allow_hears_what_a_call_of_asterisks_hears(
    server: FastAgiServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(server, "_allow", lambda: (ip_network("127.0.0.1"),))
    assert play(server.address, LONG_SECONDS).endswith('\nSET VARIABLE "CALLSIGNSTATUS" "ping/settings"\n')
    wait_until(lambda: bool(caplog.records))
    assert [record.levelname for record in caplog.records] == ["INFO"], caplog.text


@pytest.mark.parametrize("server", ["127.0.0.1"], indirect=True)
def test_a_call_that_is_not_admitted_hears_nothing(server: FastAgiServer) -> None:
    assert play(server.address, LONG_SECONDS) == ""


def test_a_server_that_says_nothing_is_no_answer_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(TimeoutError):
        play(listener.getsockname()[:2], SHORT_SECONDS)


def test_what_makes_sure_of_the_block_is_answered_as_asterisk_answers_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        said = pool.submit(play, listener.getsockname()[:2], LONG_SECONDS)
        sock, _ = listener.accept()
        with sock:
            sock.settimeout(LONG_SECONDS)
            sock.sendall(b"GET FULL VARIABLE 1f${CHANNEL(appdata)}1f\n")
            with sock.makefile("rb") as lines:
                assert lines.read(len(BLOCK)) == BLOCK
                assert lines.readline() == b"200 result=1 (1fagi://own/ping/settings1f)\n"
        assert said.result(LONG_SECONDS) == "GET FULL VARIABLE 1f${CHANNEL(appdata)}1f\n"
