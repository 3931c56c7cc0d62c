"""The bytes of the settings file, or of a key file, as text and TOML; what is wrong is told by its place.

No message quotes the text: it may hold a key.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Collection
from typing import Any

import tomli

from callsign.log_text import printable

# Texts, not compiled: they are needed where something is wrong, and compiling all takes a plain script 0.5 ms.
_PLAIN_WORDS = r"(?:[A-Za-z /-]|'\W{1,2}')*"
_PLACE = r" \(at (?:line (\d+), column (\d+)|end of document)\)$"
_TWICE = r"Cannot declare \('(\w+)'.*\) twice"
_UNSEEN = r"[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
"""What Python calls printable though nothing is printed (Unicode's Default_Ignorable_Code_Point, and a blank)."""

_TYPED_QUOTES = "\u2018\u2019\u201c\u201d\u201e\u00ab\u00bb"


def decoded(content: bytes) -> str:
    """`content` without a byte order mark.  Raises ValueError saying where it is no UTF-8 and what to save it as."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError("is UTF-16: save it as UTF-8")
    if b"\0" in content:
        raise ValueError(f"line {_line(content, content.index(0))} holds a NUL, as UTF-16 has them: save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        where = _line(content, fault.start)
        raise ValueError(f"line {where} holds a byte that is not UTF-8: save it as UTF-8") from None


def _line(content: bytes, at: int) -> int:
    return content.count(b"\n", 0, at) + 1


def unseen(text: str) -> str:
    """Which character of `text` is the first that nobody sees, and where; empty if there is none.

    A space is seen, one of another kind, which a web page may have in its place, is not told from it.
    """
    if text.isprintable() and (text.isascii() or not re.search(_UNSEEN, text)):
        return ""
    at = next(n for n, c in enumerate(text) if not c.isprintable() or re.match(_UNSEEN, c))
    return f"character {at + 1} is {_named(text[at])}"


def tree(content: bytes, sections: Collection[str]) -> dict[str, Any]:
    """The TOML in `content`.  Raises ValueError; of a section that stands twice it names one of `sections` only."""
    text = decoded(content)
    try:
        return tomli.loads(text)
    except RecursionError:
        raise ValueError("is no TOML: it is nested too deep") from None
    except tomli.TOMLDecodeError as fault:
        raise ValueError(f"is no TOML: {_slip(str(fault).splitlines()[0], text, sections)}") from None
    except ValueError:
        raise ValueError("is no TOML: a number has too many digits") from None


def _slip(said: str, text: str, sections: Collection[str]) -> str:
    """tomli's words without what it quotes, and what stands there if nobody sees it or a word processor typed it."""
    place = re.search(_PLACE, said)
    if (twice := re.match(_TWICE, said)) and twice[1] in sections:
        words = f"[{twice[1]}], or a part of it, stands twice"
    elif said.startswith("Cannot overwrite a value"):
        words = "a key or section stands twice"
    else:
        found = re.match(_PLAIN_WORDS, said[: place.start()] if place else said)
        words = found[0].strip() if found else ""
    there = ""
    if place and place[1]:
        lines = text.replace("\r\n", "\n").split("\n")
        character = lines[int(place[1]) - 1][int(place[2]) - 1 : int(place[2])]
        if character and (unseen(character) or character in _TYPED_QUOTES):
            there = f": {_named(character)} stands there"
    return f"{words}{place[0] if place else ''}{there}"


def _named(character: str) -> str:
    import unicodedata  # only where there is a fault

    return printable(f"U+{ord(character):04X} {unicodedata.name(character, '')}")
