"""Requests and answers as values that the vendors' pure code and the transport share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timezone
from urllib.parse import quote, urlsplit

from callsign.record import Record, field

MAX_ANSWER_BYTES = 1 << 20
"""More than this is no answer to a notification but a fault; the transport stops reading there."""

_TEMPORARY = frozenset((408, 425, 429))
"""Request Timeout, Too Early, Too Many Requests: 4xx that ask for another try."""


class Request(Record):
    """One HTTP request.  Its repr shows method and host only: the rest may hold a signature or a number."""

    method: str
    url: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    verify: bool | str = True  # or the path of a CA file
    max_bytes: int = MAX_ANSWER_BYTES
    is_safe: bool = False  # changes nothing at the vendor (RFC 9110 9.2.1), whatever the method
    after_seconds: float = 0.0  # not before: the vendor asked for the pause (Retry-After)

    def __repr__(self) -> str:
        return f"Request({self.method} {self.host()})"

    def full_url(self) -> str:
        """The URL as it goes out, every value percent-encoded (a bare + would arrive as a space)."""
        if not self.query:
            return self.url
        return f"{self.url}?{'&'.join([f'{_encoded(name)}={_encoded(value)}' for name, value in self.query])}"

    def host(self) -> str:
        """Host and port, the only part of the address that may be told."""
        try:
            return urlsplit(self.url).netloc.rpartition("@")[2]
        except ValueError:  # brackets that hold no IPv6 address
            return "an unusable address"


class Answer(Record):
    """What the vendor said: any HTTP status, the whole body."""

    status: int
    headers: Mapping[str, str] = field(repr=False)  # names in lower case
    body: bytes = field(repr=False)
    at: float = 0.0  # epoch seconds on our clock when it was there

    def json(self) -> object:
        """The body as JSON, None if it is none.  A message in another encoding than UTF-8 spoils only itself."""
        try:
            return json.loads(self.body.decode("utf-8-sig", "replace"))
        except (ValueError, RecursionError):
            return None

    def is_temporary(self) -> bool:
        """Whether the HTTP status says that another try may end otherwise."""
        return self.status >= 500 or self.status in _TEMPORARY

    def clock_skew_seconds(self) -> float | None:
        """How far our clock is ahead of the vendor's `Date` header; None without one."""
        date = _epoch_seconds(self.headers.get("date", ""))
        return None if date is None else self.at - date

    def retry_after_seconds(self) -> float | None:
        """The Retry-After header in seconds (RFC 9110 10.2.3, both forms); None without a usable one."""
        text = self.headers.get("retry-after", "").strip()
        if text.isascii() and text.isdigit() and len(text) < 7:
            return float(text)
        date = _epoch_seconds(text)
        return None if date is None else max(0.0, date - self.at)


def _encoded(text: str) -> str:
    return text if text.isascii() and text.isalnum() else quote(text, safe="")


def _epoch_seconds(http_date: str) -> float | None:
    """A date of HTTP, which counts in UTC also where it does not say so (RFC 9110 5.6.7); None if it is none."""
    from email.utils import parsedate_to_datetime  # a tenth of a plain script's start

    try:
        date = parsedate_to_datetime(http_date)
        return (date if date.tzinfo else date.replace(tzinfo=timezone.utc)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


class NoAnswer(Record):
    """Nothing usable came back; `sent` tells whether the request may have reached the vendor."""

    reason: str
    sent: bool


Reply = Answer | NoAnswer
