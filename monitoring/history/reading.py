"""What pages and programs ask of the history."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, func, select

from monitoring.history.tables import MINUTE, sample, turn
from monitoring.history.times import percentile, unpacked

S, T = sample.c, turn.c


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
    route: str | None = None,
    partner: str | None = None,
) -> list[Point]:
    """One point for each moment from `since` to `until`, those of which nothing is known as nought.

    Of a route, of a connection (`partner`), or of everything.
    """
    rows = connection.execute(
        select(sample).where(*_chosen(since, until, grain, route, partner)).order_by(S.at)
    ).mappings()
    found: dict[int, list[Any]] = {}
    for row in rows:
        found.setdefault(row["at"], []).append(row)
    moments = range(int(since // grain * grain), int(until // grain * grain), grain)
    return [_point(at, found.get(at, []), everything=route is None and partner is None) for at in moments]


def _point(at: int, rows: list[Any], *, everything: bool) -> Point:
    # Of the gateway as a whole, delivered is what reached a partner: a message that a flow took goes on.
    sent = [row for row in rows if row["connection"]] if everything else rows
    times = unpacked(row["times"] for row in sent)
    done, failed, dead = (sum(row[name] for row in sent) for name in ("done", "failed", "dead"))
    came, waiting = (sum(row[name] for row in rows) for name in ("came", "waiting"))
    return Point(at, came, done, failed, dead, waiting, percentile(times, 0.5), percentile(times, 0.95))


def gauges_of(
    connection: Connection,
    since: float,
    until: float,
    *,
    grain: int = MINUTE,
    route: str | None = None,
    partner: str | None = None,
) -> list[Gauge]:
    """The same, added up for each route and each of its connections."""
    names = ("came", "refused", "done", "failed", "dead")
    where = _chosen(since, until, grain, route, partner)
    counted = select(S.route, S.connection, *(func.sum(S[name]).label(name) for name in names)).where(*where)
    times: dict[tuple[str, str], list[str]] = {}
    for route_, partner_, text in connection.execute(
        select(S.route, S.connection, S.times).where(*where, S.times != "{}")
    ):
        times.setdefault((route_, partner_), []).append(text)
    found = []
    for row in connection.execute(counted.group_by(S.route, S.connection)).mappings():
        taken = unpacked(times.get((row["route"], row["connection"]), []))
        parts = [percentile(taken, share) for share in (0.5, 0.95, 0.99)]
        found.append(Gauge(row["route"], row["connection"], *(int(row[name]) for name in names), *parts))
    return found


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
