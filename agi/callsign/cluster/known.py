"""Which jobs of our own store the others may know of: for a start that finds some while the database is silent.

Others take over what they know of; what they do not know is ours alone.  As long as the database answers they may know
of all, and nothing is written.  When it falls silent the store gets the number of the last job that may have come
through, when it answers again that is taken out.  If we are killed before that is written, a few milliseconds behind
the silence's beginning, the jobs of the silence wait until near their end; a few behind its end, one that had just
come through may go out twice.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from callsign.cluster.ledger import Entry

ALL = 2**63 - 1
"""Above each job's number."""


class Known:
    """For any thread."""

    def __init__(self, write: Callable[[int | None], None]) -> None:
        """`write` puts a number into the store beside the calls, or takes it out."""
        self._write = write
        self._guard = threading.Lock()
        self._up_to = ALL
        self._written: int | None = None
        self._found_up_to = ALL

    def found(self, newest: int, up_to: int | None) -> None:
        """What the store says before a call was answered: the last job's number, and what was written."""
        self._found_up_to, self._written = newest, up_to
        self._up_to = newest if up_to is None else up_to

    def is_found(self, number: int) -> bool:
        """Whether the job lay there before a call was answered."""
        return number <= self._found_up_to

    def has(self, number: int) -> bool:
        """Whether the others may know of that one."""
        return number <= self._up_to

    @property
    def up_to(self) -> int:
        """The last one that they may know of."""
        return self._up_to

    def telling(self, entries: Iterable[Entry]) -> None:
        """The database is about to be told of them; whether it hears that is not known yet."""
        with self._guard:
            self._up_to = max([self._up_to, *(entry.job.id for entry in entries)])  # below 0: another store's

    def unheard(self, before: int) -> None:
        """It has not: they know of no more than `before`."""
        with self._guard:
            self._up_to = before

    def silence(self) -> None:
        """They do not hear of the next ones."""
        with self._guard:
            if self._written != self._up_to:
                self._written = self._up_to
                self._write(self._up_to)

    def answers(self) -> None:
        """They hear of all again."""
        with self._guard:
            if self._written is not None:
                self._written = None
                self._write(None)
