"""What other processes store: how far the writer has looked for it, while somebody listens."""

from __future__ import annotations

import sqlite3

from callsign.outbox import schema as sql
from callsign.outbox.file import NO_STORE, StoreFile
from callsign.outbox.jobs import jobs_of
from callsign.outbox.values import Job
from callsign.record import Record


class SeenUpTo(Record):
    """How far the writer has looked: SQLite's data_version, the highest id."""

    data_version: int
    highest_id: int


NOTHING_SEEN = SeenUpTo(-2, 0)
"""Nobody has listened yet: the next look tells how far the backlog reaches."""

NEW_CONNECTION = -1
"""A data_version that SQLite never gives."""

ALL = -1
HIGHEST_ID = 2**63 - 1


class JobsOfOthers:
    """For the writer, in its turn."""

    def __init__(self, file: StoreFile) -> None:
        self.seen = NOTHING_SEEN
        self._file = file
        self._connection = (0, NO_STORE)  # which one, to which store

    def look(self, db: sqlite3.Connection) -> tuple[list[Job], SeenUpTo]:
        """Rows that another connection committed: ids are given under the lock, so they stand above ours."""
        self._note_connection()
        seen = self.seen
        (version,) = db.execute("PRAGMA data_version").fetchone()
        if seen is NOTHING_SEEN:
            (highest,) = db.execute(sql.NEWEST_OPEN).fetchone()
            return [], SeenUpTo(version, highest or 0)
        if version == seen.data_version:
            return [], seen
        found, highest = jobs_of(db.execute(sql.OPEN_JOBS, (seen.highest_id, HIGHEST_ID, ALL)), recovered=False)
        return found, SeenUpTo(version, max(highest, seen.highest_id))

    def _note_connection(self) -> None:
        """A new connection counts its data_version from the start, a new store its ids."""
        opened, store = self._file.openings, self._file.identity
        if (opened, store) != self._connection and self.seen is not NOTHING_SEEN:
            known = store == self._connection[1]
            self.seen = SeenUpTo(NEW_CONNECTION, self.seen.highest_id if known else 0)
        self._connection = opened, store
