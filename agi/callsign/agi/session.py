"""One AGI session: pyst2's `AGI` with its method names, mended where a server needs it to be.

What is mended of pyst2 0.5.1, each with a test on the wire in `tests/agi/test_session.py`:

- the constructor takes a connection, touches no signal and writes nothing to stderr;
- the `agi_*` block is bounded in time and size, decoded with replacement, and one that holds lines forged by a
  line break in a text of the call, which Asterisk writes raw, has a `fault`, see `block`;
- end of file is a hang-up, at every point, and reset and "broken pipe" are the same; a `HANGUP` line is a
  remark, skipped, and the awaited reply read after it;
- 511, a one-line 520, a 520 block that ends early, and 1xx are understood;
- a *value* "hangup" is a value; text in brackets may hold brackets and run over several lines, up to the
  first that ends in a bracket; what is left of it is not taken for the next reply;
- quoting escapes, and refuses what would end the line; a command is one write under 2000 bytes.

Source: res/res_agi.c of Asterisk 16 to 22 (setup_env, run_agi, agi_handle_command, parse_args).
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import NoReturn

from callsign.agi.block import AgiBlock, ProvenThreads
from callsign.agi.connection import Connection
from callsign.agi.lines import BadPeer as BadPeer
from callsign.agi.lines import BoundedLines
from callsign.agi.pyst2 import AGI, AGIDBError, AGISIGPIPEHangup, UnfitCommand
from callsign.agi.pyst2 import AGIError as AGIError  # for those who run a session
from callsign.agi.pyst2 import AGIHangup as AGIHangup
from callsign.agi.replies import REPLY, Result, result_of
from callsign.log_text import printable

MAX_COMMAND_BYTES = 2000
"""Asterisk before 20.16 and 22.6 reads 2048 bytes a line and runs the rest as the next command."""

REPLY_SECONDS = 10.0  # Asterisk answers at once; after so long it does not any more

log = logging.getLogger("callsign.agi")

_FORBIDDEN = re.compile(r"[\r\n\0]")
_PLAIN = re.compile(r"[A-Za-z0-9_ .:;/@#*!?<>~^&|+-]*")


def quote(text: str) -> str:
    """`text` as one quoted word of an AGI command.  Raises UnfitCommand for what would end the line."""
    if _FORBIDDEN.search(text):
        raise UnfitCommand("a line break or NUL in a value would start a command of its own")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


class AgiSession(AGI):  # type: ignore[misc]
    """Reads the environment, sends commands, reads replies; every wait ends."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._lines = BoundedLines(connection)
        self._ended = False
        self._nothing_follows = False  # behind the next command
        self.hung_up = False
        """Whether Asterisk has said that the channel was hung up; it still takes variables."""
        self._block = AgiBlock()
        self._block.read(self._lines)
        self._may_be_forged = self._is_confirmed = False

    @property
    def env(self) -> dict[str, str]:
        """The `agi_*` lines."""
        return self._block.facts

    @property
    def fault(self) -> str:
        """Why the block may not be what Asterisk meant, so that nothing must be done with it; empty if it is."""
        return self._block.fault

    @property
    def args(self) -> list[str]:
        """agi_arg_1 and on."""
        found: list[str] = []
        while (value := self.env.get(f"agi_arg_{len(found) + 1}")) is not None:
            found.append(value)
        return found

    # -- reading -----------------------------------------------------------------------------------

    def confirm(self, proven: ProvenThreads | None = None, address: str = "", is_asterisk: bool | None = None) -> None:
        """Makes sure that the end of the block was its end, by a harmless command: `fault` tells what was found.

        The mark goes around what the dialplan gave to AGI().  An end of file proves as much as the answer does;
        whoever sent it may still listen.  `proven` tells whether an Asterisk calls from `address`, where
        `is_asterisk` does not.  Raises BadPeer.
        """
        block, lines = self._block, self._lines
        if proven and not block.fault and proven.vouch_for(block.facts):
            return
        if is_asterisk is None:
            is_asterisk = proven is not None and proven.know(address, block.facts)
        mark = os.urandom(8).hex()
        given = "" if block.fault else "${CHANNEL(appdata)}"
        try:
            with suppress(OSError):  # it is gone: what it has sent before is read all the same
                self.connection.send(f"GET FULL VARIABLE {mark}{given}{mark}\n".encode(), REPLY_SECONDS)
            is_confirmed = block.hear_out(lines, mark, is_asterisk)
        except (EOFError, OSError):
            self.hung_up = True
            return
        self.hung_up = block.hung_up
        self._is_confirmed = is_confirmed
        self._may_be_forged = not (is_confirmed or block.fault)
        if proven and is_confirmed and not block.fault:
            proven.add(block.facts, address)

    def _notice_forged(self, line: str) -> None:
        """Says it once where a rest of the block shows that the answer to `confirm` was a caller's own."""
        if self._may_be_forged and line.startswith("agi_"):
            self._may_be_forged = False
            ids = "call={0} channel={0}".format(printable(self.env.get("agi_uniqueid", "-")))  # no other is proved
            log.error("%s: a line break in a text of this call wrote its own request, seen when it was done", ids)

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
            self._notice_forged(line)
            if line.strip() == "HANGUP":
                self.hung_up = True
            elif (reply := REPLY.fullmatch(line)) and line[0] != "1":
                break  # other lines are the rest of a value, see `replies`
        return result_of(reply, lambda: self._read_line(end))

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
            self.connection.send(data, REPLY_SECONDS, last=self._nothing_follows)
        except TimeoutError:
            raise
        except OSError as fault:
            self._gone(fault)

    def _forget_leftovers(self) -> None:
        """What came unasked is no reply to what is asked now: a HANGUP, or the rest of a value."""
        for line in self._lines.forget():
            self._notice_forged(line)
            if line == "HANGUP":
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

    def linkedid(self) -> str:
        """Which call the channel belongs to; empty where no Asterisk has proved itself.  Raises OSError, BadPeer."""
        try:
            return str(self.get_full_variable("${CHANNEL(linkedid)}")) if self._is_confirmed else ""
        except (AGIError, AGIHangup):
            return ""

    def database_get(self, family: str, key: str) -> str:
        """A value of Asterisk's database.  pyst2 quotes family and key twice.  Raises AGIDBError if it has none."""
        found, value = self.execute("DATABASE GET", self._quote(family), self._quote(key))["result"]
        if found != "1":
            raise AGIDBError("the key is not in the database")
        return value
