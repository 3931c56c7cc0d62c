"""Whether the server answers and what its store holds, as values: for `status` and `check`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from callsign import SYSTEMS, clocks
from callsign.agi import ping
from callsign.commands import common, questions
from callsign.notification import State
from callsign.outbox.aside import found_aside
from callsign.outbox.reader import OutboxReader
from callsign.outbox.shown import Questions, Summary
from callsign.outbox.values import StoreBroken
from callsign.record import asdict
from callsign.server import listening
from callsign.settings.accounts import name_of, system_of
from callsign.settings.sections import Settings

PING_SECONDS = 2.0  # a server that is well answers within milliseconds
HOUR_SECONDS = 3600.0
_SAID = re.compile(r"CALLSIGN(VERSION|SETTINGS|LEASE|STORE)=([^,\"\n]+)")
FAILED = (State.REFUSED.value, State.EXPIRED.value, State.SUPERSEDED.value)


def status(settings: Settings, faults: Sequence[str] = ()) -> dict[str, Any]:
    """Whether the server answers, and what the store holds, by settings that may have `faults`.

    Raises OutboxError if the store may not be read.
    """
    running, said = server(settings)
    known: dict[str, Summary] = {}
    asked: dict[str, Questions] = {}
    store = settings.outbox.path
    is_there = common.store_is_there(store)
    trouble = store_troubles(store)
    try:
        if is_there:
            known, asked = _summaries(store)
    except StoreBroken as fault:
        trouble.append(f"{fault}; the server sets it aside within minutes, or at its next start")
    if running["running"] and not is_there:  # a server makes its store when it starts
        trouble.append(f"the store {store} is not there though the server runs: it cannot be made; see [outbox] path")
    if "STORE" in said:
        trouble.append(f"the server cannot write to the store {store}, and calls get ERROR: its log says why")
    accounts = sorted({*known, *asked, *settings.accounts}, key=_in_order)
    systems = {
        account: {
            **_of_account(account, known.get(account) or Summary({})),
            "questions": questions.values(asked.get(account)),
        }
        for account in accounts
    }
    totals = {what: sum(entry[what] for entry in systems.values()) for what in ("waiting", "delivered", "failed")}
    differ = bool(settings.stamp) and "SETTINGS" in said and said["SETTINGS"] != settings.stamp
    about = {"settings": settings.source, "settings_differ": differ, "settings_faults": list(faults)}
    found = {**running, **about, "store_trouble": "; ".join(trouble), **totals, "systems": systems}
    if settings.cluster is not None:
        from callsign.commands import all_hosts

        found["cluster"] = all_hosts.figures(settings.cluster, settings.outbox.path, said)
    return found


def settings_troubles(found: Mapping[str, Any]) -> list[str]:
    """What is the matter with the settings that lie there, in a line or more; none if the server runs with them."""
    if found["settings_faults"]:
        goes_on = "; the server goes on with those that it has read" if found["running"] else ""
        return [f"the settings cannot be used{goes_on}:", *(f"    {fault}" for fault in found["settings_faults"])]
    if found["settings_differ"]:
        reload = "systemctl reload callsign, or SIGHUP; see its log if they stay"
        return [f"the settings in {found['settings']} are not those that it runs with: {reload}"]
    return []


def store_troubles(store: Path) -> list[str]:
    """What was set aside and lies there still: somebody is to look at it."""
    lost = found_aside(store)
    return [f"a store was lost and is kept as {path}: see what can be had of it, then move it away" for path in lost]


def server(settings: Settings) -> tuple[dict[str, Any], dict[str, str]]:
    """Whether the server answers; and what it says of itself: VERSION, SETTINGS, LEASE; STORE if that is stuck."""
    shown = listening.format_address(settings.server.listen)
    said: dict[str, str] = {}
    try:
        said = dict(_SAID.findall(ping.play(settings.server.listen, PING_SECONDS)))
    except OSError as fault:
        trouble = f"agi://{shown}/ping: {fault}"
    else:
        trouble = "" if said else "it listens but does not admit this machine: see [server] allow"
    version = said.get("VERSION", "")
    return {"running": bool(version), "address": shown, "version": version, "trouble": trouble}, said


def _summaries(store: Path) -> tuple[dict[str, Summary], dict[str, Questions]]:
    """Of the notifications, and of the questions."""
    with closing(OutboxReader(store)) as reader:
        found = reader.summaries()
        for system, count in reader.failed_since(clocks.wall() - HOUR_SECONDS).items():
            if system in found:
                found[system].failed_last_hour = count
        return found, reader.questions(clocks.wall() - HOUR_SECONDS)


def _in_order(account: str) -> tuple[int, str]:
    system = system_of(account)
    return SYSTEMS.index(system) if system in SYSTEMS else len(SYSTEMS), account


def _of_account(account: str, found: Summary) -> dict[str, Any]:
    oldest = found.oldest_waiting_at
    return {
        "system": system_of(account),
        "account": name_of(account),
        "waiting": 0,
        "delivered": 0,
        "failed": sum(found.counts.get(state, 0) for state in FAILED),
        **found.counts,
        "failed_last_hour": found.failed_last_hour,
        "oldest_waiting_seconds": None if oldest is None else round(max(0.0, clocks.wall() - oldest), 1),
        "next_try": found.next_try,
        "last_success": None if found.last_success is None else asdict(found.last_success),
        "last_trouble": None if found.last_trouble is None else asdict(found.last_trouble),
    }
