"""From accept to the vendor's receipt, on an idle server with the vendor on loopback.

    python tests/bench/accept_to_receipt.py [calls]

A client plays Asterisk: its connection stands when the kernel has accepted it.  Beside it, call by call, the
least there can be: a connection of its own to the vendor and a request sent at once.  One clock for all.
"""

from __future__ import annotations

import socket
import sys
import tempfile
import time
from pathlib import Path

from bench_parts import CALLED, Times, agi_block, callsign, load_average, machine, vendor

from waiting import wait_until

BETWEEN_SECONDS = 0.03
REQUEST = b"POST /?businessid=8103 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n"


def now() -> int:
    return time.monotonic_ns() // 1000


def session(url: str, number: int) -> tuple[int, int]:
    """When the connection stood, and when the session had ended."""
    host, port = url.removeprefix("agi://").split(":")
    with socket.create_connection((host, int(port))) as sock:
        began = now()
        sock.sendall(agi_block(f"{url}/skarabee", number, f"phoneto={CALLED}"))
        for command in sock.makefile("rb"):
            if command.startswith(b"GET FULL VARIABLE "):  # of the first call: is it an Asterisk?
                sock.sendall(b"200 result=1 (" + command.split()[-1].replace(b"${CHANNEL(appdata)}", b"x") + b")\n")
            else:
                sock.sendall(b"200 result=1\n")
        return began, now()


def direct(port: int) -> int:
    with socket.create_connection(("127.0.0.1", port)) as sock:
        began = now()
        sock.sendall(REQUEST)
        sock.recv(4096)
    return began


def main() -> None:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    warm_up = 20
    least, whole, ours = Times([]), Times([]), Times([])
    with tempfile.TemporaryDirectory() as folder:
        receipts = Path(folder) / "receipts"

        def received(count: int) -> list[int]:
            wait_until(lambda: receipts.read_text().count("\n") >= count)
            return [int(line) for line in receipts.read_text().split()]

        with vendor(0, str(receipts)) as port, callsign(port) as server:
            for number in range(warm_up + calls):
                bare = direct(port)
                at = received(2 * number + 1)[-1]
                time.sleep(BETWEEN_SECONDS)
                began, ended = session(server.url, number)
                reached = received(2 * number + 2)[-1]
                time.sleep(BETWEEN_SECONDS)
                if number >= warm_up:
                    least.values.append((at - bare) / 1000)
                    whole.values.append((ended - began) / 1000)
                    ours.values.append((reached - began) / 1000)
    print(machine())
    for what, times in (("direct", least), ("the session's end", whole), ("the vendor's receipt", ours)):
        ratio = f"ratio {times.p50 / least.p50:5.1f}"
        print(f"accept to {what:<21} p50 {times.p50:6.2f} ms, p99 {times.p99:6.2f} ms, {ratio}; load {load_average()}")


if __name__ == "__main__":
    main()
