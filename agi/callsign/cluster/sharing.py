"""What one host has got from a vendor for all: who needs it reads it, or gets it while the others wait a moment.

The delivery asks in its own threads and never talks to the database itself: the thread of the rounds does, and who has
no answer by then, or hears that there is none, gets one for itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from callsign import clocks
from callsign.cluster import statements as sql
from callsign.cluster.connection import Database
from callsign.record import Record, field

BUSY_SECONDS = 10.0
"""So long one host may take; and who has waited for it in vain does not wait again."""


class Ask(Record, frozen=False):
    """Somebody's who waits."""

    account: str
    name: str
    spent: str
    most_seconds: float
    answer: tuple[str, float] | None = None
    is_over: threading.Event = field(default_factory=threading.Event)


class OfAccount:
    """What the vendor's memory has of it (vendors.interface.Shared)."""

    def __init__(self, sharing: Sharing, account: str) -> None:
        self._sharing, self._account = sharing, account

    def get(self, name: str, spent: str, most_seconds: float) -> tuple[str, float] | None:
        """Another host's, and when it was first used; None: we get one ourselves."""
        return self._sharing.ask(Ask(self._account, name, spent, most_seconds))

    def put(self, name: str, value: str, used_at: float) -> None:
        """For the others, when the database answers."""
        self._sharing.tell(self._account, name, value, used_at)


class Sharing:
    """For any thread; `serve` and `go_without` for that of the rounds."""

    def __init__(self, me: str, patience_seconds: float) -> None:
        self._me = me
        self._patience_seconds = patience_seconds
        self._guard = threading.Lock()
        self._is_well = False
        self._asks: list[Ask] = []
        self._news: dict[tuple[str, str], tuple[str, float]] = {}
        self._in_vain_until: dict[tuple[str, str], float] = {}
        self.wake: Callable[[], object] = lambda: None
        """Called when there is something to serve."""

    def of(self, account: str) -> OfAccount:
        """That account's."""
        return OfAccount(self, account)

    @property
    def is_asked(self) -> bool:
        """Whether somebody waits."""
        return bool(self._asks)

    def ask(self, ask: Ask) -> tuple[str, float] | None:
        """Waits for the answer; None: there is none, or it is for us to get one."""
        key = ask.account, ask.name
        with self._guard:
            if not self._is_well or clocks.steady() < self._in_vain_until.get(key, 0.0):
                return None
            self._asks.append(ask)
        self.wake()
        has_answer = ask.is_over.wait(self._patience_seconds)
        with self._guard:
            self._asks.remove(ask)
            if not has_answer:
                self._in_vain_until[key] = clocks.steady() + BUSY_SECONDS
        return ask.answer

    def tell(self, account: str, name: str, value: str, used_at: float) -> None:
        """For the others; kept until the database has it."""
        with self._guard:
            self._news[account, name] = value, used_at
        self.wake()

    def serve(self, database: Database) -> None:
        """Says and asks what there is.  Raises DatabaseFault."""
        with self._guard:
            self._is_well = True
            asks, news = [ask for ask in self._asks if not ask.is_over.is_set()], dict(self._news)
        if not asks and not news:
            return
        now = clocks.steady()
        with database.exchange() as say:
            for (account, name), (value, used_at) in news.items():
                say(sql.SHARE, {"system": account, "name": name, "value": value, "age": now - used_at})
            said = [(ask, say(sql.BE_BUSY, self._values(ask)), say(sql.SHARED, self._values(ask))) for ask in asks]
        with self._guard:
            for key, told in news.items():
                if self._news.get(key) == told:
                    del self._news[key]
        for ask, busy, shared in said:
            found = shared.fetchall()
            if found:
                [(value, age)] = found
                ask.answer = value, now - age
            if found or busy.fetchall():
                ask.is_over.set()

    def _values(self, ask: Ask) -> dict[str, object]:
        return {
            "system": ask.account,
            "name": ask.name,
            "me": self._me,
            "spent": ask.spent,
            "most": ask.most_seconds,
            "busy": BUSY_SECONDS,
        }

    def go_without(self) -> None:
        """The database does not answer: who waits gets one for itself."""
        with self._guard:
            self._is_well = False
            for ask in self._asks:
                ask.is_over.set()
