"""`callsign cluster`: the PostgreSQL by which several hosts share the work, looked at, upgraded, rid of a lost host."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from callsign.commands import all_hosts, check_cluster, common, health
from callsign.commands.all_hosts import Silent, view_of
from callsign.record import asdict, replace
from callsign.settings.secret import Secret
from callsign.settings.sections import Cluster, Settings

EPILOG = """\
examples:
  callsign cluster check
  sudo callsign cluster upgrade
  callsign cluster forget pbx2

upgrade asks for the password of callsign_owner; forget is for a host that is gone for good.
How to set it up: callsign help cluster
exit status: 0 good or done, 1 not so, 2 wrong usage or settings"""

OWNER = "callsign_owner"

Told = tuple[bool, list[str], dict[str, Any]]
"""Whether it is good or done; lines for a person; values for a program."""


def arguments(parser: common.Parser) -> None:
    """What may stand on the command line."""
    common.settings_option(parser)
    common.json_option(parser)
    text = "check: what this host finds; upgrade: makes the tables or changes them; forget: a dead host"
    parser.add_argument("what", metavar="check|upgrade|forget", choices=("check", "upgrade", "forget"), help=text)
    parser.add_argument("host", metavar="HOST", nargs="?", help="forget: this one")
    text = f"upgrade: the role that owns the tables (default {OWNER})"
    parser.add_argument("--user", metavar="ROLE", default=OWNER, help=text)
    parser.add_argument("--password-file", metavar="FILE", help="upgrade: its password, else it is asked for")


def run(options: common.Options) -> int:
    """Does one of them."""
    if (options.what == "forget") != (options.host is not None):
        raise common.UsageFault("forget wants a HOST" if options.what == "forget" else "only forget takes a HOST")
    given = _read(options.password_file) if options.password_file else None  # while root may
    settings = common.settings_and_store(options)  # else root would read what the service cannot
    section = settings.cluster
    if section is None:
        raise common.UsageFault(f"{settings.source} has no [cluster]: see callsign help cluster")
    if not check_cluster.has_driver():
        raise common.UsageFault(check_cluster.NO_DRIVER)
    if options.what == "upgrade":
        is_good, lines, values = _upgrade(section, options.user, given or _asked(options.user))
    elif options.what == "forget":
        is_good, lines, values = _forget(section, options.host)
    else:
        is_good, lines, values = _check(settings, section)
    if options.json:
        common.print_json({"ok": is_good, **values})
    else:
        common.print_lines(lines)
    return common.DONE if is_good else common.FAILED


def _check(settings: Settings, section: Cluster) -> Told:
    from callsign.cluster.care import look
    from callsign.cluster.connection import DatabaseFault

    warnings = check_cluster.warnings(settings)
    try:
        care = look(section)
    except DatabaseFault as fault:
        words = f"PostgreSQL: {fault}"
        return False, [f"fault: {words}", *_warned(warnings)], {"faults": [words], "warnings": warnings}
    tls = "with TLS, its certificate verified" if care.is_encrypted else "without TLS, which stays on this machine"
    lines = [
        f"PostgreSQL {care.server} answers as role {care.role} in {care.milliseconds} ms, {tls}",
        f"tables of version {care.version}; clocks are not compared: none of a host's counts",
    ]
    warnings += care.warnings
    hosts: list[dict[str, Any]] = []
    if not care.faults:
        found = all_hosts.figures(section, settings.outbox.path, health.server(settings)[1])
        hosts = found["hosts"]
        lines += all_hosts.lines(found)
    lines += [f"fault: PostgreSQL: {words}" for words in care.faults] + _warned(warnings)
    return not care.faults, lines, {**asdict(care), "warnings": warnings, "hosts": hosts}


def _warned(warnings: list[str]) -> list[str]:
    return [f"warning: {words}" for words in warnings]


def _upgrade(section: Cluster, role: str, password: Secret | None) -> Told:
    from callsign.cluster.care import upgrade
    from callsign.cluster.connection import DatabaseFault

    database = f"{section.database} user={role}"
    try:
        before, after = upgrade(replace(section, database=database, password=password))
    except DatabaseFault as fault:
        return False, [f"fault: PostgreSQL: {fault}"], {"faults": [str(fault)]}
    done = f"tables of version {after}" + ("" if before == after else f", before {before or 'none'}")
    return True, [f"{done}; the roles callsign and callsign_view may use them"], {"before": before, "version": after}


def _read(file: str) -> Secret:
    try:
        return Secret(Path(file).read_text(encoding="utf-8").strip("\n"))
    except (OSError, UnicodeError) as fault:
        raise common.UsageFault(f"--password-file: {fault}") from None


def _asked(role: str) -> Secret | None:
    """None where there is nobody to ask: libpq may find it (PGPASSWORD)."""
    if not sys.stdin.isatty():
        return None
    from getpass import getpass

    return Secret(getpass(f"Password of {role}: "))


def _forget(section: Cluster, name: str) -> Told:
    try:
        with view_of(section) as view:
            is_done = view.forget(name)
            hosts = {host.name: host for host in view.hosts()[0]}
    except Silent as fault:
        return False, [all_hosts.silence(str(fault))], {"faults": [str(fault)]}
    if is_done:
        return True, [f"{name} is listed no more"], {"host": name}
    if name not in hosts:
        words = f"there is no host {name}; there are {', '.join(hosts) or 'none'}"
    elif not hosts[name].dead:
        words = f"{name} is not dead: end callsign there; the others declare it dead when its lease is over"
    else:
        words = (
            f"jobs of {name} wait still: another host takes them within seconds, if it has their sections; "
            "what none has expires in its time"
        )
    return False, [words], {"faults": [words]}
