"""The record of one request, and its line for the screen, without signatures and phone numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone

from callsign.sandbox.vendors.messages import Request

HIDDEN = frozenset({"hash", "apikey", "key", "secret", "p", "password"})
"""Parameters that are, or prove, a secret; compared in lower case, so that a misspelling leaks nothing."""

SHOWN = frozenset({"businessid", "timestamp"})
"""Parameters whose digits are no phone number and are what one wants to see when a signature fails."""

_SECRET_LOOKING = re.compile(r"[0-9A-Fa-f]{20,}")
_UNIQUE_ID = re.compile(r"(?:[A-Za-z]\w*-)?[1-9][0-9]{8,10}\.[0-9]{1,7}")
_LONG_NUMBER = re.compile(r"\d{5,}")


@dataclass(frozen=True, repr=False, kw_only=True)
class SeenRequest(Request):
    """One request, and what the stand-in made of it."""

    system: str
    """"skarabee", "noojee"; empty if the path belongs to no vendor."""
    http_status: int  # 0: the connection was closed without an answer
    verdict: str

    def masked(self) -> str:
        """One printable line; of every number the last two digits are left, of a signature or key nothing."""
        return self.line(with_numbers=False)

    def line(self, with_numbers: bool) -> str:
        """The same, where somebody asks for it with numbers as they are."""
        mask = _hide_digits if not with_numbers else str
        when = datetime.fromtimestamp(self.at, tz=timezone.utc).isoformat(timespec="milliseconds")
        words = [when.replace("+00:00", "Z"), self.system or "(no vendor)", self.method, _free_text(self.path, mask)]
        words += [f"{_quoted(_free_text(n, mask))}={_value(n, v, with_numbers)}" for n, v in self.query.items()]
        if self.body:
            words.append(f"({len(self.body)} bytes of body)")
        words += ["->", str(self.http_status or "no answer"), _free_text(self.verdict, mask)]
        return " ".join(word if word.isprintable() else repr(word) for word in words)

    def __repr__(self) -> str:
        return f"<SeenRequest {self.masked()}>"


def _value(name: str, value: str, with_numbers: bool) -> str:
    if name.lower() in HIDDEN:
        return "[hidden]"
    shown = _SECRET_LOOKING.sub("[hidden]", value)
    is_no_number = name.lower() in SHOWN or _UNIQUE_ID.fullmatch(value)
    return _quoted(shown if with_numbers or is_no_number else _mask_digits(shown))


def _mask_digits(text: str) -> str:
    """Stars for all digits but the last two; what stands between them (+, /, sip:, @) stays readable."""
    to_hide = max(0, sum(character.isdigit() for character in text) - 2)
    return re.sub(r"\d", "*", text, count=to_hide) if to_hide else text


def _hide_digits(text: str) -> str:
    """For paths, names and verdicts: a year may stay, what could be a phone number may not."""
    return _LONG_NUMBER.sub(lambda number: _mask_digits(number[0]), text)


def _free_text(text: str, mask: Callable[[str], str]) -> str:
    return mask(_SECRET_LOOKING.sub("[hidden]", text))


def _quoted(text: str) -> str:
    return repr(text) if " " in text or not text.isprintable() else text
