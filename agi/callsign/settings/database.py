"""[cluster] database: which PostgreSQL, as libpq writes it (keyword=value …), with nothing secret in it."""

from __future__ import annotations

import re
from ipaddress import ip_address

from callsign.settings import readers as read

_PAIR = r"\s*([a-z_]+)\s*=\s*('(?:[^'\\]|\\.)*'|(?:[^\s'\\]|\\.)*)(?=\s|$)\s*"

ELSEWHERE = {
    "password": "belongs into a file of its own: see password_file",
    "passfile": "see password_file",
    "service": "write here what that file says of it",
}
"""Keywords that would hide from us what we have to know, or show what nobody should see."""


def database(value: object) -> str:
    """Keywords and values; over a network only with the server's certificate verified."""
    found = read.text(value)
    pairs = pairs_of(found)
    for keyword, why in ELSEWHERE.items():
        if keyword in pairs:
            raise ValueError(f"{keyword}= {why}")
    if pairs.get("sslmode") != "verify-full" and not _stays_here(pairs):
        raise ValueError(
            "goes over the network and so needs sslmode=verify-full, with sslrootcert=/path of the CA's certificate: "
            "callers' numbers go there"
        )
    return found


def pairs_of(text: str) -> dict[str, str]:
    """The values by keyword.  Raises ValueError."""
    pairs, at, pair_at = {}, 0, re.compile(_PAIR).match
    while at < len(text):
        pair = pair_at(text, at)
        if pair is None:
            raise ValueError("wanted keyword=value pairs such as host=db1 dbname=callsign user=callsign")
        quoted = pair[2][1:-1] if pair[2].startswith("'") else pair[2]
        pairs[pair[1]] = re.sub(r"\\(.)", r"\1", quoted)
        at = pair.end()
    return pairs


def _stays_here(pairs: dict[str, str]) -> bool:
    """Whether each of its hosts is this machine: by a socket or a loopback address."""
    hosts = pairs.get("hostaddr") or pairs.get("host", "")
    return all(_is_here(host.strip()) for host in hosts.split(","))


def _is_here(host: str) -> bool:
    if not host or host == "localhost" or host.startswith(("/", "@")):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
