"""The same job done as dialplans do it today, beside callsign: the median step of each.

    CALLSIGN_ASTERISK_22=ROOT python tests/bench/comparators.py [calls]

One call at a time runs them all, each first in its turn: `CURL()` with the signature by `SHELL(openssl)`; a
plain script with pyst2 and requests; a pystrix FastAGI server with requests in its handler (in an environment
of the bench's own, made at the first run); callsign's plain script; callsign's server.  The C server is the
baseline.  The scripts run in Asterisk's root on the same copy of Python.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from bench_parts import (
    C_STEP,
    CALLED,
    CALLER,
    CALLSIGN_STEP,
    HERE,
    PROJECT,
    Load,
    Times,
    asterisk_with,
    c_server,
    callsign,
    dialplan_of,
    load_average,
    machine,
    process,
    sections,
    vendor,
)

import chroot_python
from real_asterisk import RealAsterisk

PYSTRIX = ("pystrix==1.3.0", "requests>=2.32.3,<3")
MODULES = ("res_curl", "func_curl", "func_shell")
VENDORS: dict[str, float | None] = {"0 ms": 0, "300 ms": 300, "down": None}

QUERY = f"businessid=8103&phoneto={CALLED}&phonefrom={CALLER}&timestamp=${{NOW}}&hash=${{HASH}}"
SIGN = f"printf %s 8103{CALLED}{CALLER}${{NOW}} | {{openssl}} dgst -sha256 -hmac key -r | cut -d' ' -f1"
CURL_STEP = (
    "Set(CURLOPT(conntimeout)=3)\n same => n,Set(CURLOPT(httptimeout)=10)\n same => n,Set(NOW=${EPOCH})\n"
    f" same => n,Set(HASH=${{SHELL({SIGN}):0:64}})\n"
    f" same => n,Set(ANSWER=${{CURL(${{VENDOR}}?{QUERY},)}})\n same => n,Set(BARESTATUS=OK)"
)
STEPS = {
    "C server": C_STEP,
    "CURL and openssl": CURL_STEP,
    "pyst2 script": f"AGI(pyst2.agi,${{VENDOR}},{CALLED})",
    "pystrix server": f"AGI(${{PYSTRIX}}/skarabee,${{VENDOR}},{CALLED})",
    "callsign script": "AGI(callsign-${WAY}.agi,skarabee,phoneto=" + CALLED + ",call=${CHANNEL(linkedid)})",
    "callsign server": CALLSIGN_STEP,
}


def bench_python() -> Path:
    """A Python with pystrix and requests, and nothing of ours."""
    cache = Path(os.environ.get("CALLSIGN_CACHE", Path.home() / ".cache/callsign"))
    folder = cache / "bench-venv"
    python = folder / "bin/python"
    if subprocess.run([python, "-c", "import pystrix, requests"], check=False).returncode if python.exists() else True:
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PYSTRIX], check=True)
    return python


def install_openssl(asterisk: RealAsterisk) -> None:
    """Into Asterisk's folder, with the libraries and the loader it was linked with."""
    program = Path(shutil.which("openssl") or "openssl")
    folder = asterisk.folder / "openssl"
    folder.mkdir()
    shutil.copy2(program, folder / "program")
    loader = chroot_python._copy_libraries(folder, [program])
    inside = asterisk.inside(folder)
    start = f'exec {inside}/libraries/{loader} --library-path {inside}/libraries {inside}/program "$@"\n'
    chroot_python.write_program(folder / "openssl", start)


def install_scripts(asterisk: RealAsterisk, ports: dict[str, int]) -> None:
    for way, port in ports.items():
        settings = f'[outbox]\npath = "{{folder}}/{way}.db"\n{sections(port)}'
        asterisk.install_plain_agi(PROJECT, settings, f"callsign-{way}.agi")
        own = asterisk.folder / f"etc/{way}.toml"  # each has settings of its own
        (asterisk.folder / "etc/callsign.toml").rename(own)
        script = asterisk.folder / f"agi-bin/callsign-{way}.agi"
        script.write_text(script.read_text().replace("callsign.toml", own.name))
    python = chroot_python.install_python(asterisk.root, PROJECT / "agi/requirements.txt")
    shutil.copy2(HERE / "pyst2_script.py", asterisk.folder / "agi-bin")
    inside = asterisk.inside(asterisk.folder / "agi-bin/pyst2_script.py")
    chroot_python.write_program(asterisk.folder / "agi-bin/pyst2.agi", f'exec {python} {inside} "$@"\n')


def main() -> None:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    python = bench_python()
    print(machine())
    names = {name.replace(" ", ""): name for name in STEPS}
    steps = {name.replace(" ", ""): step for name, step in STEPS.items()}
    found: dict[str, dict[str, Times]] = {}
    with (
        asterisk_with("") as asterisk,
        c_server() as c_port,
        process(python, HERE / "pystrix_server.py") as (pystrix_port, _),
        vendor(0) as at_once,
        vendor(300) as late,
        vendor(None) as nobody,
    ):
        install_openssl(asterisk)
        openssl = asterisk.inside(asterisk.folder / "openssl/openssl")
        asterisk.load("bench", dialplan_of(steps).replace("{openssl}", openssl))
        for module in MODULES:
            asterisk.action("ModuleLoad", Module=f"{module}.so", LoadType="load")
        ports = dict(zip(VENDORS, (at_once, late, nobody), strict=True))
        install_scripts(asterisk, {way.replace(" ", ""): port for way, port in ports.items()})
        load = Load(asterisk, list(steps))
        load.set_global(C=f"agi://127.0.0.1:{c_port}", PYSTRIX=f"agi://127.0.0.1:{pystrix_port}")
        for way, port in ports.items():
            with callsign(port) as server:
                load.set_global(CALLSIGN=server.url, VENDOR=f"http://127.0.0.1:{port}/", WAY=way.replace(" ", ""))
                found[way] = load.run_one_by_one(calls)
        load.close()
    print(f"{'median ms (ratio to C)':<22}" + "".join(f"{way:>19}" for way in found) + f"   load {load_average()}")
    for key, name in names.items():
        cells = [(times[key].p50, times[key].p50 / times["Cserver"].p50) for times in found.values()]
        print(f"{name:<22}" + "".join(f"{median:11.2f} ({ratio:5.1f})" for median, ratio in cells))


if __name__ == "__main__":
    main()
