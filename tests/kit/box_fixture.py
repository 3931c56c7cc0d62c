"""The vendors' stand-ins."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from callsign.sandbox.vendors.sandbox import Sandbox
from product import ACCOUNTS


@pytest.fixture
def box(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """With the ACCOUNTS of the test's module, if it has its own."""
    with Sandbox(accounts=getattr(request.module, "ACCOUNTS", ACCOUNTS)) as running:
        yield running
