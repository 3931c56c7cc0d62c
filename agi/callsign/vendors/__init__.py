"""One file per vendor, all of one shape: constants from its manual, text to sign, conversation, judge.

A conversation is a generator: it yields `Request`s, is sent a `Reply` for each, and returns an
`Outcome`.  It does no input or output and reads no clock itself, so it is tested without a socket.
`VENDORS` is all that the delivery knows of them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass

from callsign.http_messages import Reply, Request
from callsign.notification import Notification, Outcome
from callsign.settings import Settings
from callsign.vendors import noojee, skarabee
from callsign.vendors.signing import Explained

Conversation = Generator[Request, Reply, Outcome]


def _never(_newer: Notification, _older: Notification) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Vendor:
    """What the delivery needs to know of one vendor."""

    converse: Callable[[Settings, Notification, object], Conversation]
    explain: Callable[[Settings, Mapping[str, str], float], Explained]  # for `callsign sign`
    signed_names: tuple[str, ...]
    new_memory: Callable[[], object]  # what one process remembers of this vendor between conversations
    concurrency: int  # conversations at once, at most
    makes_needless: Callable[[Notification, Notification], bool] = _never


VENDORS: dict[str, Vendor] = {
    "skarabee": Vendor(
        skarabee.converse, skarabee.explain, skarabee.SIGNED_NAMES, skarabee.Memory, skarabee.CONCURRENCY
    ),
    "noojee": Vendor(
        noojee.converse,
        noojee.explain,
        noojee.SIGNED_NAMES,
        noojee.Memory,
        noojee.CONCURRENCY,
        noojee.makes_needless,
    ),
}
