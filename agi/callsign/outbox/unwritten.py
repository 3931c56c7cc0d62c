"""What came of jobs and could not be written into the store, kept beside it for the next start.

Only where systemd gives a folder in /run: a full or dead disk is no matter there, and it lasts until the machine
is started again.  A file in another place of the store's own disk would not be written either.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from callsign.outbox import schema as sql
from callsign.outbox.values import Change

FILE = "callsign-unwritten.json"
STATEMENTS = (
    *(sql.NOTE_ATTEMPT, sql.ADD_EVENT, sql.END_JOB, sql.DELETE_JOB, sql.NOTE_ASKED, sql.NOTE_KNOWN),
    sql.KEEP_IDS_RISING,
)
"""A change is kept as its place in here, and its values."""

log = logging.getLogger("callsign.outbox")


class Unwritten:
    """The file of one store; for the writer's thread.  Never raises."""

    def __init__(self, store: Path, environment: Mapping[str, str] = os.environ) -> None:
        folder = environment.get("RUNTIME_DIRECTORY", "").partition(":")[0]  # systemd.exec(5)
        self._store = str(store)
        self._file = Path(folder, FILE) if folder else None
        self._was_read = self._is_there = False

    def keep(self, changes: list[Change]) -> bool:
        """Whether the next start will find them; in place of those that were kept before, so not until these were read.

        Only who has delivered has ends to keep, and that begins with reading.
        """
        if self._file is None or not self._was_read:
            return False
        numbered = [(STATEMENTS.index(statement), values) for statement, values in changes]
        kept = {"store": self._store, "changes": numbered}
        new = self._file.with_suffix(".new")
        try:
            new.touch(mode=0o600)
            new.write_text(json.dumps(kept), encoding="utf-8")
            new.replace(self._file)
        except OSError as fault:
            log.error("nor could it be kept in %s: %s", self._file, fault.strerror)
            return False
        self._is_there = True
        return True

    def found(self) -> list[Change]:
        """What the last process kept; they do nothing where they are written already."""
        self._was_read = True
        if self._file is None:
            return []
        try:
            kept = json.loads(self._file.read_text(encoding="utf-8"))
            if kept["store"] != self._store:
                return []
            changes = [(STATEMENTS[number], tuple(values)) for number, values in kept["changes"]]
            _try(changes)
        except FileNotFoundError:
            return []
        except Exception as fault:  # whatever lies there, delivery begins
            log.error(
                "%s cannot be read (%s): what it says has ended may go out again", self._file, type(fault).__name__
            )
            return []
        self._is_there = True
        return changes

    def forget(self) -> None:
        """They are in the store."""
        if self._is_there and self._file is not None:
            self._is_there = False
            try:
                self._file.unlink(missing_ok=True)
            except OSError as fault:
                log.warning("%s stays behind: %s", self._file, fault.strerror)


def _try(changes: list[Change]) -> None:
    """Raises what they raise on a store without jobs: one that fits no statement would refuse each call's commit."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(";".join(sql.STEPS))
        for change in changes:
            db.execute(*change)


def ends_in(changes: list[Change]) -> int:
    """How many jobs have ended by them."""
    return sum(statement is sql.DELETE_JOB for statement, _ in changes)
