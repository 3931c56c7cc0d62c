"""The asterisk.conf of this machine: where Asterisk keeps what, and whom it runs as."""

from __future__ import annotations

import re
from pathlib import Path

FILES = ("/etc/asterisk/asterisk.conf", "/usr/local/etc/asterisk/asterisk.conf")  # as install.sh looks for it
VAR_LIB = "/var/lib/asterisk"


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
