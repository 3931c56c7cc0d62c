"""`./install.sh demo` as a process: its exit status tells whether all did their part."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from callsign.commands.demo import ACTS
from product import PROJECT
from waiting import wait_until

pytestmark = pytest.mark.skipif(find_spec("ensurepip") is None, reason="install.sh takes no Python without ensurepip")

LONG_SECONDS = 120.0
ALL, NOT_ALL = "All did their part.", "NOT all did their part"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with an environment that is this one's, as far as install.sh looks."""
    folder = tmp_path_factory.mktemp("project")
    for part in ("agi", "install.sh"):
        copy = shutil.copytree if (PROJECT / part).is_dir() else shutil.copy
        copy(PROJECT / part, folder / part)
    environment = folder / ".venv"
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (environment / "bin" / "python").chmod(0o755)
    functions = (PROJECT / "install.sh").read_text().rpartition("\nmain ")[0]
    stamp = f'{functions}\nhere="$1"\nrequirements_of "$1/.venv/bin/python" >"$1/.venv/$stamp"\n'
    subprocess.run(["/bin/sh", "-c", stamp, "sh", str(folder)], check=True)
    return folder


def demo(project: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [project / "install.sh", "demo"], capture_output=True, text=True, timeout=LONG_SECONDS, check=False
    )


@pytest.fixture(scope="module")
def done(project: Path) -> subprocess.CompletedProcess[str]:
    """What a demo of the project as it is said, and its exit status."""
    return demo(project)


@contextmanager
def changed(project: Path, module: str, before: str, after: str) -> Iterator[None]:
    """A module says something else for a while."""
    file = project / "agi" / "callsign" / module
    text = file.read_text(encoding="utf-8")
    assert before in text
    file.write_text(text.replace(before, after), encoding="utf-8")
    try:
        yield
    finally:
        shutil.copy2(PROJECT / "agi" / "callsign" / module, file)


def test_it_ends_well_where_all_did_their_part(done: subprocess.CompletedProcess[str]) -> None:
    assert (done.returncode, ALL in done.stdout) == (0, True), done.stdout + done.stderr
    assert done.stdout.partition(ALL)[2].lstrip().startswith("next: sudo ./install.sh")


def test_it_says_in_a_sentence_what_each_step_shows(done: subprocess.CompletedProcess[str]) -> None:
    lines = done.stdout.splitlines()
    steps = [number for number, line in enumerate(lines) if line.startswith("AGI(")]
    assert len(steps) == len(ACTS) + 1
    for number in steps:
        assert re.search(r"[a-z) ]+[.?;]$|\)\.$", lines[number - 1]), lines[number - 1]


def test_a_vendor_goes_away_and_hears_of_the_call_when_it_is_back(done: subprocess.CompletedProcess[str]) -> None:
    told = done.stdout.partition("goes away")[2].partition("All did")[0]
    assert "SKARABEESTATUS=QUEUED" in told
    before, _, after = told.partition("It is back")
    assert "vendor " not in before
    dropped, *_, delivered = [line for line in after.splitlines() if "skarabee POST" in line]
    assert dropped.endswith("-> no answer dropped")
    assert delivered.endswith("-> 200 OK")


@pytest.mark.parametrize(
    ("module", "before", "after", "mark"),
    [
        ("steps/handlers.py", '"CALLSIGNSTATUS": "OK"', '"CALLSIGNSTATUS": "NO"', "dialplan"),
        ("commands/demo.py", '("noojee /CallManagementAPI/stop",)', '("noojee /CallManagementAPI/hold",)', "vendor"),
        ("server/serve.py", "    manager.stopping()\n", "    return 3\n", ""),
        ("server/serve.py", "        return _serve(path)\n", "        return 3\n", ""),
    ],
    ids=["dialplan", "vendor", "end-of-the-server", "start-of-the-server"],
)
def test_it_fails_where_one_did_not(project: Path, module: str, before: str, after: str, mark: str) -> None:
    with changed(project, module, before, after):
        done = demo(project)
    assert done.returncode == 1
    assert ALL not in done.stdout.replace(NOT_ALL, "")
    if mark:
        assert re.search(f"^ !! {mark}", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_end_by_a_signal_leaves_neither_server_nor_folder(tmp_path: Path, number: int) -> None:
    environment = {**os.environ, "PYTHONPATH": str(PROJECT / "agi"), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "callsign.commands.demo"]
    with (tmp_path / "said").open("wb") as said:
        process = subprocess.Popen(command, env=environment, stdout=said, stderr=said)
        wait_until(lambda: bool(list(tmp_path.glob("callsign-demo-*/outbox.db"))))  # the server's
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
        server = int(children)
        process.send_signal(number)
        assert process.wait(LONG_SECONDS) == -number
    is_left = Path(f"/proc/{server}").exists()
    if is_left:
        os.kill(server, signal.SIGKILL)
    assert not is_left
    assert list(tmp_path.glob("callsign-demo-*")) == []
    assert (tmp_path / "said").read_text().count("Traceback") == 0


def of_installer(call: str, *words: str) -> subprocess.CompletedProcess[str]:
    """What a function of install.sh's does."""
    functions = (PROJECT / "install.sh").read_text().rpartition("\nmain ")[0]
    command = ["/bin/sh", "-c", f"{functions}\n{call}", "sh", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=LONG_SECONDS, check=False)


@pytest.fixture
def half_made(tmp_path: Path) -> Path:
    """An environment whose making was cut short: there is a Python in it, and nothing that says of what it was made."""
    (tmp_path / "half/bin").mkdir(parents=True)
    (tmp_path / "half/bin/python").symlink_to(os.path.realpath(sys.executable))
    return tmp_path / "half"


def test_a_half_made_environment_is_not_made_of_itself(half_made: Path) -> None:
    done = of_installer('find_python "$1"', str(half_made))
    assert (done.returncode, done.stderr) == (0, "")
    assert not done.stdout.startswith(str(half_made))


def test_a_half_made_environment_is_not_complete_and_that_is_no_traceback(half_made: Path) -> None:
    (half_made / "agi").mkdir()
    (half_made / "agi/requirements.lock").write_text("one==1\n")
    for _ in range(20):  # who compares may end before all is written
        done = of_installer('here="$1"; is_complete "$1" "$2"', str(half_made), sys.executable)
        assert (done.returncode != 0, done.stdout, done.stderr) == (True, "", "")


def test_a_second_run_waits_for_the_first(project: Path) -> None:
    held = "exec 8<.; flock 8; ./install.sh --local 8<&- & flock -u 8; wait $!"
    first = "exec 8<.; flock 8; timeout 1 ./install.sh --local 8<&-; echo $?"
    assert subprocess.run(["/bin/sh", "-c", first], cwd=project, capture_output=True, check=True).stdout == b"124\n"
    assert subprocess.run(["/bin/sh", "-c", held], cwd=project, capture_output=True, check=True).stdout[:5] == b"Ready"
