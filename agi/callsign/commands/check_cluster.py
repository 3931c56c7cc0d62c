"""What one of several hosts needs on its machine: a name for its Asterisk, with [cluster] PostgreSQL's driver."""

from __future__ import annotations

import os
from importlib.util import find_spec

from callsign.commands import asterisk_conf
from callsign.settings.database import pairs_of
from callsign.settings.sections import Settings

NO_DRIVER = "psycopg, PostgreSQL's driver, is not installed: sudo ./install.sh adds it; until then this host is alone"

CERTIFICATES = ("sslrootcert", "sslcert", "sslkey")


def warnings(settings: Settings) -> list[str]:
    """What an administrator should mend; nothing where neither [cluster] nor the dialplan knows of another host."""
    found = [] if settings.cluster is None or has_driver() else [f"[cluster] {NO_DRIVER}"]
    if settings.cluster is not None:
        found += _unreadable(settings.cluster.database)
    options = asterisk_conf.read()
    if options is None or options.get("systemname"):  # None: no Asterisk here, or not for this user's eyes
        return found
    if settings.cluster is not None:
        found.append(
            "[cluster] asterisk.conf has no systemname: calls of two hosts can have the same unique id; "
            f"[options] systemname = {settings.cluster.host}, and a restart of Asterisk, mend that"
        )
    elif asterisk_conf.names_own_hosts(options):
        found.append(
            "CALLSIGN_OWN_HOSTS: no call keeps its name on another host, for asterisk.conf has no systemname; "
            f"[options] systemname = {os.uname().nodename}, and a restart of Asterisk, mend that"
        )
    return found


def _unreadable(database: str) -> list[str]:
    """Certificates that this user cannot read: the driver would say so only when it connects."""
    found, said = [], pairs_of(database)
    for name in CERTIFICATES:
        if (file := said.get(name, "system")) != "system":  # that one is a word of libpq's
            try:
                os.close(os.open(file, os.O_RDONLY | os.O_NONBLOCK))  # a pipe would have to be waited for
            except OSError as fault:
                found.append(f"[cluster] database: {name} {file} cannot be read: {fault.strerror}")
    return found


def has_driver() -> bool:
    """Whether this Python finds it."""
    return find_spec("psycopg") is not None
