"""The recent call history of a KalliopePBX, as far as a ring-back needs it: per number the latest call to it.

The API finds calls by time alone, and a call is in the register only after its end, with its begin as its
time: so the latest minutes are read again and again, and now and then the latest hours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple

from callsign.phone_numbers import as_vendor_wants, bare_number
from callsign.record import Record, field
from callsign.vendors.kalliope.pbx_clock import moment
from callsign.vendors.kalliope.register import Row

DAY_SECONDS = 86400.0
CHUNK_SECONDS = DAY_SECONDS
"""The past is read so much at a time, the newest first: a look-up that finds its number needs no more."""

CLOCKS_SECONDS = 600.0
"""Read beyond now: the PBX's clock may be ahead, by 300 s before it refuses us."""


class Overlap(NamedTuple):
    """How often the register is read again, and how far before the last time."""

    every_seconds: float
    back_seconds: float


OVERLAPS = (Overlap(600.0, 12 * 3600.0), Overlap(60.0, 3600.0), Overlap(0.0, 600.0))
"""From rare to often.  A call is there at the latest a sixth of its length after its end (twelve hours at most)."""

MOST_NUMBERS = 200_000
"""Held, in some 80 MB; beyond them a tenth goes, the oldest calls."""

SAMPLED = 100
"""Every so many calls are looked at to find out which are the oldest: to sort all would hold up the calls."""

MOST_CHARACTERS = 64
"""Of a number, a time and a status; what is longer is none."""

EXTENSION = re.compile(r"[0-9]{1,8}")
MASKED = re.compile(r".*xxx", re.IGNORECASE)
"""The last three digits of a number, for a user without the privilege to see them."""


class Call(NamedTuple):
    """The latest call that an extension placed to a number."""

    at: float  # epoch seconds
    extension: str
    time: str  # as the register has it
    status: str


class Window(NamedTuple):
    """A part of the register to read: epoch seconds."""

    begin: float
    end: float
    level: int | None  # of OVERLAPS, which is then done; None: the past


class History(Record, frozen=False):
    """What is held; changed by who reads the register, looked up by any thread."""

    zone: str
    country: str
    days: float
    """How far back it is kept."""
    since: float | None = None
    """Epoch seconds from which on all is held; None: nothing is."""
    masked: bool = False
    """Whether numbers come without their last digits."""
    crowded: bool = False
    """Whether there were more numbers than are held."""
    _latest: dict[str, Call] = field(default_factory=dict, repr=False)
    _done: list[float] = field(default_factory=lambda: [0.0] * len(OVERLAPS))  # steady seconds, once there is `since`

    def look_up(self, number: str) -> Call | None:
        """The latest call to a number, in whatever notation."""
        return self._latest.get(as_vendor_wants(number, self.country, "e164"))

    def is_fresh(self, steady: float, seconds: float) -> bool:
        """Whether the newest part was read at most so long ago."""
        return self.since is not None and steady - self._done[-1] <= seconds

    def next_window(self, wall: float, steady: float, fresh_seconds: float) -> Window | None:
        """What is to be read now; None if all of `days` is held and the newest part is fresh.

        Behind an outage of more than a day all is read anew: at once it might be more than the PBX can answer.
        """
        if steady - self._done[0] > CHUNK_SECONDS:
            self.since = None
        if self.since is None:
            return Window(wall - CHUNK_SECONDS, wall + CLOCKS_SECONDS, 0)
        if not self.is_fresh(steady, fresh_seconds):
            ages = [steady - done for done in self._done]
            level = next(n for n, overlap in enumerate(OVERLAPS) if ages[n] >= overlap.every_seconds)
            return Window(wall - ages[level] - OVERLAPS[level].back_seconds, wall + CLOCKS_SECONDS, level)
        horizon = wall - self.days * DAY_SECONDS
        if self.since > horizon:
            return Window(max(horizon, self.since - CHUNK_SECONDS), self.since, None)
        return None

    def take(self, window: Window, rows: Iterable[Row], asked_at: float) -> None:
        """The rows of `window`, asked for at `asked_at` (steady seconds).  Raises what `rows` raises."""
        for row in rows:
            self._note(row)
        if self.since is None:
            self.since = window.begin
        if window.level is None:
            self.since = min(self.since, window.begin)
            return
        for level in range(window.level, len(OVERLAPS)):
            self._done[level] = asked_at
        if window.level == 0:
            self._forget(window.end - CLOCKS_SECONDS - self.days * DAY_SECONDS)

    def _note(self, row: Row) -> None:
        called, extension = row.get("called", "").strip(), _extension_of(row)
        time, status = row.get("start_time", "").strip(), row.get("status", "").strip()
        if not called or extension is None or max(len(called), len(time), len(status)) > MOST_CHARACTERS:
            return
        if MASKED.fullmatch(called):
            self.masked = True
            return
        at = moment(time, row.get("id", ""), self.zone)
        number = as_vendor_wants(bare_number(called), self.country, "e164")
        known = self._latest.get(number)
        if at is not None and (known is None or known.at <= at):
            self._latest[number] = Call(at, extension, time, status)
            if len(self._latest) > MOST_NUMBERS:
                self._make_room()

    def _make_room(self) -> None:
        self.crowded = True
        sample = sorted(call.at for call in islice(self._latest.values(), 0, None, SAMPLED))
        oldest = sample[len(sample) // 10]
        self._latest = {number: call for number, call in self._latest.items() if call.at > oldest}

    def _forget(self, horizon: float) -> None:
        assert self.since is not None  # noqa: S101
        self.since = max(self.since, horizon)
        self._latest = {number: call for number, call in self._latest.items() if call.at >= horizon}


def _extension_of(row: Row) -> str | None:
    """Which extension placed the call; None for a call from outside.

    The vendor's sample has the extension as account code and no word on the caller, who may go by the number
    that is shown outside: so the account code goes first, and neither counts unless it looks like an extension.
    """
    if row.get("source", "").strip() != "local_exten":
        return None
    for name in ("account_code", "caller"):
        value = row.get(name, "").strip()
        if EXTENSION.fullmatch(value):
            return value
    return None
