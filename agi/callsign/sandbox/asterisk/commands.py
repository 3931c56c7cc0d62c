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
    dead: bool  # allowed on a dead channel
    usage: str


def answer(channel: Channel, line: str, *, dead: bool) -> str:
    """Execute one line on `channel` and return Asterisk's answer without the last line end. Never fails."""
    words = split_words(line)
    for count in range(min(3, len(words)), 0, -1):
        command = _COMMANDS.get(" ".join(words[:count]).upper())
        if command is None or any(" " in word for word in words[:count]):
            continue
        if dead and not command.dead:
            return NOT_WHEN_DEAD
        arguments = words[count:]
        if command.least <= len(arguments) <= command.most:
            return command.answer(channel, arguments)
        return f"520-Invalid command syntax.  Proper usage follows:\n{command.usage}\n520 End of proper usage."
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
        channel.set_one(options)
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
_SAYINGS = {"ALPHA": 2, "DATE": 2, "DATETIME": 4, "DIGITS": 2, "NUMBER": 3, "PHONETIC": 2, "TIME": 2}
_COMMANDS = {
    "ANSWER": _Command(_answer_call, 0, _ANY, False, "ANSWER"),
    "ASYNCAGI BREAK": _Command(_NOTHING, 0, _ANY, True, "ASYNCAGI BREAK"),
    "CHANNEL STATUS": _Command(_channel_status, 0, 1, False, "CHANNEL STATUS [channelname]"),
    "CONTROL STREAM FILE": _Command(_NOTHING, 2, 6, False, "CONTROL STREAM FILE filename escape_digits ..."),
    "DATABASE DEL": _Command(_DONE, 2, 2, True, "DATABASE DEL family key"),
    "DATABASE DELTREE": _Command(_DONE, 1, 2, True, "DATABASE DELTREE family [keytree]"),
    "DATABASE GET": _Command(_NOTHING, 2, 2, True, "DATABASE GET family key"),
    "DATABASE PUT": _Command(_DONE, 3, 3, True, "DATABASE PUT family key value"),
    "EXEC": _Command(_exec, 1, _ANY, True, "EXEC application options"),
    "GET DATA": _Command(_always("200 result= (timeout)"), 1, _ANY, False, "GET DATA file [timeout] [maxdigits]"),
    "GET FULL VARIABLE": _Command(_get_full_variable, 1, 2, True, "GET FULL VARIABLE expression [channelname]"),
    "GET OPTION": _Command(_PLAYED, 2, 3, False, "GET OPTION filename escape_digits [timeout]"),
    "GET VARIABLE": _Command(_get_variable, 1, 1, True, "GET VARIABLE variablename"),
    "GOSUB": _Command(_GONE_TO, 3, 4, False, "GOSUB context extension priority"),
    "HANGUP": _Command(_hang_up, 0, 1, False, "HANGUP [channelname]"),
    "NOOP": _Command(_NOTHING, 0, _ANY, True, "NOOP"),
    "RECEIVE CHAR": _Command(_always("200 result=0 (timeout)"), 1, 1, False, "RECEIVE CHAR timeout"),
    "RECEIVE TEXT": _Command(_always("200 result=-1"), 1, 1, False, "RECEIVE TEXT timeout"),
    "RECORD FILE": _Command(_RECORDED, 4, _ANY, False, "RECORD FILE filename format escape_digits timeout"),
    **{
        f"SAY {what}": _Command(_NOTHING, 2, most, False, f"SAY {what} ... escape_digits")
        for what, most in _SAYINGS.items()
    },
    "SEND IMAGE": _Command(_NOTHING, 1, 1, False, "SEND IMAGE image"),
    "SEND TEXT": _Command(_NOTHING, 1, 1, False, "SEND TEXT text"),
    "SET AUTOHANGUP": _Command(_NOTHING, 1, 1, False, "SET AUTOHANGUP time"),
    "SET CALLERID": _Command(_DONE, 0, _ANY, False, "SET CALLERID number"),
    "SET CONTEXT": _Command(_NOTHING, 1, 1, False, "SET CONTEXT context"),
    "SET EXTENSION": _Command(_NOTHING, 1, 1, False, "SET EXTENSION extension"),
    "SET MUSIC": _Command(_NOTHING, 1, _ANY, False, "SET MUSIC on|off [class]"),
    "SET PRIORITY": _Command(_NOTHING, 1, 1, False, "SET PRIORITY priority"),
    "SET VARIABLE": _Command(_set_variable, 2, 2, True, "SET VARIABLE variablename value"),
    "STREAM FILE": _Command(_PLAYED, 2, 3, False, "STREAM FILE filename escape_digits [offset]"),
    "TDD MODE": _Command(_NOTHING, 1, 1, False, "TDD MODE on|off"),
    "VERBOSE": _Command(_DONE, 1, _ANY, True, "VERBOSE message [level]"),
    "WAIT FOR DIGIT": _Command(_NOTHING, 1, 1, False, "WAIT FOR DIGIT timeout"),
}
