"""What Prometheus gets: steps and deliveries as they end, the store as it is when somebody looks.

Loaded only where `[server] metrics` names an address.  Labels are our own words: a path, a system, a
state; no number, no call, nothing that a caller or a vendor can choose.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from callsign import __version__, clocks
from callsign.notification import State
from callsign.outbox.outbox import OutboxError
from callsign.outbox.reader import OutboxReader
from callsign.outbox.watch import inode_of
from callsign.server.cluster_metrics import ClusterFigures
from callsign.server.metrics_page import MetricsPage
from callsign.settings.accounts import name_of, system_of
from callsign.settings.sections import Settings
from callsign.steps.answer import value_of
from callsign.steps.handlers import HANDLERS
from callsign.steps.step import Step
from callsign.vendors.registry import VENDORS
from callsign.verdicts import Found, Invalid, Refused, TryLater, Verdict

if TYPE_CHECKING:
    from callsign.cluster.figures import Figures

STEP_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
VENDOR_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # seconds; an attempt ends after 10
TRY_LATER = "try later"
OUTCOMES = (State.DELIVERED.value, State.REFUSED.value, State.EXPIRED.value, TRY_LATER)
OUTCOME_OF: dict[type[Verdict], str] = {
    Found: "answered",
    Refused: State.REFUSED.value,
    TryLater: "unreachable",
    Invalid: "error",
}
STATUSES = frozenset(("OK", "QUEUED", "SKIPPED", "REFUSED", "UNREACHABLE", "ERROR"))
UNKNOWN_PATH, NO_STATUS = "unknown", "none"

PATIENCE_SECONDS = 1.0
"""How long a look may wait while another process has the store locked."""

COUNTING_SHARE = 0.02
"""Of one core at most: counting half a million ended jobs takes half a second, and the next count then waits."""


class _Registry(CollectorRegistry):
    """Without the label `account` where it is empty, which Prometheus takes for the same."""

    def collect(self) -> Iterator[Metric]:
        for metric in super().collect():
            for sample in metric.samples:
                if not sample.labels.get("account", "-"):
                    del sample.labels["account"]
            yield metric


def _labels(account: str) -> tuple[str, str]:
    return system_of(account), name_of(account)


class Metrics:
    """The figures of one server, and the page that shows them.  Raises OSError if the address cannot be used."""

    def __init__(
        self,
        address: tuple[str, int],
        settings: Settings,
        sessions: Callable[[], int],
        figures: Figures | None = None,
    ) -> None:
        """`figures` are those of the cluster, where there is one."""
        # A moment of birth beside each figure is for OpenMetrics; Prometheus sees a restart without.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        registry = _Registry()
        self._steps = Histogram(
            "callsign_step_seconds",
            "From Asterisk's connection to the end of the session, by path and status",
            ["path", "status"],
            buckets=STEP_BUCKETS,
            registry=registry,
        )
        self._attempts = Histogram(
            "callsign_vendor_seconds",
            "One attempt at a delivery, or one question, by what came of it; "
            "expired: no verdict, and no time for another attempt",
            ["system", "account", "outcome"],
            buckets=VENDOR_BUCKETS,
            registry=registry,
        )
        self._ended = Counter(
            "callsign_jobs_ended", "Jobs that this process has ended", ["system", "account", "state"], registry=registry
        )
        Gauge("callsign_sessions", "AGI sessions under way", registry=registry).set_function(sessions)
        Info("callsign_build", "Which callsign this is", registry=registry).info({"version": __version__})
        ProcessCollector(registry=registry)
        self._store = StoreFigures(settings.outbox.path)
        self.expect(settings.accounts)
        registry.register(self._store)
        if figures is not None:
            registry.register(ClusterFigures(figures))
        self.page = MetricsPage(address, registry)

    def expect(self, accounts: Sequence[str]) -> None:
        """Shows all these from now on, from 0: rate() sees no first one where there was nothing before."""
        self._store.accounts = accounts
        for account in accounts:
            vendor = VENDORS[system_of(account)]
            outcomes = (*(OUTCOMES if vendor.converse else ()), *(OUTCOME_OF.values() if vendor.asks else ()))
            for outcome in outcomes if not name_of(account) else ():  # 14 lines each: too many for 500 tenants
                self._attempts.labels(*_labels(account), outcome)
            for state in State if vendor.converse else ():
                if state not in (State.WAITING, State.RETRIED, State.DUPLICATE):
                    self._ended.labels(*_labels(account), state.value)

    def stop(self) -> None:
        """Shows no page any more."""
        if self.page.stop():  # else it looks into a store that hangs, and so would we
            self._store.close()

    def step(self, step: Step, variables: Mapping[str, str], seconds: float) -> None:
        """A session has ended; `variables` is what the channel got."""
        path = step.path if step.path in HANDLERS else UNKNOWN_PATH
        status = value_of(variables, "STATUS")
        self._steps.labels(path, status if status in STATUSES else NO_STATUS).observe(seconds)

    def question(self, account: str, verdict: Verdict, seconds: float) -> None:
        """A question has got its verdict."""
        self._attempts.labels(*_labels(account), OUTCOME_OF[type(verdict)]).observe(seconds)

    def delivery(self, account: str, what: str, milliseconds: float | None) -> None:
        """A job has ended as `what` says, or is tried later; without `milliseconds` there was no attempt."""
        if milliseconds is not None:
            self._attempts.labels(*_labels(account), what).observe(milliseconds / 1000)
        if what != TRY_LATER:
            self._ended.labels(*_labels(account), what).inc()


class StoreFigures(Collector):
    """What the store holds.  Of a store that cannot be read only that is shown."""

    def __init__(self, path: Path) -> None:
        self._reader = OutboxReader(path, PATIENCE_SECONDS)
        self.accounts: Sequence[str] = ()
        self._file = (0, 0)  # which one the reader has open
        self._counts: dict[tuple[str, str], int] = {}  # of what has ended
        self._count_again = 0.0

    def close(self) -> None:
        """Lets go of the store."""
        self._reader.close()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """For the registry, in the thread that shows the page."""
        jobs = GaugeMetricFamily(
            "callsign_jobs",
            "Jobs in the store; what has ended is kept for keep_days",
            labels=["system", "account", "state"],
        )
        oldest = GaugeMetricFamily(
            "callsign_oldest_waiting_seconds",
            "Age of the oldest job that waits, 0 if none does",
            labels=["system", "account"],
        )
        try:
            waiting, ended = self._look()
        except (OutboxError, OSError):
            yield GaugeMetricFamily("callsign_store_readable", "Whether the store can be read", 0)
            return
        yield GaugeMetricFamily("callsign_store_readable", "Whether the store can be read", 1)
        now = clocks.wall()
        states = [state.value for state in State if state is not State.DUPLICATE]  # of several hosts only
        accounts = self.accounts  # one and the same throughout: a reload may come in between
        found = dict.fromkeys([(account, state) for account in accounts for state in states], 0) | ended
        for account in dict.fromkeys([*accounts, *waiting]):
            count, since = waiting.get(account, (0, now))
            found[account, State.WAITING.value] = count
            oldest.add_metric(_labels(account), max(0.0, now - since))
        for (account, state_name), number in found.items():
            jobs.add_metric([*_labels(account), state_name], number)
        yield jobs
        yield oldest

    def _look(self) -> tuple[dict[str, tuple[int, float]], dict[tuple[str, str], int]]:
        """What waits, how many and since when; and how many have ended, which may be a little old."""
        file = inode_of(self._reader.path)
        if self._file != file:  # a new store in its place
            self._reader.close()
            self._file = file
            self._count_again = 0.0
        began = time.monotonic()
        if began >= self._count_again:
            self._counts = self._reader.ended_counts()
            now = time.monotonic()
            self._count_again = now + (now - began) / COUNTING_SHARE
        return self._reader.waiting(), self._counts
