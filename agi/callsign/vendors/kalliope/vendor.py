"""KalliopePBX: which extension last placed a call to a number, so that who rings back reaches it (`last_call`).

Sources: "API REST CDR" and its introduction for header and register; wiki.kalliope.com for the path of the salt
and for numbers without their last digits.
"""

from __future__ import annotations

from callsign.vendors.interface import Ask, Prefetch, Vendor, late

ACCEPTED_SECONDS = 5 * 60.0
"""What Created may be off the PBX's time, and how long a nonce is remembered."""

EVERY_SECONDS = 10.0
LONGEST_SECONDS = 30.0
"""Of one round; what a first one, of eight requests, has not reached by then is left to the next."""

VENDOR = Vendor(
    explain=late("kalliope.signing", "explain"),
    probe=late("kalliope.last_call", "probe"),
    clock_seconds=ACCEPTED_SECONDS,
    new_memory=late("kalliope.last_call", "Memory"),  # a server makes one behind its first calls, and so all is loaded
    asks={
        "kalliope/lastcall": Ask(
            ("number", "days"),
            ("KALLIOPEEXTEN", "KALLIOPETIME", "KALLIOPECALLSTATUS"),
            late("kalliope.last_call", "lastcall"),
            caller="number",
        )
    },
    prefetch=Prefetch(late("kalliope.last_call", "prefetch"), EVERY_SECONDS, LONGEST_SECONDS),
)
