"""One AGI() line as the dialplan wrote it: path, options, arguments, and the channel's `agi_*` facts."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl

from callsign.log_text import vendor_words
from callsign.record import Record, field

MAX_WAIT_SECONDS = 60.0  # no caller listens longer to silence
MAX_ARGUMENT_CHARACTERS = 255  # no number, name or tag is longer
MAX_SHOWN_CHARACTERS = 40
UNKNOWN = "unknown"
"""What Asterisk writes where the channel has no number, name or DNID (res_agi.c, setup_env)."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

FREE_TEXT = frozenset(("tag", "agentLoginName"))
"""Arguments that may themselves look like name=value."""

CUT = frozenset(("tag",))
"""Arguments that are for people to read: too long a text is no reason not to record a call."""

_IN_QUOTES = re.compile(r'"([^"]*)"')
_NAME = re.compile(r"[A-Za-z][A-Za-z_]*")


class StepFault(Exception):
    """The dialplan asked for something that cannot be done; the text says what was seen and what is wanted."""


class Step(Record):
    """What one AGI() line asks for."""

    path: str
    options: Mapping[str, str]
    args: Sequence[str] = field(repr=False)
    env: Mapping[str, str] = field(repr=False)
    fault: str = ""  # why none of it may be what Asterisk meant
    linkedid: str = ""  # as Asterisk says, where it was asked: of a step with such a fault

    def fact(self, name: str) -> str:
        """The value of an `agi_*` line, empty where Asterisk knows none.  Raises StepFault for an unusable one."""
        value = self.env.get(name, "")
        return "" if value == UNKNOWN else _usable(name, value)

    def presentation(self) -> int:
        """`agi_callingpres` as a number; what is no number counts as "allowed"."""
        text = self.env.get("agi_callingpres", "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0

    @property
    def account(self) -> str:
        """The option `account`, empty where the section itself is meant."""
        return self.options.get("account", "").strip()

    def wait_seconds(self, default: float) -> float:
        """The option `wait`, how long the dialplan may be held.  Raises StepFault for another option or value."""
        for name in self.options:
            if name not in ("wait", "account"):
                raise StepFault(f"option {for_message(name)}: unknown, the options are wait=SECONDS and account=NAME")
        text = self.options.get("wait")
        if text is None:
            return default
        try:
            seconds = float(text)
        except ValueError:
            seconds = math.nan
        if not 0 <= seconds <= MAX_WAIT_SECONDS:
            wanted = f"wanted seconds from 0 to {MAX_WAIT_SECONDS:g}"
            raise StepFault(f"option wait={for_message(text)}: {wanted}")
        return seconds

    def arguments(self, names: Sequence[str], by_name: Sequence[str] = ()) -> dict[str, str]:
        """The arguments by name: `name=value` where the name is one of `names` or `by_name`, else by position.

        An empty positional leaves its place to the default.  A name may be written in any case.  Quotes around
        a value and the backslash of `\\,` are off: a subroutine passes them on as the dialplan has them.  Raises
        StepFault for too many, for a name given twice, for a misspelt name where no free text is meant, and
        for an unusable value.
        """
        known = {name.lower(): name for name in (*names, *by_name)}
        found: dict[str, str] = {}
        position = 0
        for text in self.args:
            word, equals, value = (part.strip() for part in text.partition("="))
            name = known.get(word.lower(), "") if equals else ""
            if not name:
                name, value = (names[position] if position < len(names) else ""), text.strip()
                position += 1
                if equals and _NAME.fullmatch(word) and name not in FREE_TEXT:
                    raise StepFault(
                        f"{for_message(word)}= is none of this path's arguments: {', '.join(names) or 'none'}"
                    )
            if quoted := _IN_QUOTES.fullmatch(value):
                value = quoted[1].strip()
            value = value.replace("\\,", ",")
            if not value:
                continue
            if not name:
                raise StepFault(f"{position} arguments, but {self.path} takes {_listed(names)}")
            if name in found:
                raise StepFault(f"argument {name} is given twice")
            if name in CUT:
                value = value[:MAX_ARGUMENT_CHARACTERS]
            found[name] = _usable(f"argument {name}", value)
        return found


def for_message(text: str) -> str:
    """What the dialplan wrote, for a reason: short, and without a number that may be the caller's."""
    return vendor_words(text, MAX_SHOWN_CHARACTERS)


def _usable(what: str, value: str) -> str:
    if len(value) > MAX_ARGUMENT_CHARACTERS or _CONTROL.search(value):
        raise StepFault(f"{what}: wanted one line of at most {MAX_ARGUMENT_CHARACTERS} characters")
    return value


def _listed(names: Sequence[str]) -> str:
    return f"at most {len(names)}: {', '.join(names)}" if names else "none"


def read_step(
    env: Mapping[str, str], args: Sequence[str], request: str | None = None, fault: str = "", linkedid: str = ""
) -> Step:
    """The step of an `agi_*` block: `agi_network_script`, or for a plain script `request`; `fault` is the block's."""
    text = env.get("agi_network_script", "") if request is None else request
    path, _, query = _decodable(text).partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True)) if query else {}
    return Step(path.strip().strip("/"), options, tuple(map(_decodable, args)), env, fault, linkedid)


def _decodable(text: str) -> str:
    """A script's arguments hold bytes that are no UTF-8 as lone surrogates, which no store and no URL takes."""
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
