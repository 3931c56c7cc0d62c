"""A broken store, or what is left of a lost one, is put out of the way by a rename: nothing of it is thrown away."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path

SIDE_FILES = ("-wal", "-shm")
"""What SQLite keeps beside the database: the commits that are not in it yet, and an index of them."""

MOST_ASIDE = 10
"""Where so many lie there it is the machine that breaks them: one more would only fill the disk."""

log = logging.getLogger("callsign.outbox")


def is_broken(fault: BaseException) -> bool:
    """Whether SQLite says that the file's content is at fault: SQLITE_CORRUPT or SQLITE_NOTADB.

    Python before 3.11 does not tell SQLite's code, only its words.
    """
    words = str(fault)
    return isinstance(fault, sqlite3.DatabaseError) and ("malformed" in words or "is not a database" in words)


def set_aside(store: Path, endings: Iterable[str], trouble: str) -> None:
    """Renames the store's files with these endings ("" is the database), and tells it.  With the write lock held.

    Before the connection is closed: SQLite then sees that its file has moved, and neither writes to it
    nor takes the side files of the next store away.  Raises OSError.
    """
    if len(found_aside(store)) >= MOST_ASIDE:
        raise OSError(f"{trouble}; {MOST_ASIDE} broken ones lie there already: look at this machine's disk and memory")
    stamp = time.strftime("%Y%m%d-%H%M%S")
    taken = [path.name for path in found_aside(store)]
    while any(f".broken-{stamp}" in name for name in taken):
        stamp += "x"
    aside = store.with_name(f"{store.name}.broken-{stamp}")
    moved = False
    for ending in endings:
        try:
            os.rename(f"{store}{ending}", f"{aside}{ending}")
            moved = True
        except FileNotFoundError:
            continue
    what = "another one lies in its place" if store.exists() else "nothing is left"
    if moved:
        what = f"what is left of it lies in {aside}, where sqlite3 may find more (.recover)"
    log.error("the store %s is lost: %s; %s; what waits in memory goes into a new one", store, trouble, what)


def found_aside(store: Path) -> list[Path]:
    """The stores that were set aside and lie there still, the oldest first; of one without a database its -wal."""
    found = sorted(store.parent.glob(f"{store.name}.broken-*"))
    return [path for path in found if not (path.name.endswith(SIDE_FILES) and _database_of(path) in found)]


def _database_of(path: Path) -> Path:
    return path.with_name(path.name[: -len(SIDE_FILES[0])])
