"""[cluster] for a server of a test's own, and the tables that it needs in a real PostgreSQL."""

from __future__ import annotations

from callsign.cluster import schema
from real_postgres import PASSWORD, Postgres

LEASE_SECONDS = 4
"""Short, for tests wait for it; patience and what stands before a job have to fit in."""


def cluster_section(database: str, host: str, pooled: bool = False) -> str:
    """The section as text."""
    return (
        f'[cluster]\ndatabase = "{database}"\npassword = "{PASSWORD}"\nhost = "{host}"\n'
        f"lease = {LEASE_SECONDS}\npooled = {str(pooled).lower()}\n"
    )


def upgrade(postgres: Postgres, database: str = "callsign") -> None:
    """The tables, by who owns them."""
    with postgres.connect("callsign_owner", database) as owner:
        for step in (*schema.STEPS, schema.SET_VERSION, schema.GRANTS):
            owner.execute(step)
