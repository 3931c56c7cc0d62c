"""Resident memory of the server: idle, and with 1,000 sessions that wait for a slow vendor.

    python tests/bench/memory.py

Beside it what an empty Python of this version takes.
"""

from __future__ import annotations

import socket
import sqlite3
import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path

from bench_parts import CALLED, agi_block, callsign, load_average, machine, resident_mb, vendor

from waiting import wait_until

SESSIONS = 1000
EMPTY = "import sys; print(flush=True); sys.stdin.read()"


def jobs_in(store: Path) -> int:
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as db:
        return int(db.execute("SELECT count(*) FROM job").fetchone()[0])


def main() -> None:
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", EMPTY], stdin=-1, stdout=-1) as empty:
        assert empty.stdout is not None
        empty.stdout.readline()
        base = resident_mb(empty.pid)
        empty.communicate()
    print(machine())
    with vendor(40_000) as port, callsign(port) as server, ExitStack() as stack:
        pid = server.process.pid
        idle = resident_mb(pid)
        for number in range(SESSIONS):
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            sock.sendall(agi_block(f"{server.url}/skarabee?wait=60", number, f"phoneto={CALLED}"))
        wait_until(lambda: jobs_in(server.store) >= SESSIONS)
        waiting = resident_mb(pid)
    for what, value in (("an empty Python", base), ("idle", idle), (f"{SESSIONS} sessions wait", waiting)):
        print(f"{what:<20} {value:6.1f} MB, ratio {value / base:5.2f}; load {load_average()}")


if __name__ == "__main__":
    main()
