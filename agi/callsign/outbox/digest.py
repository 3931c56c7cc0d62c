"""SHA-256 as Python itself has it: hashlib loads OpenSSL for it, which takes a plain script's call 2 to 5 ms.

Python's own `random` takes SHA-512 in this way, for this reason.
"""

from __future__ import annotations

try:
    from _sha2 import sha256  # type: ignore[import-not-found]
except ImportError:  # before Python 3.12
    try:
        from _sha256 import sha256  # type: ignore[import-not-found]
    except ImportError:  # a Python that was made without its own
        from hashlib import sha256


def sha256_hex(text: str) -> str:
    """64 hex digits."""
    return str(sha256(text.encode()).hexdigest())
