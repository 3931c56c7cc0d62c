"""How Asterisk behaves in a session, as far as it can be chosen, and what came of the session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Status = Literal["SUCCESS", "FAILURE", "HANGUP", "NOTFOUND"]
OnLine = Callable[[str, str], None]
"""Told each line as it passes: "Tx" (Asterisk to the peer) or "Rx", and its text without the line end."""


@dataclass(frozen=True)
class Conduct:
    """How this Asterisk behaves where versions, networks, callers and tests differ."""

    timeout_seconds: float = 30.0  # for the whole session. Asterisk itself would wait for ever
    send_bytes: int = 4096  # size of each write
    line_bytes: int = 2048  # AGI_BUF_LEN: 2048 before 20.16, 21.11 and 22.6, 8192 from there on
    hangup_after: int | None = None  # the caller hangs up after so many answers; 0: right after the agi_* lines
    dead: bool = False  # the call was over before AGI() began, as in the h extension or a hang-up handler
    replies: Callable[[str], bytes | None] | None = None
    """The raw bytes that answer a command instead of its execution; None: execute it.

    `b""` leaves the peer waiting; where it raises TimeoutError, Asterisk vanishes.
    """


@dataclass(frozen=True)
class Session:
    """What came of an AGI session."""

    variables: dict[str, str]  # set by the peer, last value; empty: set to nothing
    commands: list[str]  # each line as it was executed
    seconds: float  # what the dialplan waited, connecting included
    status: Status  # AGISTATUS
    trouble: str  # the first thing that was not in order; empty if nothing was
    ended_well: bool  # nothing was amiss, and the only hang-up was one that `Conduct` asked for
