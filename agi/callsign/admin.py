"""What the commands do, each with settings or a store in and lines for a person or a program out."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from callsign import clocks
from callsign.answering import Services, answer
from callsign.asterisk_side import Call, Conduct, run_fastagi
from callsign.dialplan_step import read_step
from callsign.outbox import Outbox, OutboxError
from callsign.outbox_reader import JobRow, OutboxReader
from callsign.script_delivery import ScriptDelivery
from callsign.settings import SYSTEMS, Settings
from callsign.vendors import VENDORS
from callsign.vendors.signing import Explained

PING_SECONDS = 2.0


def check(settings: Settings, warnings: Sequence[str]) -> dict[str, object]:
    """What was read, and what an administrator should look at though it is no fault."""
    found = list(warnings)
    folder = settings.outbox.path.parent
    if not folder.is_dir():
        found.append(f"[outbox] path: the folder {folder} does not exist yet; the server tries to make it")
    elif not os.access(folder, os.W_OK | os.X_OK):
        found.append(f"[outbox] path: this user cannot write to {folder}")
    elif folder.stat().st_mode & stat.S_IRWXO:
        found.append(f"[outbox] path: others on this machine can look into {folder}, which holds callers' numbers")
    sections = [name for name in SYSTEMS if getattr(settings, name) is not None]
    if not sections:
        found.append("no vendor has a section: every path will answer ERROR")
    for name in sections:
        if str(getattr(settings, name).url).startswith("http://"):
            found.append(f"[{name}] url: http:// sends calls and signatures unprotected; fit only for a sandbox")
    return {"settings": settings.source, "systems": sections, "warnings": found}


def sign(system: str, given: Mapping[str, str], settings: Settings) -> Explained:
    """The text to sign and the signature.  Raises ValueError naming what is wrong or missing."""
    vendor = VENDORS.get(system)
    if vendor is None:
        raise ValueError(f"system {system!r} is unknown, known are {', '.join(VENDORS)}")
    for name in given:
        if name not in vendor.signed_names:
            raise ValueError(f"{name}: unknown, {system} signs {', '.join(vendor.signed_names)}")
    return vendor.explain(settings, given, clocks.wall())


def call(request: str, args: Sequence[str], env: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """Runs one handler as a plain AGI script would, and delivers unless another process does."""
    outbox = Outbox(settings.outbox.path, settings.outbox.durability, settings.outbox.keep_days)
    try:
        share = ScriptDelivery(outbox, settings)
        services = Services(lambda: settings, outbox, share.delivery, share.begin)
        told = answer(read_step(env, args, request=request), services)
        if any(value for name, value in told.items() if name.endswith("JOB")):
            share.deliver_rest(linger=False)
        return told
    finally:
        outbox.close()


def status(settings: Settings) -> dict[str, object]:
    """Whether the server answers, and what the store holds.  Raises OutboxError if it cannot be read."""
    host, port = settings.server.listen
    shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    ping = run_fastagi(f"agi://{shown}/ping", Call(), conduct=Conduct(timeout_seconds=PING_SECONDS))
    version = ping.variables.get("CALLSIGNVERSION", "")
    found: dict[str, object] = {"running": bool(version), "address": shown, "version": version, "trouble": ""}
    if not version:
        listens = ping.status != "FAILURE"
        found["trouble"] = "it listens but does not admit this machine: see [server] allow" if listens else ping.trouble
    try:
        if not settings.outbox.path.exists():
            return {**found, "systems": {}}
    except PermissionError as fault:
        raise OutboxError(f"this user may not look into {settings.outbox.path.parent}") from fault
    reader = OutboxReader(settings.outbox.path)
    try:
        counts, lasts = reader.counts(), reader.last_of_each()
    finally:
        reader.close()
    systems: dict[str, dict[str, object]] = {}
    for system, state, count, oldest in counts:
        entry = systems.setdefault(system, {})
        entry[state] = count
        if state == "waiting":
            entry["oldest_waiting_seconds"] = round(max(0.0, clocks.wall() - oldest), 1)
    for system, success, at, reason in sorted(lasts, key=lambda row: row[2]):
        entry = systems.setdefault(system, {})
        entry["last_success" if success else "last_trouble"] = {"at": at, "reason": reason}
    return {**found, "systems": systems}


def jobs(store: Path, wanted: Mapping[str, object]) -> list[dict[str, object]]:
    """The jobs that fit, each with its life if one is asked for by id.  Raises OutboxError."""
    reader = OutboxReader(store)
    try:
        rows = reader.jobs(**wanted)  # type: ignore[arg-type]
        found = [asdict(row) for row in rows]
        if wanted.get("job") is not None:
            for row, shown in zip(rows, found, strict=True):
                shown["life"] = [asdict(line) for line in reader.life_of(row.job)]
        return found
    finally:
        reader.close()


def job_line(row: Mapping[str, object]) -> str:
    """One job for a person."""
    told = JobRow(**{name: row[name] for name in JobRow.__slots__})  # type: ignore[arg-type]
    at = moment(told.at)
    next_try = f" next try {moment(told.next_try)}" if told.next_try else ""
    reason = f" {told.reason}" if told.reason else ""
    head = f"{told.job:>6}  {at}  {told.state:<10} {told.action:<12} call={told.call}"
    return f"{head} attempts={told.attempts}{next_try}{reason}"


def moment(at: float | None) -> str:
    """Epoch seconds as local time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at)) if at else "-"


def life_lines(row: Mapping[str, object]) -> list[str]:
    """A job's life, a line each; none unless it was asked for."""
    lines = []
    life = row.get("life")
    for line in life if isinstance(life, list) else []:
        took = f"  {line['milliseconds']:.0f} ms" if line["milliseconds"] is not None else ""
        lines.append(f"        {moment(line['at'])}  {line['event']:<10}{took}  {line['reason']}".rstrip())
    return lines


def status_lines(found: Mapping[str, object]) -> list[str]:
    """`status` for a person."""
    running = f"running, version {found['version']}" if found["running"] else f"NOT RUNNING: {found['trouble']}"
    lines = [f"server at {found['address']}: {running}"]
    systems = found["systems"]
    for system, entry in systems.items() if isinstance(systems, dict) else ():
        counts = ", ".join(f"{state} {number}" for state, number in entry.items() if isinstance(number, int))
        lines.append(f"{system}: {counts or 'no jobs'}")
        for name, text in (("last_success", "last success"), ("last_trouble", "last trouble")):
            if name in entry:
                lines.append(f"    {text} {moment(entry[name]['at'])} {entry[name]['reason']}".rstrip())
    return lines
