"""The digests the vendors ask for, over text, as lower-case hex."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping

from callsign.record import Record, field
from callsign.settings.secret import Secret

MASK = "****"


class Explained(Record):
    """What was signed, for an administrator to compare with the vendor's own tool; the key is masked."""

    text: str = field(repr=False)
    signature: str = field(repr=False)
    values: dict[str, str] = field(repr=False)  # what went into the text, given or filled in
    method: str  # in words


def values_of(given: Mapping[str, str], names: Iterable[str], system: str) -> Mapping[str, str]:
    """`given`, once each name in it is one that `system` signs.  Raises ValueError."""
    for name in given:
        if name not in names:
            raise ValueError(f"{name}: unknown, {system} signs {', '.join(names)}")
    return given


def hmac_sha256_hex(key: Secret, text: str) -> str:
    """HMAC-SHA256 of `text`; the key is used as text even where it looks like hex (facts checked by vector)."""
    return hmac.new(key.reveal().encode(), text.encode(), hashlib.sha256).hexdigest()


def sha256_hex(text: str) -> str:
    """Plain SHA-256 of `text`."""
    return hashlib.sha256(text.encode()).hexdigest()


def sha1_hex(text: str) -> str:
    """Plain SHA-1 of `text`, for a vendor that knows no better."""
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
