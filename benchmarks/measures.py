"""What is counted in one measurement: answers at the door, or deliveries at the backend."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.load import Load
from benchmarks.subjects import asked, loaded

Measure = Callable[[float], "Measured"]
"""takes the seconds of load"""
DRAINED_WITHIN_S = 300


@dataclass(frozen=True, slots=True)
class Measured:
    """One subject in one round."""

    rate: float
    """messages a second"""
    p50: float
    """milliseconds until half of the answers were there"""
    p99: float
    count: int = 0
    """messages that it is made of"""


def put_upon(address: str, seconds: float, keys: int = 0) -> Load:
    """The load upon an address that refuses nothing."""
    load = loaded(address, seconds, keys)
    assert load.refused == 0, f"{address} refused {load.refused} requests"
    return load


def of_answers(address: str, keys: int = 0) -> Measure:
    """Counts answers."""

    def measure(seconds: float) -> Measured:
        load = put_upon(address, seconds, keys)
        return Measured(load.rate, load.p50, load.p99, load.answered)

    return measure


def of_deliveries(address: str, backend: str, *, keys: int = 0, each: int = 1) -> Measure:
    """Counts messages of which all `each` copies came to the backend, from the first request to the last delivery.

    The time to drain is included. p50 and p99 are those of the answers at the door.
    """

    def measure(seconds: float) -> Measured:
        before = asked(backend)["count"]
        load = put_upon(address, seconds, keys)
        count, last = drained(backend, before + load.answered * each)
        messages = (count - before) // each
        return Measured(messages / (last - load.began), load.p50, load.p99, messages)

    return measure


def drained(backend: str, least: int, quiet: float = 0.5) -> tuple[int, float]:
    """The backend's count and the time of its last request, once all is there and so many seconds brought no more."""
    end = time.monotonic() + DRAINED_WITHIN_S
    told = asked(backend)
    while told["count"] < least or time.monotonic() - told["last"] < quiet:
        assert time.monotonic() < end, f"{least - told['count']} messages did not arrive"
        time.sleep(0.05)
        told = asked(backend)
    assert told["bad"] == 0, f"{told['bad']} bodies arrived broken"
    return told["count"], told["last"]
