"""One reader per kind of setting: a TOML value in, ours out, ValueError saying what was wanted.

No message repeats a secret, nor a long text wherever it stands: it may be a key in the wrong place.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

from callsign.phone_numbers import NumberPatterns, bare_number
from callsign.settings.secret import Secret
from callsign.settings.text import unseen

MAX_SHOWN_CHARACTERS = 15
"""Shorter than any vendor's key."""

MOST_OF_A_LABEL = 63  # characters (RFC 1035 2.3.4)

_ACCOUNT = r"\w(?:[\w.-]{0,58}\w)?"


def all_seen(value: object) -> None:
    """Raises ValueError for a character that nobody sees, in a text or anywhere in a list or table."""
    for part in value if isinstance(value, list) else chain(*value.items()) if isinstance(value, dict) else ():
        all_seen(part)
    if isinstance(value, str) and (found := unseen(value)):
        raise ValueError(f"must be one line of visible characters: {found}")


def text(value: object) -> str:
    """A text with something in it."""
    if not isinstance(value, str):
        raise ValueError(f"wanted a text in quotes, found {_kind(value)}")
    if not value.strip():
        raise ValueError("must not be empty")
    return value


def header_text(value: object) -> str:
    """A text that goes into an HTTP header in quotes."""
    found = text(value)
    if re.search(r'["\\]', found) or not found.isascii():
        raise ValueError('must be plain ASCII without " and \\')
    return found


def secret(value: object) -> Secret:
    """A key or password; never shown again."""
    return Secret(text(value))


def digits(value: object) -> str:
    """A number kept as text, since leading zeros are signed too."""
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]+", value):
        raise ValueError(f'wanted digits in quotes, such as "8103", found {_for_message(value)}')
    return value


def account_name(value: object) -> str:
    """What the dialplan writes behind account=: nothing that would have to be quoted there."""
    if not isinstance(value, str) or not re.fullmatch(_ACCOUNT, value) or unseen(value):
        raise ValueError(f"wanted letters and digits, with - _ . between them, found {_for_message(value)}")
    return value


def texts(value: object) -> tuple[str, ...]:
    """A list of texts."""
    if not isinstance(value, list):
        raise ValueError(f'wanted a list such as ["050112233"], found {_kind(value)}')
    return tuple(text(item) for item in value)


def number_table(value: object) -> Mapping[str, str]:
    """An inline table from numbers or accounts, read as a channel's are, to texts."""
    if not isinstance(value, dict):
        raise ValueError(f'wanted a table such as {{ "201" = "056528998" }}, found {_kind(value)}')
    return MappingProxyType({bare_number(key): text(item) for key, item in value.items()})


def choice(*words: str) -> Callable[[object], str]:
    """One of `words`."""
    wanted = " or ".join(f'"{word}"' for word in words)

    def read(value: object) -> str:
        if value not in words:
            raise ValueError(f"wanted {wanted}, found {_for_message(value)}")
        return str(value)

    return read


def yes_or_no(value: object) -> bool:
    """true or false."""
    if not isinstance(value, bool):
        raise ValueError(f"wanted true or false, found {_for_message(value)}")
    return value


def number(least: float, most: float) -> Callable[[object], float]:
    """A number between `least` and `most`."""

    def read(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise ValueError(f"wanted a number from {least:g} to {most:g}, found {_for_message(value)}")
        return float(value)

    return read


def url(value: object) -> str:
    """An http or https address without user, query or fragment."""
    found = text(value)
    try:
        parts = urlsplit(found)
        good = parts.scheme in ("http", "https") and _is_host(parts.hostname or "") and parts.port != 0
    except ValueError:
        good = False
    if not good or re.search(r"[\s<>\"{}|\\^`]", found):
        raise ValueError("wanted an address such as https://host/path")
    if "@" in parts.netloc or "?" in found or "#" in found:
        raise ValueError("wanted an address without user, password, ? and #: callsign adds what is asked itself")
    return found


def _is_host(name: str) -> bool:
    """Whether it has a label, none but the last is empty, and none too long for DNS.  Raises ValueError."""
    plain = name if name.isascii() else name.encode("idna").decode()  # whose tables are loaded where they are needed
    *labels, last = plain.split(".")
    return bool(plain) and all(labels) and max(map(len, (*labels, last))) <= MOST_OF_A_LABEL


def verify(value: object) -> bool | str:
    """true, or the path of a CA file that can be read.  false is no setting: TLS is verified."""
    if value is True:
        return True
    if isinstance(value, str) and value.startswith("/"):
        no_pipe(value)
        try:
            with open(value, "rb") as file:
                pem = b"-----BEGIN " in file.read(1 << 20)
        except OSError as fault:
            raise ValueError(f"{value} cannot be read: {fault.strerror}") from None
        if not pem:
            raise ValueError(f"{value} holds no certificate in PEM form")
        return value
    raise ValueError(f"wanted true or the absolute path of a CA file, found {_for_message(value)}")


def address(value: object) -> tuple[str, int]:
    """HOST:PORT with a literal address; IPv6 in brackets."""
    found = text(value)
    host, _, port = found.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        ip_address(bare)
        if (":" in bare) != host.startswith("[") or not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535:
            raise ValueError
    except ValueError:
        raise ValueError(f'wanted ADDRESS:PORT such as "127.0.0.1:4591", found {_for_message(value)}') from None
    return bare, int(port)


def networks(value: object) -> tuple[IPv4Network | IPv6Network, ...]:
    """A list of addresses and networks."""
    found = []
    for item in texts(value):
        try:
            found.append(ip_network(item.strip()))
        except ValueError:
            wanted = 'wanted addresses or networks such as "192.168.1.0/24" with no bits set behind the /'
            raise ValueError(f"{wanted}, found {_for_message(item)}") from None
    if not found:
        raise ValueError("must not be empty: nobody could connect")
    return tuple(found)


def patterns(value: object) -> NumberPatterns:
    """A list of Asterisk extension patterns."""
    found = texts(value)
    for item in found:
        try:
            NumberPatterns((item,))
        except ValueError as fault:
            raise ValueError(f"{_for_message(item)}: {fault}") from None
    return NumberPatterns(found)


def country(value: object) -> str:
    """An ISO 3166 country code with a telephone numbering plan known to phonenumbers."""
    if not isinstance(value, str) or not re.fullmatch(r"[A-Z]{2}", value):
        raise ValueError(f'wanted a country code of two capitals such as "BE", found {_for_message(value)}')
    return value


def timezone(value: object) -> str:
    """A name from the IANA time zone database, such as Europe/Brussels."""
    from zoneinfo import ZoneInfo, available_timezones  # only where a zone is given

    found = text(value)
    try:
        ZoneInfo(found)
    except (ValueError, OSError, KeyError):
        wanted = f'wanted a time zone such as "Europe/Brussels", found {_for_message(value)}'
        raise ValueError(wanted if available_timezones() else "no time zone database here: install tzdata") from None
    return found


def absolute_path(value: object) -> Path:
    """The absolute path of a file."""
    found = Path(text(value))
    if not found.is_absolute():
        raise ValueError("wanted a path from the root such as /var/lib/…, found one that does not begin with /")
    if found.name in ("", ".."):
        raise ValueError("wanted the path of a file, found that of a folder")
    return found


def no_pipe(path: str | Path) -> None:
    """Raises ValueError for what is there and is no regular file: a pipe would never end."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise ValueError(f"{path} is no regular file")


def _kind(value: object) -> str:
    names = {str: "a text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "a table"}
    return names.get(type(value), "a date or time")


def _for_message(value: object) -> str:
    if isinstance(value, str):
        return f'"{value}"' if len(value) <= MAX_SHOWN_CHARACTERS else f"a text of {len(value)} characters"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float) and abs(value) < 10**MAX_SHOWN_CHARACTERS:
        return f"{value:g}" if isinstance(value, float) else str(value)
    return _kind(value)
