"""What one AGI() step costs a call: callsign, and a bare server in Python, against one in C that sets one variable.

    CALLSIGN_ASTERISK_22=ROOT python tests/bench/step_time.py [seconds] [rounds]

A call runs every step, each first in its turn; the dialplan itself takes the microseconds.  Calls come at 50, 150
and 300 a second, whatever becomes of those before; the vendor answers at once, after 300 ms, after 10 s, or is
down, in turns of `seconds`, `rounds` times over.  In brackets the ratio to C.
"""

from __future__ import annotations

import sys

from bench_parts import (
    C_STEP,
    CALLSIGN_STEP,
    HERE,
    Load,
    Times,
    asterisk_with,
    c_server,
    callsign,
    dialplan_of,
    load_average,
    machine,
    process,
    vendor,
)

RATES = (50, 150, 300)
VENDORS: dict[str, float | None] = {"0 ms": 0, "300 ms": 300, "10 s": 10_000, "down": None}
STEPS = {"c": C_STEP, "bare": "AGI(${BARE}/x)", "ping": "AGI(${CALLSIGN}/ping)", "callsign": CALLSIGN_STEP}
SHOWN = {"c": "C", "bare": "bare threads", "ping": "ping", "callsign": "skarabee"}


def cell(times: Times, base: Times) -> str:
    return f"{times.p50:6.2f} ({times.p50 / base.p50:4.2f}) {times.p99:6.2f}"


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 6
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    print(machine())
    print("calls/s vendor  " + "".join(f"{f'{shown} p50, p99':<24}" for shown in SHOWN.values()) + "load")
    bare = process(sys.executable, HERE / "bare_threads.py")
    with asterisk_with(dialplan_of(STEPS)) as asterisk, c_server() as port, bare as (bare_port, _):
        load = Load(asterisk, list(STEPS))
        load.set_global(C=f"agi://127.0.0.1:{port}", BARE=f"agi://127.0.0.1:{bare_port}")
        for rate in RATES:
            found = {name: {step: Times([]) for step in STEPS} for name in VENDORS}
            loads = dict.fromkeys(VENDORS, "")
            for _ in range(rounds):
                for name, milliseconds in VENDORS.items():
                    with vendor(milliseconds) as vendor_port, callsign(vendor_port) as server:
                        load.set_global(CALLSIGN=server.url)
                        times = load.run(rate, seconds)
                    found[name] = {step: found[name][step] + times[step] for step in STEPS}
                    loads[name] += f" {load_average()}"
            for name, by_step in found.items():
                cells = "".join(f"{cell(times, by_step['c']):<24}" for times in by_step.values())
                print(f"{rate:7} {name:<7} {cells}{loads[name]}", flush=True)
            well, down = (found[name]["callsign"].p50 / found[name]["c"].p50 for name in ("0 ms", "down"))
            print(f"{rate:7} skarabee's ratio to C from 0 ms to down: {down / well - 1:+.0%}", flush=True)
        load.close()


if __name__ == "__main__":
    main()
