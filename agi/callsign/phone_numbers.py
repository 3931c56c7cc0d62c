"""Phone numbers: as a trunk or the dialplan writes them -> as a vendor wants them; withheld; internal."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

RESTRICTED_OR_UNAVAILABLE = 0x60
"""Bits of `agi_callingpres` that say "not to be shown" (include/asterisk/callerid.h: 32-35, 64 and up)."""

WITHHELD_WORDS = frozenset(
    ("anonymous", "unknown", "restricted", "unavailable", "private", "withheld", "asterisk", "-1")
)
"""What stands in place of a number when there is none: Asterisk writes `unknown` and `asterisk`, trunks the others."""

_BARE = re.compile(r'<?(?:(?:sips?|tel):)?([^:;,@?"\\<>]*).*', re.IGNORECASE)
_DIALLED = re.compile(r"\+?[(0-9][0-9 ()./-]*")
_PLUS_ZERO = re.compile(r"^\+(?=[()./-]*0)")
_SEPARATORS = re.compile(r"[ ()./-]")
_PATTERN_PIECE = r"\[(?:[0-9]-[0-9]|[0-9*#+])+\]|[0-9*#+]|[XxZzNn]|[.!]$|-"
_NOT_A_DIGIT = re.compile(r"[^0-9]")
_LEAST_COMMON_DIGITS = 6

HAVE_A_PLAN = frozenset(["BE", "CH", "DE", "ES", "FR", "GB", "IT", "LU", "NL"])
"""Some countries of which this is known without loading the plans, which takes a server's start 40 ms."""

TRUNK_ZERO = frozenset(["AT", "BE", "CH", "DE", "FR", "GB", "IE", "NL", "RO", "SE", "SK", "TR", "ZA"])
"""Countries that dial 0 before an area code and 00 before a country code (phonenumbers' metadata)."""

_HOME_NUMBER = re.compile(r"0[1-9][0-9]{5,}")


@lru_cache(maxsize=4096)
def bare_number(text: str) -> str:
    """The number or account in what SIP or a dialplan leaves of it: +3256528999 of `tel:+32-56…;npdi=yes`, say.

    Off go a scheme, a host, parameters, white space and characters that nobody sees; the + of `+056…` too, since
    no country code begins with 0 (E.164).  Sources: RFC 3261 19.1.1, RFC 3966 3, RFC 4694 (`rn`, `npdi`).
    """
    seen = "".join(c for c in text if c.isprintable() and not c.isspace())
    return _PLUS_ZERO.sub("", _BARE.sub(r"\1", seen, count=1))


@lru_cache(maxsize=4096)
def as_vendor_wants(number: str, country: str, form: str) -> str:
    """`number` in `form` ("national", "e164", "asis"), read as dialled in `country` (ISO 3166, "BE").

    National form has no separators and is given to numbers of `country` alone: a foreign number keeps
    its country code as `+CC…`, since without it it would name a subscriber at home.  What is no full
    number (a SIP account, an extension, a short code) passes through unchanged.  Never raises.
    """
    text = number.strip()
    if form == "asis" or not _DIALLED.fullmatch(text):
        return text
    if form == "national" and country in TRUNK_ZERO and _HOME_NUMBER.fullmatch(text):
        return text  # what the plan would say too, without the 50 ms that a plain AGI script takes to load it
    import phonenumbers

    try:
        parsed = phonenumbers.parse(text, country, keep_raw_input=True)
    except phonenumbers.NumberParseException:
        return text
    possible = phonenumbers.is_possible_number_with_reason(parsed) == phonenumbers.ValidationResult.IS_POSSIBLE
    if not possible:
        return text
    e164 = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    shown = _SEPARATORS.sub("", phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.NATIONAL))
    valid = phonenumbers.is_valid_number(parsed)
    if parsed.country_code_source == phonenumbers.CountryCodeSource.FROM_DEFAULT_COUNTRY:
        dialled = _SEPARATORS.sub("", text)
        trunk_prefix = phonenumbers.ndd_prefix_for_region(country, True)
        full = (trunk_prefix and dialled.startswith(trunk_prefix)) or (valid and dialled == shown)
        if not full:  # digits that nobody dials so at home: an account, an extension
            return text
        return dialled if form == "national" else e164
    at_home = parsed.country_code == phonenumbers.country_code_for_region(country)
    unformatted = not valid and shown == phonenumbers.national_significant_number(parsed)  # its trunk 0 is lost
    return shown if form == "national" and at_home and not unformatted else e164


def may_be_same(number: str, other: str) -> bool:
    """Whether two texts may be notations of one number: equal, or the digits of one end those of the other.

    Meant for the privacy of callers: rather too often yes than once too rarely.
    """
    if number == other:
        return True
    short, long = sorted((_NOT_A_DIGIT.sub("", text).lstrip("0") for text in (number, other)), key=len)
    return bool(short) and (short == long or (len(short) >= _LEAST_COMMON_DIGITS and long.endswith(short)))


def knows_country(country: str) -> bool:
    """Whether there is a numbering plan for this ISO 3166 code."""
    if country in HAVE_A_PLAN:
        return True
    import phonenumbers

    return country in phonenumbers.SUPPORTED_REGIONS


def is_withheld(number: str, presentation: int = 0) -> bool:
    """Whether this caller ID is not to be passed on: `agi_callingpres` says so, or it names nobody (0, +, a word)."""
    if presentation & RESTRICTED_OR_UNAVAILABLE:
        return True
    account, host = bare_number(number).lower(), number.lower().partition("@")[2]
    return not account.strip("+-0") or account in WITHHELD_WORDS or host.startswith("anonymous.invalid")


def is_name(caller: str) -> bool:
    """Whether this caller ID is a name, such as Asterisk puts there where a trunk sends none: its endpoint's."""
    return bare_number(caller)[:1].isalpha()


def pattern_to_regex(pattern: str) -> str:
    """One Asterisk extension pattern ("2XX", "_3XXX", "0[1-5]!") as a regular expression.

    Raises ValueError for text that is no pattern, without repeating it.  Source: extensions.conf.sample
    (X 0-9, Z 1-9, N 2-9, `.` one or more, `!` none or more, `-` only for reading).
    """
    text = pattern.strip().removeprefix("_")
    pieces = re.findall(_PATTERN_PIECE, text)
    wild = {"X": "[0-9]", "Z": "[1-9]", "N": "[2-9]", ".": ".+", "!": ".*", "-": ""}
    regex = "".join(wild.get(p.upper(), p if p.startswith("[") else re.escape(p)) for p in pieces)
    if not regex or "".join(pieces) != text:
        raise ValueError("no Asterisk pattern: wanted digits, X, Z, N, [1-5], a closing . or !")
    try:
        re.compile(regex)
    except re.error as fault:
        raise ValueError(f"no Asterisk pattern: {fault}") from None
    return regex


class NumberPatterns:
    """A set of Asterisk patterns that a number may match, such as `[numbers] internal`."""

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        self.patterns = tuple(patterns)
        alternatives = "|".join(pattern_to_regex(p) for p in self.patterns)
        self._regex = re.compile(f"(?:{alternatives})") if alternatives else None

    def __contains__(self, number: str) -> bool:
        return self._regex is not None and self._regex.fullmatch(number) is not None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NumberPatterns) and other.patterns == self.patterns

    def __hash__(self) -> int:
        return hash(self.patterns)

    def __repr__(self) -> str:
        return f"NumberPatterns({len(self.patterns)})"
