"""The texts in dialplan/: whose contexts they define, and what no Asterisk from 21 on has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from callsign.agi.block import CLEAN_CONTEXT

FOLDER = Path(__file__).resolve().parents[1] / "dialplan"
FILES = sorted(FOLDER.glob("*.conf"))
PROJECT = FOLDER.parent
TEXTS = [*FILES, PROJECT / "README.md", PROJECT / "install.sh", *PROJECT.glob("agi/callsign/**/*.txt")]
HOOK_FILE = "extensions_callsign_freepbx_hooks.conf"
HOOKS = {
    "macro-dialout-trunk-predial-hook",
    "macro-dialout-one-predial-hook",
    "macro-dial-ringall-predial-hook",
    "macro-dial-hunt-predial-hook",
}
ENDS_IN_MACRO_AND_GOSUB = ' same => n,ExecIf($["${MACRO_EXTEN}" != ""]?MacroExit():Return())'


def lines(file: Path) -> list[str]:
    """What Asterisk reads: the lines without their comments."""
    text = (re.sub(r"(^|[^\\]);.*", r"\1", line).rstrip() for line in file.read_text(encoding="utf-8").splitlines())
    return [line for line in text if line]


def contexts(file: Path) -> list[str]:
    return [line[1 : line.index("]")] for line in lines(file) if line.startswith("[")]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_context_is_callsigns_own_or_a_hook_that_freepbx_offers(file: Path) -> None:
    if file.name == HOOK_FILE:
        assert set(contexts(file)) == HOOKS
    else:
        assert [name for name in contexts(file) if not name.startswith("callsign-")] == []


def test_no_context_is_defined_twice() -> None:
    names = [name for file in FILES for name in contexts(file)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_macro_is_left_and_by_the_hooks_alone(file: Path) -> None:
    used = [line for line in lines(file) if re.search(r"\bMacro(Exit|If)?\(", line, re.IGNORECASE)]
    assert used == ([ENDS_IN_MACRO_AND_GOSUB] * len(HOOKS) if file.name == HOOK_FILE else [])


def test_a_hook_is_one_call_and_an_ending_that_fits_every_version() -> None:
    steps = [line for line in lines(FOLDER / HOOK_FILE) if not line.startswith("[")]
    assert len(steps) == 2 * len(HOOKS)
    for first, last in zip(steps[::2], steps[1::2], strict=True):
        assert re.fullmatch(r"exten => s,1,Gosub\(callsign-freepbx-[a-z-]+,s,1\)", first)
        assert last == ENDS_IN_MACRO_AND_GOSUB


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_subroutine_is_called_by_execif(file: Path) -> None:
    """app_macro loses count of them, and leaves the Macro of FreePBX 15 and 16 in which a hook runs."""
    assert [line for line in lines(file) if re.search(r"ExecIf\(.*\bGosub", line)] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_subroutine_that_is_called_is_there(file: Path) -> None:
    known = {name for other in FILES for name in contexts(other)}
    called = [name for line in lines(file) for name in re.findall(r"(?:Gosub\(|\?|,U\(|=)(callsign-[a-z-]+)[,)]", line)]
    assert set(called) <= known
    assert called or file.name == "extensions_callsign.conf"


def test_who_hangs_up_in_a_subroutine_gets_to_the_h_of_who_called_it() -> None:
    text = "\n".join("\n".join(lines(file)) for file in FILES if file.name != HOOK_FILE)
    blocks = dict(block.split("]\n", 1) for block in f"\n{text}\n".split("\n[")[1:] if "]\n" in block)
    returning = {name for name, block in blocks.items() if re.search(r"[,?:]Return\(", block)}
    by_an_application = {"callsign-sample-answered"}  # Dial's U, where Asterisk looks for no h
    assert len(returning) > 30
    assert [name for name in returning - by_an_application if "include => callsign-h\n" not in blocks[name]] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_file_says_how_it_is_included(file: Path) -> None:
    assert f"#tryinclude {file.name}" in file.read_text(encoding="utf-8")


@pytest.mark.parametrize("file", TEXTS, ids=lambda file: file.name)
def test_nothing_is_included_in_a_way_that_drops_what_stands_behind_it_where_it_is_missing(file: Path) -> None:
    assert re.findall(r'.*#include\s+["<]?[\w/]+\.conf.*', file.read_text(encoding="utf-8")) == []


def test_what_readme_and_help_say_to_write_is_there_and_what_nothing_here_calls_is_said() -> None:
    texts = "\n".join(file.read_text(encoding="utf-8") for file in TEXTS if file not in FILES)
    said = re.findall(r"(callsign-[a-z-]+)(?:,s,1|\^s\^1)|(?:membergosub=|Context [=`] ?)(callsign-[a-z-]+)", texts)
    named = {name for pair in said for name in pair if name}
    ours = [file for file in FILES if not file.name.startswith("extensions_sample_")]
    known = {name for file in ours for name in contexts(file)} - HOOKS
    steps = [line for file in FILES for line in lines(file) if not line.startswith("[")]
    called = set(re.findall(r"callsign-[a-z-]+", "\n".join(steps)))
    assert named <= known
    assert known - called <= named


def test_why_a_freepbx_piece_skips_a_call_can_be_looked_up_in_its_help() -> None:
    text = "\n".join(lines(FOLDER / "extensions_callsign_freepbx.conf"))
    reasons = re.findall(r"(?:callsign-freepbx-skip,s,1\(|NOOJEEREASON=)(.+)\)$", text, re.MULTILINE)
    told = (PROJECT / "agi/callsign/commands/help/freepbx.txt").read_text(encoding="utf-8")
    entries = re.findall(r"^    (\S.*?)  ", told.partition("WHEN SOMETHING IS WRONG")[2], re.MULTILINE)
    assert len(reasons) == len(entries) > 3
    for reason in reasons:
        assert any(reason.startswith(entry) for entry in entries), reason


def test_a_code_is_not_the_beginning_of_another_and_none_of_freepbxs() -> None:
    entries = [line.partition("=>")[2].strip().split(",")[0] for line in lines(FOLDER / "features_callsign.conf")]
    taken = ["*1", "*2", "**", "##", "*0", "*3"]  # FreePBX's, and what features.conf's sample proposes
    for code in entries:
        others = [*taken, *(one for one in entries if one != code)]
        assert not [one for one in others if one.startswith(code) or code.startswith(one)]


def test_what_a_step_needs_stands_once() -> None:
    steps = [file.name for file in FILES for line in lines(file) if re.search(r"[,?]AGI\(", line)]
    assert steps == ["extensions_callsign.conf"] * 2  # the server's, and the plain script's


def test_every_step_names_its_call() -> None:
    text = "\n".join(line for file in FILES for line in lines(file))
    assert re.findall(r".*(?:[,?]AGI\(|\bcall=).*", text) == [
        " same => n,Set(LOCAL(CALLSIGN_LINE)=${CALLSIGN_LINE},call=${GOSUB_RETVAL},${ARG4},${QUOTE(${CALLSIGN_TEXT})})",
        " same => n,AGI(${CALLSIGN_AT}/${CALLSIGN_LINE})",
        " same => n(script),AGI(callsign.agi,${CALLSIGN_LINE})",
    ]
    assert " same => n(arguments),Gosub(callsign-call,s,1)\n" in text


def test_where_no_proof_of_the_arguments_is_asked_they_can_hold_no_line_break() -> None:
    steps = "\n".join(lines(FOLDER / "extensions_callsign.conf")).partition(f"[{CLEAN_CONTEXT}]")[2].partition("\n[")[0]
    arguments = {line.partition("CALLSIGN_LINE)=")[2] for line in steps.splitlines() if "QUOTE" in line}
    assert arguments == {"${CALLSIGN_LINE},call=${GOSUB_RETVAL},${ARG4},${QUOTE(${CALLSIGN_TEXT})})"}
    refusal = r"GotoIf($[${LEN(${FILTER(\x20-\x7e\x80-\xff,${CALLSIGN_TEXT})})} != ${LEN(${CALLSIGN_TEXT})}]?broken)"
    assert steps.index(refusal) < steps.index("QUOTE")
    # The MAC and the connected line went through FILTER, the others are unique ids and the name of an agent's phone.
    # The call's name is the linkedid, or an own host's header that has none but the characters of one.
    of_our_own = {"CALLSIGN_CALL", "CALLSIGN_FROM", "CALLSIGN_MAC", "CALLSIGN_TO"}
    calls = [call for file in FILES for line in lines(file) for call in re.findall(r"callsign-step,s,1\((.*)\)", line)]
    for call in calls:
        assert set(re.findall(r"\$\{(.*?)\}", ",".join(call.split(",")[3:]))) <= of_our_own
    assert len(calls) > 5
