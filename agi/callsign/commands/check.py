"""`callsign check`: what is wrong in the settings, for root also as those find it who need them; online."""

from __future__ import annotations

from typing import Any

from callsign.commands import checks, common, freepbx, tried_as
from callsign.record import asdict
from callsign.settings.load import load, path_of

EPILOG = """\
examples:
  sudo callsign check --online
  callsign check --config new.toml

Root's check also looks as the service's user and as Asterisk's.
exit status: 0 good, 1 somebody asked is not well (--online), 2 faulty settings or wrong usage"""


def arguments(parser: common.Parser) -> None:
    """What may stand on the command line."""
    common.settings_option(parser)
    common.json_option(parser)
    parser.add_argument(
        "--online", action="store_true", help="also asks each vendor something harmless, and PostgreSQL"
    )


def run(options: common.Options) -> int:
    """Prints what was found."""
    settings, warnings = load(path_of(options.config), check_country=True)
    found = checks.check(settings, [*warnings, *freepbx.warnings(settings)])
    others = tried_as.findings_of_both(settings)
    found.warnings.extend(line for line in others["warnings"] if line not in found.warnings)
    if others["faults"]:
        if options.json:
            common.print_json({"ok": False, "faults": others["faults"], "warnings": found.warnings})
        else:
            common.print_lines([*others["faults"], *(f"warning: {line}" for line in found.warnings)])
        return common.MISUSED
    online, database = [], None
    if options.online:
        from callsign.commands.check_online import check_online

        online = check_online(settings)
        if settings.cluster is not None:
            from callsign.commands.check_database import ask

            database = ask(settings.cluster)
            found.warnings.extend(f"[cluster] database: {words}" for words in database.warnings)
    good = all(vendor.good for vendor in online) and (database is None or database.good)
    if options.json:
        asked: dict[str, Any] = {"online": [asdict(vendor) for vendor in online]} if options.online else {}
        if database is not None:
            asked["cluster"] = asdict(database)
        common.print_json({"ok": good, **asdict(found), **asked})
        return common.DONE if good else common.FAILED
    print(f"{found.settings}: good; vendors: {', '.join(found.systems) or 'none'}")
    for file in found.folder:
        print(f"{file}: read with it")
    if further := [account for account in found.accounts if account not in found.systems]:
        print(f"further accounts: {', '.join(further)}")
    for line in found.warnings:
        print(f"warning: {line}")
    for vendor in online:
        print(vendor.line())
    if database is not None:
        print(database.line())
    return common.DONE if good else common.FAILED
