"""What is remembered of a Noojee recorder: the timestamp that signs for an hour.

Source: the vendor's page on the hash method.  A timestamp and its hash are good for 10 seconds, and once they were
used for an hour, for any number of requests.  Time asks for no key and makes no other timestamp invalid, and nothing
there ties a pair to a machine: so hosts with the same key may all use the same.  That spares Time requests and first
uses, and with it authentications, of which the page allows five at once and leaves open what counts as one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from callsign import clocks
from callsign.record import Record, field
from callsign.settings.secret import Secret
from callsign.settings.sections import Noojee
from callsign.vendors.interface import Shared

PAIR_SECONDS = 55 * 60.0
"""A pair that was used within 10 s is good for an hour.  Here the first use follows the Time call at once."""


class Pair(Record, frozen=False):
    """A timestamp from the recorder that signs with `key`, and when it was first used (steady seconds)."""

    key: Secret
    url: str
    timestamp: str
    used_at: float
    is_spent: bool = False  # the recorder called it expired

    def serves(self, now: float, section: Noojee) -> bool:
        """Whether it can still be sent to the recorder that `section` names."""
        if self.is_spent or (self.url, self.key) != (section.url, section.key):
            return False
        return now - self.used_at < PAIR_SECONDS


class Memory(Record, frozen=False):
    """The one pair for the recorder, and the lock that lets one thread renew it while the others wait.

    Other hosts may have a timestamp that serves here too; the key goes to none of them.
    """

    renewal: threading.Lock = field(default_factory=threading.Lock)
    pair: Pair | None = None
    steady: Callable[[], float] = clocks.steady
    shared: Shared | None = None
