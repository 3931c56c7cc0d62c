"""How many calls a second until the median step doubles: callsign and the C server, in turns.

    CALLSIGN_ASTERISK_22=ROOT python tests/bench/sustained.py [seconds] [vendor's milliseconds, or "down"] [core]

With a core callsign is bound to that one, as `CPUAffinity=` does it: its threads share one interpreter, and
under load to hand that to another core takes longer than what is done with it.

The base is the median at 10 calls a second.  The load comes from an Asterisk on the same machine, whose
own work for a call is more than either server's: where the C server's median doubles too, it is the machine.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from bench_parts import (
    C_STEP,
    CALLSIGN_STEP,
    Load,
    asterisk_with,
    c_server,
    callsign,
    cpu_seconds,
    dialplan_of,
    load_average,
    machine,
    vendor,
)

RATES = (10, *range(100, 1001, 100))
STEPS = {"C": C_STEP, "callsign": CALLSIGN_STEP}


def busy_and_all() -> tuple[float, float]:
    """Ticks of all processors since the start: at work, and altogether."""
    ticks = [float(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


def bind(pid: int, core: int) -> None:
    """Every thread of that process; those to come are made by these, and stay with them."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core})


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5
    given = sys.argv[2] if len(sys.argv) > 2 else "0"
    milliseconds = None if given == "down" else float(given)
    core = int(sys.argv[3]) if len(sys.argv) > 3 else None
    print(machine())
    base = dict.fromkeys(STEPS, 0.0)
    over: set[str] = set()
    for rate in RATES:
        for name, step in STEPS.items():
            if name in over:
                continue
            with asterisk_with(dialplan_of({name: step})) as asterisk, c_server() as port:
                load = Load(asterisk, [name])
                with vendor(milliseconds) as vendor_port, callsign(vendor_port) as server:
                    load.set_global(C=f"agi://127.0.0.1:{port}", CALLSIGN=server.url)
                    if core is not None:
                        bind(server.process.pid, core)
                    load.run(10, 1)
                    before, began, spent = busy_and_all(), time.monotonic(), cpu_seconds(server.process.pid)
                    times = load.run(rate, seconds)[name]
                    after, took = busy_and_all(), time.monotonic() - began
                    spent = (cpu_seconds(server.process.pid) - spent) / took
                load.close()
            base[name] = base[name] or times.p50
            busy = (after[0] - before[0]) / (after[1] - before[1])
            print(f"{rate:5}/s {name:<8} p50 {times.p50:7.2f} ms, {times.p50 / base[name]:5.2f} of idle, p99"
                  f" {times.p99:7.2f} ms; machine {busy:.0%} busy, callsign {spent:.0%} of a core;"
                  f" load {load_average()}", flush=True)  # fmt: skip
            if times.p50 > 2 * base[name]:
                over.add(name)


if __name__ == "__main__":
    main()
