"""The `callsign` command: finds the module of a command by its name, reads its arguments and runs it.

Each command is a module with `arguments(parser)`, `run(options)`, which returns the exit status, and EPILOG, the end
of its --help.  Only the one that runs is imported.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from callsign import __version__
from callsign.commands.common import FAILED, MISUSED, CommandFailed, UsageFault, complain, print_json
from callsign.outbox.values import OutboxError
from callsign.settings.load import ConfigError

if TYPE_CHECKING:
    import argparse

COMMANDS = {
    "serve": "the FastAGI server and the delivery; the only thing that must run",
    "check": "reads the settings and says what is wrong",
    "call": "runs one handler from the shell and prints the variables it would set",
    "sign": "the text to sign (secret masked) and the signature",
    "api": "any call of a vendor's API, its answer as JSON",
    "status": "is it running, what waits, what was last delivered and last failed",
    "jobs": "the jobs and their history",
    "retry": "a failed job once more",
    "drop": "gives a waiting or failed job up",
    "cluster": "the PostgreSQL by which several hosts share the work",
    "cdr": "the call register of the KalliopePBX for a period",
    "backup": "a copy of the store as it is now, while the server goes on",
    "sandbox": "stand-ins of the vendors on loopback, to try a dialplan without an account",
    "help": "what README leaves out, by topic",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; an expected fault is a line on stderr, with --json an object, any other the shell's."""
    words = list(sys.argv[1:] if argv is None else argv)
    # As systemd starts it: calls wait meanwhile, and need not wait for the parser, a tenth of the start.
    options: Any = SimpleNamespace(command="serve", config=None) if words == ["serve"] else _parse(words)
    try:
        status: int = _module_of(options.command).run(options)
        return status
    except (ConfigError, UsageFault, CommandFailed, OutboxError) as fault:
        faults = fault.faults if isinstance(fault, ConfigError) else [str(fault)]
        if getattr(options, "json", False):
            print_json({"ok": False, "faults": faults})
        elif isinstance(fault, ConfigError):
            for line in faults:
                print(line, file=sys.stderr)
        else:
            complain(options.command, str(fault))
        return FAILED if isinstance(fault, (CommandFailed, OutboxError)) else MISUSED


def _module_of(command: str) -> Any:
    return import_module(f"callsign.commands.{command}")


def _parse(words: list[str]) -> argparse.Namespace:
    """Options may stand before, between and behind the arguments."""
    import argparse

    if not words or words[0] not in COMMANDS:
        words = [_parser(words).parse_args(words).command]  # ends here, but for "-- COMMAND"
    return parser_of(words[0], words).parse_intermixed_args(words[1:], argparse.Namespace(command=words[0]))


def parser_of(command: str, words: Sequence[str] = ()) -> argparse.ArgumentParser:
    """What may stand on the command line of a command."""
    from callsign.commands.parser import CommandParser

    module = _module_of(command)
    parser = CommandParser(words, f"callsign {command}", COMMANDS[command], module.EPILOG)
    module.arguments(parser)
    return parser


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    from callsign.commands.parser import CommandParser

    parser = CommandParser(
        words,
        prog="callsign",
        usage="callsign COMMAND [ARGUMENT ...]",
        description="signs and fires vendor API calls from the dialplan",
        epilog="\n".join(f"  {name:<9} {purpose}" for name, purpose in COMMANDS.items())
        + "\n\ncallsign COMMAND --help says what may stand behind it.",
    )
    parser.add_argument("--version", action="version", version=f"callsign {__version__}")
    parser.add_argument("command", metavar="COMMAND", choices=COMMANDS, help="one of those below")
    return parser
