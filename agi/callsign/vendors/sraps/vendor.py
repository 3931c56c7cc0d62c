"""snom SRAPS: which provisioning profile a phone has, and giving it another one (in `phones`)."""

from __future__ import annotations

from callsign.vendors.interface import Ask, Vendor, late

FOUND = ("SRAPSNAME", "SRAPSPROFILE")

VENDOR = Vendor(
    explain=late("sraps.phones", "explain"),
    probe=late("sraps.phones", "probe"),
    new_memory=late("sraps.phones", "Memory"),  # a server makes one behind its first calls, and so all is loaded
    asks={
        "sraps/endpoint": Ask(("mac",), FOUND, late("sraps.phones", "ask_endpoint"), needs=("mac",)),
        "sraps/assign": Ask(("mac", "profile"), FOUND, late("sraps.phones", "ask_assign"), needs=("mac", "profile")),
    },
)
