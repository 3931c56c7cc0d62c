"""The parser of a command line: what is wrong with it is JSON too, where a program reads."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NoReturn

from callsign.commands.common import MISUSED, print_json


class CommandParser(argparse.ArgumentParser):
    """Reads the `words` that it was made for."""

    def __init__(
        self, words: Sequence[str], prog: str, description: str, epilog: str, usage: str | None = None
    ) -> None:
        form = argparse.RawDescriptionHelpFormatter
        super().__init__(prog=prog, usage=usage, description=description, epilog=epilog, formatter_class=form)
        self._is_for_program = "--json" in words

    def error(self, message: str) -> NoReturn:
        """Ends the process; whether the command has --json was perhaps not read yet."""
        if self._is_for_program:
            print_json({"ok": False, "faults": [message]})
            self.exit(MISUSED)
        super().error(message)
