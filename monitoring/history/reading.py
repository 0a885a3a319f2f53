"""What pages and programs ask of the history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, select

from monitoring.history.tables import MINUTE, sample, turn
from monitoring.history.times import percentile, unpacked

S, T = sample.c, turn.c
COUNTS = ("came", "refused", "done", "failed", "dead")
"""the sums of a gauge, in its order"""


class Point(NamedTuple):
    """What happened within one moment of a chart; times in seconds."""

    at: int
    came: int
    done: int
    failed: int
    dead: int
    waiting: int
    median: float | None
    p95: float | None


class Gauge(NamedTuple):
    """What happened in all, of a route (`connection` empty) or of its attempts at a connection; times in seconds."""

    route: str
    connection: str
    came: int
    refused: int
    done: int
    failed: int
    dead: int
    median: float | None
    p95: float | None
    p99: float | None


class Turn(NamedTuple):
    """A connection changed its state."""

    at: float
    state: str
    reason: str
    code: str | None = None


def points_of(
    connection: Connection,
    since: float,
    until: float,
    *,
    grain: int = MINUTE,
    step: int = 0,
    route: str | None = None,
    partner: str | None = None,
) -> list[Point]:
    """One point for each moment from `since` to `until`, those of which nothing is known as nought.

    Of a route, of a connection (`partner`), or of everything. `step` is the seconds of a moment where it is to hold
    several rows of that grain.
    """
    step = step or grain
    rows = connection.execute(select(sample).where(*_chosen(since, until, grain, route, partner)).order_by(S.at))
    found: dict[int, list[Any]] = {}
    for row in rows:
        found.setdefault(row.at // step * step, []).append(row)
    moments = range(int(since // step * step), int(until // step * step), step)
    everything = route is None and partner is None
    return [point(at, found.get(at, []), at + step - grain, everything=everything) for at in moments]


def point(at: int, rows: Sequence[Any], last: int, *, everything: bool) -> Point:
    """The rows of one moment, of a route or a connection, or of `everything`; what waits is that of the `last` row."""
    # Of the gateway as a whole, delivered is what reached a partner: a message that a flow took goes on.
    sent = [row for row in rows if row.connection] if everything else rows
    times = unpacked(row.times for row in sent)
    done, failed, dead = sum(row.done for row in sent), sum(row.failed for row in sent), sum(row.dead for row in sent)
    came, waiting = sum(row.came for row in rows), sum(row.waiting for row in rows if row.at == last)
    return Point(at, came, done, failed, dead, waiting, percentile(times, 0.5), percentile(times, 0.95))


def gauge(route: str, connection: str, counts: Sequence[int], times: Counter[int]) -> Gauge:
    """What came to these COUNTS and took these times."""
    return Gauge(route, connection, *counts, *(percentile(times, share) for share in (0.5, 0.95, 0.99)))


def _chosen(
    since: float, until: float, grain: int, route: str | None, partner: str | None
) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [S.grain == grain, S.at >= since // grain * grain, S.at < until]
    if route is not None:
        found.append(S.route == route)
    if partner is not None:
        found.append(S.connection == partner)
    return found


def turns_of(connection: Connection, name: str | None, since: float, limit: int = 200) -> list[Turn]:
    """The latest changes of state of a connection, the newest first."""
    where = [T.at >= since] + ([T.connection == name] if name is not None else [])
    rows = connection.execute(select(T.at, T.state, T.reason, T.code).where(*where).order_by(T.at.desc()).limit(limit))
    return [Turn(*row) for row in rows]
