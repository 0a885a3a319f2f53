"""Counters and histograms of our own read as those of prometheus_client do."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from monitoring.counts import BUCKETS, Counts, Spreads

LABELS = st.tuples(st.sampled_from(["a", "ä", 'quote"', "line\nbreak"]), st.sampled_from(["x", "y"]))


def without_birthdays(text: bytes) -> list[str]:
    """The lines, but for those that tell when a series began."""
    return [line for line in text.decode().splitlines() if "_created" not in line]


@given(st.lists(LABELS))
def test_a_counter_reads_as_the_librarys_own(events: list[tuple[str, str]]) -> None:
    """Name, help, type, labels and values, byte for byte."""
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    counts = Counts("gw_things_total", "Things.", ("kind", "outcome"))
    ours.register(counts)
    counter = Counter("gw_things_total", "Things.", ("kind", "outcome"), registry=theirs)
    for labels in events:
        counts.of(*labels).value += 1
        counter.labels(*labels).inc()
    assert without_birthdays(generate_latest(ours)) == without_birthdays(generate_latest(theirs))


@given(st.lists(st.tuples(LABELS, st.sampled_from(BUCKETS[:-1]) | st.floats(0, 100))))
def test_a_histogram_reads_as_the_librarys_own(events: list[tuple[tuple[str, str], float]]) -> None:
    """Each bound is included, and beyond the last there is one more."""
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    spreads = Spreads("gw_seconds", "Time.", ("kind", "outcome"))
    ours.register(spreads)
    histogram = Histogram("gw_seconds", "Time.", ("kind", "outcome"), registry=theirs, buckets=BUCKETS)
    for labels, seconds in events:
        spreads.of(*labels).add(seconds)
        histogram.labels(*labels).observe(seconds)
    assert without_birthdays(generate_latest(ours)) == without_birthdays(generate_latest(theirs))
    assert BUCKETS[-1] == math.inf
