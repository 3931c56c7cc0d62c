"""A store of a test's own: where it lies, its outbox, a reader."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from callsign.outbox.outbox import Outbox
from callsign.outbox.reader import OutboxReader


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.db"


@pytest.fixture
def outbox(path: Path) -> Iterator[Outbox]:
    made = Outbox(path)
    yield made
    made.close()


@pytest.fixture
def reader(path: Path) -> Iterator[OutboxReader]:
    made = OutboxReader(path)
    yield made
    made.close()
