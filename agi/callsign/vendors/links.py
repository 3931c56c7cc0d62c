"""Links in a vendor's answers: the next page, and where an address leads."""

from __future__ import annotations

import re
from urllib.parse import urljoin, urlsplit

from callsign.http.messages import Answer

_LINK = re.compile(r'<([^<>]*)>((?:\s*;\s*[\w*!-]+\s*=\s*(?:"[^"]*"|[^\s",;]+))*)')
_NEXT = re.compile(r';\s*rel\s*=\s*(?:"(?:[^"]*\s)?next(?:\s[^"]*)?"|next)(?=\s*(?:;|$))', re.IGNORECASE)

# What RFC 3986 lets into an address as it is: anything else would be sent otherwise than it is signed.
_PLAIN_URL = re.compile(r"[A-Za-z0-9._~:/?#@!$&'()*+,;=%\[\]-]*")


def next_link(answer: Answer, document: object) -> str | None:
    """The next page: by the Link header (RFC 8288), by some of SRAPS's clients in the body."""
    for target, parameters in _LINK.findall(answer.headers.get("link", "")):
        if _NEXT.search(parameters):
            return str(target)
    following = document.get("next") if isinstance(document, dict) else None
    return following if isinstance(following, str) and following else None


def is_plain(address: str) -> bool:
    """Whether it goes out as it is written."""
    return _PLAIN_URL.fullmatch(address) is not None


def resolved(base: str, link: str) -> str:
    """The address of a link, empty where it cannot be one that goes out as it is written."""
    try:
        return urljoin(base, link) if is_plain(link) else ""
    except ValueError:  # brackets that hold no IPv6 address
        return ""


def origin(url: str) -> str:
    """Scheme, host and port; empty for what is no address, and where a user stands before the host."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.hostname}:{port}" if parts.hostname and "@" not in parts.netloc else ""
