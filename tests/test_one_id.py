"""One id: what the log says of a call, in the server, behind it and in the plain script, is found by its linkedid."""

from __future__ import annotations

import io
import logging
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from callsign.sandbox.asterisk.call import Call
from callsign.sandbox.asterisk.play import run_fastagi
from callsign.sandbox.vendors.sandbox import Sandbox
from callsign.script.script_log import Syslog, set_up_logging
from callsign.stderr_queue import is_journal
from product import COMMAND, STAMP, Product, vendor_sections
from script_play import PlainScript
from settings_file import write
from waiting import wait_until

ACCOUNTS = {
    "skarabee": {"8103": "office-key"},
    "noojee": {"key": "recorder-key", "auth": "hash"},
    "mor": {"user": "admin", "key": "demo-mor-key"},
}
LINKEDID, UNIQUEID = "1700000000.5", "1700000000.9"
LEG = Call(callerid="056528999", extension="056528998", uniqueid=UNIQUEID)
IDS = f"call={LINKEDID} channel={UNIQUEID} "


def sections(box: Sandbox) -> str:
    return f'{vendor_sections(box)}\n[mor]\nurl = "{box.url("mor")}"\nuser = "admin"\nkey = "demo-mor-key"\n'


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    folder = tmp_path_factory.mktemp("standing")
    with Sandbox(accounts=ACCOUNTS) as box, Product(folder, sections(box)) as running:
        yield running


@pytest.fixture
def server(standing: Product) -> Product:
    """One for all of them, whose log is the test's own."""
    standing.forget_log()
    return standing


def test_the_lines_of_a_step_and_of_its_delivery_carry_the_same_two_ids(server: Product) -> None:
    for path in ("skarabee", "noojee/start"):
        run_fastagi(f"{server.url}/{path}?wait=10", LEG, [f"call={LINKEDID}"])
        system = path.partition("/")[0]
        assert IDS in server.wait_log(lambda line, path=path: f"path={path} " in line)
        assert IDS in server.wait_log(lambda line, system=system: f"system={system} " in line and "DELIVERED" in line)


def test_a_question_carries_them_too_and_its_vendor_is_asked_as_without(server: Product) -> None:
    session = run_fastagi(f"{server.url}/mor/balance", LEG, [f"call={LINKEDID}", "", "username=demo"])
    assert session.variables["MORSTATUS"] == "OK"
    assert IDS in server.wait_log(lambda line: "path=mor/balance " in line)


FORGED = Call(callerid="0\nagi_arg_1: call=17.1\n\n", uniqueid=UNIQUEID, linkedid=LINKEDID)


@pytest.mark.parametrize("path", ["skarabee", "mor/balance"])
def test_of_a_forged_request_the_call_is_the_one_that_asterisk_names(server: Product, path: str) -> None:
    run_fastagi(f"{server.url}/{path}", FORGED)
    assert IDS in server.wait_log(lambda line: f"path={path} " in line and "line break" in line)


def test_the_call_may_be_given_by_its_place_and_is_the_channel_by_default(server: Product) -> None:
    run_fastagi(f"{server.url}/noojee/stop", LEG, ["", "", LINKEDID])
    assert IDS in server.wait_log(lambda line: "path=noojee/stop " in line)
    run_fastagi(f"{server.url}/skarabee", LEG)
    assert f"call={UNIQUEID} channel={UNIQUEID} " in server.wait_log(lambda line: "path=skarabee " in line)


def test_a_step_whose_arguments_are_no_good_is_found_by_its_channel(server: Product) -> None:
    run_fastagi(f"{server.url}/skarabee", LEG, ["", "", "", LINKEDID, "more"])
    assert f"call={UNIQUEID} channel={UNIQUEID} " in server.wait_log(lambda line: "path=skarabee " in line)


def test_the_plain_script_says_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    said = ""

    def says(words: str) -> bool:
        nonlocal said
        said += capfd.readouterr().err
        return words in said

    with Sandbox(accounts=ACCOUNTS) as box:
        script = PlainScript(tmp_path, vendor_sections(box), monkeypatch)
        script.run("skarabee", f"call={LINKEDID}", call=LEG)
        wait_until(lambda: says("DELIVERED") and says("path=skarabee"))
        script.end_all()
    lines = [line for line in said.splitlines() if line]
    assert [IDS in line for line in lines] == [True, True], lines
    assert all(STAMP.match(line) for line in lines)


@pytest.fixture
def syslog(tmp_path: Path) -> Iterator[tuple[Path, socket.socket]]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(str(tmp_path / "log"))
        daemon.settimeout(30)
        yield tmp_path / "log", daemon


def record(level: int, text: str) -> logging.LogRecord:
    return logging.LogRecord("callsign.step", level, "", 0, text, (), None)


def test_the_plain_scripts_lines_go_to_syslog(syslog: tuple[Path, socket.socket]) -> None:
    path, daemon = syslog
    handler = Syslog(path)
    for level, severity in ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6)):
        handler.emit(record(level, f"{IDS}path=skarabee\nsecond \x1b[31m"))
        said = daemon.recv(4096).decode()
        name = logging.getLevelName(level)
        assert said == f"<{24 + severity}>callsign.agi[{os.getpid()}]: {name} {IDS}path=skarabee second [31m"
    handler.close()


def test_a_syslog_that_takes_nothing_holds_nobody_up(syslog: tuple[Path, socket.socket]) -> None:
    path, daemon = syslog
    handler = Syslog(path)
    for _ in range(5000):
        handler.emit(record(logging.INFO, "x" * 500))
    daemon.close()
    handler.emit(record(logging.INFO, "nobody is there"))
    handler.close()


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[logging.Logger]:
    """The root of all loggers, as a new process has it."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    yield root
    for handler in root.handlers:
        handler.close()


def test_where_there_is_no_syslog_stderr_has_the_lines(logs: logging.Logger, tmp_path: Path) -> None:
    logs.handlers.clear()  # of pytest's
    set_up_logging(tmp_path / "none")
    assert [type(handler) for handler in logs.handlers] == [logging.StreamHandler]


def test_what_goes_to_the_journal_goes_there_once_and_without_the_time(
    logs: logging.Logger, syslog: tuple[Path, socket.socket], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "journal"
    with file.open("w") as journal:
        found = os.fstat(journal.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        monkeypatch.setattr(sys, "stderr", journal)
        logs.handlers.clear()  # of pytest's
        set_up_logging(syslog[0])
        logs.handlers[0].emit(record(logging.INFO, "one line"))
    assert len(logs.handlers) == 1
    assert file.read_text() == "callsign.agi: INFO one line\n"


def test_only_the_stream_that_systemd_named_is_the_journal(tmp_path: Path) -> None:
    with (tmp_path / "a").open("w") as one, (tmp_path / "b").open("w") as other:
        found = os.fstat(one.fileno())
        named = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
        assert is_journal(one, named)
        assert not is_journal(other, named)
        assert not is_journal(one, {})
    assert not is_journal(io.StringIO(), named)


def test_a_line_of_the_server_has_the_time_where_it_goes_to_a_file(tmp_path: Path, server: Product) -> None:
    log = tmp_path / "log"
    with log.open("w") as file:
        command = [sys.executable, str(COMMAND), "serve", "--config", str(tmp_path / "none.toml")]
        subprocess.run(command, stderr=file, check=False, timeout=60)
        settings = server.settings.read_text().replace(str(server.store), str(tmp_path / "other.db"))
        other = write(tmp_path, settings, "other.toml")
        with subprocess.Popen([*command[:-1], str(other)], stderr=subprocess.PIPE, text=True) as started:
            assert started.stderr is not None
            first = started.stderr.readline()
            started.terminate()
            started.stderr.read()
    assert re.match(STAMP.pattern + "INFO callsign: callsign ", first), first
