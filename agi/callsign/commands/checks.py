"""What `check` looks at in settings that have no fault: the store, the unit, what lies open to others."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import closing
from ipaddress import ip_address
from pathlib import Path

from callsign.commands import check_cluster, common, health, unit_limits
from callsign.outbox.outbox import OutboxError
from callsign.outbox.reader import OutboxReader
from callsign.record import Record
from callsign.settings.accounts import system_of
from callsign.settings.sections import Settings


class Checked(Record):
    """The settings as `check` found them, which have no fault."""

    settings: str  # the file
    folder: list[str]  # further files that were read with it
    systems: list[str]  # vendors with a section
    accounts: list[str]  # all accounts: "noojee", "noojee.antwerp"
    warnings: list[str]


def check(settings: Settings, warnings: Sequence[str]) -> Checked:
    """What was read, and what an administrator should look at though it is no fault."""
    store = settings.outbox.path
    closed = closed_to_us(store)
    found = [*warnings, *closed, *([] if closed else (f"[outbox] path: {words}" for words in _of_store(store)))]
    found += unit_limits.hidden(settings, unit_limits.lines_of_unit())
    found += check_cluster.warnings(settings)
    metrics = settings.server.metrics
    if metrics is not None and not ip_address(metrics[0]).is_loopback:
        found.append(f"[server] metrics: whoever reaches {metrics[0]} can read them; 127.0.0.1 keeps them here")
    accounts = settings.accounts
    if not accounts:
        found.append("no vendor has a section: every path will answer ERROR")
    named = set()  # an account may have the address of the section above
    for account in accounts:
        address = system_of(account), settings.section(account).url
        if address not in named and address[1].startswith("http://"):
            found.append(f"[{account}] url: http:// sends calls and signatures unprotected; fit only for a sandbox")
        named.add(address)
    systems = list(dict.fromkeys(map(system_of, accounts)))
    return Checked(settings.source, list(map(str, settings.folder)), systems, list(accounts), found)


def closed_to_us(store: Path) -> list[str]:
    """What of the store this user cannot use."""
    folder = store.parent
    try:
        os.stat(folder)
    except FileNotFoundError:
        return []
    except OSError as fault:
        return [f"[outbox] path: this user cannot look into {folder}: {fault.strerror}"]
    if not os.access(folder, os.W_OK | os.X_OK):
        return [f"[outbox] path: this user cannot write to {folder}"]
    files = [store.with_name(store.name + suffix) for suffix in ("", "-wal", "-shm", ".lock")]
    shut = [file for file in files if os.path.lexists(file) and not os.access(file, os.R_OK | os.W_OK)]
    return [f"[outbox] path: this user cannot write to {file}" for file in shut]


def _of_store(store: Path) -> Iterator[str]:
    folder = store.parent
    if not folder.is_dir():
        yield f"the folder {folder} does not exist yet; the server tries to make it"
        return
    found = folder.stat()
    if found.st_mode & stat.S_IRWXO:
        yield f"others on this machine can look into {folder}, which holds callers' numbers"
    if not found.st_mode & stat.S_ISGID:
        yield f"files that another user makes in {folder} may not open to the server: chmod g+s {folder}"
    if os.geteuid() == 0 and found.st_uid != 0:  # root opens nothing there: the service's user looks (tried_as)
        return
    try:
        yield from health.store_troubles(store)
        if common.store_is_there(store):
            with closing(OutboxReader(store)) as reader:
                reader.check()
                if reader.is_of_later_callsign():
                    yield f"the store {store} was made by a later callsign: see callsign help backup"
    except OutboxError as fault:
        yield str(fault)
