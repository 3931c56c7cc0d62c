"""A connection to PostgreSQL on which no exchange takes longer than two seconds, and that begins again after any fault.

`statement_timeout` does not reach a server that is frozen, nor TCP's own limits one whose kernel still answers: so a
thread shuts down the socket of an exchange that is over its time.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from callsign import thread_starts
from callsign.cluster import schema
from callsign.cluster.figures import Figures
from callsign.log_text import printable
from callsign.settings.sections import Cluster

LIMIT_SECONDS = 2.0
"""Of an exchange, and of a connection's beginning."""

LOOK_SECONDS = 0.1
MOST_CHARACTERS = 300
LIMITS = {
    "connect_timeout": int(LIMIT_SECONDS),
    "tcp_user_timeout": int(1000 * LIMIT_SECONDS),
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}
ENCODING = "UTF8"
"""In another one a vendor's words may have no place, and in SQL_ASCII names come back as bytes."""

logging.getLogger("psycopg").setLevel(logging.CRITICAL)  # a fault is told by us, and not each second

Say = Callable[..., "psycopg.Cursor[Any]"]
"""Gets a statement and its values; what it returns has the rows when the exchange is over."""


class DatabaseFault(Exception):
    """The database does not answer, or not as it should; the text says why."""

    def __init__(
        self,
        words: str,
        of_data: bool = False,
        of_connection: bool = False,
        timed_out: bool = False,
        unheard: bool = False,
    ) -> None:
        """`of_data`: it was something in the values, which another exchange need not have.

        `of_connection`: there was one, which has ended, and another one may be had at once.
        `unheard`: there was none, or its first transaction was refused: nothing was changed by that.
        """
        super().__init__(words)
        self.of_data, self.of_connection, self.timed_out = of_data, of_connection, timed_out
        self.unheard = unheard


class Database:
    """For one thread at a time."""

    def __init__(
        self,
        section: Cluster,
        figures: Figures | None = None,
        limit_seconds: float = LIMIT_SECONDS,
        any_version: bool = False,
    ) -> None:
        """`any_version`: its tables may be too old or too new for this callsign, or not there."""
        self._section = section
        self._figures = figures or Figures()
        self._limit_seconds = limit_seconds
        self._any_version = any_version
        self._connection: psycopg.Connection[Any] | None = None
        self._guard = threading.Lock()  # around the two below, and around cutting it off
        self._looks: int | None = None  # that the exchange under way may still take
        self.openings = 0
        """How many connections there were: behind another one, what was said may be forgotten."""

    @contextmanager
    def exchange(self) -> Iterator[Say]:
        """What is said within goes out together; behind it the rows are there.  Raises DatabaseFault."""
        with self._faults(), self._timed() as connection, connection.pipeline():
            yield connection.execute

    def run(self, script: str) -> None:
        """Statements without values, one after the other.  Raises DatabaseFault."""
        with self._faults(), self._timed() as connection:
            connection.execute(script)

    @property
    def is_encrypted(self) -> bool:
        """Whether there is a connection, with TLS."""
        return self._connection is not None and bool(self._connection.pgconn.ssl_in_use)

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Opens the connection where there is none; drops it on any fault."""
        began = time.perf_counter()
        known, is_open = self._connection, False
        try:
            if self._connection is None:
                self._connect()
            is_open = True
            yield
        except (psycopg.Error, OSError, UnicodeError, ValueError) as fault:
            of_data = isinstance(fault, psycopg.DataError | psycopg.IntegrityError | UnicodeError)
            is_over = known is not None and known.broken and isinstance(fault, psycopg.Error)
            is_refused = isinstance(fault, psycopg.Error) and fault.sqlstate and not self._is_broken
            self.close()
            moved = isinstance(fault, psycopg.errors.ReadOnlySqlTransaction)
            timed_out = isinstance(fault, TimeoutError | psycopg.errors.ConnectionTimeout)
            of_connection = is_over or (moved and known is not None)
            unheard = not is_open or bool(is_refused)
            raise DatabaseFault(_words(fault), of_data, of_connection, timed_out, unheard) from None
        except BaseException:
            self.close()
            raise
        finally:
            self._figures.exchanged(time.perf_counter() - began)

    @property
    def _is_broken(self) -> bool:
        return self._connection is None or self._connection.broken

    def close(self) -> None:
        """Closes it, in whatever state it is; the next exchange opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def look(self) -> None:
        """Shuts the socket down if the exchange is over its time; for the watchdog.

        That is counted in looks: while this process stood still no answer could be heard.
        """
        with self._guard, suppress(OSError, psycopg.Error):
            if self._looks is None or self._connection is None:
                return
            self._looks -= 1
            if self._looks < 0:
                self._looks = None
                with socket.socket(fileno=os.dup(self._connection.fileno())) as line:
                    line.shutdown(socket.SHUT_RDWR)

    def _connect(self) -> None:
        section = self._section
        secret = {} if section.password is None else {"password": section.password.reveal()}
        name = {"application_name": f"callsign {section.host}", "client_encoding": ENCODING}
        self._connection = psycopg.connect(
            make_conninfo(section.database, **LIMITS, **name, **secret),
            autocommit=True,
            prepare_threshold=None if section.pooled else 5,
        )
        self.openings += 1
        encoding = self._connection.info.parameter_status("server_encoding")
        if encoding != ENCODING:
            raise ValueError(f"its database is in {encoding}, not {ENCODING}: make it anew, see callsign help cluster")
        if self._any_version:
            return
        with self._timed() as connection:
            version, oldest_ok = connection.execute(schema.VERSIONS).fetchone() or (0, 0)
        if words := schema.misfit(version, oldest_ok):
            raise ValueError(words)

    @contextmanager
    def _timed(self) -> Iterator[psycopg.Connection[Any]]:
        assert self._connection is not None  # noqa: S101
        watchdog.watch(self)
        with self._guard:
            self._looks = round(self._limit_seconds / LOOK_SECONDS)
        try:
            yield self._connection
        except psycopg.Error as fault:
            if self._looks is None:
                raise TimeoutError(f"no answer within {self._limit_seconds:g} s") from fault
            raise
        finally:
            with self._guard:
                self._looks = None


class Watchdog:
    """Cuts off the exchanges of this process that take too long."""

    def __init__(self) -> None:
        self._watched: set[Database] = set()
        self._guard = threading.Lock()

    def watch(self, database: Database) -> None:
        """From now on, for as long as the process lives: there are two or three."""
        with self._guard:
            if not self._watched and not thread_starts.begin("cluster-watchdog", self._run):
                raise OSError("no thread for the database's watchdog")
            self._watched.add(database)

    def _run(self) -> None:
        while True:
            time.sleep(LOOK_SECONDS)
            for database in tuple(self._watched):
                database.look()


watchdog = Watchdog()


def _words(fault: Exception) -> str:
    if isinstance(fault, psycopg.errors.UndefinedTable | psycopg.errors.InvalidSchemaName):
        return "it has no tables of callsign's: callsign cluster upgrade makes them"
    primary = fault.diag.message_primary if isinstance(fault, psycopg.Error) else None  # the rest may quote a number
    return printable(primary or str(fault) or type(fault).__name__, MOST_CHARACTERS)
