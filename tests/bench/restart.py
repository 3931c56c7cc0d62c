"""What a restart, an upgrade and a kill of the service cost calls, on a real Asterisk under a real systemd.

    CALLSIGN_SYSTEMD=ROOT CALLSIGN_ASTERISK_22=ROOT python tests/bench/restart.py [calls] [calls a second]

As root.  A step's time is what the dialplan sees of its AGI() line; nothing is tried a second time.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / folder) for folder in ("../agi", "kit", "asterisk", "faults", "install", "systemd")]

from callsign.sandbox.vendors.messages import Trouble  # noqa: E402
from pbx import Pbx, pbx_on  # noqa: E402
from product import vendor_sections  # noqa: E402

PAUSE_SECONDS = 4.0
"""Between two of what is done to the service: more starts than 10 in 30 s the unit refuses."""

HELD_SECONDS = 0.25


def upgrade(pbx: Pbx) -> None:
    """To a version with one more line."""
    with pbx.machine.path("/usr/src/callsign/agi/callsign/__init__.py").open("a") as file:
        file.write("# \n")
    done = pbx.machine.install()
    assert done.returncode == 0, done.stdout


DOINGS: dict[str, Callable[[Pbx], None]] = {
    "systemctl restart": lambda pbx: pbx.systemctl("restart", "callsign"),
    "install.sh, new code": upgrade,
    "kill -9": lambda pbx: pbx.systemctl("kill", "--signal=KILL", "callsign"),
}


def settings_of(pbx: Pbx, vendor: str) -> str:
    sections = vendor_sections(pbx.vendors)
    if vendor == "down":
        for url in ("skarabee", "noojee"):
            sections = sections.replace(pbx.vendors.url(url), "http://127.0.0.1:1")
    return sections


def measure(pbx: Pbx, vendor: str, doing: str, calls: int, rate: float) -> str:
    pbx.vendors.trouble = {"skarabee": Trouble(delay_seconds=30)} if vendor == "hanging" else {}
    pbx.set_up(settings_of(pbx, vendor))
    took: list[float] = []

    def body() -> None:
        end = time.monotonic() + calls / rate - PAUSE_SECONDS
        while time.monotonic() < end:
            time.sleep(PAUSE_SECONDS)
            began = time.monotonic()
            DOINGS[doing](pbx)
            took.append(time.monotonic() - began)

    steps = pbx.calls(calls, rate, body)
    without = sum(not step.has_status for step in steps)
    held = sorted(step.seconds for step in steps)
    over = sum(seconds > HELD_SECONDS for seconds in held)
    return (
        f"{doing:<21} {vendor:<8} {len(took):>3} times, {max(took):5.2f} s at most; {without:>4} of {len(steps)} calls "
        f"without status; {over:>3} held over {1000 * HELD_SECONDS:.0f} ms, the longest {1000 * held[-1]:4.0f} ms, "
        f"median {1000 * held[len(held) // 2]:.0f} ms"
    )


def main() -> None:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 2500
    rate = float(sys.argv[2]) if len(sys.argv) > 2 else 50.0
    doings = sys.argv[3:] or list(DOINGS)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder) / "machine"
        scratch.mkdir()
        asterisk = Path(os.environ["CALLSIGN_ASTERISK_22"]), "22"
        with pbx_on(Path(os.environ["CALLSIGN_SYSTEMD"]), asterisk, scratch) as pbx:
            for doing in doings:
                for vendor in ("well", "hanging", "down"):
                    print(measure(pbx, vendor, doing, calls, rate), flush=True)


if __name__ == "__main__":
    main()
