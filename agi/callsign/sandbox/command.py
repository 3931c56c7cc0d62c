"""`callsign sandbox`: the stand-ins in the foreground, with the settings that lead to them and a line per request."""

from __future__ import annotations

import json
import re
import signal
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from callsign.sandbox.vendors.messages import WELL, Trouble
from callsign.sandbox.vendors.record import SeenRequest
from callsign.sandbox.vendors.sandbox import VENDORS, Sandbox

DEMO_ACCOUNTS = {system: vendor.demo_account for system, vendor in VENDORS.items()}


WITHOUT_INSTALLATION = """\
# Without an installation: in a file of your own, my.toml say, with these two lines, and callsign serve --config my.toml
#[outbox]
#path = "/home/you/outbox.db"
"""


def settings_for(box: Sandbox) -> str:
    """The sections of callsign.toml that lead to this sandbox with the demo's accounts."""
    sections = (f'[{name}]\nurl = "{box.url(name)}"\n{VENDORS[name].demo_settings}' for name in box.systems)
    return "\n".join(sections)


def accounts_of(settings: Any) -> dict[str, dict[str, str]]:
    """The accounts of the vendors that have a section in the settings."""
    return {system: _account_of(system, section) for system in VENDORS if (section := settings.section(system))}


def _account_of(system: str, section: Any) -> dict[str, str]:
    if system == "skarabee":
        return {office.businessid: office.key.reveal() for office in section.offices}
    values = {name: getattr(section, name) for name in DEMO_ACCOUNTS[system]}
    return {name: value if isinstance(value, str) else value.reveal() for name, value in values.items()}


REFUSAL = {
    "skarabee": "NO_HASH_KEY_AVAILABLE",
    "noojee": "No such channel",
    "mor": "Feature disabled",
    "kalliope": "API disabled",
    "sraps": "taken_mac_or_forbidden",
}
"""What a vendor says that says no on purpose: words that it has for more than one reason."""

POLLED = "kalliope"
"""Its register is read every few seconds, whether there are calls or not."""


def faults_of(texts: Sequence[str], systems: Collection[str]) -> dict[str, Trouble]:
    """`noojee=slow:3`, `=refuse`, `=drop`, `=503` as what goes wrong where.  Raises ValueError."""
    found: dict[str, Trouble] = {}
    for text in texts:
        system, _, word = text.partition("=")
        if system not in systems:
            raise ValueError(f"--fault {text}: wanted SYSTEM=FAULT, with a system of {', '.join(systems)}")
        found[system] = replace(found.get(system, WELL), **_fault(system, word, text))
    return found


def _fault(system: str, word: str, text: str) -> dict[str, Any]:
    kind, _, number = word.partition(":")
    if kind == "slow" and re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,3})?", number):
        return {"delay_seconds": float(number)}
    if word == "refuse":
        return {"refuse_status": REFUSAL[system]}
    if word == "drop":
        return {"drop": True}
    if re.fullmatch(r"[45][0-9][0-9]", word):
        return {"http_status": int(word)}
    kinds = "slow:SECONDS, refuse (the vendor says no), drop (no answer), or an HTTP status such as 503"
    raise ValueError(f"--fault {text}: wanted {kinds}")


class Screen:
    """What is shown of the requests: a line each, but of polls that all end alike the first alone."""

    def __init__(self, as_json: bool, with_numbers: bool) -> None:
        self._as_json = as_json
        self._with_numbers = with_numbers
        self._polls: dict[str, str] = {}  # path -> the verdict on the last one

    def show(self, seen: SeenRequest) -> None:
        """Prints it, if it is to be shown."""
        line = seen.line(self._with_numbers)
        if self._as_json:
            fields = {"at": seen.at, "system": seen.system, "http_status": seen.http_status, "line": line}
            print(json.dumps(fields), flush=True)
        elif seen.system != POLLED or self._polls.get(seen.path) != seen.verdict:
            self._polls[seen.path] = seen.verdict
            print(line, flush=True)


def run(
    port: int,
    accounts: Mapping[str, Mapping[str, str]],
    as_json: bool,
    faults: Mapping[str, Trouble],
    with_numbers: bool,
) -> int:
    """Plays the vendors of these accounts until SIGINT or SIGTERM.  0, or 1 if the port is taken."""
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    screen = Screen(as_json, with_numbers)
    box = Sandbox(accounts=accounts, listen=("127.0.0.1", port), on_seen=screen.show)
    box.trouble |= faults
    try:
        box.start()
    except OSError as fault:
        words = f"127.0.0.1:{port} cannot be used: {fault.strerror}; --port 0 takes a free one"
        if as_json:
            print(json.dumps({"ok": False, "faults": [words]}))
        else:
            print(f"callsign sandbox: {words}", file=sys.stderr)
        return 1
    urls = {system: box.url(system) for system in accounts}
    if as_json:
        print(json.dumps({"listening": f"127.0.0.1:{box.port}", "urls": urls}), flush=True)
    else:
        hint = settings_for(box) if accounts is DEMO_ACCOUNTS else "# (with the keys of your settings)\n"
        lines = "".join(f"# {system}: {url}\n" for system, url in urls.items())
        print(f"# the vendors' stand-ins; in callsign.toml:\n\n{WITHOUT_INSTALLATION}\n{hint}\n{lines}", flush=True)
    signal.sigwait((signal.SIGINT, signal.SIGTERM))
    box.stop()
    return 0
