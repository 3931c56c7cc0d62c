"""The digests the vendors ask for, over text, as lower-case hex."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field

from callsign.secret import Secret

MASK = "****"


@dataclass(frozen=True, slots=True)
class Explained:
    """What was signed, for an administrator to compare with the vendor's own tool; the key is masked."""

    text: str = field(repr=False)
    signature: str = field(repr=False)
    values: dict[str, str] = field(repr=False)  # what went into the text, given or filled in
    method: str  # in words


def hmac_sha256_hex(key: Secret, text: str) -> str:
    """HMAC-SHA256 of `text`; the key is used as text even where it looks like hex (facts checked by vector)."""
    return hmac.new(key.reveal().encode(), text.encode(), hashlib.sha256).hexdigest()


def sha256_hex(text: str) -> str:
    """Plain SHA-256 of `text`."""
    return hashlib.sha256(text.encode()).hexdigest()
