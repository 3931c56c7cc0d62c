"""Two hosts publish the same calls at once, each in its own order: neither waits for the other for ever."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from callsign import clocks
from callsign.cluster import rows
from callsign.cluster import statements as sql
from callsign.cluster.connection import Database
from callsign.cluster.ledger import Entry
from callsign.notification import Notification
from callsign.outbox.outbox import Job
from cluster_settings import upgrade
from real_postgres import Postgres
from shared_tables import section
from store_play import LONG_SECONDS
from waiting import wait_until

CALLS = [f"pbx-1700000000.{n}" for n in range(20)]


def batch(calls: list[str], host: str) -> dict[str, Any]:
    """A start for each call, as `host` publishes them."""
    entries = []
    for n, call in enumerate(calls):
        told = Notification("noojee", "noojee/start", call, {"extenOrUniqueId": call}, clocks.wall(), 60.0)
        entries.append(Entry(Job(n, told, clocks.steady() + 60), (f"store of {host}", n), host, 0.0))
    return rows.publication(entries, lambda entry: rows.digest(entry.job.notification.call), lambda _: host, host)


def test_two_batches_with_crossed_keys_do_not_wait_for_each_other(postgres_server: Postgres, database: str) -> None:
    upgrade(postgres_server, database)
    forth, back = batch(CALLS, "pbx1"), batch(CALLS[::-1], "pbx2")
    assert forth["keys"] == back["keys"]

    def publish(values: dict[str, Any]) -> list[Any]:
        who = section(postgres_server, database, values["me"], role="callsign_owner")  # whom no timeout ends
        hosts = Database(who, limit_seconds=LONG_SECONDS)
        with hosts.exchange() as say:
            say(sql.BEGIN)
            say(sql.LOCK_KEYS, values)
            published = say(sql.PUBLISH, values)
            say(sql.COMMIT)
        hosts.close()
        return published.fetchall()

    def waiting() -> int:
        held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        [(number,)] = postgres_server.sql(held, database=database)
        return int(number)

    with postgres_server.connect(database=database) as third, ThreadPoolExecutor(2) as pool:
        third.execute(
            "SELECT pg_advisory_lock(%s)", [json.loads(forth["keys"])[-1]]
        )  # so that both have begun before one ends
        batches = []
        for number, values in enumerate((back, forth), 1):
            batches.append(pool.submit(publish, values))
            wait_until(lambda number=number: waiting() == number)  # type: ignore[misc]
        third.execute("SELECT pg_advisory_unlock_all()")
        assert sum(len(published.result()) for published in batches) == len(CALLS)
