"""One process's store and delivery, with vendors that the test plays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from callsign.delivery.deliverer import Delivery
from callsign.delivery.gate import Gate
from callsign.http.messages import Reply, Request
from callsign.notification import Notification, State
from callsign.outbox.outbox import Outbox
from callsign.outbox.reader import OutboxReader
from callsign.settings.sections import Settings
from store_play import LONG_SECONDS, SETTINGS, PlayedVendor, eventually


class Side:
    """Not delivering before `delivery.try_start()`; `send` stands for the vendors, else `vendor` does."""

    def __init__(
        self,
        path: Path,
        settings: Settings = SETTINGS,
        send: Callable[[Request, float], Reply] | None = None,
        gate: Gate | None = None,
    ) -> None:
        self.vendor = PlayedVendor()
        self.settings = settings
        self.outbox = Outbox(path)
        self.delivery = Delivery(self.outbox, lambda: self.settings, send or self.vendor.send, gate)
        self.reader = OutboxReader(path)

    def add(self, notification: Notification) -> int:
        return self.outbox.add(notification, LONG_SECONDS).job

    def is_on_its_lane(self, job: int) -> bool:
        """Within a while: an add returns when its job is in the store, a moment before its lane hears of it."""
        return eventually(lambda: self.delivery.newest_seen >= job)

    def end_of(self, job: int) -> tuple[State, str] | None:
        """Where the vendor is away no call waits, but a test does."""
        eventually(lambda: self.delivery.outcomes.wait_for(job, LONG_SECONDS))
        return self.delivery.outcomes.wait_for(job, 0.0)

    def close(self) -> None:
        self.delivery.stop(LONG_SECONDS)
        self.outbox.close()
        self.reader.close()
