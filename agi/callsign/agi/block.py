"""The `agi_*` lines of a session, and whether one of them can be other than Asterisk meant it.

Asterisk writes the texts of a call raw, so a line break in one of them writes lines of its own choice, an end of
the block among them: an INVITE from `sip:0%0Aagi_arg_1%3A%20201%0A@pbx` is all it takes.  What such a text cannot
do is keep Asterisk from sending each of its lines once, the arguments last.  So it shows in one of three ways:

- a line that is not Asterisk's, that comes a second time, or behind the arguments (`take`);
- bytes behind the end of the block, before Asterisk has been sent a command (`hear_out`);
- a line break in what the dialplan gave to AGI(), for lines behind the last argument look like more of them.

Source: res/res_agi.c of Asterisk 16 to 23 (launch_netscript, setup_env), seen on 16.28 and 22.10.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping

from callsign.agi.lines import CUT, TOO_LONG, BadPeer, BoundedLines

BLOCK_SECONDS = 10.0
ANSWER_SECONDS = 2.0
"""After so long a silence no rest of a block is on the way.  Asterisk answers at once."""

QUIET_SECONDS = 0.25
"""How long after an answer that cannot be told from a forged one nothing more must come: longer than a thread of
Asterisk that has lost the processor is away, or a lost packet (200 ms, Linux' TCP_RTO_MIN)."""

PROXY_HEADER = "it sent HAProxy's PROXY header, which Asterisk does not: no send-proxy, nor -v2, for this port"
"""Its first line in version 1, in version 2 an empty one with QUIT behind it (doc/proxy-protocol.txt)."""

_FIRST = ("network", "network_script", "request")
_NAMES = (
    *("channel", "language", "type", "uniqueid", "version", "callerid", "calleridname", "callingpres", "callingani2"),
    *("callington", "callingtns", "dnid", "rdnis", "context", "extension", "priority", "enhanced", "accountcode"),
    "threadid",
)
FIRST = frozenset(f"agi_{name}" for name in _FIRST)
"""They come before all that a caller can choose.  Not each AGI() sends the first two, so they count nowhere else."""

NAMES = FIRST | {f"agi_{name}" for name in _NAMES}
"""All lines but the arguments, each of which Asterisk sends once at most; their order is left to the peer."""

_BREAK = "the caller's number, or another text of this call, holds a line break"

LINE_BREAK = f"{_BREAK}: nothing was told or asked"

OUT_OF_PLACE = (
    f"line {{}} is none of Asterisk's, or comes twice, or out of place: {_BREAK}, "
    "or a client that is no Asterisk sent it: nothing was told or asked"
)

NOT_CONFIRMED = (
    f"Asterisk did not confirm its agi_ block within {ANSWER_SECONDS:g} s: a text of this call may hold a line break, "
    "or a client that is no Asterisk sent it: nothing was told or asked"
)

UNCHECKED = (
    "the arguments could not be checked for a line break: ${CHANNEL(appdata)} is empty (load func_channel.so) "
    "or over 4 kB: nothing was told or asked"
)

CLEAN_CONTEXT = "callsign-step"
"""The context of our dialplan file, which refuses arguments with control characters."""

MOST_THREADS = 4096
THREAD_DIGITS = 13
"""Of a 64-bit address.  A 32-bit one is too easily guessed."""

APPDATA_BYTES = 4095
"""Asterisk cuts what a function such as CHANNEL() says there (VAR_BUF_SIZE, main/pbx_functions.c)."""

_ANSWER = r"[2-9][0-9]{2}([ -].*)?"
_NAME = r"agi_[a-z_]{1,30}[0-9]{0,3}"  # no caller's number fits


class AgiBlock:
    """The facts of the block; once `fault` says what is wrong with it, no line counts any more."""

    def __init__(self) -> None:
        self.facts: dict[str, str] = {}
        self.fault = ""
        self.hung_up = False
        self._arguments = 0

    def read(self, lines: BoundedLines) -> None:
        """Takes all lines up to the empty one.  Raises BadPeer if it is no block, or not whole in time."""
        end = time.monotonic() + BLOCK_SECONDS
        lines.begin(cut=True)
        try:
            while line := lines.read(end).strip():
                if not (self.facts or line.startswith("agi_")):
                    raise BadPeer(PROXY_HEADER if line.startswith("PROXY ") else "what it sent is no agi_ line")
                self.take(line)
        except TimeoutError:
            raise BadPeer(f"its agi_ block was not whole within {BLOCK_SECONDS:g} s") from None
        except (EOFError, OSError):
            raise BadPeer("its connection was closed before its agi_ block was whole") from None
        if not (self.facts or self.fault):
            raise BadPeer(PROXY_HEADER if "QUIT" in lines.forget() else "it sent an empty agi_ block")

    def take(self, line: str) -> None:
        """The next line."""
        if self.fault:
            return
        name, colon, value = line.partition(":")
        facts = self.facts
        if line == CUT:
            self.fault = TOO_LONG
        elif colon and name == f"agi_arg_{self._arguments + 1}":
            self._arguments += 1
            facts[name] = value.strip()
        elif (
            colon
            and name in NAMES
            and not (name in facts or self._arguments)
            and (name not in FIRST or facts.keys() <= FIRST)
        ):
            facts[name] = value.strip()
        else:
            self.fault = OUT_OF_PLACE.format(name) if colon and re.fullmatch(_NAME, name) else LINE_BREAK

    def hear_out(self, lines: BoundedLines, mark: str, is_asterisk: bool) -> bool:
        """Reads up to the answer that holds `mark` twice: whether it came.

        Asterisk reads no command before all of its block is on the way, so what comes before the answer to one
        is the rest of a block whose end was forged.  Nobody can forge the mark.  What answers without it is no
        Asterisk, or a forgery with more behind it: that rest has an `agi_` line, or, where the text was the last
        argument, the empty one.  Of a peer that `is_asterisk` only the mark counts.
        Raises EOFError, OSError and BadPeer.
        """
        end, quiet, anything = time.monotonic() + ANSWER_SECONDS, False, False
        lines.begin(cut=True)
        try:
            while True:
                if (now := time.monotonic()) > end + QUIET_SECONDS:
                    raise TimeoutError
                line = lines.read(now + QUIET_SECONDS if quiet else end).strip()
                if line == "HANGUP":
                    self.hung_up = True
                elif line.startswith(f"200 result=1 ({mark}"):
                    self._check_given(line, lines, mark, end)
                    if anything:
                        self.fault = self.fault or LINE_BREAK
                    return True
                else:
                    anything = True
                    if line == CUT:
                        self.fault = self.fault or TOO_LONG
                    elif line.startswith("agi_") or (self._arguments and not line):
                        self.fault = self.fault or LINE_BREAK
                    quiet = quiet or (not is_asterisk and (line == CUT or bool(re.fullmatch(_ANSWER, line))))
        except TimeoutError:
            if is_asterisk:
                self.fault = self.fault or NOT_CONFIRMED
            return False

    def _check_given(self, line: str, lines: BoundedLines, mark: str, end: float) -> None:
        """Looks at what the dialplan gave to AGI(), between the marks.  Raises as BoundedLines.read."""
        given_bytes = len(line.encode()) - len(f"200 result=1 ({mark}{mark})")
        while line != CUT and not line.endswith(f"{mark})"):
            self.fault = self.fault or LINE_BREAK
            line = lines.read(end)
        if line == CUT:
            self.fault = self.fault or TOO_LONG
        if has_unchecked_arguments(self.facts) and not 0 < given_bytes < APPDATA_BYTES:
            self.fault = self.fault or UNCHECKED


def has_unchecked_arguments(facts: Mapping[str, str]) -> bool:
    """Whether there are arguments that our own dialplan file has not looked at."""
    return "agi_arg_1" in facts and facts.get("agi_context") != CLEAN_CONTEXT


class ProvenThreads:
    """Asterisk's threads, which spare a call the round trip that `hear_out` takes.

    Nobody outside knows where a thread of Asterisk lies in memory (pthread_self), and Asterisk uses few, over and
    over.  A block that names one of them is Asterisk's own up to there: only behind it, in the arguments, can a
    line break stand.  Of two threads of the server that use this at once, either may be a moment late.
    """

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._asterisks: set[tuple[str, str]] = set()

    def vouch_for(self, facts: Mapping[str, str]) -> bool:
        """Whether a block with these facts needs no other proof."""
        return facts.get("agi_threadid") in self._seen and not has_unchecked_arguments(facts)

    def know(self, address: str, facts: Mapping[str, str]) -> bool:
        """Whether an Asterisk of this version has been proved at `address`.

        The version comes before all that a caller can choose.  A client by hand on the same machine names another.
        """
        return (address, facts.get("agi_version", "")) in self._asterisks

    def add(self, facts: Mapping[str, str], address: str = "") -> None:
        """This block has been proved to be Asterisk's own."""
        if version := facts.get("agi_version"):
            if len(self._asterisks) >= MOST_THREADS:
                self._asterisks.clear()
            self._asterisks.add((address, version))
        thread = facts.get("agi_threadid", "")
        if thread.isascii() and thread.isdigit() and len(thread) >= THREAD_DIGITS:
            if len(self._seen) >= MOST_THREADS:
                self._seen.clear()
            self._seen.add(thread)
