"""Fixtures for tests against a real PostgreSQL (tests/run gets one)."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from preload import compiled
from real_postgres import Postgres, folder_of_its_own

DATABASES = itertools.count(1)


def from_runner(name: str, what: str) -> Path:
    """What tests/run has found; --fast may go without it."""
    given = os.environ.get(name, "")
    if given == "unavailable":
        pytest.skip(f"there is no {what}: tests/run without --fast gets one on Debian")
    if not given:
        pytest.fail(f"{name} names no {what}: tests/run gets one on Debian; --fast goes without it")
    return Path(given)


@pytest.fixture(scope="session")
def postgres_programs() -> Path:
    """The folder with initdb and postgres."""
    return from_runner("CALLSIGN_POSTGRES", "PostgreSQL")


@pytest.fixture(scope="session")
def pgbouncer_program() -> Path:
    return from_runner("CALLSIGN_PGBOUNCER", "pgbouncer")


@pytest.fixture(scope="session")
def postgres_server(postgres_programs: Path) -> Iterator[Postgres]:
    """A server for tests that do it no harm."""
    with Postgres(postgres_programs) as server:
        yield server


@pytest.fixture(scope="session")
def databases(postgres_server: Postgres) -> list[str]:
    """The names of the empty databases in `postgres_server` that no test uses: to make one takes 0.2 s."""
    return []


@pytest.fixture
def database(postgres_server: Postgres, databases: list[str]) -> Iterator[str]:
    """The name of an empty database in `postgres_server` that is the test's own while it runs."""
    if databases:
        name = databases.pop()
    else:
        name = f"callsign{next(DATABASES)}"
        postgres_server.make_database(name)
    yield name
    if postgres_server.empty_database(name):
        databases.append(name)


@pytest.fixture
def own_postgres(postgres_programs: Path) -> Iterator[Postgres]:
    """A server of the test's own, which it may kill; with an empty database "callsign"."""
    with Postgres(postgres_programs) as server:
        server.make_database()
        yield server


@pytest.fixture
def full_disk() -> Iterator[dict[str, str]]:
    """For a server's environment: its disk is full while the file is there that FULL_WHILE names."""
    folder = folder_of_its_own()  # which the server's user can read
    yield {"LD_PRELOAD": str(compiled("full_disk", folder)), "FULL_WHILE": str(folder / "full")}
    shutil.rmtree(folder)
