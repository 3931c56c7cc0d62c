"""What one process remembers of snom SRAPS between two conversations."""

from __future__ import annotations

from collections.abc import Callable

from callsign import clocks, nonces
from callsign.record import Record, field
from callsign.settings.secret import Secret
from callsign.settings.sections import Sraps


class Kept(Record):
    """What was fetched, and when (steady seconds)."""

    value: dict[str, str] = field(repr=False)
    at: float


class Known(Record, frozen=False):
    """What was learned of one account."""

    account: tuple[str, str, Secret]
    clock_offset_seconds: float = 0.0  # the service's clock less ours
    links: Kept | None = None  # of the company: name -> URL
    profiles: Kept | None = None  # id -> name


class Memory(Record, frozen=False):
    """What lasts from one conversation to the next; two that fetch the same at once do no harm."""

    wall: Callable[[], float] = clocks.wall
    steady: Callable[[], float] = clocks.steady
    new_nonce: Callable[[], str] = nonces.new_nonce
    known: Known | None = None

    def of(self, section: Sraps) -> Known:
        """What is known of the account in the settings; nothing after they changed."""
        account = (section.url, section.key_id, section.key_secret)
        known = self.known
        if known is None or known.account != account:
            known = self.known = Known(account)
        return known
