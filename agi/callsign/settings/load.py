"""callsign.toml -> frozen settings; every fault named with its section and key."""

from __future__ import annotations

import os
import stat
import time
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_address
from pathlib import Path
from typing import Any

from callsign.log_text import printable
from callsign.phone_numbers import knows_country
from callsign.record import Record, fields
from callsign.settings import readers as read
from callsign.settings import text as config_text
from callsign.settings.sections import SECTIONS, Server, Settings

DEFAULT_PATH = "/etc/callsign/callsign.toml"
MAX_SECRET_BYTES = 4096
MAX_NAME_CHARACTERS = 60
MAX_FAULT_CHARACTERS = 400
SETTLE_SECONDS = 0.3
"""A file that was changed more recently may still be being written: it is looked at again."""

MOST_LOOKS = 10


class ConfigError(Exception):
    """The settings cannot be used; `faults` has one line for each thing to mend."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


def path_of(option: str | None) -> Path:
    """Which file: the `--config` option, else $CALLSIGN_CONFIG, else /etc/callsign/callsign.toml."""
    return Path(option or os.environ.get("CALLSIGN_CONFIG") or DEFAULT_PATH)


def load(path: Path, thorough: bool = False) -> tuple[Settings, list[str]]:
    """The settings in `path`, and warnings about them.  Raises ConfigError with every fault at once.

    `thorough` also looks up the country in the numbering plans, which take 50 ms to load: the server
    and `check` do, a plain AGI script that only stores a notification does not.
    """
    try:
        content, warnings = _settled(path)
        tree = config_text.tree(content, SECTIONS)
    except OSError as fault:
        hint = (
            "let this user read it"
            if isinstance(fault, PermissionError)
            else "--config or $CALLSIGN_CONFIG can name another"
        )
        raise ConfigError([f"{path}: cannot be read: {fault.strerror}; {hint}"]) from fault
    except ValueError as fault:
        raise ConfigError([f"{path}: {fault}"]) from None
    reader = _Reader(path)
    settings = reader.whole(tree)
    if thorough and not knows_country(settings.numbers.country):
        reader.fault("[numbers] country", f'no numbering plan is known for "{settings.numbers.country}"')
    if reader.faults:
        raise ConfigError(reader.faults)
    return settings, warnings + reader.warnings


def _settled(path: Path) -> tuple[bytes, list[str]]:
    """What is in the file once nobody has written to it for `SETTLE_SECONDS`, and warnings.  Raises OSError."""
    for _ in range(MOST_LOOKS):
        with path.open("rb") as file:
            warnings = _open_to_others(path, file.fileno())
            content = file.read()
            read = os.fstat(file.fileno())
        age = time.time() - read.st_mtime
        if abs(age) >= SETTLE_SECONDS or not stat.S_ISREG(read.st_mode):  # what comes through a pipe comes once
            break
        time.sleep(SETTLE_SECONDS - abs(age))
    return content, warnings


def _is_open_to_all(server: Server) -> bool:
    """Whether it listens beyond this machine, and `allow` leaves nobody out, in one network or in several."""
    host = ip_address(server.listen[0])
    whole: list[IPv4Network | IPv6Network] = []
    whole += collapse_addresses(network for network in server.allow if isinstance(network, IPv4Network))
    if host.version == 6:  # IPv4 comes there too
        whole += collapse_addresses(network for network in server.allow if isinstance(network, IPv6Network))
    return not host.is_loopback and any(network.prefixlen == 0 for network in whole)


def _open_to_others(path: Path, file: int) -> list[str]:
    if os.fstat(file).st_mode & (stat.S_IROTH | stat.S_IWOTH):
        return [f"{path}: others on this machine can read it; chmod 640 {path}"]
    return []


class _Reader:
    """Walks the parsed file and notes every fault instead of stopping at the first."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.faults: list[str] = []
        self.warnings: list[str] = []
        self.files: list[Path] = []

    def whole(self, tree: dict[str, object]) -> Settings:
        found: dict[str, Any] = {}
        for name, value in tree.items():
            section = SECTIONS.get(name)
            if section is None and not isinstance(value, dict | list):
                self.fault(_name(name), f"stands before any [section]{_home_of(name)}")
            elif section is None:
                self.fault(f"[{_name(name)}]", f"unknown section{_nearest(name, SECTIONS)}")
            elif not isinstance(value, dict):
                self.fault(name, f"is a section: write [{name}] on a line of its own")
            else:
                found[name] = self.section(section, f"[{name}]", value)
        settings = Settings(source=str(self.path))
        if not self.faults:
            settings = Settings(**found, source=str(self.path), files=tuple(self.files))
            self.cross_check(settings)
        return settings

    def cross_check(self, settings: Settings) -> None:
        """What no single value shows."""
        if _is_open_to_all(settings.server):
            address = settings.server.listen[0]
            self.warnings.append(
                f"[server] allow: whoever reaches {address} can do there what the dialplan can: notify the CRM, start "
                "and stop recordings, read balances, last calls and phones, change a phone's profile; "
                "let only the addresses of your Asterisks in"
            )
        if settings.kalliope is not None:  # a default is not read by its reader
            self.keep({}, "timezone", "[kalliope] timezone", read.timezone, settings.kalliope.timezone)
        section = settings.skarabee
        if section is None:
            return
        seen: set[str] = set()
        for n, office in enumerate(section.offices):
            if office.businessid in seen:
                self.fault(f"[[skarabee.office]] {n}: businessid", "another office has this one")
            seen.add(office.businessid)
        owner: dict[str, str] = {}
        for n, office in enumerate(section.office, 1):
            for number in {number.replace(" ", "") for number in office.numbers}:
                if owner.setdefault(number, office.businessid) != office.businessid:
                    whose = f"one of these is office {owner[number]}'s already"
                    self.fault(f"[[skarabee.office]] {n}: numbers", f"{whose}: a call to it has one office")
        if section.clock != "unix":  # a default is not read by its reader
            self.keep({}, "timezone", "[skarabee] timezone", read.timezone, section.timezone)

    def section(self, kind: type[Record], label: str, table: dict[str, object]) -> Any:
        known = fields(kind)
        files = {f"{name}_file": name for name, f in known.items() if f.metadata.get("reader") is read.secret}
        values: dict[str, object] = {}
        for name, value in table.items():
            where = f"{label} {_name(name)}"
            if name in files:
                self.keep(values, files[name], where, self.secret_from_file, value)
            elif name not in known:
                self.fault(where, f"unknown key{_nearest(name, [*known, *files])}")
            elif inner := known[name].metadata.get("tables"):
                values[name] = self.tables(inner, f"[[{label.strip('[]')}.{name}]]", value)
            else:
                self.keep(values, name, where, known[name].metadata["reader"], value)
        for name, declared in known.items():
            given = name in table or f"{name}_file" in table
            if not declared.has_default and not given:
                or_file = f" (or {name}_file)" if f"{name}_file" in files else ""
                self.fault(f"{label} {name}{or_file}", "is missing")
            if name in table and f"{name}_file" in table:
                self.fault(f"{label} {name}", f"given twice, as {name} and as {name}_file")
        return None if self.faults else kind(**values)

    def tables(self, kind: type[Record], label: str, value: object) -> tuple[Any, ...]:
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self.fault(label, f"wanted tables: write {label} on a line of its own")
            return ()
        return tuple(self.section(kind, f"{label} {n}:", item) for n, item in enumerate(value, 1))

    def keep(self, values: dict[str, object], name: str, where: str, reader: Any, value: object) -> None:
        try:
            read.all_seen(value)
            values[name] = reader(value)
        except ValueError as fault:
            self.fault(where, str(fault))

    def fault(self, where: str, what: str) -> None:
        self.faults.append(printable(f"{self.path}: {where}: {what}", MAX_FAULT_CHARACTERS))

    def secret_from_file(self, value: object) -> Any:
        path = read.absolute_path(value)
        self.files.append(path)
        try:
            if path.exists() and not path.is_file():  # a pipe would never end
                raise ValueError(f"{path} is no regular file")
            with path.open("rb") as file:
                self.warnings += _open_to_others(path, file.fileno())
                content = file.read(MAX_SECRET_BYTES + 1)
        except OSError as fault:
            raise ValueError(f"{path} cannot be read: {fault.strerror}") from None
        if len(content) > MAX_SECRET_BYTES:
            raise ValueError(f"{path} is too large for a key")
        try:
            text = config_text.decoded(content).strip()
            read.all_seen(text)
            return read.secret(text)
        except ValueError as fault:
            raise ValueError(f"{path}: {fault}") from None


def _name(key: str) -> str:
    return printable(key, MAX_NAME_CHARACTERS)


def _home_of(name: str) -> str:
    homes = [f"[{section}]" for section, kind in SECTIONS.items() if name in fields(kind)]
    return f"; it belongs under {' or '.join(homes)}" if homes else ""


def _nearest(name: str, known: Any) -> str:
    if unseen := config_text.unseen(name):
        return f": {unseen}, which nobody sees"
    import difflib  # only where something is misspelt

    close = difflib.get_close_matches(_name(name).lower(), list(known), n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; known are {', '.join(known)}"
