"""Where the settings have no [cluster], nothing of it is loaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from callsign.outbox.outbox import Outbox
from product import bare_environment
from settings_file import write


@pytest.mark.parametrize("start", ["server.serve", "server.running", "script.main", "script.rounds", "commands.main"])
def test_nothing_of_the_cluster_is_loaded_before_the_settings_name_one(start: str) -> None:
    code = (
        f"import sys; import callsign.{start}; "
        "print([name for name in sys.modules if name.startswith(('callsign.cluster', 'psycopg'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], env=bare_environment(), capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


@pytest.mark.parametrize("words", [["status"], ["jobs"], ["check"], ["retry", "--failed"]])
def test_nor_by_a_command_that_would_ask_it(words: list[str], tmp_path: Path) -> None:
    Outbox(tmp_path / "outbox.db").close()
    settings = write(tmp_path, f'[server]\nlisten = "127.0.0.1:1"\n[outbox]\npath = "{tmp_path}/outbox.db"\n')
    code = (
        f"import sys; from callsign.commands.main import main; main({[*words, '--config', str(settings)]}); "
        "print('of it:', [name for name in sys.modules if name.startswith(('callsign.cluster', 'psycopg'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], env=bare_environment(), capture_output=True, text=True)
    assert done.stdout.endswith("of it: []\n"), done.stdout + done.stderr
