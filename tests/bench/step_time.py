"""What one AGI() step costs a call: callsign against a C server that sets one variable.

    CALLSIGN_ASTERISK_22=ROOT python tests/bench/step_time.py [seconds] [rounds]

A call runs both steps, each first in every other call; the dialplan itself takes the microseconds.  Calls come
at 100 and at 300 a second, whatever becomes of those before; the vendor answers at once, after 300 ms, after
10 s, or is down, in turns of `seconds`, `rounds` times over.
"""

from __future__ import annotations

import sys

from bench_parts import (
    C_STEP,
    CALLSIGN_STEP,
    Load,
    Times,
    asterisk_with,
    c_server,
    callsign,
    dialplan_of,
    load_average,
    machine,
    vendor,
)

RATES = (100, 300)
VENDORS: dict[str, float | None] = {"0 ms": 0, "300 ms": 300, "10 s": 10_000, "down": None}
STEPS = {"c": C_STEP, "callsign": CALLSIGN_STEP}


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 6
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    print(machine())
    print(f"{'calls/s':>7} {'vendor':<7} {'C p50':>6} {'p99':>6}   {'callsign p50':>12} {'p99':>6}"
          f"   {'ratio p50':>9} {'p99':>5}   load")  # fmt: skip
    with asterisk_with(dialplan_of(STEPS)) as asterisk, c_server() as port:
        load = Load(asterisk, list(STEPS))
        load.set_global(C=f"agi://127.0.0.1:{port}")
        for rate in RATES:
            found = {name: (Times([]), Times([])) for name in VENDORS}
            loads = dict.fromkeys(VENDORS, "")
            for _ in range(rounds):
                for name, milliseconds in VENDORS.items():
                    with vendor(milliseconds) as vendor_port, callsign(vendor_port) as server:
                        load.set_global(CALLSIGN=server.url)
                        times = load.run(rate, seconds)
                    found[name] = found[name][0] + times["c"], found[name][1] + times["callsign"]
                    loads[name] += f" {load_average()}"
            for name, (c, ours) in found.items():
                print(f"{rate:7} {name:<7} {c.p50:6.2f} {c.p99:6.2f}   {ours.p50:12.2f} {ours.p99:6.2f}"
                      f"   {ours.p50 / c.p50:9.2f} {ours.p99 / c.p99:5.2f}  {loads[name]}", flush=True)  # fmt: skip
            well, down = (found[name] for name in ("0 ms", "down"))
            change = down[1].p50 / well[1].p50 - 1
            beside = (down[1].p50 / down[0].p50) / (well[1].p50 / well[0].p50) - 1
            print(f"{rate:7} the median from 0 ms to down: {change:+.0%}, as a ratio to C's {beside:+.0%}", flush=True)
        load.close()


if __name__ == "__main__":
    main()
