"""`callsign sandbox`: the stand-ins in the foreground, with the settings that lead to them and a line per request."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Mapping
from typing import Any

from callsign.sandbox.vendors.record import Seen
from callsign.sandbox.vendors.sandbox import VENDORS, Sandbox

DEMO_ACCOUNTS = {system: vendor.demo_account for system, vendor in VENDORS.items()}


def settings_for(box: Sandbox) -> str:
    """The sections of callsign.toml that lead to this sandbox with the demo's accounts."""
    sections = (f'[{name}]\nurl = "{box.url(name)}"\n{VENDORS[name].demo_settings}' for name in box.systems)
    return "\n".join(sections)


def accounts_of(settings: Any) -> dict[str, dict[str, str]]:
    """The accounts of the vendors that have a section in the settings."""
    sections = {system: getattr(settings, system) for system in VENDORS}
    return {system: VENDORS[system].account_of(section) for system, section in sections.items() if section}


def run(port: int, accounts: Mapping[str, Mapping[str, str]], as_json: bool) -> int:
    """Plays the vendors of these accounts until SIGINT or SIGTERM.  0, or 1 if the port is taken."""
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))

    def show(seen: Seen) -> None:
        if as_json:
            told = {"at": seen.at, "system": seen.system, "http_status": seen.http_status, "line": seen.masked()}
            print(json.dumps(told), flush=True)
        else:
            print(seen.masked(), flush=True)

    box = Sandbox(accounts=accounts, listen=("127.0.0.1", port), on_seen=show)
    try:
        box.start()
    except OSError as fault:
        print(f"callsign sandbox: 127.0.0.1:{port} cannot be used: {fault.strerror}", file=sys.stderr)
        return 1
    urls = {system: box.url(system) for system in accounts}
    if as_json:
        print(json.dumps({"listening": f"127.0.0.1:{box.port}", "urls": urls}), flush=True)
    else:
        hint = settings_for(box) if accounts is DEMO_ACCOUNTS else "# (with the keys of your settings)\n"
        lines = "".join(f"# {system}: {url}\n" for system, url in urls.items())
        print(f"# the vendors' stand-ins; in callsign.toml:\n\n{hint}\n{lines}", flush=True)
    signal.sigwait((signal.SIGINT, signal.SIGTERM))
    box.stop()
    return 0
