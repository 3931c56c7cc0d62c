"""One exchange with the database: all that is to be told of jobs, in one transaction, and what it says of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from callsign.cluster import rows
from callsign.cluster import statements as sql
from callsign.cluster.answers import Answer
from callsign.cluster.connection import Database
from callsign.cluster.known import Known
from callsign.cluster.ledger import Entry, Key, Note
from callsign.cluster.life import Life
from callsign.record import Record


class Said(Record):
    """What the database says."""

    answers: dict[Key, Answer]
    ended: set[Key]  # whose end was news
    published: set[Key]  # of which the others did not know until now


class Telling:
    """For the thread that publishes."""

    def __init__(
        self,
        database: Database,
        known: Known,
        me: str,
        once_of: Callable[[Entry], str | None],
        has_room: Callable[[str], bool],
    ) -> None:
        """`has_room` tells of an account whether we can attempt something."""
        self._database, self._known, self._me = database, known, me
        self._once_of, self._has_room = once_of, has_room

    def tell(self, new: list[Entry], ends: list[Entry], notes: list[Note], behind: list[Entry]) -> Said:
        """New jobs, ends and attempts; of those `behind` another one it is asked.  Raises DatabaseFault."""
        cursors, ended, published = [], None, None
        with self._database.exchange() as say:
            if new or ends or notes:
                say(sql.BEGIN)
                if notes:
                    say(sql.NOTE_ATTEMPTS, rows.attempts(notes, self._me))
                if ends:
                    ended = say(sql.END, rows.ends(ends, self._me))
                if new:
                    self._known.telling(new)
                    values = rows.publication(new, self._once_of, self._owner_of, self._me)
                    say(sql.LOCK_KEYS, values)
                    if begun := [entry for entry in new if entry.was_offered and not self._may_offer(entry)]:
                        say(sql.HAND_OVER, rows.handing(begun, None, self._me))
                    published = say(sql.PUBLISH, values)
                    cursors.append(say(sql.ANSWERS, values))
                else:
                    say(sql.NO_WAIT_FOR_DISK)
                say(sql.COMMIT)
            if behind or not (new or ends or notes):
                asked = {"jobs": rows.names(entry.key for entry in behind), "me": self._me}
                cursors.append(say(sql.ANSWERS, asked))
        answers = {(store, n): tuple(rest) for cursor in cursors for store, n, *rest in cursor.fetchall()}
        return Said(answers, _keys(ended), _keys(published))

    def close(self) -> None:
        """Nothing more is told."""
        self._database.close()

    def _owner_of(self, entry: Entry) -> str | None:
        """Who is to deliver it; None where we cannot: a host has more to do than to wait for one of the few slots."""
        return None if self._may_offer(entry) and not self._has_room(entry.job.notification.system) else self._me

    def _may_offer(self, entry: Entry) -> bool:
        """Whether we have not begun with it, and shall not without another word."""
        return entry.life in (Life.NEW, Life.OFFERED) and not entry.job.recovered


def _keys(cursor: Any) -> set[Key]:
    return set() if cursor is None else set(cursor.fetchall())
