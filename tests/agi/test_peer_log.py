"""What the log says of peers stays bounded, and a new one's first trouble is always among it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from callsign.agi import peer_log
from callsign.agi.peer_log import MOST_PEERS, PeerLog
from clocks_play import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(peer_log, "time", SimpleNamespace(monotonic=clock))
    return clock


def test_a_probe_every_two_seconds_is_thirty_lines_a_day(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    peers = PeerLog()
    for _ in range(43_200):
        peers.closed("10.0.0.1", ": it left")
        clock.now += 2
    assert 24 <= len(caplog.records) <= 30
    assert sum(int(record.getMessage().partition("(")[2].split()[0]) for record in caplog.records[1:]) > 40_000


def test_another_trouble_of_a_known_peer_is_said_at_once(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    peers = PeerLog()
    for why in (": it left", " is not in [server] allow", ": it left"):
        peers.closed("10.0.0.1", why)
    said = [record.getMessage() for record in caplog.records]
    assert said == ["peer 10.0.0.1: it left: closed", "peer 10.0.0.1 is not in [server] allow: closed"]


def test_ever_new_peers_take_neither_memory_nor_the_log(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    peers = PeerLog()
    for number in range(10_000):
        peers.closed(f"2001:db8::{number:x}", ": it left")
    assert len(peers._entries) <= MOST_PEERS + 1
    assert len(caplog.records) == MOST_PEERS + 1
    assert "(one of many)" in caplog.records[-1].getMessage()


def test_a_peer_that_comes_when_the_many_are_gone_is_named(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    peers = PeerLog()
    for number in range(2 * MOST_PEERS):
        peers.closed(f"2001:db8::{number:x}", ": it left")
    clock.now += peer_log.FIRST_PAUSE_SECONDS
    caplog.clear()
    peers.closed("10.0.0.1", " is not in [server] allow")
    assert [record.getMessage() for record in caplog.records] == ["peer 10.0.0.1 is not in [server] allow: closed"]
