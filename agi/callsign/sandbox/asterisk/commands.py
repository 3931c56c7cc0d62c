"""What Asterisk answers to one AGI command: 200, 510, 511 or the 520 block.

Names and the permission on a dead channel are those of `agi show commands` on Asterisk 16 and 22, argument
counts those of res/res_agi.c. Commands about variables, EXEC Set/MSet and hanging up do what they say; there is
no sound here, so media commands only answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from callsign.sandbox.asterisk.channel import UP, Channel
from callsign.sandbox.asterisk.parsing import split_words

GET_VARIABLE_BYTES = 1023
"""GET VARIABLE cuts a value here, even inside a character (res/res_agi.c, handle_getvariable)."""

UNKNOWN = "510 Invalid or unknown command"
NOT_WHEN_DEAD = "511 Command Not Permitted on a dead channel or intercept routine"
NO_SUCH_APPLICATION = "200 result=-2"

_Answer = Callable[[Channel, list[str]], str]


@dataclass(frozen=True)
class _Command:
    answer: _Answer
    least: int  # arguments
    most: int
    dead: bool = False  # allowed on a dead channel


def answer(channel: Channel, line: str, *, dead: bool) -> str:
    """Execute one line on `channel` and return Asterisk's answer without the last line end. Never fails."""
    words = split_words(line)
    for count in range(min(3, len(words)), 0, -1):
        name = " ".join(words[:count]).upper()
        command = _COMMANDS.get(name)
        if command is None or any(" " in word for word in words[:count]):
            continue
        if dead and not command.dead:
            return NOT_WHEN_DEAD
        arguments = words[count:]
        if command.least <= len(arguments) <= command.most:
            return command.answer(channel, arguments)
        return f"520-Invalid command syntax.  Proper usage follows:\nUsage: {name} ...\n520 End of proper usage."
    return UNKNOWN


def _answer_call(channel: Channel, _: list[str]) -> str:
    channel.state = UP
    return "200 result=0"


def _channel_status(channel: Channel, arguments: list[str]) -> str:
    known = not arguments or arguments[0] == channel.call.channel
    return f"200 result={channel.state if known else -1}"


def _hang_up(channel: Channel, arguments: list[str]) -> str:
    if arguments and arguments[0] != channel.call.channel:
        return "200 result=-1"
    channel.hung_up = True
    return "200 result=1"


def _exec(channel: Channel, arguments: list[str]) -> str:
    application, options = arguments[0].lower(), arguments[1] if len(arguments) > 1 else ""
    if application == "mset":
        channel.set_many(options)
    elif application == "set":
        name, equals, value = options.partition("=")
        if equals:  # else nothing happens
            channel.set(name, value)
    elif application not in ("noop", "verbose"):
        return NO_SUCH_APPLICATION
    return "200 result=0"


def _set_variable(channel: Channel, arguments: list[str]) -> str:
    channel.set(*arguments)
    return "200 result=1"


def _get_variable(channel: Channel, arguments: list[str]) -> str:
    value = channel.get(arguments[0])
    if value is None:
        return "200 result=0"
    cut = value.encode("utf-8", "surrogateescape")[:GET_VARIABLE_BYTES]
    return f"200 result=1 ({cut.decode('utf-8', 'surrogateescape')})"


def _get_full_variable(channel: Channel, arguments: list[str]) -> str:
    if len(arguments) > 1 and arguments[1] != channel.call.channel:
        return "200 result=0"
    return f"200 result=1 ({channel.expand(arguments[0])})"


def _always(text: str) -> _Answer:
    return lambda _channel, _arguments: text


_ANY = 1000
_NOTHING, _DONE = _always("200 result=0"), _always("200 result=1")
_PLAYED, _RECORDED = _always("200 result=0 endpos=0"), _always("200 result=0 (timeout) endpos=0")
_GONE_TO = _always("100 result=0 Trying...\n200 result=0 Gosub complete")
_COMMANDS = {
    "ANSWER": _Command(_answer_call, 0, _ANY),
    **dict.fromkeys(("ASYNCAGI BREAK", "NOOP"), _Command(_NOTHING, 0, _ANY, dead=True)),
    "CHANNEL STATUS": _Command(_channel_status, 0, 1),
    "CONTROL STREAM FILE": _Command(_NOTHING, 2, 6),
    "DATABASE DEL": _Command(_DONE, 2, 2, dead=True),
    "DATABASE DELTREE": _Command(_DONE, 1, 2, dead=True),
    "DATABASE GET": _Command(_NOTHING, 2, 2, dead=True),
    "DATABASE PUT": _Command(_DONE, 3, 3, dead=True),
    "EXEC": _Command(_exec, 1, _ANY, dead=True),
    "GET DATA": _Command(_always("200 result= (timeout)"), 1, _ANY),
    "GET FULL VARIABLE": _Command(_get_full_variable, 1, 2, dead=True),
    **dict.fromkeys(("GET OPTION", "STREAM FILE"), _Command(_PLAYED, 2, 3)),
    "GET VARIABLE": _Command(_get_variable, 1, 1, dead=True),
    "GOSUB": _Command(_GONE_TO, 3, 4),
    "HANGUP": _Command(_hang_up, 0, 1),
    "RECEIVE CHAR": _Command(_always("200 result=0 (timeout)"), 1, 1),
    "RECEIVE TEXT": _Command(_always("200 result=-1"), 1, 1),
    "RECORD FILE": _Command(_RECORDED, 4, _ANY),
    **dict.fromkeys(("SAY ALPHA", "SAY DATE", "SAY DIGITS", "SAY PHONETIC", "SAY TIME"), _Command(_NOTHING, 2, 2)),
    "SAY DATETIME": _Command(_NOTHING, 2, 4),
    "SAY NUMBER": _Command(_NOTHING, 2, 3),
    **dict.fromkeys(("SEND IMAGE", "SEND TEXT", "TDD MODE", "WAIT FOR DIGIT"), _Command(_NOTHING, 1, 1)),
    **dict.fromkeys(("SET AUTOHANGUP", "SET CONTEXT", "SET EXTENSION", "SET PRIORITY"), _Command(_NOTHING, 1, 1)),
    "SET CALLERID": _Command(_DONE, 0, _ANY),
    "SET MUSIC": _Command(_NOTHING, 1, _ANY),
    "SET VARIABLE": _Command(_set_variable, 2, 2, dead=True),
    "VERBOSE": _Command(_DONE, 1, _ANY, dead=True),
}
