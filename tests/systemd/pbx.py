"""A PBX of a test's own: callsign as the installer puts it under a real systemd, a real Asterisk beside it, vendors.

Asterisk stands in its own root, on the machine's network.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from calls import Call
from load import Vendors
from product import vendor_sections
from real_asterisk import RealAsterisk
from systemd_machine import SystemdMachine
from waiting import wait_until

SETTINGS = "/etc/callsign/callsign.toml"
LONG_SECONDS = 60.0

# Milliseconds before and behind the step; its status is preset as the subroutines do it.
NOW = "${STRFTIME(,,%s.%3q)}"
DIALPLAN = f"""
[load]
exten => s,1,Set(SKARABEESTATUS=none)
 same => n,Set(BEGAN={NOW})
 same => n,AGI(agi://127.0.0.1:4591/skarabee,,056528998)
 same => n,Set(ENDED={NOW})
"""
REPORT = ("SKARABEESTATUS", "AGISTATUS", "BEGAN", "ENDED")


@dataclass(frozen=True)
class Step:
    """What one AGI() line came to."""

    status: str
    agistatus: str
    seconds: float

    @property
    def has_status(self) -> bool:
        return self.agistatus == "SUCCESS" and self.status in ("OK", "QUEUED")


class Pbx:
    def __init__(self, machine: SystemdMachine, asterisk: RealAsterisk, vendors: Vendors) -> None:
        self.machine, self.asterisk, self.vendors = machine, asterisk, vendors

    def systemctl(self, *words: str) -> None:
        done = self.machine.run(["systemctl", *words])
        assert done.returncode == 0, f"{done.stdout}{self.machine.journal('callsign')[-20:]}"

    def set_up(self, sections: str) -> None:
        """Settings, in use."""
        file = self.machine.path(SETTINGS)
        file.write_text(f'[outbox]\npath = "/var/lib/callsign/outbox.db"\n{sections}')
        self.systemctl("restart", "callsign")

    def calls(self, how_many: int, rate: float, body: Callable[[], None]) -> list[Step]:
        """So many calls, `rate` a second, while `body` runs."""
        placed: list[Call] = []

        def place() -> None:
            began = time.monotonic()
            for number in range(how_many):
                time.sleep(max(0.0, began + number / rate - time.monotonic()))
                caller = ("An office", f"0478{number:06}")
                placed.append(self.asterisk.start("s", "load", callerid=caller, report=REPORT))

        caller = threading.Thread(target=place)
        caller.start()
        try:
            body()
        finally:
            caller.join()
        return [_step(call) for call in placed]


def _step(call: Call) -> Step:
    told = call.wait(LONG_SECONDS).variables
    return Step(told["SKARABEESTATUS"], told["AGISTATUS"], float(told["ENDED"]) - float(told["BEGAN"]))


@contextmanager
def pbx_on(systemd_root: Path, asterisk_root: tuple[Path, str], scratch: Path) -> Iterator[Pbx]:
    """With callsign installed and its settings leading to `vendors`."""
    with SystemdMachine(systemd_root, scratch) as machine:
        machine.add_pbx()
        done = machine.install()
        assert done.returncode == 0, f"{done.stdout}{machine.journal('callsign')}"
        with machine.network(), Vendors() as vendors, RealAsterisk(*asterisk_root, DIALPLAN) as asterisk:
            pbx = Pbx(machine, asterisk, vendors)
            pbx.set_up(vendor_sections(vendors))
            wait_until(lambda: machine.show("callsign", "ActiveState") == "active")
            yield pbx
