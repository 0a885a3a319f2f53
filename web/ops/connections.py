"""`/ops/connections`: each connection's state and history, what it rests on, what waits for it, and its switch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy import Connection as Reading
from sqlalchemy import and_, or_, select

from monitoring.drift import operations as drifting
from monitoring.history import points_of, turns_of
from monitoring.history.reading import Turn
from monitoring.history.tables import MINUTE, QUARTER
from pipe.config.walk import uses
from pipe.contract import KeyedRate
from pipe.errors import NotFound
from pipe.operations import switching
from pipe.operations.doctor.connections import doctor_connections
from pipe.operations.ledger import Waits, first_of
from pipe.operations.selection import D, M
from pipe.store.schema import attempt, delivery, message
from web.ops.asking import acted
from web.ops.charts import Chart, chart
from web.ops.looking import look, targets_of
from web.ops.overview import ORDER, Minute, Tile, tile_of
from web.pages.call import Call
from web.pages.forms import Input, Said
from web.pages.permission import GATEWAY
from web.pages.results import Done, Show
from web.pages.router import Area, Nav

AREA = Area("connections", whole=True)
READ, SWITCH = "connection.read", "connection.switch"
HOUR, DAY_S = 3600, 86400.0
SPANS = {"hour": (3600.0, MINUTE, MINUTE), "day": (DAY_S, QUARTER, QUARTER), "month": (30 * DAY_S, QUARTER, HOUR)}
"""how long, the rows that are read, and what a point of the chart stands for, in seconds"""
_ERRORS_SINCE_S = 7 * DAY_S
_MOST = 50
_SHOWN = 20
_LOOKED_AT = 5000
"""failed attempts of all connections, the newest, among which those of one are looked for"""


class Connections(BaseModel):
    """All connections."""

    after: int = Field(description="Number of the last event of the feed that is in it.")
    now: float = Field(description="When it was looked.")
    connections: list[Tile] = Field(description="The worst first.")


class Period(Input):
    """Over which time the charts go."""

    period: str = Field(default="hour", pattern="^(hour|day|month)?$", description="`hour`, `day` or `month`.")


class Turned(BaseModel):
    """A change of its state."""

    at: float = Field(description="When.")
    state: str = Field(description="What it became.")
    reason: str = Field(description="Why.")
    code: str | None = Field(description="Of the error, or a word for another cause.")
    lasted_s: float = Field(description="How long it was so.")


class Failure(BaseModel):
    """Attempts that failed alike."""

    code: str | None = Field(description="Code of the error.")
    n: int = Field(description="How many.")
    last_at: float = Field(description="When the last was.")
    example: str = Field(description="Id of the message of the last.")


class Waiting(BaseModel):
    """A message that waits for it."""

    id: str = Field(description="Its id.")
    route: str = Field(description="Its route.")
    state: str = Field(description="The state of its delivery.")
    received_at: float = Field(description="When it was accepted.")
    next_at: float | None = Field(description="When it is tried next.")


class Certified(BaseModel):
    """A certificate that it rests on."""

    whose: str = Field(description="`partner` or `own`.")
    name: str = Field(description="For whom it is.")
    issuer: str = Field(description="Who issued it.")
    ends: float = Field(description="When it ends.")
    days: int = Field(description="Days until then.")


class Breaking(BaseModel):
    """Its breaker."""

    failures: int = Field(description="Failed attempts among the last ones.")
    seen: int = Field(description="How many of the last ones it knows.")
    of: int = Field(description="How many it looks at.")
    opens_over: float = Field(description="It opens from this share of failures on, 0 to 1.")


class DriftStep(BaseModel):
    """A step that a change concerns."""

    route: str = Field(description="Its route.")
    step: str = Field(description="Where it stands in the route.")
    place: str = Field(description="File and line of the configuration.")
    makes: bool = Field(description="Whether it makes what is sent; else it reads what comes.")


class DriftChange(BaseModel):
    """A field that is not what it was."""

    path: str = Field(description="The field; empty where it is an operation as a whole.")
    how: str = Field(description="`gone`, `new`, `kind`, `list`, `required` or `optional`.")
    breaks: bool = Field(description="Whether a mapping may break of it.")
    text: str = Field(description="In a sentence.")
    text_uk: str = Field(description="The same in Ukrainian.")
    uses: list[DriftStep] = Field(description="Steps that read the field, or make it.")


class DriftWatched(BaseModel):
    """A description that the partner publishes, or messages of one kind."""

    what: str = Field(description="`wsdl`, `openapi` or `sample`.")
    name: str = Field(description="What it is called.")
    name_uk: str = Field(description="The same in Ukrainian.")
    where: str | None = Field(description="Where it is served.")
    known: str | None = Field(description="Hash of the known shape; none while it is learned.")
    seen: str | None = Field(description="Hash of what is served now.")
    learned: int | None = Field(description="How many messages were looked at.")
    learn: int | None = Field(description="How many make the shape known.")
    looked_at: float | None = Field(description="When it was last looked at.")
    changed_at: float | None = Field(description="Since when it differs.")
    trouble: str | None = Field(description="Why it could not be read.")
    accepted_at: float | None = Field(description="When a person made a change the known shape.")
    accepted_by: str | None = Field(description="Who.")
    reason: str | None = Field(description="Why.")
    changes: list[DriftChange] = Field(description="What differs.")


class DriftAccepted(BaseModel):
    """What is known from here on."""

    connection: str = Field(description="The connection.")
    accepted: list[str] = Field(description="What had changed.")


class One(BaseModel):
    """A connection."""

    after: int = Field(description="Number of the last event of the feed that is in it.")
    now: float = Field(description="When it was looked.")
    tile: Tile = Field(description="How it does.")
    place: str = Field(description="File and line of the configuration.")
    last_ok: float | None = Field(description="When it last worked.")
    last_error: str | None = Field(description="What last went wrong.")
    last_error_at: float | None = Field(description="When.")
    concurrency: int = Field(description="Attempts at the same time, at most.")
    rate: str = Field(description="How many in which time, at most; empty: no limit.")
    breaker: Breaking | None = Field(description="Its breaker.")
    certificates: list[Certified] = Field(description="Certificates it rests on.")
    routes: list[str] = Field(description="Routes that use it.")
    period: str = Field(description="Over which time the charts go.")
    minutes: list[Minute] = Field(description="The time chosen, moment by moment.")
    p99_s: float | None = Field(description="What 99 of 100 attempts of the last hour did not exceed, in seconds.")
    turns: list[Turned] = Field(description="Changes of its state, the newest first.")
    failures: list[Failure] = Field(description="Attempts of the last week that failed, alike ones together.")
    waiting: list[Waiting] = Field(description="The first messages that wait for it.")
    drift: str = Field(description="`same`, `changed`, `learning`, `unknown` or `off`.")
    watched: list[DriftWatched] = Field(description="What of its data is watched for changes.")

    @property
    def latency(self) -> Chart:
        """The 95th percentile and the median."""
        return chart([[each.p95_s for each in self.minutes], [each.median_s for each in self.minutes]], 0.1)

    @property
    def throughput(self) -> Chart:
        """Good attempts, and all that did not end well."""
        return chart([[float(each.done) for each in self.minutes], [float(each.came) for each in self.minutes]], 10)


class Rung(BaseModel):
    """What the doctor says about one thing."""

    check: str = Field(description="What was looked at.")
    grade: str = Field(description="`ok`, `warn` or `fail`.")
    text: str = Field(description="What was found.")
    hint: str = Field(description="What to do.")


class Examined(BaseModel):
    """The doctor's ladder of a connection."""

    connection: str = Field(description="Its name.")
    type: str = Field(description="Its adapter.")
    well: bool = Field(description="Whether nothing failed.")
    fails_at: str | None = Field(description="The first rung that failed.")
    checks: list[Rung] = Field(description="Rung by rung.")


class Why(Input):
    """An act that needs a reason."""

    reason: Said = Field(max_length=500, description="Why; it stands in the audit.")


class MaybeWhy(Input):
    """An act that may have a reason."""

    reason: str = Field(default="", max_length=500, description="Why; it stands in the audit.")


class Switched(BaseModel):
    """What was switched."""

    name: str = Field(description="The connection or route.")
    state: str = Field(description="What it is now.")
    before: str = Field(description="What it was.")


@AREA.page(
    "/ops/connections", "ops/connections.html", permission=READ, alike=True, api="GET /connections",
    nav=Nav("nav.ops", "ops.connections.title", "plug", -19),
)  # fmt: skip
async def everything(call: Call) -> Connections:
    """All connections, the worst first."""
    seen = await look(call)
    tiles = [tile_of(row, seen) for row in seen.status["connections"]]
    tiles.sort(key=lambda tile: (ORDER.index(tile.state) if tile.state in ORDER else 0, -tile.waiting, tile.connection))
    return Connections(after=seen.after, now=seen.status["now"], connections=tiles)


@AREA.page("/ops/connections/{name}", "ops/connection.html", permission=READ, alike=True, api="GET /connections/{name}")
async def one(call: Call, ask: Period) -> One:
    """One connection: state, history, certificates, breaker, errors, what waits for it."""
    name, host = call.params["name"], call.host()
    spec = host.configuration().connections.get(name)
    if spec is None:
        raise NotFound(f"there is no connection {name}", hint="`pipe connections` lists them")
    seen = await look(call)
    row = next(each for each in seen.status["connections"] if each["connection"] == name)
    live = host.engine.connections.get(name) if host.engine is not None else None
    (drift,) = await drifting.find(host, name)
    span, grain, step = SPANS[ask.period or "hour"]
    until = call.now // step * step
    routes = {route.name: route for route in host.configuration().routes.values()}
    stations = [
        (route.name, station)
        for route in routes.values()
        for station, target in targets_of(route).items()
        if target == ("connection", name)
    ]

    def read(connection: Reading) -> One:
        points = points_of(connection, until - span, until, grain=grain, step=step, partner=name)
        turns = _with_the_last(turns_of(connection, name, call.now - 90 * DAY_S, _MOST), tile_of(row, seen))
        ends = [call.now, *(each.at for each in turns)]
        breaker = live.breaker() if live is not None else None
        return One(
            after=seen.after, now=call.now, tile=tile_of(row, seen), place=str(spec.place), last_ok=row["last_ok"],
            last_error=row["last_error"], last_error_at=row["last_error_at"], concurrency=spec.config.concurrency,
            rate=_rate(spec.config.rate),
            breaker=Breaking(
                failures=breaker[0], seen=breaker[1], of=breaker[2], opens_over=float(spec.config.breaker.failures)
            ) if breaker is not None else None,
            certificates=[
                Certified(name=each["for"], **{key: each[key] for key in ("whose", "issuer", "ends", "days")})
                for each in row["certificates"]
            ],
            routes=sorted(route.name for route in routes.values() if name in {use.connection for use in uses(route)}),
            period=ask.period or "hour",
            minutes=[
                Minute(at=each.at, came=each.failed + each.dead, done=each.done, median_s=each.median, p95_s=each.p95)
                for each in points
            ],
            p99_s=max((each.p99 for each in seen.gauges if each.connection == name and each.p99), default=None),
            turns=[
                Turned(at=each.at, state=each.state, reason=each.reason, code=each.code, lasted_s=ended - each.at)
                for each, ended in zip(turns, ends, strict=False)
            ],
            failures=_failures(connection, stations, call.now),
            waiting=_waiting(connection, seen.waits, stations) if call.may("message.read", GATEWAY) else [],
            drift=drift["state"], watched=[DriftWatched.model_validate(each) for each in drift["watched"]],
        )  # fmt: skip

    return await call.read(read)


@AREA.action(
    "/ops/connections/{name}/doctor", permission="gateway.diagnose", on=one, api="POST /connections/{name}/doctor",
    result=Examined,
)  # fmt: skip
async def examine(call: Call) -> Show:
    """Climbs the doctor's ladder now; nothing that the partner would take for work is done."""
    call.require(READ, GATEWAY)
    (told,) = await doctor_connections(call.host(), [call.params["name"]])
    return Show("ops/examined.html", Examined.model_validate({name: told[name] for name in Examined.model_fields}))


@AREA.action(
    "/ops/connections/{name}/pause", permission=SWITCH, on=one, api="POST /connections/{name}/pause", result=Switched
)
async def pause(call: Call, form: Why) -> Done:
    """It neither sends nor receives until somebody resumes it; what waits loses nothing."""
    return await switched(call, "connection", "pause", form.reason)


@AREA.action(
    "/ops/connections/{name}/resume", permission=SWITCH, on=one, api="POST /connections/{name}/resume", result=Switched
)
async def resume(call: Call, form: MaybeWhy) -> Done:
    """Takes the pause back."""
    return await switched(call, "connection", "resume", form.reason)


@AREA.action(
    "/ops/connections/{name}/drift", permission="alert.edit", on=one, api="POST /connections/{name}/drift",
    result=DriftAccepted,
)  # fmt: skip
async def accept(call: Call, form: Why) -> Done:
    """What it gives now is the known shape; the alert is over."""
    call.require(READ, GATEWAY)
    name = call.params["name"]
    told = await acted(call, drifting.accept(call.host(), name, form.reason))
    return Done(f"/ops/connections/{name}", "ops.drift", {"name": name}, DriftAccepted.model_validate(told))


async def switched(call: Call, kind: str, act: str, reason: str) -> Done:
    """Pauses, drains or resumes a connection or a route. Raises NotFound for another kind of thing."""
    name, host = call.params["name"], call.host()
    configuration = host.configuration()
    if name not in (configuration.connections if kind == "connection" else configuration.routes):
        raise NotFound(f"there is no {kind} {name}")
    work = {"pause": switching.pause, "drain": switching.drain, "resume": switching.resume}[act]
    told = await acted(call, work(host, name, reason))
    found = Switched(name=name, state=told["state"], before=told["before"])
    return Done(f"/ops/{kind}s/{name}", f"ops.{act}", {"name": name}, found)


def _with_the_last(turns: list[Turn], tile: Tile) -> list[Turn]:
    """Changes are written once a minute: the last one may be known and not written yet."""
    if tile.since is None or tile.state == "unknown" or (turns and turns[0].at > tile.since - 1):
        return turns
    return [Turn(tile.since, tile.state, tile.reason), *turns]


def _rate(rate: Any) -> str:
    rates = rate if isinstance(rate, list) else [rate] if rate is not None else []
    return ", ".join(str(each.rate if isinstance(each, KeyedRate) else each) for each in rates)


def _failures(connection: Reading, stations: list[tuple[str, str]], now: float) -> list[Failure]:
    """Attempts that did not end well, by code, from the newest ones."""
    if not stations:
        return []
    a = attempt.c
    failed = select(a.delivery, a.code, a.at).where(a.code.is_not(None)).order_by(a.delivery.desc(), a.n.desc())
    latest = failed.limit(_LOOKED_AT).subquery()
    query = (
        select(latest.c.code, latest.c.at, M.id)
        .join(delivery, D.id == latest.c.delivery)
        .join(message, M.seq == D.message)
        .where(_at(stations), latest.c.at > now - _ERRORS_SINCE_S)
    )
    rows = connection.execute(query).all()
    counted = Counter(row.code for row in rows)
    newest = {row.code: row for row in sorted(rows, key=lambda row: row.at)}
    return [
        Failure(code=code, n=n, last_at=newest[code].at, example=newest[code].id) for code, n in counted.most_common(10)
    ]


def _waiting(connection: Reading, waits: Sequence[Waits], stations: list[tuple[str, str]]) -> list[Waiting]:
    """The first ones. They are among the kinds that begin first, of which each is looked into by its index."""
    mine = {(route, each) for route, station in stations for each in (station, f"gather:{station}")}
    kinds = sorted((each for each in waits if (each.route, each.station) in mine), key=lambda each: each.first)[:_SHOWN]
    numbers = sorted(number for kind in kinds for number in first_of(connection, kind, _SHOWN))[:_SHOWN]
    query = (
        select(M.id, D.route, D.state, M.received_at, D.next_at)
        .join(message, M.seq == D.message)
        .where(D.id.in_(numbers))
        .order_by(D.id)
    )
    return [
        Waiting(id=row.id, route=row.route, state=row.state, received_at=row.received_at, next_at=row.next_at)
        for row in connection.execute(query)
    ]


def _at(stations: list[tuple[str, str]]) -> Any:
    return or_(*(and_(D.route == route, D.station.in_((station, f"gather:{station}"))) for route, station in stations))
