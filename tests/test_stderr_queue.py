"""A log that nobody reads, or that cannot be written, costs its lines and nothing else."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from callsign.sandbox.asterisk.call import Call
from callsign.sandbox.asterisk.play import run_fastagi
from callsign.sandbox.vendors.sandbox import Sandbox
from callsign.stderr_queue import MOST_WAITING, QueuedStderr
from product import COMMAND, PROJECT, Product, vendor_sections
from script_play import CALL, SCRIPT, PlainScript
from store_play import LONG_SECONDS
from unread import SMALLEST, Unread
from waiting import wait_until

CALLS = 60  # each says some 300 bytes


class Pipe:
    """One whose reader reads only when it is told to."""

    def __init__(self) -> None:
        self.reader, number = os.pipe()
        fcntl.fcntl(self.reader, fcntl.F_SETPIPE_SZ, SMALLEST)
        self.writer: IO[str] = os.fdopen(number, "w")

    def fill(self) -> None:
        """Until it takes no byte more."""
        os.write(self.writer.fileno(), b"x" * (SMALLEST - 1) + b"\n")

    def read_all(self) -> list[str]:
        """Until its last writer has closed it."""
        if not self.writer.closed:
            self.writer.close()
        with os.fdopen(self.reader) as reader:
            self.reader = -1
            return reader.read().split("\n")

    def close(self) -> None:
        if not self.writer.closed:
            self.writer.close()
        if self.reader >= 0:
            os.close(self.reader)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


def run(code: str, stderr: IO[str] | int) -> int:
    """The exit status of a process that runs it."""
    program = f"import sys; from callsign.stderr_queue import queue_stderr; queue_stderr()\n{code}"
    environment = {**os.environ, "PYTHONPATH": str(PROJECT / "agi")}
    return subprocess.run(
        [sys.executable, "-c", program], stderr=stderr, env=environment, timeout=LONG_SECONDS
    ).returncode


def test_each_thread_finds_its_lines_in_order_and_whole(pipe: Pipe) -> None:
    queued = QueuedStderr(pipe.writer)
    told: list[str] = []
    reader = threading.Thread(target=lambda: told.extend(pipe_lines(pipe)))
    reader.start()

    def say(thread: int) -> None:
        for n in range(400):
            queued.write(f"{thread} {n}\n")

    threads = [threading.Thread(target=say, args=(thread,)) for thread in range(5)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    queued.end()
    pipe.writer.close()
    reader.join(LONG_SECONDS)
    for thread in range(5):
        assert [line for line in told if line.startswith(f"{thread} ")] == [f"{thread} {n}" for n in range(400)]


def pipe_lines(pipe: Pipe) -> list[str]:
    with os.fdopen(pipe.reader) as reader:
        pipe.reader = -1
        return reader.read().split("\n")


def test_what_nobody_reads_is_counted_and_the_count_is_said_when_somebody_reads(
    pipe: Pipe, caplog: pytest.LogCaptureFixture
) -> None:
    queued = QueuedStderr(pipe.writer)
    pipe.fill()
    more = 100
    queued.write("first\n")
    wait_until(lambda: queued._waiting.empty())  # it is being written now
    for n in range(MOST_WAITING + more):
        queued.write(f"{n}\n")
    told: list[str] = []
    reader = threading.Thread(target=lambda: told.extend(pipe_lines(pipe)))
    reader.start()
    wait_until(lambda: any(f"{more} lines of this log are missing" in line for line in caplog.messages))
    queued.end()
    pipe.writer.close()
    reader.join(LONG_SECONDS)
    assert told[1:-1] == ["first", *(str(n) for n in range(MOST_WAITING))]


def test_what_is_no_text_of_that_encoding_is_written_all_the_same(pipe: Pipe) -> None:
    code = 'sys.stderr.reconfigure(encoding="ascii"); print("caf\\xe9 \\ud800", file=sys.stderr)'
    assert run(code, pipe.writer) == 0
    assert pipe.read_all() == ["caf\\xe9 \\ud800", ""]


def test_the_last_words_and_a_traceback_are_written_before_the_end(pipe: Pipe) -> None:
    assert run('print("one", file=sys.stderr)\nraise ValueError("two")', pipe.writer) == 1
    told = pipe.read_all()
    assert told[0] == "one"
    assert told[-2:] == ["ValueError: two", ""]


@pytest.mark.parametrize("code", ['print("words", file=sys.stderr)', 'raise ValueError("words")', "sys.exit('words')"])
def test_the_end_waits_for_no_reader(pipe: Pipe, code: str) -> None:
    pipe.fill()
    assert run(code, pipe.writer) in (0, 1)


def test_a_closed_stderr_is_no_trouble() -> None:
    code = (
        "import os, logging; from callsign.server.serve import set_up_logging; set_up_logging(); logging.error('words')"
    )
    program = ["sh", "-c", 'exec "$@" 2>&-', "sh", sys.executable, "-c", code]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT / "agi")}
    assert subprocess.run(program, env=environment, timeout=LONG_SECONDS).returncode == 0


# -- the server ---------------------------------------------------------------------------------------------------


def notify(product: Product, calls: range) -> None:
    for n in calls:
        call = Call(callerid=f"0470{n:06}", extension="056528998", uniqueid=f"1700000000.{n}")
        session = run_fastagi(f"{product.url}/skarabee", call)
        assert session.variables["SKARABEESTATUS"] == "QUEUED"


def test_a_log_that_nobody_reads_holds_up_no_call_no_delivery_and_no_end(tmp_path: Path, box: Sandbox) -> None:
    with Unread(tmp_path, vendor_sections(box)) as product:
        try:
            notify(product, range(CALLS))
            wait_until(lambda: len(box.seen) == CALLS)
            assert run_fastagi(f"{product.url}/ping", CALL).variables["CALLSIGNSTATUS"] == "OK"
            product.process.send_signal(signal.SIGTERM)
            assert product.process.wait(LONG_SECONDS) == 0
        finally:
            product.read_on()
            product.kill()


def test_a_log_that_is_read_late_has_every_line(tmp_path: Path, box: Sandbox) -> None:
    with Unread(tmp_path, vendor_sections(box)) as product:
        notify(product, range(CALLS))
        product.read_on()
        for n in range(CALLS):
            product.wait_log(lambda line, n=n: re.search(rf"call=1700000000\.{n} .*DELIVERED", line), LONG_SECONDS)


@pytest.mark.parametrize("full_disk", [True, False])
def test_a_log_that_cannot_be_written_costs_its_lines_only(tmp_path: Path, box: Sandbox, full_disk: bool) -> None:
    with Product(tmp_path, vendor_sections(box)) as product:  # a port that is free
        port = product.port
    (tmp_path / "outbox.db").unlink()
    product.write_settings(vendor_sections(box), f"127.0.0.1:{port}")
    reader, writer = os.pipe()
    os.close(reader)
    with open("/dev/full" if full_disk else writer, "w", encoding="utf-8") as stderr:
        server = subprocess.Popen([sys.executable, COMMAND, "serve", "--config", product.settings], stderr=stderr)
    try:
        wait_until(lambda: run_fastagi(f"{product.url}/ping", CALL).status == "SUCCESS")
        notify(product, range(CALLS))
        wait_until(lambda: len(box.seen) == CALLS)
        server.terminate()
        assert server.wait(LONG_SECONDS) == 0
    finally:
        server.kill()
        server.wait()
        if full_disk:
            os.close(writer)


def test_faulty_settings_end_the_start_also_where_nobody_reads_why(tmp_path: Path, pipe: Pipe) -> None:
    settings = tmp_path / "callsign.toml"
    settings.write_text("[nonsense]\n", encoding="utf-8")
    pipe.fill()
    command = [sys.executable, COMMAND, "serve", "--config", settings]
    assert subprocess.run(command, stderr=pipe.writer, timeout=LONG_SECONDS).returncode == 2


# -- the plain script ---------------------------------------------------------------------------------------------


def test_a_plain_script_whose_log_nobody_reads_holds_no_call_and_delivers(
    tmp_path: Path, box: Sandbox, monkeypatch: pytest.MonkeyPatch, pipe: Pipe
) -> None:
    plain = PlainScript(tmp_path, vendor_sections(box), monkeypatch)
    pipe.fill()
    shell = tmp_path / "with-that-log"
    shell.write_text(f'#!/bin/sh\nexec {SCRIPT} "$@" 2>/proc/{os.getpid()}/fd/{pipe.writer.fileno()}\n')
    shell.chmod(0o755)
    try:
        assert plain.run("skarabee", script=shell).variables["SKARABEESTATUS"] == "QUEUED"
        wait_until(lambda: len(box.seen) == 1)
        plain.settings.unlink()
        assert plain.run("skarabee", script=shell).variables["SKARABEESTATUS"] == "ERROR"
    finally:
        plain.end_all()


def test_text_that_cannot_be_made_into_bytes_does_not_end_the_log(pipe: Pipe, caplog: pytest.LogCaptureFixture) -> None:
    class Odd:
        encoding = "nonsense"

        def fileno(self) -> int:
            return pipe.writer.fileno()

    stream: Any = Odd()
    queued = QueuedStderr(stream)
    queued.write("first\n")
    wait_until(lambda: queued._lost == 1)
    stream.encoding = "utf-8"
    queued.write("second\n")
    wait_until(lambda: "1 lines of this log are missing here" in caplog.text)
    queued.end()
    assert pipe.read_all() == ["second", ""]
