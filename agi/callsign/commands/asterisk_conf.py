"""Asterisk's settings on this machine: where it keeps what, whom it runs as, whether it knows of further hosts."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

FILES = ("/etc/asterisk/asterisk.conf", "/usr/local/etc/asterisk/asterisk.conf")  # as install.sh looks for it
VAR_LIB = "/var/lib/asterisk"
WITH_GLOBALS = ("extensions.conf", "extensions_custom.conf", "globals_custom.conf")
MOST_BYTES = 64 << 20
OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK  # root reads in a folder of Asterisk's user


def read() -> dict[str, str] | None:
    """Its options by name; None where there is no such file, or not for this user."""
    for file in FILES:
        try:
            text = Path(file).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        return dict(re.findall(r"(?m)^[ \t]*(\w+)[ \t]*=>?[ \t]*([^;\s]+)", text))
    return None


def agi_bin() -> Path:
    """Where `AGI(NAME)` looks for a script."""
    options = read() or {}
    return Path(options.get("astagidir") or f"{options.get('astdatadir', VAR_LIB)}/agi-bin")


def names_own_hosts(options: Mapping[str, str]) -> bool:
    """Whether the dialplan names further hosts of one's own: see callsign-own-host in extensions_callsign.conf."""
    folder = Path(options.get("astetcdir", "/etc/asterisk"))
    named = re.compile(r"(?m)^[ \t]*CALLSIGN_OWN_HOSTS[ \t]*=>?[ \t]*[^;\s]")
    return any(named.search(text_of(folder / name)) for name in WITH_GLOBALS)


def text_of(path: Path) -> str:
    """The text of a file in such a folder, empty where it cannot be read or is none."""
    try:
        with open(os.open(path, OPEN), "rb") as file:
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return file.read(MOST_BYTES).decode("utf-8", "replace")
    except OSError:
        pass
    return ""
