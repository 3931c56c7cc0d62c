"""`callsign help messages` and the log hold together: what is logged as a trouble can be looked up there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from callsign.log_text import own_fault
from product import PROJECT

PACKAGE = PROJECT / "agi" / "callsign"
TROUBLE = {"warning", "error", "exception", "critical"}
LETTERS = 7  # words with fewer would be found anywhere

A_VALUE = r"%[-.0-9]*[sdf]"
OWN_FAULT = own_fault(Exception())
ELSEWHERE = {
    "%s": "a fault of the settings, which says itself where it is and what is wanted",
    "peer %s%s%s: closed%s": "each reason has an entry",
    "%s: mend %s and reload, or give them up with callsign drop": "its entry begins with what %s stands for",
    "%s; calls go on with ERROR until it can: see [outbox] path": "the same",
}


def modules() -> list[str]:
    """Those that have a log, by their path in the package; what they say is read by the tests alone."""
    return [
        str(path.relative_to(PACKAGE))
        for path in sorted(PACKAGE.rglob("*.py"))
        if re.search(r"\blog\b", path.read_text(encoding="utf-8"))
    ]


def logged(module: str) -> Iterator[str]:
    """The text of each warning and error that it logs, with … for its values."""
    for node in ast.walk(ast.parse((PACKAGE / module).read_text(encoding="utf-8"))):
        match node:
            case ast.Call(func=ast.Attribute(ast.Name("log"), kind), args=[text, *values]) if kind in TROUBLE:
                assert isinstance(text, ast.Constant), f"{module}:{node.lineno}: a text that is not constant"
                if text.value not in ELSEWHERE:
                    said = str(text.value)
                    for value in values:
                        words = OWN_FAULT if ast.unparse(value).startswith("own_fault(") else "…"
                        said = re.sub(A_VALUE, words, said, count=1)
                    yield re.sub(A_VALUE, "…", said)


def listed() -> set[str]:
    """The messages that the topic lists: its lines that are indented by two."""
    text = (PACKAGE / "commands" / "help" / "messages.txt").read_text(encoding="utf-8")
    found = set(re.findall(r"^  (\S.*)$", text, re.MULTILINE))
    return {words for words in found if sum(map(str.isalpha, words)) >= LETTERS}


def is_said_by(words: str, text: str) -> bool:
    """Whether a text of the log has these words of the topic's in it, where … stands for anything."""
    pieces = [re.escape(piece.strip()) for piece in words.split("…")]
    return re.search(".*".join(pieces), text) is not None


@pytest.mark.parametrize("module", modules())
def test_what_is_logged_as_a_trouble_can_be_looked_up(module: str) -> None:
    known = listed()
    for text in logged(module):
        assert any(is_said_by(words, text) for words in known), f"{module}: an entry for `{text}`"
