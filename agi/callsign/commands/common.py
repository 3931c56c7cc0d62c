"""What the commands share: exit statuses, settings, printing, and values of the command line."""

from __future__ import annotations

import codecs
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from callsign import SYSTEMS
from callsign.log_text import visible, visible_json
from callsign.outbox.owner import become_owner
from callsign.outbox.values import OutboxError
from callsign.settings.accounts import account_of, system_of, unknown
from callsign.settings.load import DEFAULT_PATH, load, path_of
from callsign.settings.sections import Settings

if TYPE_CHECKING:  # argparse is loaded where a command line is parsed
    import argparse

    Parser = argparse.ArgumentParser
    Options = argparse.Namespace

DONE, FAILED, MISUSED = 0, 1, 2
MOST_SECONDS = 1_000_000  # eleven days: the longest wait that is meant


class UsageFault(Exception):
    """The command line or the settings cannot be used; the text says what to give."""


class CommandFailed(Exception):
    """What was asked for cannot be had; the text says why."""


def settings_option(parser: Parser) -> None:
    """Adds --config."""
    parser.add_argument("--config", metavar="FILE", help=f"settings, else $CALLSIGN_CONFIG, else {DEFAULT_PATH}")


def account_option(parser: Parser) -> None:
    """Adds --account."""
    parser.add_argument("--account", default="", metavar="NAME", help="a further account, as ?account=NAME")


def section_for(settings: Settings, system: str, name: str) -> Any:
    """The section of a vendor's account.  Raises UsageFault where the settings have none."""
    account = account_of(system, name)
    section = settings.section(account)
    if section is None:
        raise UsageFault(unknown(account, settings.accounts, settings.source))
    return section


def system_option(parser: Parser, when: str) -> None:
    """Adds --system."""
    text = f"{when}of this vendor, or of one account of it: noojee.antwerp"
    parser.add_argument("--system", type=_system_or_account, metavar="SYSTEM[.ACCOUNT]", help=text)


def _system_or_account(text: str) -> str:
    if system_of(text) not in SYSTEMS:
        from argparse import ArgumentTypeError

        raise ArgumentTypeError(f"{text} is no system, known are {', '.join(SYSTEMS)}")
    return text


def json_option(parser: Parser | argparse._MutuallyExclusiveGroup) -> None:
    """Adds --json."""
    parser.add_argument("--json", action="store_true", help="for a program to read")


def read_settings(options: Options) -> Settings:
    """The settings that the command line names.  Raises ConfigError."""
    return load(path_of(options.config))[0]


def settings_and_store(options: Options) -> Settings:
    """The settings; root becomes the user to whom their store belongs.  Raises ConfigError, OutboxError."""
    settings = read_settings(options)
    become_owner(settings.outbox.path)
    return settings


def store_is_there(store: Path) -> bool:
    """Whether it has been made.  Raises OutboxError where this user may not look."""
    try:
        store.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as fault:
        raise OutboxError(f"this user may not look into {store.parent}") from fault
    return True


def given_values(texts: Sequence[str], hint: str = "") -> dict[str, str]:
    """What stands there as NAME=VALUE; `hint` for whoever left out NAME=.  Raises UsageFault."""
    given: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or name in given:
            raise UsageFault(f"{name} is given twice" if equals else f"{text}: wanted NAME=VALUE{hint}")
        given[name] = value
    return given


@contextmanager
def temporary_files() -> Iterator[None]:
    """What cannot be made or written meanwhile is a temporary file.  Raises CommandFailed."""
    try:
        yield
    except OSError as fault:
        words = f"a temporary file cannot be written: {fault.strerror}"
        raise CommandFailed(f"{words}; $TMPDIR can name a folder with more room") from None


def print_lines(lines: Sequence[str]) -> None:
    """Lines for a person."""
    for line in lines:
        print(visible(line))


def print_json(value: object, indent: int | None = None, hide: Callable[[str], str] = str) -> None:
    """JSON is UTF-8: where standard output has another encoding it is ASCII, which is both.  One line, or indented."""
    text = hide(visible_json(value, indent))
    is_utf8 = codecs.lookup(sys.stdout.encoding).name == "utf-8"
    print(text if is_utf8 else "".join(c if c.isascii() else json.dumps(c)[1:-1] for c in text))


def complain(command: str, words: str) -> None:
    """A line on stderr."""
    print(f"callsign {command}: {words}", file=sys.stderr)


def whole_number(text: str, what: str, most: int, least: int = 0) -> int:
    """An argument's type.  Raises argparse.ArgumentTypeError."""
    if not (text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most):
        from argparse import ArgumentTypeError

        raise ArgumentTypeError(f"{text} is no {what}, wanted {least} to {most}")
    return int(text)


def seconds(text: str) -> float:
    """An argument's type.  Raises argparse.ArgumentTypeError."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= MOST_SECONDS:
        from argparse import ArgumentTypeError

        raise ArgumentTypeError(f"{text} is no number of seconds, wanted 0 to {MOST_SECONDS}")
    return number
