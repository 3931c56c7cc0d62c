"""The least that Python can do: threads that stand in accept(), each of which sets one variable.

Prints its port.  What `ping` takes beyond this is callsign's, what this takes beyond the server in C is Python's.
"""

from __future__ import annotations

import socket
import threading

THREADS = 5
COMMAND = b'SET VARIABLE BARESTATUS "OK"\n'


def serve(listener: socket.socket) -> None:
    while True:
        call, _ = listener.accept()
        with call:
            block = call.recv(65536)
            while block and not block.endswith(b"\n\n"):
                block += call.recv(65536)
            call.sendall(COMMAND)
            call.recv(4096)


def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    print(listener.getsockname()[1], flush=True)
    threads = [threading.Thread(target=serve, args=(listener,)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
