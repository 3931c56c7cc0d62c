"""What the settings file and those of the folder say, put together: each section stands in one of them only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from callsign.record import Record, fields, replace
from callsign.settings import readers as read
from callsign.settings.accounts import account_of, name_of, system_of
from callsign.settings.cross_check import check_cluster, check_offices
from callsign.settings.sections import HAVE_ACCOUNTS, SECTIONS, Office, Settings, Skarabee
from callsign.settings.walk import Walk, name_shown, nearest

OFFICE = "[[skarabee.office]]"


class Section(Record):
    """A section as it stands in a file."""

    file: Path
    place: int  # in the order of all
    label: str  # "[noojee.antwerp]"; of an office with its number in that file
    keys: Mapping[str, object]


def put_together(trees: Mapping[Path, Mapping[str, Any]], walk: Walk) -> Settings:
    """The settings; no good ones where `walk` has faults afterwards."""
    stand: dict[str, Section] = {}
    offices: list[Section] = []
    for file, tree in trees.items():
        walk.file = file
        for name, value in tree.items():
            walk.place += 1
            if _is_section(name, value, walk):
                keys = dict(value)
                offices += _offices_in(name, keys, walk)
                below = _accounts_in(name, keys, walk)
                own = {name: keys} if keys or not value else {}
                _add(stand, own | below, walk)
    found: dict[str, Any] = {}
    for account in sorted(stand, key=lambda account: bool(name_of(account))):  # a section above before those below
        system, section = system_of(account), stand[account]
        walk.file, walk.place = section.file, section.place
        is_below = account != system and system in stand
        above = found.get(system) if is_below else None
        found[account] = walk.section(SECTIONS[system], section.label, section.keys, above, is_below)
        if account == "cluster":
            check_cluster(found[account], walk)
    if offices and "skarabee" not in stand:
        walk.file, walk.place = offices[0].file, offices[0].place
        walk.fault(OFFICE, "wants a section [skarabee], with url, businessid, key")
    elif offices:
        found |= _with_offices(found["skarabee"], stand["skarabee"].file, offices, walk)
    further = {account: found.pop(account) for account in list(found) if name_of(account)}
    return Settings() if walk.faults else Settings(**found, further=further)


def _is_section(name: str, value: object, walk: Walk) -> bool:
    if name not in SECTIONS and not isinstance(value, dict | list):
        homes = [f"[{section}]" for section, kind in SECTIONS.items() if name in fields(kind)]
        where = f"; it belongs under {' or '.join(homes)}" if homes else ""
        walk.fault(name_shown(name), f"stands before any [section]{where}")
    elif name not in SECTIONS:
        walk.fault(f"[{name_shown(name)}]", f"unknown section{nearest(name, SECTIONS)}")
    elif not isinstance(value, dict):
        walk.fault(name, f"is a section: write [{name}] on a line of its own")
    else:
        return True
    return False


def _offices_in(system: str, keys: dict[str, Any], walk: Walk) -> Iterable[Section]:
    """The offices, which are taken out of the keys of [skarabee]."""
    if system != "skarabee":
        return ()
    value = keys.pop("office", [])
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        walk.fault(OFFICE, f"wanted tables: write {OFFICE} on a line of its own")
        return ()
    return [Section(walk.file, walk.place, f"{OFFICE} {n}:", item) for n, item in enumerate(value, 1)]


def _accounts_in(system: str, keys: dict[str, Any], walk: Walk) -> dict[str, Mapping[str, object]]:
    """The sections below [system], which are taken out of its keys."""
    found: dict[str, Mapping[str, object]] = {}
    known = fields(SECTIONS[system])
    for name in [name for name, value in keys.items() if isinstance(value, dict) and name not in known]:
        label = f"[{system}.{name_shown(name)}]"
        if system == "skarabee":
            walk.fault(label, f'an account of Skarabee is an office: {OFFICE} with name = "{name_shown(name)}"')
            del keys[name]
        elif system in HAVE_ACCOUNTS:
            value = keys.pop(name)
            try:
                found[account_of(system, read.account_name(name))] = value
            except ValueError as fault:
                walk.fault(label, f"the name of an account: {fault}")
    return found


def _add(stand: dict[str, Section], sections: Mapping[str, Mapping[str, object]], walk: Walk) -> None:
    for account, keys in sections.items():
        label = f"[{account}]"
        if account in stand:
            walk.fault(label, f"stands in {stand[account].file} already")
        else:
            stand[account] = Section(walk.file, walk.place, label, keys)


def _with_offices(main: Skarabee | None, file: Path, offices: Iterable[Section], walk: Walk) -> dict[str, Any]:
    """[skarabee] with its offices, and each that has a name as an account; nothing where there is a fault."""
    found = []
    for section in offices:
        walk.file, walk.place = section.file, section.place
        found.append((section.file, section.label, walk.section(Office, section.label, section.keys)))
    if walk.faults or main is None:
        return {}
    check_offices(file, main.businessid, found, walk)
    whole = replace(main, office=tuple(office for *_, office in found))
    named = [office for office in whole.office if office.name]
    accounts = {
        account_of("skarabee", office.name): replace(main, businessid=office.businessid, key=office.key)
        for office in named
    }
    return {"skarabee": whole, **accounts}
