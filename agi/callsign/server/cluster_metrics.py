"""What Prometheus is told of the other hosts, where the settings have a [cluster]."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from callsign.settings.accounts import name_of, system_of

if TYPE_CHECKING:
    from callsign.cluster.figures import Figures


class ClusterFigures(Collector):
    """As they are when somebody looks."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        """For the registry, in the thread that shows the page."""
        now = self._figures
        counts = {
            "published": ("Jobs that the other hosts know of by this one", now.published),
            "alone": ("Jobs that went out without the database's word", now.alone),
            "lost": ("Jobs of this host that another one has taken over", now.lost),
            "adopted": ("Jobs of other hosts that this one has taken over", now.adopted),
        }
        for name, (about, count) in counts.items():
            yield CounterMetricFamily(f"callsign_cluster_{name}", about, count)
        about = "Jobs that the other hosts are to know of, and do not yet"
        yield GaugeMetricFamily("callsign_cluster_unpublished", about, now.unpublished)
        about = "So long this host may yet send what the others know of; 0: it goes on alone"
        yield GaugeMetricFamily("callsign_cluster_lease_seconds_left", about, now.lease_left)
        about = "Exchanges with PostgreSQL, there and back"
        yield SummaryMetricFamily("callsign_cluster_exchange_seconds", about, now.exchanges, now.exchange_seconds)
        about = "How many of a vendor's places this host has"
        slots = GaugeMetricFamily("callsign_cluster_slots", about, labels=["system", "account"])
        for account, count in sorted(now.slots.items()):
            slots.add_metric([system_of(account), name_of(account)], count)
        yield slots
