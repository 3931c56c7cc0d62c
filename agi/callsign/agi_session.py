"""One AGI session: pyst2's `AGI` with its method names, mended where a server needs it to be.

What is mended of pyst2 0.5.1, each with a test on the wire in `tests/test_agi_session.py`:

- the constructor takes a connection, touches no signal and writes nothing to stderr;
- the `agi_*` block is bounded in time and size, decoded with replacement, and lines forged by
  a line break in the caller's text do not count (values are written raw), see `_note`;
- end of file is a hang-up, at every point, and reset and "broken pipe" are the same; a `HANGUP` line is a
  remark, skipped, and the awaited reply read after it;
- 511, a one-line 520, a 520 block that ends early, and 1xx are understood;
- a *value* "hangup" is a value; text in brackets may hold brackets and run over several lines, up to the
  first that ends in a bracket; what is left of it is not taken for the next reply;
- quoting escapes, and refuses what would end the line; a command is one write under 2000 bytes.

Source: res/res_agi.c of Asterisk 16 to 22 (setup_env, run_agi, agi_handle_command, parse_args).
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import NoReturn

from asterisk.agi import (
    AGI,
    AGIAppError,
    AGIDBError,
    AGIInvalidCommand,
    AGIResultHangup,
    AGISIGPIPEHangup,
    AGIUnknownError,
    AGIUsageError,
)
from asterisk.agi import AGIError as AGIError  # for those who run a session: nobody else imports asterisk.agi
from asterisk.agi import AGIHangup as AGIHangup

from callsign.agi_connection import Connection
from callsign.bounded_lines import BadPeer as BadPeer
from callsign.bounded_lines import BoundedLines

MAX_COMMAND_BYTES = 2000
"""Asterisk before 20.16 and 22.6 reads 2048 bytes a line and runs the rest as the next command."""

_BEFORE = ("network", "network_script", "request", "channel", "language", "type", "uniqueid", "version", "callerid")
BEFORE_CALLERS_TEXT = frozenset(f"agi_{name}" for name in _BEFORE)
"""What res_agi.c's setup_env writes up to the caller's number."""

PROXY_HEADER = "it sent HAProxy's PROXY header, which Asterisk does not: no send-proxy, nor -v2, for this port"
"""Its first line in version 1, in version 2 an empty one with QUIT behind it (doc/proxy-protocol.txt)."""

BLOCK_SECONDS = 10.0
REPLY_SECONDS = 10.0

_FORBIDDEN = re.compile(r"[\r\n\0]")
_PLAIN = re.compile(r"[A-Za-z0-9_ .:;/@#*!?<>~^&|+-]*")
_REPLY = re.compile(r"([0-9]{3})(?:([ -])(.*))?", re.DOTALL)
_RESULT = re.compile(r"result=(\S*)\s*(.*)", re.DOTALL)
_REMARK = re.compile(r"\(([a-z]*)\) (endpos=.*)")  # "(timeout) endpos=1000": Asterisk's own word, not a value
_PAIR = re.compile(r"(\w+)=(\S+)")

Result = dict[str, tuple[str, str]]


class UnfitCommand(AGIError):  # type: ignore[misc]
    """The command would not be one whole line to Asterisk; nothing was sent."""


class DeadChannel(AGIAppError):  # type: ignore[misc]
    """511: the command is not permitted on a channel that has been hung up."""


def quote(text: str) -> str:
    """`text` as one quoted word of an AGI command.  Raises UnfitCommand for what would end the line."""
    if _FORBIDDEN.search(text):
        raise UnfitCommand("a line break or NUL in a value would start a command of its own")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


class AgiSession(AGI):  # type: ignore[misc]
    """Reads the environment, sends commands, reads replies; every wait ends."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lines = BoundedLines(connection)
        self._ended = False
        self._nothing_follows = False  # behind the next command
        self.hung_up = False
        """Whether Asterisk has said that the channel was hung up; it still takes variables."""
        self.env: dict[str, str] = {}
        self._get_agi_env()

    @property
    def args(self) -> list[str]:
        """agi_arg_1 and on."""
        found: list[str] = []
        while (value := self.env.get(f"agi_arg_{len(found) + 1}")) is not None:
            found.append(value)
        return found

    # -- reading -----------------------------------------------------------------------------------

    def _get_agi_env(self) -> None:
        """Reads the `agi_*` block.  Raises BadPeer if it is none, or not whole in time.

        A line that is none of its own, once it has begun, is the rest of a value with a line break in it.
        """
        end = time.monotonic() + BLOCK_SECONDS
        try:
            while line := self._read_line(end).strip():
                name, colon, value = line.partition(":")
                if colon and name.startswith("agi_"):
                    self._note(name.rstrip(), value.lstrip())
                elif not self.env:
                    raise BadPeer(PROXY_HEADER if line.startswith("PROXY ") else "what it sent is no agi_ line")
        except TimeoutError:
            raise BadPeer(f"its agi_ block was not whole within {BLOCK_SECONDS:g} s") from None
        except AGIHangup:
            raise BadPeer("its connection was closed before its agi_ block was whole") from None
        if not self.env:
            raise BadPeer(PROXY_HEADER if "QUIT" in self._lines.forget() else "it sent an empty agi_ block")

    def _note(self, name: str, value: str) -> None:
        """A line break in the caller's number, name or extension forges lines behind it, also agi_arg_ ones.

        Of what Asterisk sends before these the first line is true, of what it sends behind them the last;
        the true arguments come behind the true agi_threadid.
        """
        if name in BEFORE_CALLERS_TEXT:
            self.env.setdefault(name, value)
            return
        if name == "agi_threadid":
            for forged in [known for known in self.env if known.startswith("agi_arg_")]:
                del self.env[forged]
        self.env[name] = value

    def _read_line(self, end: float) -> str:
        """One line without its end.  Raises TimeoutError, AGIHangup at end of file, BadPeer if too much comes."""
        try:
            return self._lines.read(end)
        except EOFError:
            self._ended = self.hung_up = True
            raise AGIHangup("Asterisk closed the connection") from None
        except TimeoutError:
            raise
        except OSError as fault:
            self._gone(fault)

    def _gone(self, fault: OSError) -> NoReturn:
        self._ended = self.hung_up = True
        raise AGISIGPIPEHangup(f"the connection to Asterisk broke: {fault.strerror}") from fault

    def get_result(self, stdin: object = None) -> Result:
        """The reply to the last command, as pyst2 gives it: {"result": (value, text in brackets), …}.

        Raises AGIHangup at end of file, AGIResultHangup, AGIAppError for result -1, AGIInvalidCommand
        (510), DeadChannel (511), AGIUsageError (520), AGIUnknownError, TimeoutError, and BadPeer.
        """
        end = time.monotonic() + REPLY_SECONDS
        self._lines.begin()
        while True:
            line = self._read_line(end)
            if line.strip() == "HANGUP":
                self.hung_up = True
            elif (reply := _REPLY.fullmatch(line)) and line[0] != "1":
                break  # other lines are the rest of a value, see _result
        code, separator, text = reply.groups("")
        if code == "200":
            return self._result(text, end)
        if code == "510":
            raise AGIInvalidCommand(text)
        if code == "511":
            raise DeadChannel(text)
        if code == "520":
            usage = [text]
            while separator == "-" and not line.startswith("520 "):
                line = self._read_line(end)
                usage.append(line)
            raise AGIUsageError("\n".join(usage))
        raise AGIUnknownError("Asterisk's reply is none that AGI knows")

    def _result(self, text: str, end: float) -> Result:
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
                lines.append(self._read_line(end))
            data, rest = "\n".join(lines)[1:-1], ""
        if value == "-1" and data == "hangup":
            raise AGIResultHangup("the caller hung up during the command")
        if value == "-1":
            raise AGIAppError("the command failed, or the channel was hung up")
        return {name: (number, "") for name, number in _PAIR.findall(rest)} | {"result": (value, data)}

    # -- writing -----------------------------------------------------------------------------------

    def _quote(self, string: object) -> str:
        return quote(str(string))

    def test_hangup(self) -> None:
        """pyst2 asks before each command; a hung-up channel still takes variables, an ended session nothing."""
        if self._ended:
            raise AGIHangup("the session with Asterisk has ended")

    def send_command(self, command: str, *args: object) -> None:
        """One command in one write.  Raises UnfitCommand, AGIHangup if Asterisk is gone, TimeoutError."""
        line = " ".join([command.strip(), *map(str, args)]).strip()
        if _FORBIDDEN.search(line):
            raise UnfitCommand("a line break or NUL in a command would start another one")
        data = line.encode("utf-8", "replace") + b"\n"
        if len(data) > MAX_COMMAND_BYTES:
            raise UnfitCommand(f"the command is longer than {MAX_COMMAND_BYTES} bytes")
        self._forget_leftovers()
        try:
            self._connection.send(data, REPLY_SECONDS, last=self._nothing_follows)
        except TimeoutError:
            raise
        except OSError as fault:
            self._gone(fault)

    def _forget_leftovers(self) -> None:
        """What came unasked is no reply to what is asked now: a HANGUP, or the rest of a value."""
        if "HANGUP" in self._lines.forget():
            self.hung_up = True

    def execute(self, command: str, *args: object) -> Result:
        """Sends a command and reads its reply; see `send_command` and `get_result` for what it raises."""
        self.test_hangup()
        try:
            self.send_command(command, *args)
            return self.get_result()
        except (TimeoutError, BadPeer):
            self._ended = True  # a late reply would be taken for the next one
            raise

    def set_variables(self, variables: Mapping[str, str], then_end: bool = False) -> None:
        """Sends several channel variables in as few round trips as can be.

        Values of plain characters go together in one `EXEC MSet`, which splits at commas and, where
        AGIEXECFULL is set, expands ${…}; any other value goes alone in `SET VARIABLE`, which does neither.
        With `then_end` nothing can be sent any more behind the last one: Asterisk, which reads a line a time,
        finds the end of file behind it and goes on without waiting for us to hear its reply (run_agi).
        Raises UnfitCommand for a value that cannot be sent, once the others are set; else as `execute`.
        """
        plain = {name: value for name, value in variables.items() if _PLAIN.fullmatch(value)}
        pairs = quote(",".join(f"{name}={value}" if value else f'{name}=""' for name, value in plain.items()))
        if len(plain) < 2 or len(f"EXEC MSet {pairs}\n") > MAX_COMMAND_BYTES:
            plain = {}
        rest = [name for name in variables if name not in plain]
        if plain:
            self._nothing_follows = then_end and not rest
            self.execute("EXEC", "MSet", pairs)
        unfit = None
        for name in rest:
            self._nothing_follows = then_end and name == rest[-1]
            try:
                self.set_variable(name, variables[name])
            except UnfitCommand as fault:
                unfit = fault
        if unfit:
            raise unfit

    def database_get(self, family: str, key: str) -> str:
        """A value of Asterisk's database.  pyst2 quotes family and key twice.  Raises AGIDBError if it has none."""
        found, value = self.execute("DATABASE GET", self._quote(family), self._quote(key))["result"]
        if found != "1":
            raise AGIDBError("the key is not in the database")
        return value

    def finish(self) -> None:
        """Ends the session; the dialplan goes on.  Never raises."""
        self._connection.finish()
