"""What a machine's files are, to be compared: who owns them, who may use them, what is in them."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

# What runs, or what keeps house, writes these: they are nobody's installation.
NOT_COMPARED = (
    *("/dev", "/proc", "/run", "/tmp", "/opt/python3", "/usr/src", "/var/log", "/var/spool", "/var/cache"),
    *("/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-", "/etc/.pwd.lock"),
    "/var/lib/asterisk/astdb.sqlite3",
)


def tree(machine: Path) -> dict[str, tuple[str, str]]:
    """Path -> ("MODE OWNER:GROUP", what it is)."""
    users, groups = names(machine / "etc/passwd"), names(machine / "etc/group")
    found = {}
    for folder, folders, files in os.walk(machine):
        inside = Path(folder).relative_to(machine)
        folders[:] = [name for name in folders if f"/{inside / name}" not in NOT_COMPARED]
        for name in [*folders, *files]:
            path = f"/{inside / name}"
            if path in NOT_COMPARED:
                continue
            seen = os.lstat(machine / inside / name)
            owner = f"{users.get(seen.st_uid, seen.st_uid)}:{groups.get(seen.st_gid, seen.st_gid)}"
            found[path] = (f"{stat.S_IMODE(seen.st_mode):o} {owner}", content(machine / inside / name, seen, path))
    return found


def content(file: Path, seen: os.stat_result, path: str) -> str:
    if stat.S_ISDIR(seen.st_mode):
        return "folder"
    if stat.S_ISLNK(seen.st_mode):
        return f"link to {os.readlink(file)}"
    if not stat.S_ISREG(seen.st_mode):
        return "special"
    if path.startswith("/usr/") and not path.startswith("/usr/local"):
        return f"{seen.st_size} bytes of {seen.st_mtime_ns}"
    return hashlib.sha256(file.read_bytes()).hexdigest()


def names(file: Path) -> dict[int, str]:
    fields = [line.split(":") for line in file.read_text().splitlines()]
    return {int(parts[2]): parts[0] for parts in fields}


def new(before: dict[str, tuple[str, str]], after: dict[str, tuple[str, str]]) -> dict[str, str]:
    """Path -> "MODE OWNER:GROUP" of what came."""
    return {path: after[path][0] for path in after if path not in before}


def changed(before: dict[str, tuple[str, str]], after: dict[str, tuple[str, str]]) -> set[str]:
    """Paths that are there still, but are not as they were, or are gone."""
    return {path for path in before if after.get(path) != before[path]}
