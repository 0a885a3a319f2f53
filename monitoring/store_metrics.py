"""What the store has done since the start; units to commits tells how many callers share one fsync."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from pipe.store.store import Store


class StoreWork(Collector):
    """Counts of the writer, read when Prometheus asks."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def collect(self) -> Iterator[Metric]:
        """Both counts of this moment."""
        writer = self._store.writer
        yield CounterMetricFamily("gw_store_commits_total", "Commits since the start.", writer.commits)
        yield CounterMetricFamily("gw_store_units_total", "Units of work since the start.", writer.units)
