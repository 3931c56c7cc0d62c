"""What the database says is ours, and what we hold, made one: behind a join, another connection, another server."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

from callsign import clocks
from callsign.cluster import rows
from callsign.cluster import statements as sql
from callsign.cluster.adopting import Adopting
from callsign.cluster.connection import Database
from callsign.cluster.ledger import Entry, Key, Ledger
from callsign.cluster.life import Life
from callsign.cluster.publishing import Publishing
from callsign.notification import State

PAGE = 500


class Reconciliation:
    """What it takes; `run` is for the thread of the rounds."""

    def __init__(
        self,
        me: str,
        store: str,
        ledger: Ledger,
        publishing: Publishing,
        adopting: Adopting,
        look_up: Callable[[int], tuple[State, str] | None],
    ) -> None:
        """`look_up` tells where a job of our own store stands, None where there is none."""
        self._me, self._store, self._ledger = me, store, ledger
        self._publishing, self._adopting, self._look_up = publishing, adopting, look_up

    def run(self, database: Database, forgetful: bool) -> None:
        """`forgetful`: it is another server, or was started again, and may lack what was told last.

        Raises DatabaseFault.
        """
        held = [entry for entry in self._ledger.all() if entry.is_published and entry.end is None]
        pages = iter(held)
        while page := list(islice(pages, PAGE)):
            self._look_after(page, database)
        if forgetful:
            untold = [entry for entry in self._ledger.all(Life.ENDED) if entry.is_published]
            for entry in {entry.key: entry for entry in (*untold, *self._publishing.recent)}.values():
                entry.is_published = False
                self._publishing.publish(entry)
            self._publishing.recent.clear()
        above: Key = ("", 0)
        while True:
            with self._adopting.lock:
                with database.exchange() as say:
                    mine = say(sql.HELD, {"me": self._me, "above_store": above[0], "above_n": above[1]})
                found = mine.fetchall()
                self._adopting.take_in([row for row in found if self._is_unknown(row)], database)
            if len(found) < PAGE:
                return
            above = found[-1][:2]

    def _look_after(self, page: list[Entry], database: Database) -> None:
        """Jobs that we hold: others may have taken them, or the database forgotten them."""
        with database.exchange() as say:
            asked = say(sql.ANSWERS, {"jobs": rows.names(entry.key for entry in page), "me": self._me})
        answers = {(store, n): tuple(rest) for store, n, *rest in asked.fetchall()}
        for entry in page:
            if entry.end is not None:
                continue
            if entry.key in answers:
                self._publishing.heed(entry, answers[entry.key])
            else:
                entry.is_published = False
                self._publishing.publish(entry)

    def _is_unknown(self, row: tuple[Any, ...]) -> bool:
        """Whether nobody here has that job; where it has ended here that is told once more."""
        store, n = row[:2]
        if self._ledger.get((store, n)) is not None or self._publishing.has_told((store, n)):
            return False
        ended = self._look_up(n) if store == self._store else None
        if ended is None:
            return True
        if ended[0] is not State.WAITING:
            facts_are_over = (*row[:5], "{}", *row[6:])  # damaged ones, too
            entry = rows.adopted(facts_are_over, self._me, 0.0)
            entry.life, entry.end, entry.ended_at = Life.ENDED, ended, clocks.steady()  # it is on no lane
            self._publishing.end(entry)
        return False
