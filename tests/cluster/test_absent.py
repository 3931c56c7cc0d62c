"""Where the settings have no [cluster], nothing of it is loaded."""

from __future__ import annotations

import subprocess
import sys

import pytest

from product import PROJECT


@pytest.mark.parametrize("start", ["server.serve", "server.running", "script.main", "script.rounds", "commands.main"])
def test_nothing_of_the_cluster_is_loaded_before_the_settings_name_one(start: str) -> None:
    code = (
        f"import sys; import callsign.{start}; "
        "print([name for name in sys.modules if name.startswith(('callsign.cluster', 'psycopg'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(PROJECT / "agi")}, capture_output=True, text=True
    )
    assert done.stdout == "[]\n", done.stderr
