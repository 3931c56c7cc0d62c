"""The settings as values: one frozen class per section of callsign.toml.

A field's `setting(...)` names the reader that turns the TOML value into ours (`readers`); what
has no default must be given.  A field read by `secret` may be given as `NAME_file = "/path"` instead.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any

from callsign import SYSTEMS
from callsign.phone_numbers import NumberPatterns
from callsign.record import MISSING, Record, field
from callsign.settings import readers as read
from callsign.settings.accounts import name_of, system_of
from callsign.settings.database import database
from callsign.settings.secret import Secret


def setting(reader: Callable[[object], Any], default: object = MISSING) -> Any:
    """A field that `reader` fills; it raises ValueError saying what was wanted."""
    return field(default=default, metadata={"reader": reader})


class Server(Record):
    """[server]: where Asterisk finds us, and who may connect."""

    listen: tuple[str, int] = setting(read.address, ("127.0.0.1", 4591))
    allow: tuple[IPv4Network | IPv6Network, ...] = setting(read.networks, read.networks(["127.0.0.1", "::1"]))
    metrics: tuple[str, int] | None = setting(read.address, None)  # where Prometheus may look; None: nowhere


class OutboxSection(Record):
    """[outbox]: where notifications are kept until they are delivered, and how hard they are written."""

    path: Path = setting(read.absolute_path, Path("/var/lib/callsign/outbox.db"))
    durability: str = setting(read.choice("interval", "full"), "interval")
    keep_days: float = setting(read.number(0, 3650), 7.0)


class Numbers(Record):
    """[numbers]: how numbers are dialled here, and how the vendors get them."""

    country: str = setting(read.country, "BE")
    format: str = setting(read.choice("national", "e164", "asis"), "national")
    internal: NumberPatterns = setting(read.patterns, NumberPatterns())


class Office(Record):
    """[[skarabee.office]]: one office, chosen by its id, its name or the numbers it owns."""

    businessid: str = setting(read.digits)
    key: Secret = setting(read.secret)
    numbers: tuple[str, ...] = setting(read.texts, ())
    name: str = setting(read.account_name, "")  # the office is an account of that name


class Skarabee(Record):
    """[skarabee]: the CRM, its first office, and further ones."""

    url: str = setting(read.url)
    businessid: str = setting(read.digits)
    key: Secret = setting(read.secret)
    clock: str = setting(read.choice("unix", "local", "auto"), "unix")
    timezone: str = setting(read.timezone, "Europe/Brussels")
    anonymous: str = setting(read.choice("skip", "send"), "skip")
    phoneto: Mapping[str, str] = field(default_factory=dict, metadata={"reader": read.number_table})
    office: tuple[Office, ...] = ()

    @property
    def offices(self) -> tuple[Office, ...]:
        """All offices, the section's own first."""
        return (Office(self.businessid, self.key), *self.office)


class Noojee(Record):
    """[noojee]: the recorder."""

    url: str = setting(read.url)
    key: Secret = setting(read.secret)
    auth: str = setting(read.choice("hash", "apikey"), "hash")
    verify: bool | str = setting(read.verify, True)


class Mor(Record):
    """[mor]: Kolmisoft's billing."""

    url: str = setting(read.url)
    user: str = setting(read.text)
    key: Secret = setting(read.secret)
    params_in: str = setting(read.choice("body", "query"), "body")
    verify: bool | str = setting(read.verify, True)


class Kalliope(Record):
    """[kalliope]: the PBX whose call history is asked."""

    url: str = setting(read.url)
    username: str = setting(read.header_text)
    password: Secret = setting(read.secret)
    domain: str = setting(read.header_text, "default")
    timezone: str = setting(read.timezone, "Europe/Rome")
    verify: bool | str = setting(read.verify, True)


class Sraps(Record):
    """[sraps]: snom's provisioning service."""

    url: str = setting(read.url)
    key_id: str = setting(read.header_text)
    key_secret: Secret = setting(read.secret)
    accept: str = setting(read.header_text, "application/json; version=v1")
    verify: bool | str = setting(read.verify, True)


class Cluster(Record):
    """[cluster]: the PostgreSQL by which several hosts know of each other."""

    database: str = setting(database)
    password: Secret | None = setting(read.secret, None)
    host: str = field(default_factory=lambda: os.uname().nodename, metadata={"reader": read.account_name})
    patience: float = setting(read.number(0.05, 10), 1.0)  # seconds that a delivery, never a call, waits for its answer
    lease: float = setting(read.number(3, 60), 5.0)  # so long after its last sign of life others take a host's jobs
    pooled: bool = setting(read.yes_or_no, False)  # behind a pgbouncer that cannot keep prepared statements


class Settings(Record):
    """All that the files say; a vendor without a section is None."""

    server: Server = field(default_factory=Server)
    outbox: OutboxSection = field(default_factory=OutboxSection)
    numbers: Numbers = field(default_factory=Numbers)
    skarabee: Skarabee | None = None
    noojee: Noojee | None = None
    mor: Mor | None = None
    kalliope: Kalliope | None = None
    sraps: Sraps | None = None
    cluster: Cluster | None = None  # None: this host is alone
    source: str = ""  # the file's name, for messages
    files: tuple[Path, ...] = ()  # further files that were read, of one key each
    folder: tuple[Path, ...] = ()  # those of callsign.d that were read
    stamp: str = field(default="", compare=False)  # of all these files, as they were when they were read
    further: Mapping[str, Record] = field(default_factory=dict)  # the sections of further accounts: "noojee.antwerp"

    def section(self, account: str) -> Any:
        """What a vendor may see of the settings besides `numbers`; None where there is no such account."""
        return self.further.get(account) if name_of(account) else getattr(self, system_of(account), None)

    @property
    def accounts(self) -> tuple[str, ...]:
        """All accounts, by vendor, a vendor's own section first."""
        own = [system for system in SYSTEMS if getattr(self, system) is not None]
        return tuple(sorted([*own, *self.further], key=lambda account: SYSTEMS.index(system_of(account))))


HAVE_ACCOUNTS = frozenset(("noojee", "mor", "kalliope", "sraps"))
"""Whose section may have others in it: [noojee.antwerp].  Of Skarabee an office with a name is one."""

SECTIONS: dict[str, type[Record]] = {
    "server": Server,
    "outbox": OutboxSection,
    "numbers": Numbers,
    "skarabee": Skarabee,
    "noojee": Noojee,
    "mor": Mor,
    "kalliope": Kalliope,
    "sraps": Sraps,
    "cluster": Cluster,
}
