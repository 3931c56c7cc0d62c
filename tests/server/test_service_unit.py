"""The systemd unit: what it promises about order and restarts, and how far it is hardened."""

from __future__ import annotations

import re
import shutil
import subprocess
from configparser import ConfigParser

import pytest

from product import PROJECT

UNIT = PROJECT / "conf/callsign.service"
WORST_EXPOSURE = 2.0
"""On systemd's scale from 0 to 10; most services have 9."""


class Repeated(ConfigParser):
    """A unit's keys as they are written; of one that is given twice, the last."""

    optionxform = staticmethod(str)  # type: ignore[assignment]


@pytest.fixture
def unit() -> Repeated:
    found = Repeated(strict=False, interpolation=None)
    found.read(UNIT)
    return found


def test_asterisk_starts_after_it_and_also_without_it(unit: Repeated) -> None:
    assert unit["Unit"]["Before"].split() == ["asterisk.service", "freepbx.service"]
    needed = {"Requires", "Requisite", "BindsTo", "PartOf", "RequiredBy"}
    assert not needed & {key for section in unit.values() for key in section}


def test_it_is_watched_and_started_again_at_once(unit: Repeated) -> None:
    service = unit["Service"]
    assert (service["Type"], service["NotifyAccess"], service["Restart"]) == ("notify", "main", "always")
    assert service["RestartSec"] == "100ms"
    assert service["WatchdogSec"] == "10"


def test_its_listener_is_kept_and_every_wait_for_a_server_ends(unit: Repeated) -> None:
    service = unit["Service"]
    assert service["FileDescriptorStoreMax"] == "1"
    assert int(unit["Unit"]["StartLimitBurst"]) > 1
    for name in ("TimeoutStartSec", "TimeoutStopSec", "TimeoutAbortSec"):
        assert 0 < int(service[name]) <= 20


def test_what_it_makes_belongs_to_its_group_and_to_nobody_else(unit: Repeated) -> None:
    service = unit["Service"]
    assert (service["User"], service["Group"], service["UMask"]) == ("callsign", "callsign", "0007")
    assert (service["StateDirectory"], service["StateDirectoryMode"]) == ("callsign", "2770")
    assert (service["RuntimeDirectory"], service["RuntimeDirectoryMode"]) == ("callsign", "0700")
    assert service["RuntimeDirectoryPreserve"] == "yes"


def test_no_line_of_its_hardening_is_missing(unit: Repeated) -> None:
    """Some count for nothing on systemd's scale, or make up for one another there."""
    service = unit["Service"]
    kernel = ("KernelLogs", "KernelModules", "KernelTunables")
    wanted = {f"Protect{what}": "yes" for what in ("Clock", "ControlGroups", "Home", "Hostname", *kernel)}
    wanted |= {f"Private{what}": "yes" for what in ("Devices", "Mounts", "Tmp", "Users")}
    wanted |= {f"Restrict{what}": "yes" for what in ("Namespaces", "Realtime", "SUIDSGID")}
    wanted |= dict.fromkeys(("LockPersonality", "MemoryDenyWriteExecute", "NoNewPrivileges", "RemoveIPC"), "yes")
    wanted |= {"ProtectSystem": "strict", "ProtectProc": "invisible", "SystemCallArchitectures": "native"}
    wanted |= {"CapabilityBoundingSet": "", "AmbientCapabilities": "", "LimitCORE": "0", "DevicePolicy": "closed"}
    assert {key: service.get(key) for key in wanted} == wanted
    assert set(service["RestrictAddressFamilies"].split()) == {"AF_INET", "AF_INET6", "AF_UNIX"}


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd-analyze")
def test_it_is_hardened() -> None:
    rate = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(UNIT)]
    told = subprocess.run(rate, capture_output=True, text=True, check=True).stdout
    figure = re.search(r"Overall exposure level for callsign.service: ([0-9.]+)", told)
    assert figure
    assert float(figure[1]) <= WORST_EXPOSURE, told


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd-analyze")
def test_systemd_understands_every_line(tmp_path_factory: pytest.TempPathFactory) -> None:
    copy = tmp_path_factory.mktemp("unit") / UNIT.name
    program = shutil.which("true")
    copy.write_text(re.sub(r"(?m)^ExecStart=.*", f"ExecStart={program}", UNIT.read_text()))
    told = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, check=False)
    assert [line for line in told.stderr.splitlines() if "callsign" in line] == []
