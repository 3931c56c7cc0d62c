"""The kit's line of TCP that can be cut."""

from __future__ import annotations

import socket

import pytest

from tcp_proxy import TcpProxy


def test_a_line_that_is_cut_takes_all_and_hands_on_nothing_until_it_is_joined() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        TcpProxy(server.getsockname()[1]) as proxy,
        socket.create_connection(("127.0.0.1", proxy.port)) as near,
    ):
        far, _ = server.accept()
        near.sendall(b"before")
        assert far.recv(100) == b"before"
        proxy.cut()
        near.sendall(b"meanwhile")
        far.sendall(b"answer")
        far.settimeout(0.2)
        with pytest.raises(TimeoutError):
            far.recv(100)
        with socket.create_connection(("127.0.0.1", proxy.port)):
            server.settimeout(0.2)
            with pytest.raises(TimeoutError):
                server.accept()
            proxy.join()
            server.settimeout(10)
            server.accept()[0].close()
        far.settimeout(10)
        assert far.recv(100) == b"meanwhile"
        assert near.recv(100) == b"answer"
        far.close()
        assert near.recv(100) == b""
