"""`/ops/routes`: each route's steps, promise, revision and queue, its latest messages, and its switch."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy import Connection, select, text

from monitoring.history import points_of
from pipe.config.models import RouteConfig, StepConfig
from pipe.config.promise import promise_of
from pipe.config.walk import every_target
from pipe.errors import NotFound
from pipe.operations.host import Host
from pipe.operations.selection import D, M
from pipe.store.schema import delivery, message
from web.ops.charts import Chart, chart
from web.ops.connections import SPANS, MaybeWhy, Period, Switched, Why, switched
from web.ops.looking import Look, look, source_of
from web.ops.overview import Minute
from web.pages.call import Call
from web.pages.permission import GATEWAY
from web.pages.results import Done
from web.pages.router import Area, Nav

AREA = Area("routes", whole=True)
READ, SWITCH = "route.read", "route.switch"


class Line(BaseModel):
    """A route of the list."""

    route: str = Field(description="Its name.")
    state: str = Field(description="`running`, `paused`, `draining`, `stopped` or `gone`.")
    source: str = Field(description="Where its messages come from.")
    to: list[str] = Field(description="Where they go.")
    came: int = Field(description="Accepted within the last hour.")
    waiting: int = Field(description="Deliveries that wait.")
    oldest_s: float | None = Field(description="Age of the oldest in seconds.")
    dead: int = Field(description="Dead letters.")


class Routes(BaseModel):
    """All routes."""

    after: int = Field(description="Number of the last event of the feed that is in it.")
    routes: list[Line] = Field(description="Those on which something waits first.")


class Step(BaseModel):
    """A step, or a target."""

    name: str = Field(description="What it is.")
    place: str = Field(description="File and line.")


class Target(BaseModel):
    """A target."""

    key: str = Field(description="Its name within the route.")
    kind: str = Field(description="`connection` or `route`.")
    to: str = Field(description="Which.")
    place: str = Field(description="File and line.")
    done: int = Field(description="Delivered within the last hour.")
    failed: int = Field(description="Attempts of the last hour that failed.")
    waiting: int = Field(description="Deliveries that wait.")
    median_s: float | None = Field(description="Median time of an attempt in seconds.")
    p95_s: float | None = Field(description="What 95 of 100 attempts did not exceed, in seconds.")
    steps: list[Step] = Field(description="Its own steps.")


class Recent(BaseModel):
    """One of its latest messages."""

    id: str = Field(description="Its id.")
    received_at: float = Field(description="When it was accepted.")
    station: str = Field(description="The target.")
    state: str = Field(description="The state of its delivery.")


class One(BaseModel):
    """A route."""

    after: int = Field(description="Number of the last event of the feed that is in it.")
    route: str = Field(description="Its name.")
    state: str = Field(description="`running`, `paused` or `draining`.")
    by: str | None = Field(description="Who paused it.")
    why: str | None = Field(description="The reason of the pause.")
    place: str = Field(description="File and line of the configuration.")
    revision: str = Field(description="The configuration in force.")
    source: str = Field(description="Where its messages come from.")
    mode: str = Field(description="`async` or `sync`.")
    promise: str = Field(description="What it promises, computed from its parts.")
    duplicates: bool = Field(description="Whether a partner may get a message twice.")
    reasons: list[str] = Field(description="Why it promises no more.")
    steps: list[Step] = Field(description="Its steps.")
    targets: list[Target] = Field(description="Its targets.")
    tests: list[str] = Field(description="Tests of the configuration that hold it.")
    came: int = Field(description="Accepted within the last hour.")
    refused: int = Field(description="Refused at the door within the last hour.")
    waiting: int = Field(description="Deliveries that wait.")
    by_state: dict[str, int] = Field(description="The same by their state.")
    most: int = Field(description="How many may wait.")
    oldest_s: float | None = Field(description="Age of the oldest in seconds.")
    dead: int = Field(description="Dead letters.")
    period: str = Field(description="Over which time the charts go.")
    minutes: list[Minute] = Field(description="The time chosen, moment by moment.")
    queue: list[int] = Field(description="How many waited, moment by moment.")
    recent: list[Recent] = Field(description="Its latest messages.")

    @property
    def throughput(self) -> Chart:
        """Accepted and delivered."""
        return chart([[float(each.came) for each in self.minutes], [float(each.done) for each in self.minutes]], 10)

    @property
    def waits(self) -> Chart:
        """How many waited."""
        return chart([[float(each) for each in self.queue], [None for _ in self.queue]], 10)


@AREA.page(
    "/ops/routes", "ops/routes.html", permission=READ, alike=True, api="GET /routes",
    nav=Nav("nav.ops", "ops.routes.title", "route", -18),
)  # fmt: skip
async def everything(call: Call) -> Routes:
    """All routes, those on which something waits first."""
    seen, configuration = await look(call), call.host().configuration()
    came = {each.route: each.came for each in seen.gauges if not each.connection}
    rows = {row["route"]: row for row in seen.status["routes"]}
    lines = [
        Line(
            route=name, state=_row(rows, name)["state"], source=source_of(route),
            to=sorted({target.connection or target.route or "" for target in every_target(route)}),
            came=came.get(name, 0), waiting=_row(rows, name)["pending"], oldest_s=_row(rows, name)["oldest_s"],
            dead=_row(rows, name)["dead"] + _row(rows, name)["expired"],
        )
        for name, route in configuration.routes.items()
    ]  # fmt: skip
    lines += [
        Line(route=name, state=row["state"], source="", to=[], came=0, waiting=row["pending"],
             oldest_s=row["oldest_s"], dead=row["dead"] + row["expired"])
        for name, row in rows.items()
        if name not in configuration.routes and (row["pending"] or row["dead"] or row["expired"])
    ]  # fmt: skip
    lines.sort(key=lambda line: (line.state == "running", -line.waiting, -line.dead, line.route))
    return Routes(after=seen.after, routes=lines)


@AREA.page("/ops/routes/{name}", "ops/route.html", permission=READ, alike=True, api="GET /routes/{name}")
async def one(call: Call, ask: Period) -> One:
    """One route: steps, targets, promise, queue, latest messages."""
    name, host = call.params["name"], call.host()
    route = host.configuration().routes.get(name)
    if route is None:
        raise NotFound(f"there is no route {name}", hint="`pipe routes` lists them")
    seen = await look(call)
    span, grain, step = SPANS[ask.period or "hour"]
    until = call.now // step * step

    def read(connection: Connection) -> One:
        points = points_of(connection, until - span, until, grain=grain, step=step, route=name)
        recent = _recent(connection, name) if call.may("message.read", GATEWAY) else []
        minutes = [
            Minute(at=each.at, came=each.came, done=each.done, median_s=each.median, p95_s=each.p95) for each in points
        ]
        return One(
            after=seen.after, route=name, period=ask.period or "hour", minutes=minutes,
            queue=[each.waiting for each in points], recent=recent, **_described(host, route, seen),
        )  # fmt: skip

    return await call.read(read)


@AREA.action("/ops/routes/{name}/pause", permission=SWITCH, on=one, api="POST /routes/{name}/pause", result=Switched)
async def pause(call: Call, form: Why) -> Done:
    """It keeps what comes in and works on nothing until somebody resumes it."""
    return await switched(call, "route", "pause", form.reason)


@AREA.action("/ops/routes/{name}/drain", permission=SWITCH, on=one, api="POST /routes/{name}/drain", result=Switched)
async def drain(call: Call, form: Why) -> Done:
    """It takes nothing more in and works off what it has."""
    return await switched(call, "route", "drain", form.reason)


@AREA.action("/ops/routes/{name}/resume", permission=SWITCH, on=one, api="POST /routes/{name}/resume", result=Switched)
async def resume(call: Call, form: MaybeWhy) -> Done:
    """Takes the pause or the drain back."""
    return await switched(call, "route", "resume", form.reason)


def _described(host: Host, route: RouteConfig, seen: Look) -> dict[str, Any]:
    """What the configuration and the last hour say of it."""
    configuration = host.configuration()
    known = host.engine.catalogue if host.engine is not None else host.built.catalogue()
    promise = promise_of(route, configuration, known.adapters)
    row = _row({each["route"]: each for each in seen.status["routes"]}, route.name)
    mine = {each.connection: each for each in seen.gauges if each.route == route.name}
    paused = seen.paused.get(("route", route.name))
    own = mine.get("")
    return {
        "state": row["state"], "by": paused["by"] if paused else None, "why": paused["reason"] if paused else None,
        "place": str(route.place), "revision": configuration.revision, "source": source_of(route),
        "mode": route.reply.mode, "promise": str(promise), "duplicates": promise.duplicates,
        "reasons": list(promise.reasons), "steps": _steps(route.steps),
        "targets": [_target(target, mine, seen, route.name) for target in every_target(route)],
        "tests": [test.name for test in configuration.tests if test.route == route.name],
        "came": own.came if own else 0, "refused": own.refused if own else 0, "waiting": row["pending"],
        "by_state": row["by_state"], "most": route.queue.messages, "oldest_s": row["oldest_s"],
        "dead": row["dead"] + row["expired"],
    }  # fmt: skip


def _target(target: Any, mine: dict[str, Any], seen: Look, route: str) -> Target:
    gauge = mine.get(target.connection) if target.connection else None
    return Target(
        key=target.key, kind=target.kind, to=target.connection or target.route or str(target.channel),
        place=str(target.place), done=gauge.done if gauge else 0, failed=gauge.failed + gauge.dead if gauge else 0,
        waiting=sum(seen.waiting.get((route, each), 0) for each in (target.key, f"gather:{target.key}")),
        median_s=gauge.median if gauge else None, p95_s=gauge.p95 if gauge else None, steps=_steps(target.steps),
    )  # fmt: skip


def _steps(steps: tuple[StepConfig, ...]) -> list[Step]:
    named = [(step, getattr(step.config, "name", None)) for step in steps]
    return [
        Step(name=f"flow {inner}" if step.name == "flow" and inner else step.name, place=str(step.place))
        for step, inner in named
    ]


def _row(rows: dict[str, Any], name: str) -> dict[str, Any]:
    """What the status says; of a route that nothing ever came through it says nothing."""
    empty = {"state": "running", "pending": 0, "by_state": {}, "oldest_s": None, "dead": 0, "expired": 0}
    found: dict[str, Any] = rows.get(name, empty)
    return found


def _recent(connection: Connection, route: str) -> list[Recent]:
    # As text: an index of what is kept is only used for just these words.
    kept = text("message.kind <> 'gone'")
    latest = select(M.seq).where(M.route == route, kept).order_by(M.received_at.desc()).limit(12)
    query = (
        select(M.id, M.received_at, D.station, D.state)
        .join(delivery, D.message == M.seq)
        .select_from(message)
        .where(M.seq.in_(latest))
        .order_by(M.seq.desc(), D.id)
    )
    return [
        Recent(id=row.id, received_at=row.received_at, station=row.station, state=row.state)
        for row in connection.execute(query.limit(24))
    ]
