"""Kolmisoft MOR: the billing system, asked for a user's balance and for the owner of a caller ID (in `questions`)."""

from __future__ import annotations

from callsign.vendors.interface import Ask, Vendor, late

VENDOR = Vendor(
    explain=late("mor.questions", "explain"),
    probe=late("mor.questions", "probe"),
    new_memory=late("mor.questions", "new_memory"),  # a server makes one behind its first calls, and so all is loaded
    asks={
        "mor/balance": Ask(
            ("username", "currency"), ("MORBALANCE",), late("mor.questions", "balance"), needs=("username",)
        ),
        "mor/caller": Ask(("cli",), ("MORUSERID", "MORDEVICEID"), late("mor.questions", "caller"), caller="cli"),
    },
)
