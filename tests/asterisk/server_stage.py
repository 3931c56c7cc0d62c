"""A server and the vendors that it knows."""

from __future__ import annotations

from dataclasses import dataclass

from callsign.sandbox.vendors.sandbox import Sandbox
from product import Product


@dataclass
class Stage:
    """Vendors and server, fresh for each test."""

    box: Sandbox
    server: Product

    @property
    def agi(self) -> dict[str, str]:
        return {"CALLSIGN_AGI": self.server.url}
