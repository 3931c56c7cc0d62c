"""What `check` and `sign` do: settings in, values for a person or a program out."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from callsign import SYSTEMS, clocks, inspection
from callsign.outbox import OutboxError
from callsign.outbox_reader import OutboxReader
from callsign.settings import Settings
from callsign.vendors import VENDORS
from callsign.vendors.signing import Explained


@dataclass(frozen=True, slots=True)
class Checked:
    """The settings as `check` found them, which have no fault."""

    settings: str  # the file
    systems: list[str]  # vendors with a section
    warnings: list[str]


def check(settings: Settings, warnings: Sequence[str]) -> Checked:
    """What was read, and what an administrator should look at though it is no fault."""
    found = [*warnings, *(f"[outbox] path: {words}" for words in _of_store(settings.outbox.path))]
    metrics = settings.server.metrics
    if metrics is not None and not ip_address(metrics[0]).is_loopback:
        found.append(f"[server] metrics: whoever reaches {metrics[0]} can read them; 127.0.0.1 keeps them here")
    sections = [name for name in SYSTEMS if getattr(settings, name) is not None]
    if not sections:
        found.append("no vendor has a section: every path will answer ERROR")
    for name in sections:
        if str(getattr(settings, name).url).startswith("http://"):
            found.append(f"[{name}] url: http:// sends calls and signatures unprotected; fit only for a sandbox")
    return Checked(settings.source, sections, found)


def _of_store(store: Path) -> Iterator[str]:
    folder = store.parent
    if not folder.is_dir():
        yield f"the folder {folder} does not exist yet; the server tries to make it"
        return
    if not os.access(folder, os.W_OK | os.X_OK):
        yield f"this user cannot write to {folder}"
        return
    mode = folder.stat().st_mode
    if mode & stat.S_IRWXO:
        yield f"others on this machine can look into {folder}, which holds callers' numbers"
    if not mode & stat.S_ISGID:
        yield f"files that another user makes in {folder} may not open to the server: chmod g+s {folder}"
    try:
        yield from inspection.store_troubles(store)
        if store.exists():
            with closing(OutboxReader(store)) as reader:
                reader.check()
    except OutboxError as fault:
        yield str(fault)


def sign(system: str, given: Mapping[str, str], settings: Settings) -> Explained:
    """The text to sign and the signature.  Raises ValueError naming what is wrong or missing."""
    vendor = VENDORS.get(system)
    if vendor is None:
        raise ValueError(f"system {system!r} is unknown, known are {', '.join(VENDORS)}")
    return vendor.explain(settings, given, clocks.wall())
