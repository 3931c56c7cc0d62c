"""Text fit for log and channel: one line, numbers and secrets masked; and where a fault was."""

from __future__ import annotations

import json
import re
import traceback
from pathlib import Path
from urllib.parse import quote

REASON_LENGTH = 160
"""Characters of a vendor's text that go into a reason."""

_LOOKED_AT = 4096
"""Characters of a vendor's text that are looked at for that."""

_MASKED = re.compile(
    r"[0-9A-Fa-f]{16,}"  # a hash, a key that looks like hex
    r"|[0-9A-Fa-f]{4,}(?:-[0-9A-Fa-f]{4,}){2,}"  # a key that is a UUID
    r"|[A-Za-z0-9+/_-]{40,}={0,2}"  # base64, a path with something in it
    r"|\+?\d(?:[ ./()%-]{0,3}\d){5,}"  # a number, also as people write it
)


def printable(text: str, limit: int = REASON_LENGTH) -> str:
    """`text` as one short line of printable characters, whatever a peer wrote."""
    return _cut(_one_line(text[: 8 * limit]), limit)


def vendor_words(text: object, limit: int = REASON_LENGTH, hidden: str = "") -> str:
    """A vendor's text for a reason: one line, and no number, hash or token that it may have echoed.

    `hidden` is a secret that was sent along; it is masked whatever it looks like.
    """
    if text is None:
        return ""
    line = _one_line(str(text)[:_LOOKED_AT])
    if len(str(text)) > _LOOKED_AT:
        line = line.rpartition(" ")[0]  # the last word may be half of a number
    for secret in {hidden, quote(hidden, safe="")} if hidden else ():
        line = line.replace(secret, "…")
    return _cut(_MASKED.sub("…", line), limit)


def visible(text: str) -> str:
    """`text` with a space for each character that shows nothing but changes how others are shown, or read.

    Those are control and format characters (U+202E turns a line around, U+200B is not seen); line ends stay.
    """
    if text.replace("\n", "").isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text)


def visible_json(value: object, indent: int | None = None) -> str:
    """`value` as JSON for a terminal too: accents as they are, but characters as above escaped."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    if text.replace("\n", "").isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def _one_line(text: str) -> str:
    return " ".join(visible(text).split())


def _cut(line: str, limit: int) -> str:
    return line if len(line) <= limit else line[: limit - 1] + "…"


def own_fault(fault: BaseException) -> str:
    """For the log or a command, where the fault is callsign's and nobody else's."""
    return f"a fault in callsign itself: {place_of(fault)}"


def place_of(fault: BaseException) -> str:
    """A fault's kind and place, folder, file and line, without its text: that may hold a number."""
    frames = traceback.extract_tb(fault.__traceback__)
    place = f" at {'/'.join(Path(frames[-1].filename).parts[-2:])}:{frames[-1].lineno}" if frames else ""
    return f"{type(fault).__name__}{place}"
