"""Any bytes as Asterisk's half of a session, and what must hold whatever they are.

Two bytes that UTF-8 never has stand for what is no byte on the wire: behind `SILENCE` the peer says nothing
before it is sent a command, at `RESET` the connection breaks.  The end of the bytes is the end of file.
"""

from __future__ import annotations

from contextlib import suppress
from unittest import mock

from callsign.agi import lines
from callsign.agi import session as agi_session
from callsign.agi.session import AGIError, AGIHangup, AgiSession, BadPeer
from callsign.sandbox.asterisk.parsing import split_words
from callsign.steps.step import StepFault, read_step

SILENCE, RESET = b"\xff", b"\xfe"
ARGUMENTS = ("tag", "phoneto")

BLOCK_BYTES, CUT_BLOCK_BYTES, LINE_BYTES, COMMAND_BYTES = 1500, 2500, 300, 400
"""Instead of the limits of agi.session, so that a small file can go beyond them."""


class PlayedPeer:
    """A Connection to a peer that sends `sent`, at most `chunk` bytes a read."""

    def __init__(self, sent: bytes, chunk: int) -> None:
        self.commands: list[str] = []
        self._turns = sent.split(SILENCE)
        self._chunk = chunk
        self._given = 0  # since the last command
        self.over = False

    @property
    def has_more(self) -> bool:
        return not self.over and bool(self._turns)

    def receive(self, seconds: float) -> bytes:
        assert not self.over, "it read on behind an end, a reset or a silence that was too long"
        turn = self._turns[0]
        data = turn[: self._chunk].partition(RESET)[0]
        self._turns[0] = turn[len(data) :]
        self._given += len(data)
        assert self._given <= BLOCK_BYTES + CUT_BLOCK_BYTES + self._chunk, "it takes more than its limits"
        if data:
            return data
        self.over = True
        if turn:
            raise ConnectionResetError("played")
        if len(self._turns) > 1:
            raise TimeoutError("played")
        return b""

    def send(self, data: bytes, seconds: float, last: bool = False) -> None:
        assert not self.over, "it sent behind the end"
        line = data.decode()
        assert line.endswith("\n")
        assert not set("\r\n\0") & set(line[:-1]), "more than one line"
        assert len(data) <= COMMAND_BYTES
        self._given = 0
        if line.startswith("GET FULL VARIABLE "):  # what makes sure of the block is answered as Asterisk does
            self._turns[0] += f"200 result=1 ({line.split()[-1]})\n".encode()
            return
        self.commands.append(line[:-1])
        if len(self._turns) > 1:
            del self._turns[0]

    def finish(self) -> None:
        self.over = True


def play(sent: bytes, chunk: int) -> tuple[dict[str, str], str] | None:
    """One session, and more commands while there is something to reply; its facts and fault, None for a bad peer.

    What the listener catches by name may come out of a session, a StepFault out of its step: nothing else.
    """
    with (
        mock.patch.object(lines, "MAX_BLOCK_BYTES", BLOCK_BYTES),
        mock.patch.object(lines, "MAX_CUT_BLOCK_BYTES", CUT_BLOCK_BYTES),
        mock.patch.object(lines, "MAX_LINE_BYTES", LINE_BYTES),
        mock.patch.object(agi_session, "MAX_COMMAND_BYTES", COMMAND_BYTES),
    ):
        peer = PlayedPeer(sent, chunk)
        try:
            session = AgiSession(peer)
            facts = dict(session.env)
            session.confirm()
        except BadPeer:
            return None
        assert session.env == facts
        if peer.over:
            return session.env, session.fault
        _set_its_own_words(session, peer)
        for _ in range(len(sent)):
            if not peer.has_more or session.hung_up:
                break
            with suppress(BadPeer, AGIHangup, AGIError, OSError):
                assert isinstance(session.get_variable("EXTEN"), str)
        with suppress(BadPeer, AGIHangup, AGIError, OSError):
            session.get_variable("EXTEN")  # nothing is asked behind the end: `send` looks
        return session.env, session.fault


def _set_its_own_words(session: AgiSession, peer: PlayedPeer) -> None:
    """The worst values that a variable can be given are those that the peer has chosen."""
    step = read_step(session.env, session.args)
    step.presentation()
    told = {"STATUS": "ERROR", "PATH": step.path, "JOB": ""}
    with suppress(StepFault):
        told["WAIT"] = f"{step.wait_seconds(1.0)}"
        told["CALLER"] = step.fact("agi_callerid")
        told |= {f"ARG{name}": value for name, value in step.arguments(ARGUMENTS).items()}
    with suppress(BadPeer, AGIHangup, AGIError, OSError):
        session.set_variables(told)
    for command in peer.commands:
        verb, what, *rest = split_words(command)
        if verb == "SET":
            name, value = rest
            assert value == told[name], "another value than the one to be set"
        else:
            assert (verb, what, len(rest)) == ("EXEC", "MSet", 1), "no command of ours"
