"""What the tests of faults share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from load import Vendors


@pytest.fixture
def box() -> Iterator[Vendors]:
    """The vendors' stand-ins, which count what they take."""
    with Vendors() as running:
        yield running
