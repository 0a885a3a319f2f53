"""What the pages of operations are made of: the gateway at one look, the last hour, what is dead, who paused what."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, func, select

from monitoring.alerts.operations import find as alerts_of
from monitoring.history import Gauge, Point
from monitoring.history.hour import HOUR_S, Hour
from monitoring.history.tables import MINUTE
from monitoring.pulse import BEAT_S, TOPIC
from pipe.config.models import RouteConfig
from pipe.config.walk import every_target
from pipe.operations import overview
from pipe.operations.ledger import Waits
from pipe.operations.selection import DEAD_ONES
from pipe.store.schema import control, dead_letter, delivery
from web.ops.flow import Calm, Out, Way
from web.pages.call import Call
from web.pages.live import ends, newest

SETTLED_S = 2.0
"""after the end of a minute its row is written within so long"""
_HOUR_LIMIT_S = 20.0
KEPT_S = BEAT_S
"""how long one look holds for all pages: until open ones hear of a change, at most"""


@dataclass(slots=True)
class Look:
    """One look."""

    after: int
    """number of the last event of the feeds that is in it"""
    status: dict[str, Any]
    waits: list[Waits]
    dead: dict[str, int]
    """dead letters by class"""
    gauges: list[Gauge]
    """of the last hour"""
    points: list[Point]
    queues: dict[str, list[int]]
    """how many waited on each route, minute by minute"""
    alerts: list[dict[str, Any]]
    """pending and firing"""
    paused: dict[tuple[str, str], Any]
    """by kind and name: who paused it, when and why"""
    waiting: dict[tuple[str, str], int] = field(default_factory=dict)
    """deliveries by route and station"""
    of_connection: dict[str, list[Gauge]] = field(default_factory=dict)
    """gauges by connection"""

    def __post_init__(self) -> None:
        self.waiting = overview.by_station(self.waits)
        for each in self.gauges:
            if each.connection:
                self.of_connection.setdefault(each.connection, []).append(each)


async def look(call: Call) -> Look:
    """The look that all share who ask in the same few seconds; what somebody has just done is in it."""
    after, told = await call.read(lambda connection: (ends(connection)[1], newest(connection, TOPIC)))
    return await call.site.kept.get("look", told, KEPT_S, lambda: _looked(call, after))


async def _looked(call: Call, after: int) -> Look:
    host = call.host()
    status, waits = await overview.looked(host)
    alerts = await alerts_of(host)
    # A minute that is over stays as it is: its numbers are added up once for all pages of the next.
    until = (call.now - SETTLED_S) // MINUTE * MINUTE
    gauges, points, queues = await call.site.kept.get("hour", int(until), HOUR_S, lambda: _hour(call, until))

    def read(connection: Connection) -> Look:
        rows = connection.execute(select(control).where(control.c.kind != "gateway")).mappings()
        return Look(
            after, status, waits, dead_by_class(connection),
            gauges, points, queues, alerts["alerts"],
            {(row["kind"], row["name"]): row for row in rows},
        )  # fmt: skip

    return await call.read(read)


async def _hour(call: Call, until: float) -> tuple[list[Gauge], list[Point], dict[str, list[int]]]:
    hour = call.site.kept.lasting("hour", Hour)
    return await call.site.store.read(lambda connection: hour.look(connection, until), _HOUR_LIMIT_S)


def dead_by_class(connection: Connection) -> dict[str, int]:
    """How many dead letters there are of each class, the most first."""
    d, letter = delivery.c, dead_letter.c
    kind = func.coalesce(letter["class"], d.state)
    query = (
        select(kind, func.count().label("n"))
        .select_from(delivery)
        .outerjoin(dead_letter, letter.delivery == d.id)
        .where(DEAD_ONES)
        .group_by(kind)
        .order_by(func.count().desc(), kind)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def targets_of(route: RouteConfig) -> dict[str, tuple[str, str]]:
    """Kind and name of where each of its stations leads: a connection or another route."""
    found: dict[str, tuple[str, str]] = {}
    for target in every_target(route):
        name = target.connection or target.route
        if name:
            found[target.key] = ("connection" if target.connection else "route", name)
    return found


def source_of(route: RouteConfig) -> str:
    """What a route's messages come from, by name where it has one."""
    return route.source.connection or route.source.kind


def ways(seen: Look, routes: dict[str, RouteConfig]) -> list[Way]:
    """The routes as the picture draws them."""
    came = {each.route: each.came for each in seen.gauges if not each.connection}
    done = {(each.route, each.connection): each.done for each in seen.gauges if each.connection}
    states = {each["connection"]: each["state"] for each in seen.status["connections"]}
    return [
        Way(
            name, source_of(route), "connection" if route.source.connection else "other", came.get(name, 0),
            tuple(_outs(name, route, seen, done, states)),
        )
        for name, route in sorted(routes.items())
    ]  # fmt: skip


def _outs(
    name: str, route: RouteConfig, seen: Look, done: dict[tuple[str, str], int], states: dict[str, str]
) -> list[Out]:
    waiting: dict[tuple[str, str], int] = {}
    for station, target in targets_of(route).items():
        more = sum(seen.waiting.get((name, each), 0) for each in (station, f"gather:{station}"))
        waiting[target] = waiting.get(target, 0) + more
    return [
        Out(to, "connection", done.get((name, to), 0), n, calm(states.get(to, "")))
        if kind == "connection"
        else Out(to, "route", 0, n, "")
        for (kind, to), n in waiting.items()
    ]


def calm(state: str) -> Calm:
    """A connection's state as the picture shows it: what is well has none."""
    return state if state in ("down", "degraded", "paused") else ""  # type: ignore[return-value]
