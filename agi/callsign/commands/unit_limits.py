"""What the service's unit keeps from the service: files that lie out of its sight, folders it may not write to.

Sources: systemd.exec(5), "Sandboxing" and "Paths"; systemd-run(1).
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from callsign.settings.load import DEFAULT_PATH
from callsign.settings.sections import Settings

UNIT = "callsign.service"
LOOK_SECONDS = 10.0  # systemctl only reads files
RUN_SECONDS = 60.0

DECIDES_ON_FILES = {
    *("User", "Group", "SupplementaryGroups", "UMask", "Environment", "StateDirectory", "StateDirectoryMode"),
    *("ProtectHome", "ProtectSystem", "PrivateTmp", "PrivateUsers", "RootDirectory", "TemporaryFileSystem"),
    *("ReadWritePaths", "ReadOnlyPaths", "InaccessiblePaths", "BindPaths", "BindReadOnlyPaths"),
    *("CapabilityBoundingSet", "AmbientCapabilities", "NoNewPrivileges"),
}
"""The unit's settings that a trial takes over; each is known to every systemd that has `systemd-run --pipe`."""

Lines = Sequence[tuple[str, str]]


def lines_of_unit() -> Lines:
    """The unit's [Service] lines, its drop-ins' behind them; none where systemd has no such unit."""
    output = _output_of(["systemctl", "cat", UNIT], LOOK_SECONDS)
    found, section = [], ""
    for line in output.replace("\\\n", " ").splitlines():
        name, equals, value = line.partition("=")
        if line.startswith("["):
            section = line.strip()
        elif section == "[Service]" and equals and not line.startswith(("#", ";")):
            found.append((name.strip(), value.strip()))
    return found


def are_of_service(settings: Settings, lines: Lines) -> bool:
    """Whether the service reads these settings, not a file that somebody tries out."""
    named = (value for name, value in lines if name in ("ExecStart", "Environment"))
    return settings.source == DEFAULT_PATH or any(settings.source in value for value in named)


def hidden(settings: Settings, lines: Lines) -> list[str]:
    """A warning for each file of the settings that the unit's own lists keep from the service."""
    if not are_of_service(settings, lines):
        return []
    homes = ["/home", "/root", "/run/user"] if last(lines, "ProtectHome") in ("yes", "true", "1", "on", "tmpfs") else []
    own_tmp = ["/tmp", "/var/tmp"] if last(lines, "PrivateTmp") in ("yes", "true", "1", "on") else []  # noqa: S108
    out_of_sight = [*homes, *own_tmp, *_all(lines, "InaccessiblePaths")]
    sections = map(settings.section, settings.accounts)
    authorities = [section.verify for section in sections if isinstance(getattr(section, "verify", True), str)]
    store = settings.outbox.path.parent
    found = []
    files = map(str, (*settings.folder, *settings.files))
    for path in dict.fromkeys([settings.source, *files, *authorities, str(store)]):
        if below := _below(path, out_of_sight):
            found.append(f"{path}: {UNIT} keeps {below} out of the service's sight: let it lie elsewhere")
    writable = [*_all(lines, "ReadWritePaths"), *(f"/var/lib/{name}" for name in _all(lines, "StateDirectory"))]
    if last(lines, "ProtectSystem") == "strict" and not _below(str(store), writable):
        mend = f"systemctl edit callsign: [Service], ReadWritePaths={store}"
        found.append(f"[outbox] path: {UNIT} lets the service write below {', '.join(writable)} only; {mend}")
    return found


def run_inside(lines: Lines, command: Sequence[str]) -> str:
    """What a command prints where the service would run; empty where it cannot be run so."""
    limits = [f"--property={name}={value}" for name, value in lines if name in DECIDES_ON_FILES]
    return _output_of(["systemd-run", "--quiet", "--collect", "--wait", "--pipe", *limits, "--", *command], RUN_SECONDS)


def _output_of(command: Sequence[str], seconds: float) -> str:
    """What it prints; empty where it cannot be run."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False).stdout  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return ""


def last(lines: Lines, wanted: str) -> str:
    """The value that counts of a setting; empty where the unit has none."""
    return next((value for name, value in reversed(lines) if name == wanted), "")


def _all(lines: Lines, wanted: str) -> list[str]:
    found: list[str] = []
    for name, value in lines:
        if name == wanted:  # an empty one takes back those before
            found = [*found, *(path.lstrip("-+") for path in value.split())] if value else []
    return found


def _below(path: str, folders: Sequence[str]) -> str:
    """The folder in which `path` lies, links followed; else empty."""
    real = Path(os.path.realpath(path))
    return next((folder for folder in folders if real.is_relative_to(os.path.realpath(folder))), "")
