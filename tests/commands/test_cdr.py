"""`callsign cdr` as a process, against the stand-in: any period, one document, nothing half-written."""

from __future__ import annotations

import csv
import fcntl
import json
import math
import os
import pty
import resource
import signal
import struct
import subprocess
import sys
import termios
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from callsign import clocks
from callsign.commands.cdr_periods import months
from callsign.commands.main import main
from callsign.delivery.conversation import run_conversation
from callsign.http.messages import Answer
from callsign.http.transport import HttpTransport
from callsign.record import replace
from callsign.sandbox.vendors.messages import Trouble
from callsign.sandbox.vendors.sandbox import Sandbox
from callsign.settings.secret import Secret
from callsign.settings.sections import Kalliope
from callsign.vendors.kalliope.last_call import by_period, register
from callsign.vendors.kalliope.signing import Signer
from command_line import callsign
from product import COMMAND, looks_old
from settings_file import write

LONG_SECONDS = 60.0
STARTS = ("2026-01-31 23:59:59", "2026-02-01 00:00:00", "2026-03-15 10:00:00", "2026-03-31 23:59:59")
CALLS = "".join(
    f"{number}.0,local_exten,{start},,{start},206,206,,0501234567,FAILED,,0,0,\n" for number, start in enumerate(STARTS)
)
ACCOUNT = {"username": "admin", "password": "admin-password", "domain": "default", "timezone": "Europe/Rome"}
ACCOUNTS = {"kalliope": {**ACCOUNT, "calls": CALLS}}


@pytest.fixture
def settings(box: Sandbox, tmp_path: Path) -> Path:
    return write(
        tmp_path, f'[kalliope]\nurl = "{box.url("kalliope")}"\nusername = "admin"\npassword = "admin-password"\n'
    )


def command(settings: Path, *options: str) -> list[str]:
    return [sys.executable, str(COMMAND), "cdr", "--config", str(settings), *options]


def cdr(settings: Path, *options: str) -> subprocess.CompletedProcess[bytes]:
    return callsign("cdr", "--config", str(settings), *options)


def good(settings: Path, *options: str) -> bytes:
    done = cdr(settings, *options)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


def asked(box: Sandbox) -> list[Any]:
    """The periods, in the body or in the URL."""
    seen = [one for one in box.seen if "/cdr/" in one.path]
    assert all(one.verdict == "OK" for one in seen)
    return [
        tuple(field.text for field in ElementTree.fromstring(one.body)[0])
        if one.body
        else one.path.removeprefix("/rest/cdr/")
        for one in seen
    ]


WHOLE = ("--from", "2026-01-31", "--to", "2026-03-31")


def test_a_long_period_is_fetched_month_by_month_and_joined(settings: Path, box: Sandbox) -> None:
    lines = list(csv.reader(good(settings, *WHOLE).decode().splitlines()))
    assert [line[0] for line in lines] == ["#id", "0.0", "1.0", "2.0", "3.0"]
    assert asked(box) == [
        ("2026-01-31 00:00:00", "2026-01-31 23:59:59"),
        ("2026-02-01 00:00:00", "2026-02-28 23:59:59"),
        ("2026-03-01 00:00:00", "2026-03-31 23:59:59"),
    ]


@pytest.mark.parametrize("style", ["summary", "detailed", "v3_compat"])
def test_every_style_comes_as_one_json_and_one_xml_document(settings: Path, style: str) -> None:
    as_json = json.loads(good(settings, *WHOLE, "--style", style, "--format", "json"))
    assert [call["id"] for call in as_json] == ["0.0", "1.0", "2.0", "3.0"]
    as_xml = ElementTree.fromstring(good(settings, *WHOLE, "--style", style, "--format", "xml"))
    assert [call.findtext("id") for call in as_xml] == ["0.0", "1.0", "2.0", "3.0"]


def test_blues_is_text_whatever_is_asked(settings: Path) -> None:
    for form in ("csv", "json", "xml"):
        text = good(settings, *WHOLE, "--style", "blues_out", "--format", form).decode()
        assert [line.split()[2] for line in text.splitlines()] == ["206"] * 4


def test_times_may_be_given(settings: Path, box: Sandbox) -> None:
    text = good(settings, "--from", "2026-03-15 09:59", "--to", "2026-03-15T10:00:00", "--format", "json")
    assert [call["id"] for call in json.loads(text)] == ["2.0"]
    assert asked(box) == [("2026-03-15 09:59:00", "2026-03-15 10:00:00")]


def test_a_file_is_there_once_it_is_whole_and_for_its_owner_alone(settings: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    target = folder / "register.csv"
    target.write_text("old", encoding="ascii")
    assert good(settings, *WHOLE, "--output", str(target)) == b""
    assert target.read_text(encoding="ascii").count("\n") == 5
    assert target.stat().st_mode & 0o777 == 0o600
    assert list(folder.iterdir()) == [target]


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (Trouble(http_status=503), "2026-01: HTTP 503"),
        (Trouble(refuse_status="no"), "2026-01: HTTP 403: check [kalliope] username"),
        (Trouble(drop=True), "broke off"),
        (Trouble(body=b"<html>"), "the PBX gave no salt"),
    ],
)
def test_trouble_leaves_an_old_file_as_it_was(
    settings: Path, box: Sandbox, tmp_path: Path, trouble: Trouble, words: str
) -> None:
    target = tmp_path / "register.csv"
    target.write_text("old", encoding="ascii")
    before = sorted(tmp_path.iterdir())
    box.trouble["kalliope"] = trouble
    done = cdr(settings, *WHOLE, "--output", str(target))
    assert done.returncode == 1
    assert words in done.stderr.decode()
    assert b"Traceback" not in done.stderr
    assert target.read_text(encoding="ascii") == "old"
    assert sorted(tmp_path.iterdir()) == before


def test_trouble_of_a_further_account_names_its_own_section(settings: Path, box: Sandbox) -> None:
    with settings.open("a", encoding="ascii") as file:
        file.write('[kalliope.rome]\npassword = "secret-of-rome"\n')
    looks_old(settings)
    box.trouble["kalliope"] = Trouble(refuse_status="no")
    done = cdr(settings, *WHOLE, "--account", "rome")
    assert (done.returncode, b"check [kalliope.rome] username" in done.stderr) == (1, True)


def test_an_answer_of_another_kind_is_no_register(box: Sandbox, settings: Path) -> None:
    box.trouble["kalliope"] = Trouble(body=b'{"salt":"b5a8fdcf2f8d5acdad33c4a072a97d7a"}')
    done = cdr(settings, *WHOLE)
    assert (done.returncode, done.stdout) == (1, b"")
    assert "2026-01: the answer cannot be used: it is no CSV" in done.stderr.decode()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_leaves_no_part(settings: Path, box: Sandbox, tmp_path: Path, number: int) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    box.trouble["kalliope"] = Trouble(delay_seconds=600)
    process = subprocess.Popen(command(settings, *WHOLE, "--output", str(folder / "x.csv")), stderr=subprocess.PIPE)
    assert box.wait_for(lambda seen: len(seen) == 1, LONG_SECONDS)
    assert len(list(folder.iterdir())) == 1
    process.send_signal(number)
    _, told = process.communicate(timeout=LONG_SECONDS)
    assert (process.returncode, told) == (-number, b"")
    assert list(folder.iterdir()) == []


def test_a_terminal_that_closes_does_not_end_it_under_nohup(settings: Path, box: Sandbox) -> None:
    box.trouble["kalliope"] = Trouble(delay_seconds=1)
    process = subprocess.Popen(
        command(settings, *WHOLE),
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    assert box.wait_for(lambda seen: len(seen) == 1, LONG_SECONDS)
    process.send_signal(signal.SIGHUP)
    del box.trouble["kalliope"]
    assert process.wait(LONG_SECONDS) == 0


def at_terminal(command: Sequence[str]) -> tuple[bytes, str]:
    """What it prints, and what a terminal that is its standard error shows."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))  # without columns nothing is drawn
    os.set_blocking(ours, False)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=theirs, timeout=LONG_SECONDS, check=True)
    shown = os.read(ours, 65536).decode()  # before our own end of it is closed, and what it holds is gone
    os.close(theirs)
    os.close(ours)
    return done.stdout, shown


def test_a_terminal_sees_a_bar_and_the_file_does_not(settings: Path) -> None:
    printed, shown = at_terminal(command(settings, *WHOLE))
    assert "/3 [" in shown
    assert printed.startswith(b"#id")


def test_the_bar_takes_no_lock_between_processes_of_which_python_3_14_would_warn_at_the_end(settings: Path) -> None:
    words = command(settings, *WHOLE)[2:]
    code = f"import sys; from callsign.commands.main import main; main({words!r}); print(*sys.modules)"
    printed, shown = at_terminal(["env", f"PYTHONPATH={COMMAND.parents[1]}", sys.executable, "-c", code])
    assert "/3 [" in shown
    assert "tqdm" in printed.decode().split()
    assert "multiprocessing.synchronize" not in printed.decode().split()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--from", "yesterday"), "wanted YYYY-MM-DD"),
        (("--from", "2026-02-30"), "no such date"),
        (("--from", "2026-02-01", "--to", "2026-01-01"), "lies before"),
        (("--from", "2026-02-01", "--to", "2026-02-02", "--output", "/nonexistent/x"), "its folder does not exist"),
        (("--from", "2026-02-01", "--to", "2026-02-02", "--output", "/"), "is a folder"),
        (("--from", "9999-12-01", "--to", "9999-12-31"), "there is no such date"),
        (("--from", "2026-02-01", "--format", "pdf"), "invalid choice"),
        ((), "--from"),
    ],
)
def test_wrong_usage_is_exit_2_and_asks_nothing(
    settings: Path, box: Sandbox, options: tuple[str, ...], words: str
) -> None:
    done = cdr(settings, *options)
    assert (done.returncode, done.stdout) == (2, b"")
    assert words in done.stderr.decode()
    assert box.seen == []


def test_a_pipe_or_device_is_not_replaced_by_a_file(settings: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    done = cdr(settings, *WHOLE, "--output", str(tmp_path / "pipe"))
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"pipe: is no file; without --output it goes to standard output\n" in done.stderr
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize("output", ["x" * 300, "x" * 255])
def test_a_name_that_no_file_can_have_is_a_line(settings: Path, tmp_path: Path, output: str) -> None:
    done = cdr(settings, *WHOLE, "--output", str(tmp_path / output))
    assert (done.returncode, done.stdout) == (1, b"")
    assert b" cannot be written: File name too long\n" in done.stderr


def test_a_link_stays_and_the_file_behind_it_is_replaced(settings: Path, tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to("x.csv")
    good(settings, *WHOLE, "--output", str(tmp_path / "link.csv"))
    assert os.readlink(tmp_path / "link.csv") == "x.csv"
    assert (tmp_path / "x.csv").stat().st_size


def test_where_there_is_no_room_for_what_has_come_it_says_what_to_do(settings: Path) -> None:
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    done = subprocess.run(
        command(settings, *WHOLE),
        capture_output=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard)),
    )
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == (
        b"callsign cdr: a temporary file cannot be written: File too large; $TMPDIR can name a folder with more room\n"
    )


def test_without_its_section_it_is_exit_2(settings: Path) -> None:
    settings.write_text("", encoding="ascii")
    done = cdr(settings, *WHOLE)
    assert done.returncode == 2
    assert b"no section [kalliope]" in done.stderr


def test_a_reader_that_goes_away_is_no_fault(settings: Path) -> None:
    process = subprocess.Popen(command(settings, *WHOLE), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    told = process.stderr.read()
    process.stderr.close()
    assert (process.wait(LONG_SECONDS), told) == (0, b"")


# -- periods -----------------------------------------------------------------------------------------


def test_a_file_is_on_the_disk_before_it_has_its_name(
    settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, synced, sync, rename = tmp_path / "calls.csv", set[tuple[int, int]](), os.fsync, os.replace

    def noted_sync(fd: int) -> None:
        sync(fd)
        found = os.fstat(fd)
        synced.add((found.st_ino, found.st_size))

    def noted_rename(source: str, end: Path) -> None:
        found = os.stat(source)
        assert (found.st_ino, found.st_size) in synced
        rename(source, end)

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(os, "replace", noted_rename)
    given = ["cdr", "--config", str(settings), "--from", "2026-01-31", "--to", "2026-03-31", "--output", str(target)]
    assert main(given) == 0
    assert target.stat().st_size


def test_months_touch_and_do_not_overlap() -> None:
    begin, end = map(datetime.fromisoformat, ("2023-11-15 12:30", "2024-03-01 23:59:59"))
    parts = months(begin, end, "UTC")
    assert [(str(begin), str(end)) for begin, end in parts] == [
        ("2023-11-15 12:30:00", "2023-11-30 23:59:59"),
        ("2023-12-01 00:00:00", "2023-12-31 23:59:59"),
        ("2024-01-01 00:00:00", "2024-01-31 23:59:59"),
        ("2024-02-01 00:00:00", "2024-02-29 23:59:59"),
        ("2024-03-01 00:00:00", "2024-03-01 23:59:59"),
    ]


# -- one call ----------------------------------------------------------------------------------------

CALL = "1770000000.7"  # 2026-02-02 03:40 in Rome
ITS_LINE = f"{CALL},local_exten,2026-02-02 03:40:00,,2026-02-02 03:41:00,206,206,,0501234567,ANSWERED,,0,0,\n"


@pytest.fixture
def called(tmp_path: Path) -> Iterator[tuple[Sandbox, Path]]:
    with Sandbox({"kalliope": {**ACCOUNT, "calls": CALLS + ITS_LINE}}) as box:
        url = box.url("kalliope")
        section = f'[kalliope]\nurl = "{url}"\nusername = "admin"\npassword = "admin-password"\n'
        path = write(tmp_path, section)
        yield box, path


@pytest.mark.parametrize("style", ["summary", "detailed"])
def test_one_call_is_looked_for_in_the_days_around_its_id(called: tuple[Sandbox, Path], style: str) -> None:
    box, settings = called
    told = json.loads(good(settings, "--call", CALL, "--style", style, "--format", "json"))
    assert [call["id"] for call in told] == [CALL]
    assert asked(box) == [
        ("2026-02-01 00:00:00", "2026-02-03 23:59:59", CALL),
    ]


def test_one_call_is_looked_for_in_both_months_of_its_days(called: tuple[Sandbox, Path]) -> None:
    box, settings = called
    done = cdr(settings, "--call", "pbx-1769900000.1")  # 2026-01-31 23:53 in Rome
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"has no call pbx-1769900000.1 from 2026-01-30 00:00:00 to 2026-02-01 23:59:59" in done.stderr
    assert [one[:2] for one in asked(box)] == [
        ("2026-01-30 00:00:00", "2026-01-31 23:59:59"),
        ("2026-02-01 00:00:00", "2026-02-01 23:59:59"),
    ]


@pytest.mark.parametrize("form", ["csv", "json", "xml"])
def test_one_call_within_a_period_is_there_if_it_was_then(called: tuple[Sandbox, Path], form: str) -> None:
    box, settings = called
    told = good(settings, "--call", CALL, "--from", "2026-01-15", "--to", "2026-02-15", "--format", form)
    assert told.count(b"0501") == 1
    assert len(asked(box)) == 2
    later = ("--from", "2026-02-02 03:41", "--to", "2026-02-15")
    assert cdr(settings, "--call", CALL, *later, "--format", form).returncode == 1


def test_a_call_that_is_not_there_leaves_an_old_file(called: tuple[Sandbox, Path], tmp_path: Path) -> None:
    target = tmp_path / "call.csv"
    target.write_text("old", encoding="ascii")
    assert cdr(called[1], "--call", "1770000000.8", "--output", str(target)).returncode == 1
    assert target.read_text(encoding="ascii") == "old"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--call", "206"), "does not say when the call was: give --from"),
        (("--call", "1<2"), "wanted a call's id"),
        (("--call", CALL, "--to", "2026-02-03"), "--from"),
    ],
)
def test_a_call_that_cannot_be_asked_for_is_exit_2(
    called: tuple[Sandbox, Path], options: tuple[str, ...], words: str
) -> None:
    done = cdr(called[1], *options)
    assert (done.returncode, words in done.stderr.decode(), called[0].seen) == (2, True, [])


@pytest.mark.parametrize("kind", ["xml", "json"])
def test_the_stand_in_reads_both_forms_of_a_body(called: tuple[Sandbox, Path], kind: str) -> None:
    box, _ = called
    section = Kalliope(box.url("kalliope"), "admin", Secret("admin-password"))
    begin, end = "2026-02-01 00:00:00", "2026-02-03 00:00:00"
    request = by_period(section, "summary", "text/csv", begin, end, 1 << 20, CALL)
    if kind == "json":
        body = json.dumps({"cdr": {"begin": begin, "end": end, "unique_id": CALL}}).encode()
        request = replace(request, headers={**request.headers, "Content-Type": "application/json"}, body=body)
    transport = HttpTransport()
    reply = run_conversation(
        register(section, Signer(), request), transport.send, clocks.steady, math.inf, LONG_SECONDS
    )
    transport.close()
    assert isinstance(reply, Answer)
    assert reply.body.decode().splitlines()[1] + "\n" == ITS_LINE


def test_a_program_gets_one_json_document_be_it_the_register_or_what_is_wrong(
    settings: Path, box: Sandbox, tmp_path: Path
) -> None:
    assert [call["id"] for call in json.loads(good(settings, *WHOLE, "--json"))] == ["0.0", "1.0", "2.0", "3.0"]
    written = json.loads(good(settings, *WHOLE, "--json", "--output", str(tmp_path / "calls.json")))
    assert written == {"ok": True, "output": str(tmp_path / "calls.json")}
    assert len(json.loads((tmp_path / "calls.json").read_text())) == 4
    box.trouble["kalliope"] = Trouble(http_status=503)
    for options, status, words in (
        (WHOLE, 1, "2026-01: HTTP 503"),
        ((*WHOLE, "--style", "blues_out"), 2, "blues_out is text always"),
        ((*WHOLE, "--format", "csv"), 2, "not allowed with argument"),
        (("--from", "soon"), 2, "soon"),
    ):
        done = callsign("cdr", "--config", str(settings), *options, "--json")
        told = json.loads(done.stdout)
        assert (done.returncode, told["ok"], done.stderr) == (status, False, b""), told
        assert words in told["faults"][0]
