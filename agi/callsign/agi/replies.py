"""Asterisk's replies to AGI commands.  Source: res/res_agi.c of Asterisk 16 to 22 (agi_handle_command)."""

from __future__ import annotations

import re
from collections.abc import Callable

from callsign.agi.pyst2 import (
    AGIAppError,
    AGIInvalidCommand,
    AGIResultHangup,
    AGIUnknownError,
    AGIUsageError,
    DeadChannel,
)

REPLY = re.compile(r"([0-9]{3})(?:([ -])(.*))?", re.DOTALL)
_RESULT = re.compile(r"result=(\S*)\s*(.*)", re.DOTALL)
_REMARK = re.compile(r"\(([a-z]*)\) (endpos=.*)")  # "(timeout) endpos=1000": Asterisk's own word, not a value
_PAIR = re.compile(r"(\w+)=(\S+)")

Result = dict[str, tuple[str, str]]


def result_of(reply: re.Match[str], read_line: Callable[[], str]) -> Result:
    """What a line that is a `REPLY` says, with those that belong to it: {"result": (value, text in brackets), …}.

    Raises AGIResultHangup, AGIAppError for result -1, AGIInvalidCommand (510), DeadChannel (511),
    AGIUsageError (520), AGIUnknownError, and what `read_line` raises.
    """
    line = reply.string
    code, separator, text = reply.groups("")
    if code == "200":
        return _result(text, read_line)
    if code == "510":
        raise AGIInvalidCommand(text)
    if code == "511":
        raise DeadChannel(text)
    if code == "520":
        usage = [text]
        while separator == "-" and not line.startswith("520 "):
            line = read_line()
            usage.append(line)
        raise AGIUsageError("\n".join(usage))
    raise AGIUnknownError("Asterisk's reply is none that AGI knows")


def _result(text: str, read_line: Callable[[], str]) -> Result:
    found = _RESULT.fullmatch(text)
    if not found:
        raise AGIUnknownError("Asterisk's reply 200 has no result")
    value, rest = found.groups()
    data = ""
    if not rest.endswith(")") and (remark := _REMARK.fullmatch(rest)):
        data, rest = remark.groups()
    elif rest.startswith("("):
        lines = [rest]
        while not lines[-1].endswith(")"):
            lines.append(read_line())
        data, rest = "\n".join(lines)[1:-1], ""
    if value == "-1" and data == "hangup":
        raise AGIResultHangup("the caller hung up during the command")
    if value == "-1":
        raise AGIAppError("the command failed, or the channel was hung up")
    return {name: (number, "") for name, number in _PAIR.findall(rest)} | {"result": (value, data)}
