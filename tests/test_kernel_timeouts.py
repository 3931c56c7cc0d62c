"""The kernel ends a read or write of a blocking socket in time: over a pair of connected sockets."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import pytest

from callsign.kernel_timeouts import KernelTimeouts


@pytest.fixture
def ours() -> Iterator[socket.socket]:
    one, other = socket.socketpair()
    with one, other:
        yield one


def seconds_of(sock: socket.socket, which: int) -> float:
    whole, microseconds = struct.unpack("ll", sock.getsockopt(socket.SOL_SOCKET, which, 16))
    return float(whole + microseconds / 1e6)


def test_a_read_of_nothing_ends(ours: socket.socket) -> None:
    KernelTimeouts(ours).read_within(0.01)
    with pytest.raises(BlockingIOError):
        ours.recv(1)


def test_a_write_that_nobody_takes_ends(ours: socket.socket) -> None:
    KernelTimeouts(ours).write_within(0.01)
    with pytest.raises(BlockingIOError):
        ours.sendall(bytes(64 << 20))


def test_a_limit_is_one_of_hundredths_and_never_less_than_asked_for(ours: socket.socket) -> None:
    limits = KernelTimeouts(ours)
    for asked in (0.0001, 0.01, 0.0101, 0.999, 1.0, 9.9999, 59.123):
        limits.read_within(asked)
        assert asked <= seconds_of(ours, socket.SO_RCVTIMEO) <= asked + 0.02  # the kernel counts in ticks of up to 0.01
        limits.write_within(asked)
        assert asked <= seconds_of(ours, socket.SO_SNDTIMEO) <= asked + 0.02


def test_reads_and_writes_have_limits_of_their_own(ours: socket.socket) -> None:
    limits = KernelTimeouts(ours)
    limits.read_within(3)
    limits.write_within(7)
    assert seconds_of(ours, socket.SO_RCVTIMEO) == 3
    assert seconds_of(ours, socket.SO_SNDTIMEO) == 7


def test_a_limit_that_stays_costs_no_call(ours: socket.socket) -> None:
    limits = KernelTimeouts(ours)
    limits.read_within(5)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 8, 0))
    limits.read_within(4.999)
    assert seconds_of(ours, socket.SO_RCVTIMEO) == 8


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_without_time_there_is_no_limit_to_set(ours: socket.socket, seconds: float) -> None:
    for limit in (KernelTimeouts(ours).read_within, KernelTimeouts(ours).write_within):
        with pytest.raises(TimeoutError, match="no time"):
            limit(seconds)
