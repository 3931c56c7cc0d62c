"""What the metrics tell of the cluster: counted where it happens, read when somebody looks."""

from __future__ import annotations

from callsign import clocks
from callsign.record import Record, field


class Figures(Record, frozen=False):
    """One server's; whoever does the thing adds to its figure, in any thread: a count too few harms nobody."""

    published: int = 0  # jobs that the others know of by us
    unpublished: int = 0  # jobs that the others are to know of, and do not yet
    alone: int = 0  # jobs that went out without the database's word
    lost: int = 0  # jobs of ours that another host has taken over
    adopted: int = 0  # jobs of others that we have taken over
    exchanges: int = 0  # with the database
    exchange_seconds: float = 0.0  # all of them together
    is_silent: bool = False  # nothing can be told
    lease_until: float = 0.0  # in seconds of clocks.steady(): until then we may send what is published
    slots: dict[str, int] = field(default_factory=dict)  # held, by account of a vendor with a limit

    @property
    def lease_left(self) -> float:
        """For so many seconds we may yet send what is published; 0: this host goes on alone."""
        return 0.0 if self.is_silent else max(0.0, self.lease_until - clocks.steady())

    def exchanged(self, seconds: float) -> None:
        """An exchange with the database took so long."""
        self.exchanges += 1
        self.exchange_seconds += seconds
