"""A recorder that takes a start, says nothing, and carries it out behind the stop: the recording ends all the same."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from callsign.sandbox.asterisk.call import Call
from callsign.sandbox.asterisk.play import run_fastagi
from product import Product
from store_play import eventually

EXTENSION = "201"
WELL = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 23\r\n\r\n{"Message":"","Code":0}'


class LateRecorder:
    """Hangs up on every start until `answers`; carries out what it had taken by then behind the first stop."""

    def __init__(self) -> None:
        self.answers = False
        self.recording = False
        self.asked: list[str] = []
        self._is_late = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/rest"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):  # closed
            while True:
                sock, _ = self._listener.accept()
                threading.Thread(target=self._talk, args=(sock,), daemon=True).start()

    def _talk(self, sock: socket.socket) -> None:
        with sock, suppress(OSError):
            while data := sock.recv(65536):
                url = urlsplit(data.split(b" ", 2)[1].decode())
                method = url.path.rsplit("/", 1)[1]
                self.asked.append(f"{method} {parse_qs(url.query)['extenOrUniqueId'][0]}")
                if method == "stop":
                    self.recording, self._is_late = self._is_late, False
                elif self.answers:
                    self.recording = True
                else:
                    self._is_late = True
                    return
                sock.sendall(WELL)

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def recorder() -> Iterator[LateRecorder]:
    made = LateRecorder()
    yield made
    made.close()


@pytest.fixture
def server(tmp_path: Path, recorder: LateRecorder) -> Iterator[Product]:
    section = f'[noojee]\nurl = "{recorder.url}"\nkey = "k"\nauth = "apikey"\n'
    with Product(tmp_path, section) as running:
        yield running


def command(server: Product, what: str, number: int, recording: str) -> str:
    """On a channel of its own, which is also its call's name; the job."""
    call = Call(uniqueid=f"1700000000.{number}")
    session = run_fastagi(f"{server.url}/noojee/{what}?wait=0", call, [recording])
    assert session.variables["NOOJEESTATUS"] == "QUEUED"
    return session.variables["NOOJEEJOB"]


def is_over(recorder: LateRecorder, recording: str, stops: int = 2) -> bool:
    """Whether the stop came so often, and nothing is recorded."""
    return eventually(lambda: recorder.asked.count(f"stop {recording}") == stops and not recorder.recording)


@pytest.mark.parametrize("recording", [EXTENSION, "1700000000.1"], ids=["by extension", "by unique id"])
def test_a_recording_ends_though_its_start_came_late(server: Product, recorder: LateRecorder, recording: str) -> None:
    command(server, "start", 1, recording)
    assert eventually(lambda: recorder.asked)
    recorder.answers = True
    command(server, "stop", 2, recording)
    assert is_over(recorder, recording)
    assert recorder.asked[-2:] == [f"stop {recording}"] * 2


def test_a_server_that_is_killed_before_the_stop_knows_of_the_start_that_waits(
    server: Product, recorder: LateRecorder
) -> None:
    command(server, "start", 1, "1.1")
    assert eventually(lambda: recorder.asked)
    server.kill()
    recorder.answers = True
    server.start()
    command(server, "stop", 2, "1.1")
    assert is_over(recorder, "1.1")


def test_a_server_that_is_killed_between_a_stop_and_its_repetition_still_repeats_it(
    server: Product, recorder: LateRecorder
) -> None:
    command(server, "start", 1, "1.1")
    assert eventually(lambda: recorder.asked)
    recorder.answers = True
    command(server, "stop", 2, "1.1")
    server.wait_log(lambda line: "once more" in line, 30)
    assert recorder.recording
    server.kill()
    server.start()
    assert is_over(recorder, "1.1")


def test_a_server_that_starts_anew_behind_a_start_that_had_expired_unanswered_knows_of_it(
    server: Product, recorder: LateRecorder
) -> None:
    command(server, "start", 1, EXTENSION)
    server.wait_log(lambda line: "action=noojee/start" in line and "EXPIRED" in line, 30)
    server.stop()
    server.start()
    command(server, "stop", 2, EXTENSION)
    assert is_over(recorder, EXTENSION)
