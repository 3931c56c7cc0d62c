"""A line of TCP that can be cut without a word, and joined again."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class TcpProxy:
    """Hands on what comes to its own port of the loopback address to `port`, from the beginning of a `with` to its end.

    Cut, it takes new connections and bytes, as a kernel does that knows of nothing, and hands none of them on; joined
    again, it hands on what has come meanwhile, as TCP repeats what was lost.
    """

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._joined = threading.Event()
        self._joined.set()
        self._threads: list[threading.Thread] = []
        self._socks: list[socket.socket] = []
        self._guard = threading.Lock()
        self._is_over = False

    def cut(self) -> None:
        self._joined.clear()

    def join(self) -> None:
        self._joined.set()

    def __enter__(self) -> TcpProxy:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        with self._guard:
            self._is_over = True
            socks = [self._listener, *self._socks]
        for sock in socks:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._joined.set()
        for thread in self._threads:
            thread.join()
        for sock in socks:
            sock.close()

    def _start(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                if self._keep(sock):
                    self._start(self._connect, sock)

    def _keep(self, sock: socket.socket) -> bool:
        with self._guard:
            if self._is_over:
                sock.close()
            else:
                self._socks.append(sock)
            return not self._is_over

    def _connect(self, near: socket.socket) -> None:
        self._joined.wait()
        try:
            far = socket.create_connection(self._target)
        except OSError:
            near.shutdown(socket.SHUT_RDWR)
            return
        if self._keep(far):
            self._start(self._hand_on, near, far)
            self._hand_on(far, near)

    def _hand_on(self, come: socket.socket, goes: socket.socket) -> None:
        with suppress(OSError):
            while piece := come.recv(65536):
                self._joined.wait()
                goes.sendall(piece)
        self._joined.wait()
        with suppress(OSError):
            goes.shutdown(socket.SHUT_WR)
