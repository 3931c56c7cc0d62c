"""What `check` says of the numbers of a FreePBX that the settings do not know as internal."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from callsign.commands.freepbx import warnings
from settings_file import NOOJEE, SKARABEE, load

ADDITIONAL = """
[globals](+)
RINGTIMER = 15
[ext-did-0002]
exten => 056528998,1,Set(__FROM_DID=${EXTEN})
[ext-local]
include => ext-local-custom
exten => 201,1,Set(__RINGTIMER=15)
exten => 201,n,Macro(exten-vm,novm,201,0,0,0)
exten => 201,hint,PJSIP/201&Custom:DND201,CustomPresence:201
exten => 202,1,Set(__RINGTIMER=15)
exten => vmu202,1,Macro(vm,202)
exten => *202,1,NoOp()
exten => 1001,1,NoOp()
exten => 1001,n,Hangup()
exten => 056528997,1,NoOp()
[ext-queues]
exten => 400,1,Macro(user-callerid,)
exten => 400*,1,NoOp()
[ext-group]
exten => 600,1,Macro(user-callerid,)
[from-internal-additional]
exten => 777,1,NoOp()
"""
ALL = '"0565289XX", "10XX", "2XX", "4XX", "6XX"'


@pytest.fixture
def dialplan(tmp_path: Path) -> Path:
    path = tmp_path / "extensions_additional.conf"
    path.write_text(ADDITIONAL)
    (tmp_path / "freepbx.conf").write_text("<?php\n")
    return path


def told(folder: Path, numbers: str, sections: str = SKARABEE) -> list[str]:
    settings = load(folder, f"[numbers]\n{numbers}\n{sections}")
    return warnings(settings, folder / "freepbx.conf", folder / "extensions_additional.conf")


@pytest.mark.parametrize("sections", [SKARABEE, ""])
def test_where_nobody_is_internal_the_dialplans_extensions_queues_and_groups_are_suggested(
    dialplan: Path, sections: str
) -> None:
    (line,) = told(dialplan.parent, "", sections)
    assert line.startswith("[numbers] internal is not set: ")
    assert line.endswith(f" internal = [{ALL}]")


def test_the_suggestion_silences_it(dialplan: Path) -> None:
    assert told(dialplan.parent, f"internal = [{ALL}]") == []


def test_what_is_unknown_is_suggested_beside_what_is_known(dialplan: Path) -> None:
    (line,) = told(dialplan.parent, 'internal = ["2XX", "[46]00"]')
    assert "does not know 2 of FreePBX's numbers" in line
    assert line.endswith('internal = ["2XX", "[46]00", "0565289XX", "10XX"]')


def test_who_cannot_read_the_dialplan_hears_that_it_is_not_set_and_no_more(dialplan: Path) -> None:
    dialplan.unlink()
    for make in (lambda: None, lambda: dialplan.symlink_to("/etc/passwd"), lambda: os.mkfifo(dialplan)):
        make()
        (line,) = told(dialplan.parent, "")
        assert re.match(r"\[numbers\] internal is not set: .* told$", line)
        assert told(dialplan.parent, 'internal = ["2XX"]') == []
        dialplan.unlink(missing_ok=True)


def test_without_freepbx_or_without_skarabee_nothing_is_said(dialplan: Path) -> None:
    assert told(dialplan.parent, "", NOOJEE) == []
    (dialplan.parent / "freepbx.conf").unlink()
    assert told(dialplan.parent, "") == []
