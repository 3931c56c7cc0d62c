"""The plain script's time from its start to the status set, and until the dialplan goes on, which waits for its
process to end; against an interpreter that does nothing.

    python tests/bench/script_start.py [runs]

All by turns; then what its heaviest imports take (`-X importtime`), each with all that it brings;
callsign.http.transport and what it brings load behind the status, for the delivery.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench_parts import CALLED, PROJECT, Times, agi_block, load_average, machine, sections, vendor

SCRIPT = PROJECT / "agi/agi-bin/callsign.agi"
HEAVIEST = 15


def run(command: list[str], environment: dict[str, str], number: int) -> tuple[float, float, str]:
    """Milliseconds until the status is set, and until the process has ended, as Asterisk sees them; what it said."""
    block = agi_block("agi:///callsign.agi", number)
    began = time.perf_counter()
    with subprocess.Popen(command, stdin=-1, stdout=-1, stderr=-1, env=environment) as script:
        assert script.stdin is not None
        assert script.stdout is not None
        assert script.stderr is not None
        script.stdin.write(block)
        script.stdin.flush()
        told = script.stdout.readline()
        if told.startswith(b"GET FULL VARIABLE "):  # whether the block was whole, as Asterisk answers it
            request = f"callsign.agi,skarabee,phoneto={CALLED}".encode()
            script.stdin.write(b"200 result=1 (" + told.split()[-1].replace(b"${CHANNEL(appdata)}", request) + b")\n")
            script.stdin.flush()
            told = script.stdout.readline()
        took = time.perf_counter() - began
        assert b"STATUS" in told, told
        script.stdin.write(b"200 result=0\n")
        script.stdin.flush()
        script.stdin.close()
        script.wait()
        held = time.perf_counter() - began
        said = script.stderr.read().decode()  # to its end: also the delivery is over then
        return 1000 * took, 1000 * held, said


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    nothing, ours, whole = Times([]), Times([]), Times([])
    with tempfile.TemporaryDirectory() as folder, vendor(0) as port:
        settings = Path(folder) / "callsign.toml"
        settings.touch(mode=0o600)
        settings.write_text(f'[outbox]\npath = "{folder}/outbox.db"\n{sections(port)}')
        # A cache of compiled code that can be written, whoever runs this and wherever Python lies.
        environment = {**os.environ, "CALLSIGN_CONFIG": str(settings), "PYTHONPYCACHEPREFIX": f"{folder}/compiled"}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        script = [sys.executable, str(SCRIPT), "skarabee", f"phoneto={CALLED}"]
        run(script, environment, runs + 1)
        for number in range(runs):
            began = time.perf_counter()
            subprocess.run([sys.executable, "-I", "-S", "-c", "pass"], check=True)
            nothing.values.append(1000 * (time.perf_counter() - began))
            took, held, _ = run(script, environment, number)
            ours.values.append(took)
            whole.values.append(held)
        *_, said = run([script[0], "-X", "importtime", *script[1:]], environment, runs)
        lines = re.findall(r"import time:\s+(\d+) \|\s+(\d+) \|( +)(\S+)", said)
    print(machine())
    for what, times in (("an empty Python", nothing), ("the status is set", ours), ("the dialplan goes on", whole)):
        figures = f"p50 {times.p50:6.1f} ms, best {min(times.values):6.1f} ms, ratio {times.p50 / nothing.p50:4.1f}"
        print(f"{what:<20} {figures}; load {load_average()}")
    heaviest = sorted(lines, key=lambda line: -int(line[1]))[:HEAVIEST]
    for own, total, depth, name in heaviest:
        print(f"  {int(total) / 1000:6.1f} ms {name} (itself {int(own) / 1000:.1f}, depth {len(depth) // 2})")


if __name__ == "__main__":
    main()
