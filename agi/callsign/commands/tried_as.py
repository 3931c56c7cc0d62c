"""Root's `check`: the settings and the store as those find them who need them, the service's user and Asterisk's.

Root can read what they cannot, and the service runs within its unit's limits.
"""

from __future__ import annotations

import errno
import json
import os
import pwd
import sys
from pathlib import Path
from typing import TypedDict

from callsign.commands import asterisk_conf, checks, unit_limits
from callsign.settings.load import ConfigError, load
from callsign.settings.sections import Settings

CODE = Path(__file__).resolve().parents[2]
SERVICE_USER = "callsign"


class Findings(TypedDict):
    """What one of them finds."""

    faults: list[str]  # it cannot do its work
    warnings: list[str]


def findings_of_both(settings: Settings) -> Findings:
    """What the service's user and Asterisk's find; nothing where this is not root, or these are not the service's."""
    lines = unit_limits.lines_of_unit()
    service = service_user(lines)
    if os.geteuid() != 0 or service is None or not unit_limits.are_of_service(settings, lines):
        return Findings(faults=[], warnings=[])
    path = Path(settings.source)
    look_there = ["/usr/bin/env", f"PYTHONPATH={CODE}", sys.executable, "-m", "callsign.commands.tried_as", str(path)]
    output = unit_limits.run_inside(lines, look_there) if lines else ""
    seen: dict[str, Findings] = {
        f"{service.pw_name} (the service)": json.loads(output) if output else _as_user(service, True, path)
    }
    if (asterisk := asterisk_user()) is not None and asterisk.pw_uid:
        # One that was started with -G has given up its groups: then only an ACL lets it in, where one can be kept.
        seen[f"{asterisk.pw_name} (the plain script)"] = _as_user(asterisk, not _keeps_acl(path), path)
    return Findings(
        faults=[f"as the user {who}: {line}" for who, found in seen.items() for line in found["faults"]],
        warnings=list(dict.fromkeys(line for found in seen.values() for line in found["warnings"])),
    )


def findings(path: Path) -> Findings:
    """What `check` says to whoever runs this."""
    try:
        settings, warnings = load(path, check_country=True)
    except ConfigError as fault:
        return Findings(faults=fault.faults, warnings=[])
    closed = checks.closed_to_us(settings.outbox.path)
    found = checks.check(settings, warnings).warnings
    return Findings(faults=closed, warnings=[line for line in found if line not in closed])


def service_user(lines: unit_limits.Lines) -> pwd.struct_passwd | None:
    """Whom the unit names, else whom the installer makes; None where it was not run."""
    try:
        return pwd.getpwnam(unit_limits.last(lines, "User") or SERVICE_USER)
    except KeyError:
        return None


def asterisk_user() -> pwd.struct_passwd | None:
    """Whom Asterisk runs as, as install.sh finds it: its settings say so, else who owns its database's folder."""
    options = asterisk_conf.read()
    if options is None:
        return None
    try:
        if "runuser" in options:
            return pwd.getpwnam(options["runuser"])
        return pwd.getpwuid(os.stat(options.get("astvarlibdir", asterisk_conf.VAR_LIB)).st_uid)
    except (OSError, KeyError):
        return None


def _keeps_acl(path: Path) -> bool:
    try:
        os.getxattr(path, "system.posix_acl_access")
    except OSError as fault:
        return fault.errno != errno.ENOTSUP
    return True


def _as_user(user: pwd.struct_passwd, with_groups: bool, path: Path) -> Findings:
    """What that user sees."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups(os.getgrouplist(user.pw_name, user.pw_gid) if with_groups else [])
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
            with os.fdopen(writer, "w") as answer:
                json.dump(findings(path), answer)
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    unknown = Findings(faults=["what this user sees could not be found out"], warnings=[])
    found: Findings = json.loads(text) if text else unknown
    return found


if __name__ == "__main__":
    print(json.dumps(findings(Path(sys.argv[1]))))
