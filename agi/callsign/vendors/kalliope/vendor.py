"""KalliopePBX: which extension last placed a call to a number, so that who rings back reaches it (`last_call`).

Sources: "API REST CDR" and its introduction for header and register; wiki.kalliope.com for the path of the salt
and for numbers without their last digits.  A plain script loads this file for every call, whatever it is
about: the rest comes with the first question.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from callsign.http.messages import Reply, Request
from callsign.notification import Outcome
from callsign.question import Verdict
from callsign.settings.sections import Kalliope, Numbers
from callsign.vendors.interface import Ask, Keep, Probed, Vendor
from callsign.vendors.signing import Explained

CLOCK_SECONDS = 300.0
"""The difference to its clock with which it refuses a request."""

EVERY_SECONDS = 10.0
LONGEST_SECONDS = 30.0
"""Of one round; what a first one, of eight requests, has not reached by then is left to the next."""


def _explain(section: Kalliope, given: Mapping[str, str], now: float) -> Explained:
    from callsign.vendors.kalliope import signing as kalliope_signing

    return kalliope_signing.explain(section, given, now)


def _probe(section: Kalliope, memory: Any) -> Generator[Request, Reply, Probed]:
    from callsign.vendors.kalliope import last_call

    return last_call.probe(section, memory)


def _new_memory() -> object:
    """A server makes one behind its first calls: so all is loaded before a question needs it."""
    from callsign.vendors.kalliope import last_call

    return last_call.Memory()


def _lastcall(
    section: Kalliope, numbers: Numbers, facts: Mapping[str, str], memory: Any
) -> Generator[Request, Reply, Verdict]:
    from callsign.vendors.kalliope import last_call

    return last_call.lastcall(section, numbers, facts, memory)


def _keep(section: Kalliope, numbers: Numbers, memory: Any) -> Generator[Request, Reply, Outcome]:
    from callsign.vendors.kalliope import last_call

    return last_call.keep(section, numbers, memory)


VENDOR = Vendor(
    explain=_explain,
    probe=_probe,
    clock_seconds=CLOCK_SECONDS,
    new_memory=_new_memory,
    asks={
        "kalliope/lastcall": Ask(
            ("number", "days"), ("KALLIOPEEXTEN", "KALLIOPETIME", "KALLIOPECALLSTATUS"), _lastcall, caller="number"
        )
    },
    keep=Keep(_keep, EVERY_SECONDS, LONGEST_SECONDS),
)
