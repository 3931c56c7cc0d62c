"""What calls and the machine bear while the service is masked: plain scripts do its work, four at once at most.

    CALLSIGN_SYSTEMD=ROOT CALLSIGN_ASTERISK_22=ROOT python tests/bench/masked.py [seconds] [calls a second]

As root.  A step is the shipped subroutine; its time is what the dialplan sees of it.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / folder) for folder in ("../agi", "kit", "asterisk", "faults", "install", "systemd")]

from bench_parts import load_average, machine, resident_mb  # noqa: E402

from load import Vendors  # noqa: E402
from product import PROJECT, vendor_sections  # noqa: E402
from real_asterisk import RealAsterisk  # noqa: E402
from systemd_machine import SystemdMachine  # noqa: E402

NOW = "${STRFTIME(,,%s.%3q)}"
DIALPLAN = f"""
#include extensions_callsign.conf
[load]
exten => s,1,Set(BEGAN={NOW})
 same => n,Gosub(callsign-skarabee,s,1(056528998))
 same => n,Set(ENDED={NOW})
"""
FILES = {"extensions_callsign.conf": (PROJECT / "dialplan/extensions_callsign.conf").read_text(encoding="utf-8")}
LOOK_SECONDS = 0.2
LONG_SECONDS = 60.0
SHARES = {"p50": 0.5, "p99": 0.99, "at most": 1.0}


class Watch(threading.Thread):
    """How many processes of the plain script there are (a call has two), and what they hold in memory together."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.over = threading.Event()
        self.most, self.most_mb = 0, 0.0

    def run(self) -> None:
        while not self.over.wait(LOOK_SECONDS):
            held = []
            for folder in Path("/proc").iterdir():
                with suppress(OSError, AssertionError):  # it may end meanwhile
                    if folder.name.isdecimal() and b"agi-bin/callsign.agi" in (folder / "cmdline").read_bytes():
                        held.append(resident_mb(int(folder.name)))
            self.most, self.most_mb = max(self.most, len(held)), max(self.most_mb, sum(held))


def measure(asterisk: RealAsterisk, vendors: Vendors, seconds: float, rate: float) -> None:
    watch = Watch()
    watch.start()
    began, calls = time.monotonic(), []
    for number in range(int(seconds * rate)):
        time.sleep(max(0.0, began + number / rate - time.monotonic()))
        caller = ("An office", f"0478{number:06}")
        report = ("SKARABEESTATUS", "SKARABEEREASON", "BEGAN", "ENDED")
        calls.append((caller[1], asterisk.start("s", "load", callerid=caller, report=report)))
    steps = [(number, call.wait(LONG_SECONDS).variables) for number, call in calls]
    busiest = load_average()
    kept = {number for number, told in steps if told["SKARABEESTATUS"] in ("OK", "QUEUED")}
    vendors.wait_for(lambda seen: kept <= {dict(one.query).get("phonefrom") for one in seen}, LONG_SECONDS)
    came = kept & {dict(one.query).get("phonefrom") for one in vendors.seen}
    watch.over.set()
    watch.join()
    took = sorted(float(told["ENDED"]) - float(told["BEGAN"]) for _, told in steps)
    statuses = dict(Counter(told["SKARABEESTATUS"] for _, told in steps))
    print(f"{len(steps)} calls in {time.monotonic() - began:.0f} s: {statuses}")
    print(f"reasons: {Counter(told['SKARABEEREASON'] for _, told in steps).most_common(3)}")
    print(f"notifications taken by a script: {len(kept)}, and come to the vendor: {len(came)}")
    print(f"processes of scripts at most: {watch.most}, {watch.most_mb:.0f} MB together; load {busiest}")
    picked = {name: 1000 * took[min(int(share * len(took)), len(took) - 1)] for name, share in SHARES.items()}
    print("a step took " + ", ".join(f"{name} {value:.0f} ms" for name, value in picked.items()))


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 300.0
    rate = float(sys.argv[2]) if len(sys.argv) > 2 else 50.0
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder) / "machine"
        scratch.mkdir()
        root = Path(os.environ["CALLSIGN_ASTERISK_22"])
        with SystemdMachine(Path(os.environ["CALLSIGN_SYSTEMD"]), scratch) as pbx:
            pbx.add_pbx()
            done = pbx.install()
            assert done.returncode == 0, done.stdout
            masked = pbx.run(["systemctl", "mask", "--now", "--runtime", "callsign"])
            assert masked.returncode == 0, masked.stdout
            with pbx.network(), Vendors() as vendors, RealAsterisk(root, "22", DIALPLAN, FILES) as asterisk:
                settings = f'[outbox]\npath = "{{folder}}/outbox.db"\n{vendor_sections(vendors)}'
                asterisk.install_plain_agi(PROJECT, settings)
                print(machine())
                measure(asterisk, vendors, seconds, rate)


if __name__ == "__main__":
    main()
