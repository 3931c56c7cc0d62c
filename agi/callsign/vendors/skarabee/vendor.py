"""Skarabee VoIP: tells the estate agents' CRM who calls whom while the call is being routed (in `conversation`)."""

from __future__ import annotations

from callsign.vendors.interface import Vendor, late

CONCURRENCY = 16
ACCEPTED_SECONDS = 15 * 60.0
"""The difference that the service accepts between the timestamp and its own time."""

LIFETIME_SECONDS = ACCEPTED_SECONDS - 60.0
"""The last minute is left for the way there."""

NO_NUMBER = "anonymous"
"""What goes out as phonefrom where `anonymous = "send"` and there is no number at all."""

VENDOR = Vendor(
    explain=late("skarabee.conversation", "explain"),
    probe=late("skarabee.conversation", "probe"),
    clock_seconds=ACCEPTED_SECONDS,
    new_memory=late("skarabee.conversation", "Memory"),  # who delivers makes one first, and so all is loaded
    converse=late("skarabee.conversation", "converse"),
    concurrency=CONCURRENCY,
)
