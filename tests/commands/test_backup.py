"""`callsign backup`: a whole copy of the store while the server runs, and nothing where that cannot be had."""

from __future__ import annotations

import os
import pty
import resource
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from callsign.outbox.outbox import Outbox
from callsign.sandbox.asterisk.call import Call
from callsign.sandbox.asterisk.play import run_fastagi
from callsign.sandbox.vendors.messages import Trouble
from callsign.sandbox.vendors.sandbox import Sandbox
from command_line import callsign
from product import ACCOUNTS, COMMAND, LONG_SECONDS, Product, vendor_sections
from settings_file import write

CALLER = Call(callerid="056528999", extension="056528998", uniqueid="1700000000.1")


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    return write(tmp_path, f'[outbox]\npath = "{tmp_path}/outbox.db"\n')


def test_what_waits_is_in_the_copy_and_goes_out_where_that_is_put_back(tmp_path: Path) -> None:
    with Sandbox(accounts=ACCOUNTS) as box, Product(tmp_path, vendor_sections(box)) as running:
        box.trouble["skarabee"] = Trouble(http_status=503)
        assert run_fastagi(f"{running.url}/skarabee", CALLER).variables["SKARABEESTATUS"] == "QUEUED"
        done = callsign("backup", "--config", str(running.settings))
        assert (done.returncode, done.stderr) == (0, b"")
        running.kill()
        for file in tmp_path.glob("outbox.db*"):
            file.unlink()
        running.store.write_bytes(done.stdout)
        del box.trouble["skarabee"]
        running.start()
        assert box.wait_for(lambda seen: any(one.verdict == "OK" for one in seen), LONG_SECONDS)


def test_of_a_store_that_is_broken_there_is_no_copy(settings: Path, tmp_path: Path) -> None:
    store = tmp_path / "outbox.db"
    with sqlite3.connect(store) as db:
        db.execute("CREATE TABLE many (text)")
        db.executemany("INSERT INTO many VALUES (?)", [("x" * 1000,)] * 100)
    db.close()
    with store.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 20_000)
    done = callsign("backup", "--config", str(settings))
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"callsign backup: the store ")


def test_a_copy_for_which_there_is_no_room_is_not_laid_to_the_store(settings: Path, tmp_path: Path) -> None:
    Outbox(tmp_path / "outbox.db").close()
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    for limit, words in (
        (34_000, " cannot be copied to /"),
        (0, "callsign backup: a temporary file cannot be written: "),
    ):
        done = subprocess.run(
            [sys.executable, str(COMMAND), "backup", "--config", str(settings)],
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=lambda limit=limit: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard)),
        )
        assert (done.returncode, done.stdout) == (1, "")
        assert words in done.stderr
        assert "in callsign itself" not in done.stderr


def test_an_interrupt_leaves_no_copy_behind(settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with sqlite3.connect(tmp_path / "outbox.db") as db:
        db.execute("CREATE TABLE many (text)")
        db.executemany("INSERT INTO many VALUES (?)", [("x" * 1000,)] * 1000)
    db.close()
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    command = [sys.executable, str(COMMAND), "backup", "--config", str(settings)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0) as process:
        assert process.stdout is not None
        assert process.stdout.read(1) == b"S"
        assert list((tmp_path / "tmp").iterdir())
        process.send_signal(signal.SIGINT)
        assert process.wait(LONG_SECONDS) == -signal.SIGINT
    assert list((tmp_path / "tmp").iterdir()) == []


def test_where_there_is_no_store_there_is_no_copy(settings: Path) -> None:
    done = callsign("backup", "--config", str(settings))
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"there is no store at" in done.stderr


def test_a_terminal_is_spared_the_copy(settings: Path) -> None:
    terminal, other_end = pty.openpty()
    command = [sys.executable, str(COMMAND), "backup", "--config", str(settings)]
    done = subprocess.run(command, stdout=other_end, stderr=subprocess.PIPE, timeout=LONG_SECONDS, check=False)
    os.close(other_end)
    os.close(terminal)
    assert (done.returncode, done.stderr) == (2, b"callsign backup: it is no text: wanted callsign backup >FILE\n")
