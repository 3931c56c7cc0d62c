"""Jobs of other hosts become ours: by age onto the lanes, and only then a job of ours goes that stands behind them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from callsign.cluster import rows
from callsign.cluster import statements as sql
from callsign.cluster.connection import Database
from callsign.cluster.figures import Figures
from callsign.cluster.ledger import Entry, Ledger
from callsign.cluster.life import Life
from callsign.cluster.publishing import Publishing
from callsign.delivery.gate import Lanes
from callsign.settings.accounts import system_of
from callsign.vendors.registry import VENDORS

log = logging.getLogger("callsign.cluster")


class Adopting:
    """For the thread of the rounds."""

    def __init__(
        self,
        me: str,
        ledger: Ledger,
        lanes: Lanes,
        publishing: Publishing,
        lock: threading.Lock,
        patience_ends: Callable[[], float],
        figures: Figures,
    ) -> None:
        """While `lock` is held publishing heeds no answer."""
        self.lock = lock
        self._me, self._ledger, self._lanes, self._publishing = me, ledger, lanes, publishing
        self._patience_ends, self._figures = patience_ends, figures

    def take_in(self, found: list[tuple[Any, ...]], database: Database) -> None:
        """Rows that are ours from now on.  With `lock` held.  Raises DatabaseFault."""
        entries: list[Entry] = []
        ours = []
        for row in found:
            known = self._ledger.get((row[0], row[1]))
            if known is not None and known.life is not Life.LOST:  # we had offered it
                ours.append(known)
                continue
            if system_of(row[2]) not in VENDORS:
                log.error("job=%s:%s is for %s, which this callsign does not know", row[8], row[1], row[2])
                continue
            try:
                entry = rows.adopted(row, self._me, self._patience_ends())
            except Exception:  # whatever it is, the others are taken over
                log.error("job=%s:%s: its row in the database is damaged and left alone", row[8], row[1])
                continue
            self._ledger.add(entry)
            entries.append(entry)
            log.info("job=%s is taken over from host %s", entry.job.shown, entry.home)
        if not (entries or ours):
            return
        self._figures.adopted += len(entries)
        self._lanes.take_in([entry.job for entry in entries])
        entries += ours
        with database.exchange() as say:  # what stands before one of them may be open at a third host
            asked = say(sql.ANSWERS, {"jobs": rows.names(entry.key for entry in entries), "me": self._me})
        answers = {(store, n): tuple(rest) for store, n, *rest in asked.fetchall()}
        for entry in entries:
            self._publishing.heed(entry, answers.get(entry.key))
