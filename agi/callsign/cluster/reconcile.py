"""What the database says is ours, and what we hold, made one: behind a join, another connection, another server."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from itertools import islice
from typing import Any

from callsign.cluster import rows
from callsign.cluster import statements as sql
from callsign.cluster.connection import Database
from callsign.cluster.figures import Figures
from callsign.cluster.ledger import Entry, Key, Ledger
from callsign.cluster.publishing import Publishing
from callsign.delivery.gate import Lanes
from callsign.notification import State

PAGE = 500

log = logging.getLogger("callsign.cluster")


class Reconciliation:
    """What it takes; `run` is for the thread of the rounds."""

    def __init__(
        self,
        me: str,
        store: str,
        ledger: Ledger,
        lanes: Lanes,
        publishing: Publishing,
        look_up: Callable[[int], tuple[State, str] | None],
        adopting: threading.Lock,
        figures: Figures,
    ) -> None:
        """`look_up` tells where a job of our own store stands, None where there is none."""
        self._me, self._store, self._ledger, self._lanes = me, store, ledger, lanes
        self._publishing, self._look_up, self._adopting, self._figures = publishing, look_up, adopting, figures

    def run(self, database: Database, forgetful: bool) -> None:
        """`forgetful`: it is another server, or was started anew, and may lack what was told last.

        Raises DatabaseFault.
        """
        held = [entry for entry in self._ledger.all() if entry.is_published and entry.end is None]
        pages = iter(held)
        while page := list(islice(pages, PAGE)):
            self._look_after(page, database)
        if forgetful:
            for entry in tuple(self._publishing.recent):
                entry.is_published = False
                self._publishing.publish(entry)
            self._publishing.recent.clear()
        above: Key = ("", 0)
        while True:
            with self._adopting:
                with database.exchange() as say:
                    mine = say(sql.HELD, {"me": self._me, "above_store": above[0], "above_n": above[1]})
                found = mine.fetchall()
                unknown = [row for row in found if self._is_unknown(row)]
                take_in(unknown, self._me, self._ledger, self._lanes, self._figures)
            if len(found) < PAGE:
                return
            above = found[-1][:2]

    def _look_after(self, page: list[Entry], database: Database) -> None:
        """Jobs that we hold: others may have taken them, or the database forgotten them."""
        with database.exchange() as say:
            asked = say(sql.ANSWERS, {**rows.names(page), "me": self._me})
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
            entry = rows.adopted(row, self._me)
            entry.end = ended
            self._publishing.end(entry)
        return False


def take_in(found: list[tuple[Any, ...]], me: str, ledger: Ledger, lanes: Lanes, figures: Figures) -> None:
    """Rows that are ours from now on: onto their lanes.  With `adopting` held."""
    entries: list[Entry] = []
    for row in found:
        try:
            entry = rows.adopted(row, me)
        except (ValueError, TypeError, AttributeError):
            log.error("job=%s:%s: its row in the database is damaged and left alone", row[8], row[1])
            continue
        ledger.add(entry)
        entries.append(entry)
        log.info("job=%s is taken over from host %s", entry.job.shown, entry.home)
    figures.adopted += len(entries)
    lanes.take_in([entry.job for entry in entries])
