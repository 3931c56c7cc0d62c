"""What other hosts write into the tables that all share, in a real PostgreSQL."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import psycopg

from callsign.cluster import statements as sql
from callsign.settings.secret import Secret
from callsign.settings.sections import Cluster
from real_postgres import PASSWORD, Postgres

HOUR = 3600.0


def section(server: Postgres, database: str, host: str = "pbx1", role: str = "callsign") -> Cluster:
    """[cluster] of a host."""
    return Cluster(database=server.where(role, database), password=Secret(PASSWORD), host=host)


class OtherHost:
    """A host that plays its part by hand; its connection is the test's own."""

    def __init__(self, server: Postgres, database: str, name: str, store: str = "") -> None:
        self.name = name
        self.store = store or f"store-of-{name}"
        self.connection: psycopg.Connection[Any] = server.connect(database=database)

    def join(self, *systems: str) -> None:
        self._say(sql.JOIN, me=self.name, version="1.0.0", systems=list(systems))

    def publish(self, n: int, state: str = "waiting", reason: str = "", owner: str | None = "", **told: Any) -> None:
        """A job of this host; `owner` where it is not its own, None for whoever comes first."""
        facts = told.get("facts", {"phonefrom": "0478123456", "phoneto": "056528998"})
        row = {
            "store": self.store,
            "n": n,
            "system": told.get("system", "skarabee"),
            "action": told.get("action", "skarabee"),
            "call": told.get("call", f"{self.name}-1700000000.{n}"),
            "key": hashlib.sha256(told["key"].encode()).hexdigest()[:32] if told.get("key") else None,
            "facts": "{}" if state == "delivered" else json.dumps(facts),
            "once": None,
            "age": told.get("age", 1.0),
            "time_left": told.get("time_left", HOUR),
            "home": self.name,
            "owner": self.name if owner == "" else owner,
            "state": state,
            "attempts": int(state != "waiting"),
            "ended_ago": None if state == "waiting" else told.get("age", 1.0) / 2,
            "reason": reason,
        }
        self._say(sql.PUBLISH, jobs=json.dumps([row]))

    def die(self) -> None:
        """As the others declare it."""
        self.connection.execute("UPDATE callsign.host SET dead = true WHERE name = %s", [self.name])

    def row(self, n: int, store: str = "") -> dict[str, Any]:
        """What the others see of a job."""
        cursor = self.connection.execute(
            "SELECT * FROM callsign.job WHERE store = %s AND n = %s", [store or self.store, n]
        )
        names = [column.name for column in cursor.description or ()]
        return dict(zip(names, cursor.fetchone() or (), strict=True))

    def close(self) -> None:
        self.connection.close()

    def _say(self, statement: str, **values: object) -> None:
        self.connection.execute(statement, values)
