"""How fast a vendor is spoken to, and with how many attempts at once: gently while it is away, and when it is back."""

from __future__ import annotations

import math

AWAY_AFTER = 3
"""So many attempts in a row without a verdict mean that it is the vendor, not the job."""

MOST_WHILE_AWAY = 2
AWAY_PAUSE_SECONDS = 0.2
ASIDE_PAUSE_SECONDS = 10.0
"""So seldom, and one at a time, it is tried where another host does so for all: in case that one cannot."""

BACKLOG_PAUSE_SECONDS = 1 / 200
"""A backlog goes out at 200 a second at most, so that a vendor just back is not run over."""


class Pace:
    """Of one lane, used with its guard held."""

    def __init__(self, most: int) -> None:
        self.most = most
        """How many may be attempted at once; 0: a job can only end without an attempt."""
        self.opens = 0.0
        """The next start that is paced is not before this moment."""
        self.returns = 0
        """How often the vendor has come to be known as well."""
        self._hosts = 1  # that share the vendor: each has its part of a backlog's pace
        self._stands_aside = False  # while the vendor is away: another host tries it
        self._without_verdict = 0
        self._is_known_well = False  # by a verdict since the start, and since it was away last

    @property
    def vendor_is_away(self) -> bool:
        """Whether the vendor, not a single job, seems to be at fault."""
        return self._without_verdict >= AWAY_AFTER

    @property
    def opens_for_fresh(self) -> float:
        """The same for a job that was never tried: paced only while the vendor is away."""
        return self.opens if self.vendor_is_away else -math.inf

    def is_full(self, under_way: int) -> bool:
        """Whether no attempt may begin beside those."""
        if self.vendor_is_away:
            return 0 < min(1 if self._stands_aside else MOST_WHILE_AWAY, self.most) <= under_way
        return 0 < self.most <= under_way

    def limit(self, most: int, hosts: int, stands_aside: bool) -> None:
        """What this host may do at the vendor that it shares with others (see gate.Lanes.limit)."""
        self.most, self._hosts = most, hosts
        if self._stands_aside and not stands_aside:
            self.opens = 0.0
        self._stands_aside = stands_aside

    def note_start(self, now: float) -> None:
        """One that is paced begins."""
        pause = BACKLOG_PAUSE_SECONDS * self._hosts
        if self.vendor_is_away:
            pause = ASIDE_PAUSE_SECONDS if self._stands_aside else AWAY_PAUSE_SECONDS
        self.opens = max(self.opens, now - pause) + pause

    def note_miss(self) -> None:
        """An attempt ended without a verdict."""
        self._without_verdict += 1
        if self.vendor_is_away:
            self._is_known_well = False

    def note_verdict(self) -> bool:
        """The vendor is well.  Whether that is news."""
        if self.vendor_is_away:
            self.opens = 0.0
        self._without_verdict = 0
        is_news, self._is_known_well = not self._is_known_well, True
        self.returns += is_news
        return is_news
