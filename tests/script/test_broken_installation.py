"""A plain script whose packages are missing still sets a status: a call is never hurt."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from callsign import SYSTEMS
from callsign.sandbox.asterisk.behaviour import Conduct
from callsign.sandbox.asterisk.call import Call
from callsign.sandbox.asterisk.play import run_script
from product import PROJECT

CALL = Call(callerid="0478123456", extension="056528998")


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """The script in a tree of its own, whose `asterisk` cannot be loaded."""
    tree = tmp_path / "agi"
    shutil.copytree(PROJECT / "agi", tree, ignore=shutil.ignore_patterns("__pycache__"))
    words = 'No "module named asterisk" \\"in\\\n HANGUP here\\'
    (tree / "asterisk.py").write_text(f"raise ImportError({words!r})\n")
    return tree / "agi-bin" / "callsign.agi"


@pytest.mark.parametrize(("arguments", "name"), [(["/Noojee/start?wait=0", "", "tag"], "NOOJEE"), ([], "CALLSIGN")])
@pytest.mark.parametrize("missing", ["script/fork.py", "agi/fault_status.py", "__init__.py"])
def test_a_call_goes_on_with_error_where_not_even_that_can_be_loaded(
    script: Path, missing: str, arguments: list[str], name: str
) -> None:
    (script.parents[1] / "callsign" / missing).write_text("def cut_shor")
    session = run_script(script, CALL, arguments, Conduct(timeout_seconds=30))
    assert (session.status, session.trouble) == ("SUCCESS", "")
    reason = "callsign.agi cannot start: SyntaxError; run install.sh again"
    told = {f"{name}STATUS": "ERROR", f"{name}REASON": reason}
    assert session.variables == (told if name == "CALLSIGN" else {**told, f"{name}JOB": ""})


def test_the_script_knows_the_systems_where_nothing_can_be_loaded() -> None:
    assert f"SYSTEMS = {SYSTEMS}\n".replace("'", '"') in (PROJECT / "agi/agi-bin/callsign.agi").read_text()


MEND = "; install.sh makes the Python environment that it needs"


@pytest.mark.parametrize(
    ("arguments", "name"),
    [(["skarabee"], "SKARABEE"), (["noojee/start?wait=0", "", "tag"], "NOOJEE"), (["x"], "CALLSIGN"), ([], "CALLSIGN")],
)
def test_the_call_goes_on_with_error_and_the_reason(script: Path, arguments: list[str], name: str) -> None:
    session = run_script(script, CALL, arguments, Conduct(timeout_seconds=30))
    assert (session.status, session.trouble) == ("SUCCESS", "")
    told = {
        f"{name}STATUS": "ERROR",
        f"{name}REASON": f"callsign.agi cannot start: No module named asterisk in HANGUP here{MEND}",
    }
    assert session.variables == (told if name == "CALLSIGN" else {**told, f"{name}JOB": ""})


def test_a_fault_without_words_is_told_by_its_kind(script: Path) -> None:
    (script.parents[1] / "asterisk.py").write_text("raise MemoryError\n")
    session = run_script(script, CALL, ["skarabee"], Conduct(timeout_seconds=30))
    assert session.variables["SKARABEEREASON"] == "callsign.agi cannot start: MemoryError"


def test_what_follows_a_forged_end_of_the_block_is_no_reply(script: Path) -> None:
    forged = Call(callerid="1\n\nx\ny", extension="056528998")
    session = run_script(script, forged, ["skarabee"], Conduct(timeout_seconds=30))
    assert (session.status, session.trouble) == ("SUCCESS", "")
    assert list(session.variables) == ["SKARABEESTATUS", "SKARABEEREASON", "SKARABEEJOB"]
