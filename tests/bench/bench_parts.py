"""What the programs of this folder share: servers in processes of their own, a paced load of calls, figures.

Each program is run by hand, as root, with `CALLSIGN_ASTERISK_22` naming an Asterisk root as `tests/run`
makes it, by the Python that runs the tests.  All figures are of one machine and minute: quote the ratios.
"""

from __future__ import annotations

import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROJECT = Path(os.environ.get("CALLSIGN_BENCH_PROJECT", HERE.parents[1]))
"""Another tree of the project may be measured with this one's programs."""

sys.path[:0] = [str(PROJECT / "agi"), str(PROJECT / "tests/kit"), str(HERE.parent / "asterisk")]

from callsign.agi.block import CLEAN_CONTEXT  # noqa: E402
from product import Product  # noqa: E402
from real_asterisk import RealAsterisk  # noqa: E402

CALLER, CALLED = "056528999", "056528998"
DISCARD = 9  # nobody listens at this port
NOW = "${STRFTIME(,,%s%6q)}"
AFTER_LAST_SECONDS = 30.0


def asterisk_with(dialplan: str, files: dict[str, str] | None = None) -> RealAsterisk:
    """Asterisk 22 with that dialplan, not started yet."""
    return RealAsterisk(Path(os.environ["CALLSIGN_ASTERISK_22"]), "22", dialplan, files)


@contextmanager
def process(*command: str | Path) -> Iterator[tuple[int, int]]:
    """A server in a process of its own, which prints its port: (port, process id)."""
    with subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        try:
            yield int(running.stdout.readline()), running.pid
        finally:
            running.kill()


@contextmanager
def c_program(name: str, *arguments: str) -> Iterator[int]:
    """The server of `name`.c, built now; its port."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / name
        subprocess.run(["gcc", "-O2", "-pthread", "-o", program, HERE / f"{name}.c"], check=True)
        with process(program, *arguments) as (port, _):
            yield port


@contextmanager
def c_server() -> Iterator[int]:
    """The baseline; its port."""
    with c_program("c_server") as port:
        yield port


@contextmanager
def vendor(milliseconds: float | None, receipts: str = "") -> Iterator[int]:
    """A vendor that answers after that time, or is down (None); its port."""
    if milliseconds is None:
        yield DISCARD
        return
    with c_program("slow_vendor", str(milliseconds), receipts) as port:
        yield port


def sections(port: int) -> str:
    """Settings that lead to a vendor on loopback."""
    return f'[skarabee]\nurl = "http://127.0.0.1:{port}/"\nbusinessid = "8103"\nkey = "key"\n'


class Server(Product):
    """Its log is taken away in large pieces: read line by line here, it would slow down who places the calls."""

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._keep(line)
            if "listens on" in line:
                break
        while os.read(self.process.stderr.fileno(), 1 << 20):
            time.sleep(0.05)


@contextmanager
def callsign(port: int, further: str = "") -> Iterator[Product]:
    """The server as a process, with its vendor at `port`, `further` sections and a store of its own."""
    with tempfile.TemporaryDirectory() as folder, Server(Path(folder), sections(port) + further) as server:
        yield server
        server.kill()


def resident_mb(pid: int) -> float:
    """What a process holds in memory."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) / 1024


def cpu_seconds(pid: int) -> float:
    """Processor time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def agi_block(url: str, number: int, *arguments: str) -> bytes:
    """What Asterisk 22 sends at the beginning of a FastAGI session, for a call of its own per number."""
    lines = {
        "network": "yes",
        "network_script": url.split("/", 3)[3],
        "request": url,
        "channel": f"Local/0@bench-{number:08x};2",
        "language": "en",
        "type": "Local",
        "uniqueid": f"1700000000.{number}",
        "version": "22.10.1",
        "callerid": CALLER,
        "calleridname": "Bench",
        "callingpres": "0",
        "callingani2": "0",
        "callington": "0",
        "callingtns": "0",
        "dnid": "unknown",
        "rdnis": "unknown",
        "context": CLEAN_CONTEXT,
        "extension": "s",
        "priority": "1",
        "enhanced": "0.0",
        "accountcode": "",
        "threadid": "140000000000000",
        **{f"arg_{place}": text for place, text in enumerate(arguments, 1)},
    }
    return "".join(f"agi_{name}: {value}\n" for name, value in lines.items()).encode() + b"\n"


# -- calls -------------------------------------------------------------------------------------------


def dialplan_of(steps: dict[str, str]) -> str:
    """A call at `EXTEN@bench` runs each step, in the order of the digits of EXTEN, and notes the times of all."""
    text = "[bench]\n"
    names = list(steps)
    said = "".join(f"${{{status}}}" for status in STATUSES)
    for turn in range(len(names)):
        order = names[turn:] + names[:turn]
        text += f"exten => {turn},1,Set(CALLERID(num)={CALLER})\n"
        text += "".join(f" same => n,Gosub({context_of(name, steps)},s,1)\n" for name in order)
        noted = " ".join(f"${{{name}0}} ${{{name}1}} ${{{name}SAYS}}" for name in names)
        text += f" same => n,Set(FILE(${{NOTES}},,,al,u)={noted})\n same => n,Hangup()\n"
    for name, step in steps.items():
        text += f"[{context_of(name, steps)}]\nexten => s,1,Set({name}0={NOW})\n same => n,{step}\n"
        text += f" same => n,Set({name}1={NOW})\n"
        text += f' same => n,Set({name}SAYS=${{IF($["{said}" = ""]?-:+)}})\n'
        text += "".join(f" same => n,Set({status}=)\n" for status in STATUSES) + " same => n,Return()\n"
    return text


CALLSIGN_STEP = f"AGI(${{CALLSIGN}}/skarabee,phoneto={CALLED},call=${{CHANNEL(linkedid)}})"
C_STEP = "AGI(${C}/x)"
STATUSES = ("BARESTATUS", "CALLSIGNSTATUS", "SKARABEESTATUS")


def context_of(name: str, steps: dict[str, str]) -> str:
    """Ours runs where the shipped dialplan runs it, whose arguments the server need not ask Asterisk about."""
    return CLEAN_CONTEXT if steps[name] == CALLSIGN_STEP else f"bench-{name}"


@dataclass
class Times:
    """Milliseconds of one step, call by call."""

    values: list[float]

    @property
    def p50(self) -> float:
        return statistics.median(self.values)

    @property
    def p99(self) -> float:
        return sorted(self.values)[int(0.99 * len(self.values))]

    def __add__(self, other: Times) -> Times:
        return Times(self.values + other.values)


class Load:
    """Places calls on a running Asterisk at a pace of its own, whatever becomes of them (an open loop)."""

    def __init__(self, asterisk: RealAsterisk, names: Sequence[str]) -> None:
        self._asterisk = asterisk
        self._names = list(names)
        self._numbers = 0
        text = (asterisk.folder / "etc/manager.conf").read_text()
        port, secret = (re.search(rf"^{word} = (\S+)", text, re.MULTILINE) for word in ("port", "secret"))
        assert port
        assert secret
        asterisk.action("Events", EventMask="off")  # nobody looks at them, and each call has several
        self._socket = socket.create_connection(("127.0.0.1", int(port[1])))
        self._send(f"Action: Login\r\nUsername: harness\r\nSecret: {secret[1]}\r\nEvents: off\r\n\r\n")

    def close(self) -> None:
        """The manager's connection ends; calls go on."""
        self._socket.close()

    def set_global(self, **values: str) -> None:
        for name, value in values.items():
            self._asterisk.action("Setvar", Variable=name, Value=value)

    def run(self, rate: float, seconds: float, warm_up: float = 1.0) -> dict[str, Times]:
        """So many calls a second for so long; the times of each step, of the calls after `warm_up`."""
        notes = self._new_notes()
        calls = int(rate * (warm_up + seconds))
        began = time.monotonic()
        for number in range(calls):
            left = began + number / rate - time.monotonic()
            if left > 0:
                time.sleep(left)
            self._place(number)
        return self._times(self._wait(notes, calls), calls, int(rate * warm_up))

    def run_one_by_one(self, calls: int, warm_up: int = 3) -> dict[str, Times]:
        """Each call after the end of the one before."""
        notes = self._new_notes()
        lines = []
        for number in range(warm_up + calls):
            self._place(number)
            lines = self._wait(notes, number + 1)
        return self._times(lines, warm_up + calls, warm_up)

    def _new_notes(self) -> Path:
        self._numbers += 1
        notes = self._asterisk.folder / f"notes-{self._numbers}"
        notes.touch()
        self.set_global(NOTES=self._asterisk.inside(notes))
        return notes

    def _place(self, number: int) -> None:
        channel = f"Local/{number % len(self._names)}@bench/n"
        self._send(f"Action: Originate\r\nChannel: {channel}\r\nApplication: Wait\r\nData: 1\r\nAsync: true\r\n\r\n")

    def _wait(self, notes: Path, calls: int) -> list[list[str]]:
        end = time.monotonic() + AFTER_LAST_SECONDS
        while (text := notes.read_text()).count("\n") < calls and time.monotonic() < end:
            time.sleep(0.01)
        lines = [line.split() for line in text.splitlines()]
        return [line for line in lines if len(line) == 3 * len(self._names)]

    def _times(self, lines: list[list[str]], calls: int, warm_up: int) -> dict[str, Times]:
        if len(lines) < calls:
            print(f"  {calls - len(lines)} of {calls} calls have not ended", flush=True)
        lines = sorted(lines, key=lambda line: min(line[0::3]))[warm_up:]
        times: dict[str, Times] = {}
        for place, name in enumerate(self._names):
            mute = sum(line[3 * place + 2] != "+" for line in lines)
            if mute:
                print(f"  {mute} of {len(lines)} steps of {name} had no status", flush=True)
            times[name] = Times([(int(line[3 * place + 1]) - int(line[3 * place])) / 1000 for line in lines])
        return times

    def _send(self, text: str) -> None:
        """Takes away what Asterisk has answered so far: a thread that waited for it would cost more than a call."""
        with suppress(BlockingIOError):
            while self._socket.recv(65536, socket.MSG_DONTWAIT):
                pass
        self._socket.sendall(text.encode())


def machine() -> str:
    """What a figure is to be read with."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    processor = f"{os.cpu_count()} x {model[1] if model else '?'}"
    return f"{processor}, Python {sys.version.split()[0]}, {time.strftime('%F %H:%M')}"


def load_average() -> str:
    return Path("/proc/loadavg").read_text().split()[0]
