"""Noojee: starts and stops the recording of a call on the recorder (in `conversation`)."""

from __future__ import annotations

from callsign.notification import Notification
from callsign.vendors.interface import Vendor, late

CONCURRENCY = 5
"""The recorder allows 5 authentications at once and leaves open what counts as one: so never more requests."""

LIFETIME_SECONDS = {"noojee/start": 60.0, "noojee/stop": 3600.0}
BY_EXTENSION_LIFETIME_SECONDS = 10.0
"""A command by extension hits whatever call that extension has when it arrives."""


def keys_of(notification: Notification) -> tuple[str, ...]:
    """Commands for one recording keep their order, as those of one call do."""
    return notification.call, f"recording {_recording(notification)}"


def _recording(notification: Notification) -> str:
    return notification.facts.get("extenOrUniqueId", notification.call)


def undoes(newer: Notification, older: Notification) -> bool:
    """A stop undoes a start of the same recording.

    A start that was never tried need not go out.  One that may be carried out late needs a second stop behind it.
    """
    return newer.action == "noojee/stop" and older.action == "noojee/start" and _recording(newer) == _recording(older)


VENDOR = Vendor(
    explain=late("noojee.conversation", "explain"),
    probe=late("noojee.conversation", "probe"),
    new_memory=late("noojee.conversation", "Memory"),  # who delivers makes one first, and so all is loaded
    shares=True,
    converse=late("noojee.conversation", "converse"),
    concurrency=CONCURRENCY,
    keys_of=keys_of,
    undoes=undoes,
    undoing=("noojee/stop",),
    in_order=True,
)
