"""Reads the sections one by one, and notes every fault instead of stopping at the first."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from callsign.log_text import printable
from callsign.record import Record, fields
from callsign.settings import readers as read
from callsign.settings import text as config_text

MAX_SECRET_BYTES = 4096  # of a file with one key
MAX_NAME_CHARACTERS = 60
MAX_FAULT_CHARACTERS = 400


def open_to_others(path: Path, file: int) -> list[str]:
    """A warning where others can read the file, which may hold keys."""
    if os.fstat(file).st_mode & (stat.S_IROTH | stat.S_IWOTH):
        return [f"{path}: others on this machine can read it; chmod 640 {path}"]
    return []


class Walk:
    """What was found on the way through the files: faults, warnings, and the files of one key each."""

    def __init__(self, file: Path) -> None:
        self.file = file
        """The one that is being read: each fault names it."""
        self.place = 0
        """Which section in the order of all: the faults are told in that order, whichever is read first."""
        self._faults: list[tuple[int, str]] = []
        self.warnings: list[str] = []
        self.files: list[Path] = []

    @property
    def faults(self) -> list[str]:
        """A line each."""
        return [line for _, line in sorted(self._faults, key=lambda fault: fault[0])]

    def section(
        self,
        kind: type[Record],
        label: str,
        table: Mapping[str, object],
        above: Record | None = None,
        below: bool = False,
    ) -> Any:
        """The section that `table` is; None where anything has a fault.

        What it does not say itself is taken from the section `above`, secrets excepted.  `below`: there is such a
        one, and where it is None its own faults are told already.
        """
        known = fields(kind)
        secrets = {name for name, f in known.items() if f.metadata.get("reader") is read.secret}
        files = {f"{name}_file": name for name in secrets}
        values: dict[str, object] = {}
        for name, value in table.items():
            where = f"{label} {name_shown(name)}"
            if name in files:
                self.keep(values, files[name], where, self.secret_from_file, value)
            elif name not in known:
                self.fault(where, f"unknown key{nearest(name, [*known, *files])}")
            else:
                self.keep(values, name, where, known[name].metadata["reader"], value)
        for name, declared in known.items():
            given = name in table or f"{name}_file" in table
            if not given and below and name not in secrets:
                if above is not None:
                    values[name] = getattr(above, name)
            elif not declared.has_default and not given:
                or_file = f" (or {name}_file)" if name in secrets else ""
                self.fault(f"{label} {name}{or_file}", "is missing")
            if name in table and f"{name}_file" in table:
                self.fault(f"{label} {name}", f"given twice, as {name} and as {name}_file")
        return None if self._faults else kind(**values)

    def keep(self, values: dict[str, object], name: str, where: str, reader: Any, value: object) -> None:
        try:
            read.all_seen(value)
            values[name] = reader(value)
        except ValueError as fault:
            self.fault(where, str(fault))

    def fault(self, where: str, what: str) -> None:
        self._faults.append((self.place, printable(f"{self.file}: {where}: {what}", MAX_FAULT_CHARACTERS)))

    def secret_from_file(self, value: object) -> Any:
        path = read.absolute_path(value)
        self.files.append(path)
        read.no_pipe(path)
        try:
            with path.open("rb") as file:
                self.warnings += open_to_others(path, file.fileno())
                content = file.read(MAX_SECRET_BYTES + 1)
        except OSError as fault:
            raise ValueError(f"{path} cannot be read: {fault.strerror}") from None
        if len(content) > MAX_SECRET_BYTES:
            raise ValueError(f"{path} is too large for a key")
        try:
            text = config_text.decoded(content).strip()
            read.all_seen(text)
            return read.secret(text)
        except ValueError as fault:
            raise ValueError(f"{path}: {fault}") from None


def name_shown(key: str) -> str:
    """A key or section's name for a message."""
    return printable(key, MAX_NAME_CHARACTERS)


def nearest(name: str, known: Any) -> str:
    """What may have been meant."""
    if unseen := config_text.unseen(name):
        return f": {unseen}, which nobody sees"
    import difflib  # only where something is misspelt

    close = difflib.get_close_matches(name_shown(name).lower(), list(known), n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; known are {', '.join(known)}"
