"""What PostgreSQL says of all hosts where the settings have a [cluster], or why it says nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from callsign import clocks
from callsign.commands.check_cluster import NO_DRIVER, has_driver
from callsign.commands.common import store_is_there
from callsign.commands.moments import format_moment as moment
from callsign.outbox.reader import OutboxReader
from callsign.outbox.values import OutboxError
from callsign.record import asdict
from callsign.settings.sections import Cluster

if TYPE_CHECKING:
    from callsign.cluster.view import View

UNPUBLISHED_SECONDS = 5.0
"""A job that is younger may be on its way there."""

MOST_COMPARED = 1000
"""Of what waits here, the newest."""


class Silent(Exception):
    """PostgreSQL says nothing; the text says why."""


@contextmanager
def view_of(section: Cluster) -> Iterator[View]:
    """All hosts, for as long as it lasts.  Raises Silent, also out of what is done within."""
    if not has_driver():
        raise Silent(NO_DRIVER)
    from callsign.cluster.connection import DatabaseFault
    from callsign.cluster.view import View

    try:
        with closing(View(section)) as view:
            yield view
    except DatabaseFault as fault:
        raise Silent(str(fault)) from None


def figures(section: Cluster, store: Path, said: Mapping[str, str]) -> dict[str, Any]:
    """What `status` shows of the hosts; where PostgreSQL is silent that trouble alone.

    `said` is what this host's server says of itself, empty where it does not run.
    """
    found: dict[str, Any] = {"host": section.host, "lease": section.lease, "trouble": ""}
    found["server_trouble"] = _of_server(said)
    try:
        with view_of(section) as view:
            hosts, waiting, slots = view.hosts()
            late = _unpublished(store, view)
    except Silent as fault:
        return found | {"trouble": str(fault), "hosts": [], "waiting": []}
    rows = []
    for host in hosts:
        mine: dict[str, Any] = {"waiting": sum(one.count for one in waiting if one.host == host.name)}
        mine |= {"slots": {system: count for (name, system), count in slots.items() if name == host.name}}
        rows.append({**asdict(host), "silent_seconds": round(host.silent_seconds, 1), **mine})
    oldest = {"unpublished": len(late), "oldest_unpublished_seconds": round(max(late, default=0.0), 1)}
    return found | {"hosts": rows, "waiting": [asdict(one) for one in waiting], **oldest}


def _unpublished(store: Path, view: View) -> list[float]:
    """The ages of what waits here and the others do not know."""
    try:
        if not store_is_there(store):
            return []
        with closing(OutboxReader(store)) as reader:
            limit = clocks.wall() - UNPUBLISHED_SECONDS
            jobs = reader.jobs(state="waiting", until=limit, most=MOST_COMPARED)
            store_id = reader.store_id()
    except OutboxError:  # which is told of the store
        return []
    known = view.known(store_id, [job.job for job in jobs]) if store_id else {}
    return [clocks.wall() - job.at for job in jobs if job.job not in known]


def troubles(found: Mapping[str, Any]) -> list[str]:
    """What of `figures` somebody should look at."""
    if found["trouble"]:
        return [silence(found["trouble"])]
    lines = [f"host {host['name']} is dead: {_last_seen(host)}" for host in found["hosts"] if host["dead"]]
    if found["server_trouble"]:
        lines.append(found["server_trouble"])
    if found["unpublished"]:
        lines.append(_not_published(found))
    return lines


def _of_server(said: Mapping[str, str]) -> str:
    """What is the matter with this host's server as one of several, empty if nothing is."""
    if "LEASE" in said:
        return "" if float(said["LEASE"]) else "this host's server goes on alone: its log says why"
    return "this host's server has begun without [cluster]: systemctl restart callsign" if said else ""


def silence(words: str) -> str:
    """One line of why there is nothing of the other hosts."""
    return f"[cluster] PostgreSQL is silent, this host goes on alone: {words}"


def lines(found: Mapping[str, Any]) -> list[str]:
    """`figures` for a person."""
    if found["trouble"]:
        return [silence(found["trouble"])]
    told = ["hosts that share the work:"]
    for host in found["hosts"]:
        name = f"{host['name']} (this one)" if host["name"] == found["host"] else host["name"]
        told.append(f"    {name}: {_life_of(host, found)}")
    systems: dict[str, tuple[int, float]] = {}
    for one in found["waiting"]:
        count, oldest = systems.get(one["system"], (0, 0.0))
        systems[one["system"]] = count + one["count"], max(oldest, one["oldest_seconds"])
    told += [
        f"    over all {system}: waiting {count}, the oldest {oldest:.0f} s"
        for system, (count, oldest) in sorted(systems.items())
    ]
    told += [f"    {found['server_trouble']}"] if found["server_trouble"] else []
    if found["unpublished"]:
        told.append(f"    {_not_published(found)}")
    return told


def _life_of(host: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    slots = "".join(f", {count} places at {system}" for system, count in sorted(host["slots"].items()))
    if host["dead"]:
        how = f"DEAD, {_last_seen(host)}"
    elif host["silent_seconds"] > found["lease"]:
        how = f"SILENT, {_last_seen(host)}"
    else:
        how = f"alive since {moment(host['since'])}"
    return f"{how}, life {host['life']}, version {host['version']}, waiting {host['waiting']}{slots}"


def _last_seen(host: Mapping[str, Any]) -> str:
    return f"last seen {moment(clocks.wall() - host['silent_seconds'])}"


def _not_published(found: Mapping[str, Any]) -> str:
    age = f"{found['oldest_unpublished_seconds']:.0f} s"
    return f"{found['unpublished']} jobs of this host are not known to the others yet, the oldest for {age}"
