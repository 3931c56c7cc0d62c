"""What a host with [cluster] needs on its machine: PostgreSQL's driver, and a name for its Asterisk."""

from __future__ import annotations

from importlib.util import find_spec

from callsign.commands import asterisk_conf
from callsign.settings.sections import Settings

NO_DRIVER = "psycopg, PostgreSQL's driver, is not installed: sudo ./install.sh adds it; until then this host is alone"


def warnings(settings: Settings) -> list[str]:
    """What an administrator should mend, nothing without [cluster]."""
    if settings.cluster is None:
        return []
    found = [] if has_driver() else [f"[cluster] {NO_DRIVER}"]
    options = asterisk_conf.read()
    if options is not None and not options.get("systemname"):  # None: no Asterisk here, or not for this user's eyes
        found.append(
            "[cluster] asterisk.conf has no systemname: calls of two hosts can have the same unique id; "
            f"[options] systemname = {settings.cluster.host}, and a restart of Asterisk, mend that"
        )
    return found


def has_driver() -> bool:
    """Whether this Python finds it."""
    return find_spec("psycopg") is not None
