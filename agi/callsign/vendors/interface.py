"""What a vendor is to the rest: how to deliver to it, what it can be asked, how its signature is explained.

A vendor's vendor.py ends in one `VENDOR`; `registry.VENDORS` has these.  Everything of a vendor is pure:
a conversation is a generator that yields `Request`s and is sent a `Reply` for each, and clock, nonce and
lock come with the memory that it is given.

Of the settings a vendor sees the section of the account in question, and `[numbers]`: no other vendor's keys.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from callsign.http.messages import Reply, Request
from callsign.notification import Notification
from callsign.record import Record, field
from callsign.settings.sections import Numbers
from callsign.verdicts import Invalid, Outcome, Refused, TryLater, Verdict

if TYPE_CHECKING:
    from callsign.vendors.signing import Explained

T = TypeVar("T")
Conversation = Generator[Request, Reply, T]
"""Yields requests, is sent a reply for each, and returns what came of it."""

ASK_SECONDS = 3.0
"""How long the dialplan is held for an answer by default."""


def late(module: str, name: str) -> Callable[..., Any]:
    """What `name` is in callsign.vendors.`module`, which is loaded at the first call.

    A plain script loads every VENDOR for each call, whatever that is about; the rest comes with the first
    delivery or question.
    """

    def call(*given: Any) -> Any:
        return getattr(import_module(f"callsign.vendors.{module}"), name)(*given)

    return call


class Ask(Record):
    """A path that is asked at once; its key in `Vendor.asks` is the path."""

    names: tuple[str, ...]  # of its arguments, in their order
    variables: tuple[str, ...]  # that it sets besides status and reason, always: empty where nothing was found
    converse: Callable[[Any, Numbers, Mapping[str, str], Any], Conversation[Verdict]]
    """Gets the section, `[numbers]`, the arguments and the memory."""
    needs: tuple[str, ...] = ()  # arguments without which nothing can be asked
    caller: str = ""  # the argument that is the caller's number where it is not given
    wait_seconds: float = ASK_SECONDS


class Prefetch(Record):
    """What is fetched beside the calls, so that an answer is there when a call asks."""

    converse: Callable[[Any, Numbers, Any], Conversation[Outcome]]  # section, numbers, memory
    every_seconds: float
    longest_seconds: float  # that one fetch may take


class Probed(Record):
    """What `check --online` learns of an account whose vendor answers."""

    credentials: bool | None  # taken; None where no harmless call would tell
    words: str
    is_well: bool = True  # nothing that calls need is missing


Probe = Conversation[Probed | Refused | TryLater | Invalid]


class Shared(Protocol):
    """What the hosts that deliver for an account have in common: a value of each name.  For any thread."""

    def get(self, name: str, spent: str, most_seconds: float) -> tuple[str, float] | None:
        """Another host's, and when it was first used (steady seconds); None: we get one ourselves, and put it here.

        Not the one that is `spent`, and none older.  Waits a moment for another host that is getting one.
        """

    def put(self, name: str, value: str, used_at: float) -> None:
        """The vendor has taken it, for the first time at that moment (steady seconds); returns at once."""


class Vendor(Record):
    """One vendor: what it takes, what it can be asked, or both."""

    explain: Callable[[Any, Mapping[str, str], float], Explained]
    """For `callsign sign`: gets the section, what was given, and the time.  Raises ValueError."""
    probe: Callable[[Any, Any], Probe]
    """Harmless requests, for `check --online`: gets the section and the memory."""
    shares: bool = False  # its memory has a `shared`: a Shared, or None
    clock_seconds: float = math.inf  # the difference between its clock and ours that it takes
    new_memory: Callable[[], Any] = lambda: None  # what one process remembers of an account between conversations
    converse: Callable[[Any, Numbers, Notification, Any], Conversation[Outcome]] | None = None
    """To deliver: gets the section, `[numbers]`, the notification and the memory."""
    concurrency: int = 0  # deliveries at once, at most
    keys_of: Callable[[Notification], tuple[str, ...]] = lambda job: (job.call,)  # jobs that share one go out in order
    undoes: Callable[[Notification, Notification], bool] = lambda *_: False  # a newer an older, of the same last key
    undoing: tuple[str, ...] = ()  # the actions that may undo an earlier one
    in_order: bool = False  # the next in order goes out when it is written what came of the one before: see delivery
    asks: Mapping[str, Ask] = field(default_factory=dict)
    prefetch: Prefetch | None = None
