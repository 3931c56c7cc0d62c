"""Whether PostgreSQL is as a host needs it, and what makes it so: for `callsign cluster`.  Raises DatabaseFault."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing

from callsign.cluster import schema
from callsign.cluster import statements as sql
from callsign.cluster.connection import Database, DatabaseFault
from callsign.record import Record
from callsign.settings.sections import Cluster

UPGRADE_SECONDS = 60.0
"""For one change of the tables, which waits for who reads them."""


class Care(Record):
    """What is there, and what is the matter with it."""

    server: str  # PostgreSQL's version
    role: str
    milliseconds: float  # of one exchange
    is_encrypted: bool
    version: int  # of the tables; 0: there are none to be seen
    faults: Sequence[str]  # this host goes on alone
    warnings: Sequence[str]


def look(section: Cluster) -> Care:
    """As this host would find it."""
    with closing(Database(section, any_version=True)) as database:
        with database.exchange() as say:
            said = say(schema.SERVER)
        [(role, server, has_timeout, is_read_only, has_tables, may_look)] = said.fetchall()
        began = time.perf_counter()
        with database.exchange() as say:
            say(schema.SERVER)
        milliseconds = round(1000 * (time.perf_counter() - began), 1)
        faults = ["it is read-only, a standby perhaps: see target_session_attrs=read-write"] if is_read_only else []
        warnings = [] if has_timeout else [f"role {role} has no statement_timeout: see callsign help cluster"]
        version = 0
        if not has_tables:
            faults.append("it has no tables of callsign's: callsign cluster upgrade makes them")
        elif not may_look:
            faults.append(f"role {role} may not look at the tables: callsign cluster upgrade lets the role callsign")
        else:
            with database.exchange() as say:
                versions, missing = say(schema.VERSIONS), say(schema.MISSING_RIGHTS)
                too_much = say(schema.MAY_CHANGE_TABLES)
            [(version, oldest_ok)] = versions.fetchall() or [(0, 0)]
            if words := schema.misfit(version, oldest_ok):
                faults.append(words)
            faults += [f"role {role} has no {right}" for (right,) in missing]
            if too_much.fetchall() == [(True,)]:
                warnings.append(f"role {role} may change the tables: a host needs no more than the role callsign")
        return Care(server, role, milliseconds, database.is_encrypted, version, faults, warnings)


def upgrade(section: Cluster) -> tuple[int, int]:
    """Makes the tables, or brings them up to date; lets the roles in that are there.  Version before and after.

    `section` names the role to whom the tables belong.
    """
    with closing(Database(section, limit_seconds=UPGRADE_SECONDS, any_version=True)) as database:
        with database.exchange() as say:
            said = say(schema.SERVER)
        version = 0
        if said.fetchall()[0][4]:
            with database.exchange() as say:
                versions = say(schema.VERSIONS)
            [(version, oldest_ok)] = versions.fetchall() or [(0, 0)]
            if not version:
                raise DatabaseFault(schema.misfit(version, oldest_ok))
        if version <= schema.VERSION:
            steps = (*schema.STEPS[version:], schema.SET_VERSION, schema.GRANTS)
            database.run(";\n".join((sql.BEGIN, schema.ONE_UPGRADE, *steps, sql.COMMIT)))
        return version, max(version, schema.VERSION)
