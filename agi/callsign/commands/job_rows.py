"""A job as `jobs` shows it: as values for a program, as a line of a table and its life for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from callsign.commands.job_names import JobName
from callsign.commands.moments import format_moment as moment
from callsign.outbox.reader import OutboxReader
from callsign.outbox.shown import JobRow
from callsign.record import asdict
from callsign.settings.accounts import name_of, system_of

NUMBERS = ("phonefrom", "phoneto", "extenOrUniqueId", "agentLoginName")
"""Facts that name who called, or who was called."""


def values_of(job: JobRow, show_numbers: bool) -> dict[str, Any]:
    """A job as it is shown."""
    row = asdict(job)
    row["system"], row["account"] = system_of(job.system), name_of(job.system)
    facts = row.pop("facts")
    if show_numbers:
        row["numbers"] = {name: facts[name] for name in NUMBERS if name in facts and facts[name] != job.call}
    return row


def life_of(reader: OutboxReader, job: int) -> list[dict[str, Any]]:
    """What happened to it, step by step.  Raises OutboxError."""
    return [asdict(line) for line in reader.history_of(job)]


def lines(jobs: Sequence[Mapping[str, Any]]) -> list[str]:
    """A table for a person, with its header line; behind each job its life, if that was asked for."""
    heads = ["JOB", "OWNER", "TIME", "STATE", "ACTION", "ACCOUNT", "CALL", "TRIES", "NUMBERS", "REASON"]
    if all(job.get("owner") == job.get("host") for job in jobs):
        heads.remove("OWNER")
    if not any(job["account"] for job in jobs):
        heads.remove("ACCOUNT")
    if not any("numbers" in job for job in jobs):
        heads.remove("NUMBERS")
    rows = [heads, *([_cell(name, job) for name in heads] for job in jobs)]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    table = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    lives = [[], *(_life_lines(job) for job in jobs)]
    return [line for row, life in zip(table, lives, strict=True) for line in (row, *life)]


def _cell(head: str, job: Mapping[str, Any]) -> str:
    if head == "JOB":
        return str(JobName(job.get("host", ""), job["job"]))
    if head == "OWNER":
        return str(job["owner"]) or "-"
    if head == "TIME":
        return moment(job["at"])
    if head == "TRIES":
        return str(job["attempts"])
    if head == "ACCOUNT":
        return str(job["account"]) or "-"
    if head == "NUMBERS":
        return " > ".join(job.get("numbers", {}).values())
    if head == "REASON":
        return _next_try(job) + str(job["reason"])
    return str(job[head.lower()])


def _next_try(job: Mapping[str, Any]) -> str:
    if job["deadline"] is None:
        return ""
    return f"next try {moment(job['next_try'])} " if job["next_try"] else "not tried yet "


def _life_lines(job: Mapping[str, Any]) -> list[str]:
    if "life" not in job:
        return []
    lines = [_life_line(job["at"], "stored", None, "")]
    lines += [_life_line(line["at"], line["event"], line["milliseconds"], line["reason"]) for line in job["life"]]
    if job["deadline"] is not None:
        lines.append(_life_line(job["deadline"], "given up", None, "if the vendor has not taken it by then"))
    return lines


def _life_line(at: float, event: str, milliseconds: float | None, reason: str) -> str:
    took = "" if milliseconds is None else f"{milliseconds:.0f} ms"
    return f"        {moment(at)}  {event:<10} {took:>8}  {reason}".rstrip()
