"""The accounts of a vendor by one name each: "noojee" is [noojee], "noojee.antwerp" a further one.

Everything of an account goes by that name: its section of the settings, its jobs in the store, its lane, what is
remembered of it, its line in `status`.
"""

from __future__ import annotations

from collections.abc import Iterable

from callsign.log_text import vendor_words

MOST_NAMES = 8
"""Of the known ones in a reason: it is one short line."""

MOST_CHARACTERS = 40
"""Of a name that is not known."""


def account_of(system: str, name: str) -> str:
    """The account `name` of `system`; without a name the one that the section itself is."""
    return f"{system}.{name}" if name else system


def system_of(account: str) -> str:
    """The vendor."""
    return account.partition(".")[0]


def name_of(account: str) -> str:
    """The name behind the vendor's, empty for the section itself."""
    return account.partition(".")[2]


def section_shown(account: str) -> str:
    """How its section is written: [noojee.antwerp]; of Skarabee the office."""
    system, name = system_of(account), name_of(account)
    return f'[[skarabee.office]] with name = "{name}"' if name and system == "skarabee" else f"[{account}]"


def unknown(account: str, known: Iterable[str], source: str) -> str:
    """Why `account` cannot be used, for whoever named it; `known` are the accounts that the settings have."""
    system, name = system_of(account), name_of(account)
    names = [name_of(one) for one in known if system_of(one) == system]
    if not names:
        return f"the settings have no section [{system}]: add it to {source or 'callsign.toml'}"
    further = [one for one in names if one]
    listed = f"known are {some(further, name)}" if further else "there is none"
    if not name:
        return f"[{system}] itself is no account: give account=NAME, {listed}"
    shown = vendor_words(name, MOST_CHARACTERS)
    what = "office of that name" if system == "skarabee" else f"section [{system}.{shown}]"
    return f"account {shown}: the settings have no {what}, {listed}"


def some(names: Iterable[str], wanted: str = "") -> str:
    """A few of `names`, those like `wanted` first, and how many there are."""
    every = list(names)
    if len(every) <= MOST_NAMES:
        return ", ".join(every)
    from difflib import get_close_matches  # only where something is misspelt

    like = get_close_matches(wanted, every, n=MOST_NAMES)
    few = list(dict.fromkeys([*like, *every]))[:MOST_NAMES]
    return f"{', '.join(few)}, … ({len(every)} in all)"


def place_named(account: str, words: str) -> str:
    """What a vendor's file says of "[noojee] key" is said of the account's own section."""
    system = system_of(account)
    return words if system == "skarabee" else words.replace(f"[{system}]", f"[{account}]")
