"""A text that was never used before, for signatures that are good only once."""

from __future__ import annotations

import secrets


def new_nonce() -> str:
    """32 hex digits, 128 bits of chance."""
    return secrets.token_hex(16)
