"""What no single value of the settings shows."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_address
from pathlib import Path
from typing import Any

from callsign.settings import readers as read
from callsign.settings.sections import Cluster, Office, Server, Settings
from callsign.settings.walk import Walk


def cross_check(settings: Settings, walk: Walk) -> None:
    """Warns of a server that is open to all, and notes as a fault a time zone of ours that this machine lacks."""
    if _is_open_to_all(settings.server):
        address = settings.server.listen[0]
        walk.warnings.append(
            f"[server] allow: whoever reaches {address} can do there what the dialplan can: notify the CRM, start "
            "and stop recordings, read balances, last calls and phones, change a phone's profile; "
            "let only the addresses of your Asterisks in"
        )
    zones: dict[str, Any] = {}  # a default is not read by its reader
    for account in settings.accounts:
        section = settings.section(account)
        if getattr(section, "clock", "") != "unix" and hasattr(section, "timezone"):
            zones.setdefault(section.timezone, f"[{account}] timezone")
    for zone, where in zones.items():
        walk.keep({}, "timezone", where, read.timezone, zone)


def check_cluster(cluster: Cluster | None, walk: Walk) -> None:
    """A delivery waits no longer for the database than until others may take its job."""
    if cluster is not None and cluster.patience > cluster.lease:
        walk.fault("[cluster] patience", f"is longer than lease = {cluster.lease:g}: wanted that much at most")


def check_offices(file: Path, main: str, offices: Sequence[tuple[Path, str, Office]], walk: Walk) -> None:
    """No two may have the same id, name or number; `main` is the id of [skarabee] itself, which stands in `file`."""
    ids, names, owners = {main: file}, dict[str, Path](), dict[str, tuple[Path, str]]()
    for walk.file, label, office in offices:
        if office.businessid in ids:
            walk.fault(f"{label} businessid", f"another office has this one{_in(ids[office.businessid], walk)}")
        if office.name and office.name in names:
            walk.fault(f"{label} name", f"another office is called {office.name}{_in(names[office.name], walk)}")
        ids.setdefault(office.businessid, walk.file)
        names.setdefault(office.name, walk.file)
        for number in {number.replace(" ", "") for number in office.numbers}:
            other, owner = owners.setdefault(number, (walk.file, office.businessid))
            if owner != office.businessid:
                whose = f"one of these is office {owner}'s already{_in(other, walk)}"
                walk.fault(f"{label} numbers", f"{whose}: a call to it has one office")


def _in(other: Path, walk: Walk) -> str:
    return "" if other == walk.file else f", in {other}"


def _is_open_to_all(server: Server) -> bool:
    """Whether it listens beyond this machine, and `allow` leaves nobody out, in one network or in several."""
    host = ip_address(server.listen[0])
    whole: list[IPv4Network | IPv6Network] = []
    whole += collapse_addresses(network for network in server.allow if isinstance(network, IPv4Network))
    if host.version == 6:  # IPv4 comes there too
        whole += collapse_addresses(network for network in server.allow if isinstance(network, IPv6Network))
    return not host.is_loopback and any(network.prefixlen == 0 for network in whole)
