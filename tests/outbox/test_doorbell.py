"""The socket beside the store wakes the deliverer, and only the deliverer."""

from __future__ import annotations

import os
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from callsign.outbox.doorbell import Doorbell, doorbell_of, ring
from store_play import LONG_SECONDS


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "outbox.db"


@pytest.fixture
def rung() -> threading.Semaphore:
    return threading.Semaphore(0)


@pytest.fixture
def bell(store: Path, rung: threading.Semaphore) -> Iterator[Doorbell]:
    made = Doorbell(store, rung.release)
    yield made
    made.close()


@pytest.mark.usefixtures("bell")
def test_each_ring_is_heard(store: Path, rung: threading.Semaphore) -> None:
    for _ in range(3):
        ring(store)
        assert rung.acquire(timeout=LONG_SECONDS)


@pytest.mark.usefixtures("bell")
def test_the_socket_is_for_its_owner_and_group_alone(store: Path) -> None:
    assert stat.S_IMODE(doorbell_of(store).stat().st_mode) == 0o660


def test_a_ring_where_nobody_listens_is_no_trouble(store: Path) -> None:
    ring(store)
    doorbell_of(store).touch()
    ring(store)
    ring(store.parent / ("x" * 200))


def test_a_deliverer_that_hears_nothing_any_more_holds_up_nobody_who_rings(store: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as hung:
        hung.bind(str(doorbell_of(store)))
        most = int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text())
        ringing = threading.Thread(target=lambda: [ring(store) for _ in range(most + 2)], daemon=True)
        ringing.start()
        ringing.join(LONG_SECONDS)
        assert not ringing.is_alive()


def test_a_socket_that_a_dead_deliverer_left_behind_is_taken_over(store: Path, rung: threading.Semaphore) -> None:
    doorbell_of(store).touch()
    bell = Doorbell(store, rung.release)
    ring(store)
    assert rung.acquire(timeout=LONG_SECONDS)
    bell.close()


def test_closing_ends_the_thread_and_takes_the_socket_away(store: Path, rung: threading.Semaphore) -> None:
    bell = Doorbell(store, rung.release)
    bell.close()
    assert not bell._thread.is_alive()
    assert not doorbell_of(store).exists()


def test_a_path_too_long_for_a_socket_is_an_oserror_and_leaves_nothing_open(
    tmp_path: Path, rung: threading.Semaphore
) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="too long"):
        Doorbell(tmp_path / ("x" * 120), rung.release)
    assert len(os.listdir("/proc/self/fd")) == before
