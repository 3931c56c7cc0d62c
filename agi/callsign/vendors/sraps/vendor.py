"""snom SRAPS: which provisioning profile a phone has, and giving it another one (in `phones`).

A plain script loads this file for every call, whatever the call is about: the rest, with Hawk and its
regular expressions, takes 10 ms to load and comes with the first question.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from callsign.http.messages import Reply, Request
from callsign.question import Verdict
from callsign.settings.sections import Numbers, Sraps
from callsign.vendors.interface import Ask, Probed, Vendor
from callsign.vendors.signing import Explained

FOUND = ("SRAPSNAME", "SRAPSPROFILE")


def _explain(section: Sraps, given: Mapping[str, str], now: float) -> Explained:
    from callsign.vendors.sraps import phones

    return phones.explain(section, given, now)


def _probe(section: Sraps, memory: Any) -> Generator[Request, Reply, Probed]:
    from callsign.vendors.sraps import phones

    return phones.probe(section, memory)


def _new_memory() -> object:
    """A server makes one behind its first calls: so all is loaded before a question needs it."""
    from callsign.vendors.sraps import phones

    return phones.new_memory()


def _ask_endpoint(
    section: Sraps, _numbers: Numbers, facts: Mapping[str, str], memory: Any
) -> Generator[Request, Reply, Verdict]:
    from callsign.vendors.sraps import phones

    return phones.ask_endpoint(section, facts, memory)


def _ask_assign(
    section: Sraps, _numbers: Numbers, facts: Mapping[str, str], memory: Any
) -> Generator[Request, Reply, Verdict]:
    from callsign.vendors.sraps import phones

    return phones.ask_assign(section, facts, memory)


VENDOR = Vendor(
    explain=_explain,
    probe=_probe,
    new_memory=_new_memory,
    asks={
        "sraps/endpoint": Ask(("mac",), FOUND, _ask_endpoint, needs=("mac",)),
        "sraps/assign": Ask(("mac", "profile"), FOUND, _ask_assign, needs=("mac", "profile")),
    },
)
