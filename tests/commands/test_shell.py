"""Each command as a process whose streams are closed, full or of another encoding, and which ^C ends at any moment."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from callsign.sandbox.vendors.messages import Trouble
from callsign.sandbox.vendors.sandbox import Sandbox
from callsign.vendors.api import MAYBE_DONE
from product import ACCOUNTS, COMMAND, PROJECT, looks_old, vendor_sections
from settings_file import write
from waiting import wait_until

AGI_DEBUG = PROJECT / "agi" / "bin" / "agi-debug"
LONG_SECONDS = 60.0


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Path:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    server = f'[server]\nlisten = "127.0.0.1:{port}"\n'
    path = write(tmp_path, f'{server}[outbox]\npath = "{tmp_path}/outbox.db"\n{vendor_sections(box)}')
    monkeypatch.setenv("CALLSIGN_CONFIG", str(path))
    return path


COMMANDS = {
    "api --help": 0,
    "check --json": 0,
    "check --online": 0,
    "call ping": 0,
    "sign skarabee phoneto=1 phonefrom=2": 0,
    "status": 1,
    "status --check": 2,
    "agi-debug /bin/true": 1,
    "agi-debug --help": 0,
}
"""What prints something, and its exit status."""

every_command = pytest.mark.parametrize("line", COMMANDS)


def start(line: str, shell: str = "", stdout: int = subprocess.PIPE, **options: Any) -> subprocess.Popen[bytes]:
    """`line`, with `shell` for its streams."""
    words = line.split()
    program = AGI_DEBUG if words[0] == "agi-debug" else COMMAND
    command = [sys.executable, str(program), *words[words[0] == "agi-debug" :]]
    if shell:
        command = ["/bin/sh", "-c", f'exec "$@" {shell}', "sh", *command]
    return subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE, **options)


def ended(process: subprocess.Popen[bytes], encoding: str = "utf-8") -> tuple[int, str, str]:
    """Exit status, standard output and standard error; there is a traceback in neither."""
    out, errors = ((text or b"").decode(encoding) for text in process.communicate(timeout=LONG_SECONDS))
    assert "Traceback" not in out + errors
    assert "a fault in callsign" not in out + errors
    return process.returncode, out, errors


@every_command
@pytest.mark.parametrize(("shell", "why"), [(">/dev/full", "No space left on device"), (">&-", "Bad file descriptor")])
def test_an_output_that_cannot_be_written_is_a_line_and_a_failure(line: str, shell: str, why: str) -> None:
    status, _, errors = ended(start(line, shell))
    program = "agi-debug" if line.startswith("agi-debug") else "callsign"
    assert f"{program}: standard output cannot be written: {why}\n" in errors
    assert status == (COMMANDS[line] or 1)


@pytest.mark.parametrize("program", ["callsign", "agi-debug"])
def test_where_a_package_is_gone_that_is_a_line_that_says_what_to_do(program: str, tmp_path: Path) -> None:
    shutil.copytree(PROJECT / "agi", tmp_path / "agi", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "agi/tomli.py").write_text("raise ModuleNotFoundError(\"No module named 'tomli'\")\n")
    command = [sys.executable, str(tmp_path / "agi/bin" / program), "help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONG_SECONDS, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"{program}: cannot be loaded: No module named 'tomli'; run install.sh again\n"


@every_command
def test_a_reader_that_leaves_is_no_fault(line: str) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    process = start(line, stdout=theirs)
    os.close(theirs)
    status, _, errors = ended(process)
    assert "standard output" not in errors
    assert status == (0 if line == "agi-debug /bin/true" else COMMANDS[line])  # it writes a line at a time


def test_an_output_larger_than_any_buffer_is_no_traceback_either(settings: Path) -> None:
    settings.write_text("".join(f"wrong{n} = 1\n" for n in range(2000)))
    line = "check --json"
    status, _, errors = ended(start(line, ">/dev/full"))
    assert (status, errors) == (1, "callsign: standard output cannot be written: No space left on device\n")
    with start(line) as process:
        assert process.stdout is not None
        process.stdout.close()  # `| head -1`
        assert process.wait(LONG_SECONDS) in (0, 2)
        assert process.stderr is not None
        assert process.stderr.read() == b""


@pytest.mark.parametrize(
    ("line", "status"), [("mor", 2), ("check --config /nonexistent", 2), ("retry 7", 1), ("agi-debug", 2), ("serve", 1)]
)
@pytest.mark.parametrize("shell", ["2>/dev/full", "2>&-"])
def test_complaints_that_cannot_be_written_change_no_exit_status(
    line: str, status: int, shell: str, settings: Path
) -> None:
    settings.write_text(settings.read_text().replace("127.0.0.1:", "192.0.2.1:", 1))  # not this machine's, for serve
    assert ended(start(line, shell)) == (status, "", "")


@pytest.mark.parametrize(
    "line",
    [
        "--help",
        "api --help",
        "call skarabe",
        "cdr --from 2026-01-01",
        "agi-debug --help",
        "agi-debug /bin/true",
        "check…",
    ],
)
@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_an_encoding_that_lacks_a_character_costs_only_that(
    line: str, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    _, out, errors = ended(start(line), encoding)
    assert out + errors


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_json_stays_json_whatever_the_encoding(encoding: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    (tmp_path / "é😀").mkdir()
    path = tmp_path / "é😀" / "callsign.toml"
    path.write_text("x = [", encoding="utf-8")
    looks_old(path)
    status, out, _ = ended(start(f"check --json --config {path}"))
    assert status == 2
    assert str(path) in json.loads(out)["faults"][0]


def test_a_closed_stream_is_not_the_next_file_that_is_opened(tmp_path: Path) -> None:
    for shell in (">&-", "<&-", "2>&-", "<&- >&- 2>&-"):
        ended(start("call skarabee?wait=0 056528999 056528998", shell))
    assert json.loads(ended(start("jobs --json"))[1])[0]["state"] == "delivered"


@pytest.mark.parametrize("line", ["check --online", "call skarabee?wait=60 1 056528998", "agi-debug agi://{silent}/"])
def test_an_interrupt_during_a_wait_ends_it_as_a_shell_expects(line: str, box: Sandbox) -> None:
    for system in ACCOUNTS:
        box.trouble[system] = Trouble(delay_seconds=600)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(LONG_SECONDS)
        process = start(line.format(silent=f"127.0.0.1:{silent.getsockname()[1]}"))
        peer = silent.accept()[0] if "silent" in line else silent
        wait_until(lambda: peer is not silent or bool(box.seen))
        process.send_signal(signal.SIGINT)
        status, _, errors = ended(process)
        peer.close()
    assert (status, errors) == (-signal.SIGINT, "")


@pytest.mark.parametrize(
    ("line", "words"), [("hangup extenOrUniqueId=1.2 --yes", MAYBE_DONE), ("subscribe exten=1", "")]
)
def test_an_interrupt_of_what_changes_something_says_that_it_may_have_been_done(
    line: str, words: str, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(LONG_SECONDS)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/rest"
        other = write(tmp_path, f'[noojee]\nurl = "{url}"\nkey = "k"\nauth = "apikey"\n')
        process = start(f"api noojee {line} --config {other}")
        with silent.accept()[0] as peer:
            assert peer.recv(10).startswith(b"POST ")
            process.send_signal(signal.SIGINT)
            status, output, errors = ended(process)
    assert (status, output) == (-signal.SIGINT, "")
    assert errors == (f"callsign api: interrupted{words}\n" if words else "")


@pytest.mark.parametrize(
    ("program", "line", "modules"),
    [(COMMAND, "check --online", (1, 2, 5, 20, 80)), (COMMAND, "serve", (1, 20)), (AGI_DEBUG, "--help", (1, 5))],
)
def test_an_interrupt_at_any_moment_of_the_start_is_quiet(
    program: Path, line: str, modules: tuple[int, ...], tmp_path: Path
) -> None:
    """At the n-th module that it loads once its own code runs; Python's own start is nobody else's to mend."""
    interrupted = tmp_path / "interrupted.py"
    interrupted.write_text(
        f"""
import os, runpy, signal, sys
left = int(sys.argv.pop(1))
class Finder:
    def find_spec(self, name, path=None, target=None):
        global left
        left -= signal.getsignal(signal.SIGINT) != signal.default_int_handler
        if left == 0:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
runpy.run_path({str(program)!r}, run_name='__main__')
"""
    )
    for module in modules:
        command = [sys.executable, str(interrupted), str(module), *line.split()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONG_SECONDS, check=False)
        assert (done.returncode, done.stderr) == (-signal.SIGINT, "")


def test_an_interrupt_that_the_shell_has_switched_off_stays_so() -> None:
    process = start("sandbox --port 0", preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    process.stdout.readline()
    process.terminate()
    assert ended(process)[0] == 0
