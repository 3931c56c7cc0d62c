"""What passes between the HTTP side and a stand-in vendor: plain values, so that judging needs no socket."""

from __future__ import annotations

import hmac
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Protocol


@dataclass(frozen=True, repr=False)
class Request:
    """One request as the vendor gets it, after percent-decoding of the query and before any judgement."""

    at: float  # when it had arrived whole, in epoch seconds of the sandbox's clock
    method: str
    path: str  # path inside the vendor ("/", "/Time"), percent-encoding kept
    pairs: tuple[tuple[str, str], ...] = ()  # the query, decoded, in the order sent; a name may occur twice
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)  # lower-cased names
    target: str = ""  # path and query exactly as sent, for vendors that sign the URL

    @property
    def query(self) -> dict[str, str]:
        """Its names and values; of a repeated name the last one."""
        return dict(self.pairs)

    def repeated_names(self) -> list[str]:
        """Names that occur more than once in the query."""
        return [name for name, count in Counter(name for name, _ in self.pairs).items() if count > 1]


@dataclass(frozen=True)
class Trouble:
    """What goes wrong at a vendor, for the requests that arrive while it is set.

    `refuse_status` and `warning` replace a good answer only: a request that is itself wrong still hears its
    own fault, so that a trouble never hides a mistake of the caller.
    """

    delay_seconds: float = 0.0  # the answer waits so long; the request is judged and recorded on arrival
    http_status: int | None = None
    """This status with an HTML page, as a proxy in front of the vendor would send; nothing is judged."""
    retry_after: str | None = None  # goes along with that status, as its Retry-After
    body: bytes | None = None  # sent instead of the judged body
    refuse_status: str | None = None  # the vendor understood and says no, in this word
    drop: bool = False  # the connection is closed without an answer; nothing is judged
    warning: str | None = None  # the vendor did it, and says this beside (Noojee: a positive Code)


WELL = Trouble()


def nothing() -> None:
    """For a request that leaves no trace once it is answered."""


@dataclass(frozen=True)
class Answer:
    """What a stand-in says to one request."""

    verdict: str  # the vendor's word for the record: "OK", "HASH_MISMATCH", "Expired TimeStamp"
    body: bytes
    status: int = 200  # HTTP status; 0 closes the connection without an answer
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)  # further headers
    after_seconds: float = 0.0
    when_answered: Callable[[], None] = nothing
    """Called once, right before the answer leaves: until then the request is in progress at the vendor."""


class Vendor(Protocol):
    """The shape of a stand-in. Many threads call `judge` at once; it must not raise for a bad request."""

    base_path: str
    """Path of the URL that goes into the settings, e.g. "/skarabee/api/"."""
    demo_account: ClassVar[dict[str, str]]
    """The account that the demo plays with, in the form that the class is made from: each key of the section once."""
    demo_settings: ClassVar[str]
    """What its section of callsign.toml says of that account, besides the url."""

    def __init__(self, account: Mapping[str, str], /) -> None: ...

    def judge(self, request: Request, trouble: Trouble) -> Answer:
        """Say what the vendor would say.

        Of the trouble only `refuse_status` and `warning` are the vendor's part, for they are its own words.
        """
        ...


def is_same(wanted: str, sent: str) -> bool:
    """In a time that says nothing of where they differ; as bytes, for compare_digest raises on text beyond ASCII."""
    return hmac.compare_digest(wanted.encode(), sent.encode())


def as_json(document: Mapping[str, object]) -> bytes:
    """A JSON body without white space, as the vendors' documents print it."""
    return json.dumps(document, separators=(",", ":")).encode()
