"""Calls that a test places: what goes in as variables, and what the channel held when its dialplan ended.

Every value travels as BASE64 with a dot in front, so that any text survives: Asterisk's own separators (AMI
headers, commas, quotes, parentheses, `${`), broken UTF-8 and emptiness alike.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ami import Ami, Message
from log_pipe import LogPipe

# A call starts at `call`, gets its variables, and goes on in the test's dialplan under the test's extension.
# What the test asks for is reported when the channel hangs up, however it does; its dialplan needs no line.
HARNESS_DIALPLAN = r"""
[harness]
exten => call,1,Set(HARNESS_I=0)
 same => n(next),GotoIf($["${HARNESS_NAME${HARNESS_I}}" = ""]?ready)
 same => n,Set(HARNESS_PIECE=${BASE64_DECODE(${HARNESS_IN${HARNESS_I}})})
 same => n,Set(HARNESS_VALUE=${HARNESS_VALUE}${HARNESS_PIECE:1})
 same => n,GotoIf($["${HARNESS_NAME${HARNESS_I}}" = "+"]?more)
 same => n,Set(${HARNESS_NAME${HARNESS_I}}=${HARNESS_VALUE})
 same => n,Set(HARNESS_VALUE=)
 same => n(more),Set(HARNESS_I=$[${HARNESS_I} + 1])
 same => n,Goto(next)
 same => n(ready),Set(CHANNEL(hangup_handler_push)=harness,report,1)
 same => n,Set(HARNESS_BEGIN=${STRFTIME(,,%s%6q)})
 same => n,UserEvent(HarnessBegin,Call: ${HARNESS_CALL})
 same => n,ExecIf($["${HARNESS_REDIRECT}" = "yes"]?Wait(60))
 same => n,Set(HARNESS_BEGIN=${STRFTIME(,,%s%6q)})
 same => n,Goto(${HARNESS_CONTEXT},${HARNESS_EXTEN},1)

exten => report,1,ExecIf($["${HARNESS_END}" = ""]?Set(HARNESS_END=${STRFTIME(,,%s%6q)}))
 same => n,Set(HARNESS_I=0)
 same => n(next),GotoIf($["${HARNESS_WANT${HARNESS_I}}" = ""]?done)
 same => n,Set(HARNESS_VALUE=${BASE64_ENCODE(.${${HARNESS_WANT${HARNESS_I}}})})
 same => n,UserEvent(HarnessValue,Call: ${HARNESS_CALL},Value: ${HARNESS_VALUE})
 same => n,Set(HARNESS_I=$[${HARNESS_I} + 1])
 same => n,Goto(next)
 same => n(done),Set(HARNESS_TIME=$[${HARNESS_END} - ${HARNESS_BEGIN}])
 same => n,UserEvent(HarnessEnd,Call: ${HARNESS_CALL},Microseconds: ${HARNESS_TIME})
 same => n,Return()

; Gosub(harness,begin,1) and Gosub(harness,end,1) around a step: its time alone is what `microseconds` tells.
exten => begin,1,Set(HARNESS_BEGIN=${STRFTIME(,,%s%6q)})
 same => n,Return()
exten => end,1,Set(HARNESS_END=${STRFTIME(,,%s%6q)})
 same => n,Return()

exten => mark,1,Log(NOTICE,${HARNESS_MARK})
"""

PIECE = 600


@dataclass(frozen=True)
class Result:
    """What a call's channel held when it hung up."""

    variables: dict[str, str]
    microseconds: int
    channel: str
    uniqueid: str
    linkedid: str
    cause: int


class Call:
    """A call under way. `RealAsterisk.start` places it; its events come in from the manager's thread."""

    def __init__(self, ami: Ami, log: LogPipe, report: Sequence[str]) -> None:
        self._ami = ami
        self._log = log
        self._report = report
        self._values: list[str] = []
        self._begin: Message | None = None
        self._end: Message | None = None
        self._hangup: Message | None = None
        self._news = threading.Condition()

    def take(self, event: Message) -> None:
        """Called for every event that bears this call's reference, and for its channel's hang-up."""
        with self._news:
            if event["Event"] == "Hangup":
                self._hangup = event
            elif event["UserEvent"] == "HarnessBegin":
                self._begin = event
            elif event["UserEvent"] == "HarnessValue":
                self._values.append(decode(event["Value"]))
            else:
                self._end = event
            self._news.notify_all()

    @property
    def channel(self) -> str:
        """The channel that runs the test's dialplan; waits until it does."""
        self._wait_until(lambda: self._begin, 30, "begin")
        assert self._begin
        return self._begin["Channel"]

    def hangup(self) -> None:
        """The caller hangs up: his end of the Local channel goes, as a phone would."""
        self._ami.action("Hangup", Channel=self.channel.removesuffix(";2") + ";1")

    def wait(self, timeout: float = 30) -> Result:
        """What the channel held, once it is gone."""
        self._wait_until(lambda: self._end and self._hangup, timeout, "end")
        assert self._end
        assert self._hangup
        return Result(
            dict(zip(self._report, self._values, strict=True)),
            int(self._end["Microseconds"]),
            self._end["Channel"],
            self._end["Uniqueid"],
            self._end["Linkedid"],
            int(self._hangup["Cause"]),
        )

    def _wait_until(self, look: Callable[[], object], timeout: float, what: str) -> None:
        with self._news:
            if not self._news.wait_for(look, timeout):
                raise TimeoutError(f"the call did not {what} within {timeout} s\n{self._log.text()[-3000:]}")


def call_variables(
    reference: str, context: str, exten: str, variables: Mapping[str, str], report: Sequence[str]
) -> list[str]:
    """The AMI `Variable` headers that `HARNESS_DIALPLAN` reads."""
    plain = [f"HARNESS_CALL={reference}", f"HARNESS_REDIRECT={'yes' if ',' in exten else 'no'}"]
    plain += [f"HARNESS_WANT{index}={name}" for index, name in enumerate(report)]
    pieces: list[tuple[str, str]] = []  # "+" says that the value goes on: an AMI line holds 1024 bytes
    for name, value in {"HARNESS_CONTEXT": context, "HARNESS_EXTEN": exten, **variables}.items():
        whole = value.encode("utf-8", "surrogateescape")
        parts = [whole[start : start + PIECE] for start in range(0, len(whole), PIECE)] or [b""]
        pieces += [("+", encode(part)) for part in parts[:-1]] + [(name, encode(parts[-1]))]
    for index, (name, text) in enumerate(pieces):
        plain += [f"HARNESS_NAME{index}={name}", f"HARNESS_IN{index}={text}"]
    return plain


def encode(part: bytes) -> str:
    return base64.b64encode(b"." + part).decode()


def decode(text: str) -> str:
    return base64.b64decode(text)[1:].decode("utf-8", "surrogateescape")
