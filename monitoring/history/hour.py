"""The last hour, kept: each minute is read once and added up; one that is too old is taken off."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select

from monitoring.history.reading import COUNTS, Gauge, Point, gauge, point
from monitoring.history.tables import MINUTE, sample
from monitoring.history.times import unpacked

HOUR_S = 3600.0
LATE = 2
"""minutes that are read again, as a store that is busy may write them late"""
S = sample.c


@dataclass(slots=True)
class _Sum:
    """What a route, or its attempts at one connection, came to."""

    counts: list[int] = field(default_factory=lambda: [0] * len(COUNTS))
    times: Counter[int] = field(default_factory=Counter)
    rows: int = 0


class Hour:
    """Of one gateway. Threads may ask at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: dict[int, list[Any]] = {}
        self._points: dict[int, Point] = {}
        self._sums: dict[tuple[str, str], _Sum] = {}

    def look(self, connection: Connection, until: float) -> tuple[list[Gauge], list[Point], dict[str, list[int]]]:
        """Sums, moments, and what waited on each route, of the hour of which the minute before `until` is the last."""
        end = int(until // MINUTE * MINUTE)
        moments = range(end - int(HOUR_S), end, MINUTE)
        with self._lock:
            settled = [at for at in self._rows if at in moments and at < end - LATE * MINUTE]
            fresh = _read(connection, [at for at in moments if at not in settled])
            for at in self._rows.keys() - settled:
                self._forget(at)
            for at, rows in fresh.items():
                self._take(at, rows)
            gauges = [gauge(*key, known.counts, known.times) for key, known in sorted(self._sums.items())]
            return gauges, [self._points[at] for at in moments], self._queues(moments)

    def _take(self, at: int, rows: list[Any]) -> None:
        self._rows[at], self._points[at] = rows, point(at, rows, at, everything=True)
        for row in rows:
            self._add(row)

    def _add(self, row: Any) -> None:
        known = self._sums.setdefault((row.route, row.connection), _Sum())
        known.rows += 1
        known.times += unpacked([row.times])
        for at, name in enumerate(COUNTS):
            known.counts[at] += getattr(row, name)

    def _forget(self, at: int) -> None:
        del self._points[at]
        for row in self._rows.pop(at):
            key = row.route, row.connection
            known = self._sums[key]
            known.rows -= 1
            if not known.rows:
                del self._sums[key]
                continue
            known.times -= unpacked([row.times])
            for place, name in enumerate(COUNTS):
                known.counts[place] -= getattr(row, name)

    def _queues(self, moments: range) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for place, at in enumerate(moments):
            for row in self._rows[at]:
                if row.waiting and not row.connection:
                    found.setdefault(row.route, [0] * len(moments))[place] = row.waiting
        return found


def _read(connection: Connection, moments: list[int]) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = {at: [] for at in moments}
    for row in connection.execute(select(sample).where(S.grain == MINUTE, S.at >= moments[0], S.at <= moments[-1])):
        if row.at in found:
            found[row.at].append(row)
    return found
