"""What 500 tenants cost: a start, a reload, and a step, beside the same with one.

    python tests/bench/tenants.py [tenants] [steps]

Each tenant has a file of its own in callsign.d, with a recorder, a billing system, a PBX, a provisioning service and
an office with two numbers.  The vendors are a port at which nobody listens.
"""

from __future__ import annotations

import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "agi"))

from callsign.sandbox.asterisk.call import Call  # noqa: E402
from callsign.sandbox.asterisk.play import run_fastagi  # noqa: E402
from callsign.settings.load import load  # noqa: E402

COMMAND = [sys.executable, str(ROOT / "agi" / "bin" / "callsign")]

MAIN = """
[server]
listen = "127.0.0.1:{port}"
[outbox]
path = "{folder}/outbox.db"
[skarabee]
url = "http://127.0.0.1:9/"
businessid = "1"
key = "k"
[noojee]
url = "http://127.0.0.1:9/"
key = "k"
"""

TENANT = """
[noojee.tenant{n}]
key = "k{n}"
url = "http://127.0.0.1:9/{n}"
[mor.tenant{n}]
url = "http://127.0.0.1:9/{n}"
user = "admin"
key = "k{n}"
[kalliope.tenant{n}]
url = "http://127.0.0.1:9/{n}"
username = "admin"
password = "k{n}"
timezone = "Europe/Brussels"
[sraps.tenant{n}]
url = "http://127.0.0.1:9/{n}"
key_id = "id{n}"
key_secret = "k{n}"
[[skarabee.office]]
businessid = "{id}"
key = "k{n}"
name = "tenant{n}"
numbers = ["050{id:06}", "{n:03}XX"]
"""


def settings(folder: Path, tenants: int) -> tuple[Path, int]:
    """The settings file and the server's port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    main = folder / "callsign.toml"
    main.write_text(MAIN.format(port=port, folder=folder))
    (folder / "callsign.d").mkdir()
    for n in range(tenants):
        (folder / "callsign.d" / f"tenant{n:03}.toml").write_text(TENANT.format(n=n, id=100_000 + n))
    for file in (main, *(folder / "callsign.d").iterdir()):
        file.chmod(0o600)
        os.utime(file, (0, 0))
    return main, port


def step(port: int, request: str, extension: str) -> float:
    """Milliseconds of one session, the player's own included."""
    call = Call("056528999", extension=extension, uniqueid=f"{time.time():.6f}")
    began = time.perf_counter()
    session = run_fastagi(f"agi://127.0.0.1:{port}/{request}", call)
    if session.status != "SUCCESS":
        raise OSError(session.trouble)
    return 1000 * (time.perf_counter() - began)


def until(ready: Callable[[], bool]) -> float:
    """Seconds until it is so."""
    began = time.perf_counter()
    while not ready():
        time.sleep(0.002)
    return time.perf_counter() - began


def answers(port: int) -> bool:
    """Whether a call gets in."""
    try:
        step(port, "ping", "s")
    except OSError:
        return False
    return True


def measure(tenants: int, steps: int) -> None:
    """One line of figures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        main, port = settings(folder, tenants)
        log = folder / "log"
        with log.open("wb") as file:
            server = subprocess.Popen([*COMMAND, "serve", "--config", str(main)], stderr=file)
        start = until(lambda: answers(port))
        until(lambda: b"listens on" in log.read_bytes())
        last = f"tenant{tenants - 1}"
        office = [step(port, "skarabee", f"050{100_000 + tenants - 1:06}") for _ in range(steps)]
        recording = [step(port, f"noojee/start?wait=0&account={last}", "201") for _ in range(steps)]
        server.send_signal(signal.SIGHUP)
        reload = until(lambda: b"were read again" in log.read_bytes())
        lines = Path(f"/proc/{server.pid}/status").read_text().splitlines()
        memory, threads = (int(line.split()[1]) for line in lines if line.startswith(("VmRSS", "Threads")))
        server.terminate()
        server.wait(20)
        began = time.perf_counter()
        load(main)
        read = time.perf_counter() - began
        print(
            f"{tenants:4} tenants: start {1000 * start:.0f} ms, reload {1000 * reload:.0f} ms; step: office by number"
            f" {statistics.median(office):.2f} ms, recording by account {statistics.median(recording):.2f} ms;"
            f" {memory // 1024} MB, {threads} threads;"
            f" reading the settings, as each plain script does, {1000 * read:.0f} ms",
            flush=True,
        )


if __name__ == "__main__":
    many = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    for count in (1, many, 1, many):
        measure(count, int(sys.argv[2]) if len(sys.argv) > 2 else 300)
