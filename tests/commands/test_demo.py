"""`./install.sh demo` as a process: its exit status tells whether all did their part."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from product import PROJECT

pytestmark = pytest.mark.skipif(find_spec("ensurepip") is None, reason="install.sh takes no Python without ensurepip")

LONG_SECONDS = 120.0
ALL, NOT_ALL = "All did their part.", "NOT all did their part"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project with an environment that is this one's, as far as install.sh looks."""
    for part in ("agi", "install.sh"):
        copy = shutil.copytree if (PROJECT / part).is_dir() else shutil.copy
        copy(PROJECT / part, tmp_path / part)
    environment = tmp_path / ".venv"
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (environment / "bin" / "python").chmod(0o755)
    functions = (PROJECT / "install.sh").read_text().rpartition("\nmain ")[0]
    stamp = f'{functions}\nhere="$1"\nrequirements_of "$1/.venv/bin/python" >"$1/.venv/$stamp"\n'
    subprocess.run(["/bin/sh", "-c", stamp, "sh", str(tmp_path)], check=True)
    return tmp_path


def demo(project: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [project / "install.sh", "demo"], capture_output=True, text=True, timeout=LONG_SECONDS, check=False
    )


def change(project: Path, module: str, before: str, after: str) -> None:
    file = project / "agi" / "callsign" / module
    text = file.read_text(encoding="utf-8")
    assert before in text
    file.write_text(text.replace(before, after), encoding="utf-8")


def test_it_ends_well_where_all_did_their_part(project: Path) -> None:
    done = demo(project)
    assert (done.returncode, ALL in done.stdout) == (0, True), done.stdout + done.stderr


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
    change(project, module, before, after)
    done = demo(project)
    assert done.returncode == 1
    assert ALL not in done.stdout.replace(NOT_ALL, "")
    if mark:
        assert re.search(f"^ !! {mark}", done.stdout, re.MULTILINE)
