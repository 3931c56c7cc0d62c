"""What the dialplan wants a vendor to know, and where that stands."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from callsign.record import Record, field


class State(Enum):
    """Where a job stands.  It leaves WAITING only by an outcome, its deadline, or somebody's word."""

    WAITING = "waiting"  # stored; not tried yet, or to be tried again
    DELIVERED = "delivered"  # the vendor took it
    REFUSED = "refused"  # the vendor said no, and would say so again
    EXPIRED = "expired"  # its use was over before the vendor took it
    SUPERSEDED = "superseded"  # never tried, and a newer command of its call made it needless
    DROPPED = "dropped"  # given up by the administrator
    DUPLICATE = "duplicate"  # another host has it: told there already, or taken over
    RETRIED = "retried"  # failed or dropped, and went out once more as another job, by the administrator's word


class Notification(Record):
    """Facts for one vendor about one call, never a signature: each attempt signs again."""

    system: str  # the account, see `accounts`: its section of the settings, its lane; "noojee", "noojee.antwerp"
    action: str  # the handler's path: "noojee/start"
    call: str  # linkedid: what belongs to one call reaches the vendor in the order given (see Vendor.keys_of)
    facts: Mapping[str, str] = field(repr=False)  # numbers and names: never in a log
    created_at: float  # epoch seconds, when the dialplan asked for it
    lifetime_seconds: float  # of no use after that
    dedupe_key: str = field(default="", repr=False)  # the same text is stored only once; empty: no such limit
