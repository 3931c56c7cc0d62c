"""What one AGI() step costs a call: callsign against a bare asyncio server, calls alternating in one run.

    CALLSIGN_ASTERISK_22=ROOT python tests/bench/step_time.py [calls]

Each call runs the bare server's step and callsign's `skarabee` step, in turn first; the dialplan itself
takes the microseconds (STRFTIME).  Prints medians, 99th percentiles and ratios, with the vendor at once,
at 300 ms, and gone.  The figures are of this machine and minute; quote the ratios.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1]
sys.path[:0] = [str(PROJECT / "agi"), str(HERE.parent), str(HERE.parent / "asterisk")]

from product import Product  # noqa: E402
from real_asterisk import RealAsterisk  # noqa: E402

NOW = "${STRFTIME(,,%s%6q)}"
DIALPLAN = f"""
[bench]
exten => ab,1,Gosub(bench-bare,s,1)
 same => n,Gosub(bench-callsign,s,1)
exten => ba,1,Gosub(bench-callsign,s,1)
 same => n,Gosub(bench-bare,s,1)

[bench-bare]
exten => s,1,Set(A0={NOW})
 same => n,AGI(${{BARE}}/x)
 same => n,Set(A1={NOW})
 same => n,Return()

[bench-callsign]
exten => s,1,Set(B0={NOW})
 same => n,AGI(${{CALLSIGN}}/skarabee,phoneto=056528998,call=${{CHANNEL(linkedid)}})
 same => n,Set(B1={NOW})
 same => n,Return()
"""


@contextmanager
def helper(script: str, *arguments: str) -> Iterator[int]:
    """A server of this folder in a process of its own; its port."""
    command = [sys.executable, str(HERE / script), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def measure(asterisk: RealAsterisk, urls: dict[str, str], calls: int) -> tuple[list[float], list[float]]:
    """Milliseconds of the bare and of callsign's step, call by call."""
    bare, callsign = [], []
    for number in range(calls + 20):
        times = asterisk.call(
            ("ab", "ba")[number % 2],
            "bench",
            variables=urls,
            callerid=("Bench", "056528999"),
            report=["A0", "A1", "B0", "B1", "SKARABEESTATUS"],
        ).variables
        assert times["SKARABEESTATUS"] == "QUEUED", times
        if number >= 20:
            bare.append((int(times["A1"]) - int(times["A0"])) / 1000)
            callsign.append((int(times["B1"]) - int(times["B0"])) / 1000)
    return bare, callsign


def main() -> None:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    root = Path(os.environ["CALLSIGN_ASTERISK_22"])
    print(f"{'vendor':<10} {'bare p50':>9} {'p99':>7}   {'callsign p50':>12} {'p99':>7}   {'ratio p50':>9} {'p99':>6}")
    with RealAsterisk(root, "22", DIALPLAN) as asterisk, helper("bare_asyncio.py") as bare_port:
        for vendor in ("0", "300", "gone"):
            with helper("slow_vendor.py", "0" if vendor == "gone" else vendor) as vendor_port:
                port = 9 if vendor == "gone" else vendor_port  # nobody listens at the discard port
                with tempfile.TemporaryDirectory() as folder:
                    sections = f'[skarabee]\nurl = "http://127.0.0.1:{port}/"\nbusinessid = "8103"\nkey = "key"\n'
                    with Product(Path(folder), sections) as server:
                        urls = {"BARE": f"agi://127.0.0.1:{bare_port}", "CALLSIGN": server.url}
                        bare, callsign = measure(asterisk, urls, calls)
                        server.stop()
            b50, c50 = statistics.median(bare), statistics.median(callsign)
            b99, c99 = quantile(bare, 0.99), quantile(callsign, 0.99)
            name = vendor if vendor == "gone" else f"{vendor} ms"
            print(f"{name:<10} {b50:9.2f} {b99:7.2f}   {c50:12.2f} {c99:7.2f}   {c50 / b50:9.2f} {c99 / b99:6.2f}")


if __name__ == "__main__":
    main()
