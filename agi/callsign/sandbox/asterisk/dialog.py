"""The dialog itself: the agi_* lines out, then command by command, as run_agi() of res/res_agi.c leads it.

Also where that is surprising (each seen on Asterisk 16.28 and 22.10):

- one line is read per wake-up, so a second command in the same write waits until more bytes come;
- a line that does not fit the buffer is executed in pieces; a NUL cuts a line; the last needs no line end;
- after a hang-up the word HANGUP is sent at once, before any reply that is still due, and again at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from callsign.sandbox.asterisk.behaviour import Conduct, OnLine, Session, Status
from callsign.sandbox.asterisk.call import Call
from callsign.sandbox.asterisk.channel import Channel
from callsign.sandbox.asterisk.commands import answer
from callsign.sandbox.asterisk.wire import Wire


class AsteriskSide:
    """One session on one `Wire`. `signal_hangup` sends a process SIGHUP; a socket is sent the word HANGUP."""

    def __init__(
        self,
        wire: Wire,
        call: Call,
        conduct: Conduct,
        on_line: OnLine | None = None,
        signal_hangup: Callable[[], None] | None = None,
    ) -> None:
        self.channel = Channel(call)
        self.commands: list[str] = []
        self.status: Status = "SUCCESS"
        self.trouble = ""
        self.peer_ended = False
        self._wire, self._conduct = wire, conduct
        self._on_line, self._signal_hangup = on_line, signal_hangup
        self._dead = conduct.dead
        self._answered = 0
        self._tells_hangup = call.variables.get("AGISIGHUP", "").lower() not in _FALSE
        self._leaves_at_hangup = call.variables.get("AGIEXITONHANGUP", "").lower() in _TRUE

    def run(self, environment: Sequence[str]) -> None:
        """Send the agi_* lines and answer until the peer ends, or the timeout. Never raises.

        The wire is left to be closed: a script keeps its standard input until it exits.
        """
        try:
            self._run(("\n".join(environment) + "\n\n").encode("utf-8", "surrogateescape"))
        except TimeoutError as late:
            self.fail(self._what_it_waited_for(str(late)))

    def fail(self, trouble: str, status: Status = "FAILURE") -> None:
        """End as `status` because of `trouble`."""
        self.note(trouble)
        self.status = status

    def note(self, trouble: str) -> None:
        """Keep `trouble` if it is the first."""
        self.trouble = self.trouble or trouble

    def session(self, seconds: float) -> Session:
        """What came of it, `seconds` after it began."""
        well = self.status == "SUCCESS" or (self.status == "HANGUP" and self._conduct.hangup_after is not None)
        return Session(
            self.channel.written, self.commands, seconds, self.status, self.trouble, well and not self.trouble
        )

    def _run(self, environment: bytes) -> None:
        self._send(environment)
        while True:
            if self._answered == self._conduct.hangup_after:
                self.channel.hung_up = True
            if self.channel.hung_up and not self._dead:
                self._dead = True
                self.status = "HANGUP"
                self._tell_hangup()
                if self._leaves_at_hangup:
                    break
            self._wire.await_peer()
            line = self._read_command()
            if not line:
                self.peer_ended = True
                self._judge_end()
                if self._signal_hangup:
                    return  # a process whose output has ended is not signalled
                break
            if line[:7].lower() == b"failure":
                self.fail("the peer sent the line 'failure'")
                break
            self._execute(line.removesuffix(b"\n").decode("utf-8", "surrogateescape"))
        self._tell_hangup()

    def _read_command(self) -> bytes:
        """One command as run_agi() collects it: for a socket it goes on until a line end or a full buffer."""
        command, room = b"", self._conduct.line_bytes
        while room > 1:
            piece, at_end = self._wire.read_line(room)
            command += piece.partition(b"\0")[0]
            if b"\0" in piece:
                self.note("a line holds a NUL byte: Asterisk drops what follows it")
            if at_end:
                if command:
                    self.note("the last line has no line end")
                break
            if command.endswith(b"\n") or self._signal_hangup:
                break
            room = self._conduct.line_bytes - len(command)
        if len(command) == self._conduct.line_bytes - 1 and not command.endswith(b"\n"):
            self.note(f"a line is longer than {len(command) - 1} bytes: Asterisk executes it in pieces")
        return command

    def _execute(self, line: str) -> None:
        if self._on_line:
            self._on_line("Rx", line)
        self.commands.append(line)
        given = self._conduct.replies(line) if self._conduct.replies else None
        if given is None:
            text = answer(self.channel, line, dead=self._dead)
            if text.startswith(("510", "520")):
                self.note(f"{text[:3]} was the answer to {line[:80]!r}")
            given = f"{text}\n".encode("utf-8", "surrogateescape")
        self._send(given)
        self._answered += 1

    def _tell_hangup(self) -> None:
        if self._tells_hangup and self._signal_hangup:
            self._signal_hangup()
        elif self._tells_hangup:
            self._send(b"HANGUP\n")

    def _send(self, data: bytes) -> None:
        if self._on_line and data:
            for text in data.decode("utf-8", "surrogateescape").removesuffix("\n").split("\n"):
                self._on_line("Tx", text)
        self._wire.send(data)

    def _judge_end(self) -> None:
        if self._dead:
            return  # it may have gone with our HANGUP unread
        if self._wire.was_reset:
            self.note("the peer closed the connection without reading all that was sent to it")
        elif not self.commands:
            self.note("the peer closed without giving a single command")

    def _what_it_waited_for(self, cause: str) -> str:
        if self._wire.held:
            return "a command waits behind another of the same write: Asterisk reads one line per wake-up"
        return f"no end within {self._conduct.timeout_seconds:g} s ({cause}); Asterisk would hold the call"


_FALSE = ("no", "false", "n", "f", "0", "off")
_TRUE = ("yes", "true", "y", "t", "1", "on")
"""What main/utils.c, ast_false() and ast_true() take for an answer."""
