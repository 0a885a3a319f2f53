"""`/ops`: a sentence first, then what needs a decision, then proof and detail."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field, PrivateAttr

from monitoring.history.hour import HOUR_S
from pipe.operations.ledger import NAMES
from pipe.store.schema import FINAL
from web.ops.charts import Chart, chart, spark
from web.ops.flow import Flow, flow
from web.ops.looking import Look, look, ways
from web.pages.call import Call
from web.pages.router import Area, Nav

AREA = Area("ops", whole=True)
READ = "gateway.read"
ORDER = ("down", "degraded", "paused", "unknown", "up")
"""states of connections, the worst first"""
_GROWS_FOR = 10
"""minutes over which it is looked whether a queue grows"""
_SHOWN_QUEUES = 8


class Tile(BaseModel):
    """A connection at one look."""

    connection: str = Field(description="Its name.")
    type: str = Field(description="Its adapter.")
    state: str = Field(description="`up`, `degraded`, `down`, `paused` or `unknown`.")
    reason: str = Field(description="Why, where it is not well.")
    code: str | None = Field(description="Code of the error that closed it.")
    since: float | None = Field(description="Since when it is so, seconds since 1970.")
    opens_at: float | None = Field(description="When it is tried again, where it is closed.")
    waiting: int = Field(description="Deliveries that wait for it.")
    calls: int = Field(description="Attempts of the last hour.")
    failed: int = Field(description="Of these, how many failed.")
    median_s: float | None = Field(description="Median time of these in seconds.")
    by: str | None = Field(description="Who paused it.")
    why: str | None = Field(description="The reason of the pause.")
    certificate_days: int | None = Field(description="Days until the first of its certificates ends.")


class Leg(BaseModel):
    """A route and one of its targets."""

    route: str = Field(description="The route.")
    source: str = Field(description="Where its messages come from.")
    to: str = Field(description="Where they go; empty where a flow takes them.")
    came: int = Field(description="Accepted within the last hour, of the route.")
    done: int = Field(description="Delivered to this target within the last hour.")
    waiting: int = Field(description="Waiting for it now.")
    state: str = Field(description="The connection's state, where it is not well.")


class Queue(BaseModel):
    """What waits on a route."""

    route: str = Field(description="The route.")
    state: str = Field(description="`running`, `paused`, `draining`, `stopped` or `gone`.")
    waiting: int = Field(description="Deliveries that wait.")
    most: int | None = Field(description="How many may.")
    oldest_s: float | None = Field(description="Age of the oldest in seconds.")
    hour: list[int] = Field(description="How many waited, minute by minute over the last hour.")

    @property
    def line(self) -> str:
        """The small line of its hour."""
        return spark([float(each) for each in [*self.hour, self.waiting]])

    @property
    def trend(self) -> Literal["grows", "shrinks", "steady"]:
        """Where it goes, in a word."""
        before = self.hour[-_GROWS_FOR] if self.hour else 0
        change = self.waiting - before
        return "steady" if abs(change) <= max(2, before // 10) else "grows" if change > 0 else "shrinks"

    @property
    def full_in_s(self) -> float | None:
        """When it is full if it goes on growing like this; None where it does not, or that is far."""
        grew = self.waiting - self.hour[-_GROWS_FOR] if self.hour else 0
        if self.most is None or grew <= 0 or self.waiting * 100 < self.most:
            return None
        return (self.most - self.waiting) / grew * _GROWS_FOR * 60


class Minute(BaseModel):
    """One minute of the last hour."""

    at: int = Field(description="When it began, seconds since 1970.")
    came: int = Field(description="Messages accepted.")
    done: int = Field(description="Messages delivered to partners.")
    median_s: float | None = Field(description="Median time of an attempt in seconds.")
    p95_s: float | None = Field(description="What 95 of 100 attempts did not exceed, in seconds.")


class Alert(BaseModel):
    """What a person must hear of."""

    id: str = Field(description="Its id.")
    rule: str = Field(description="The rule that found it.")
    subject: str = Field(description="The connection or route, or `gateway`.")
    severity: str = Field(description="`info`, `warning` or `critical`.")
    state: str = Field(description="`pending`, `firing` or `over`.")
    text: str = Field(description="What is wrong.")
    text_uk: str = Field(description="The same in Ukrainian.")
    began_at: float = Field(description="When it began.")
    acked_by: str | None = Field(description="Who takes care of it.")


class Overview(BaseModel):
    """The gateway at one look."""

    after: int = Field(description="Number of the last event of the feed that is in it.")
    now: float = Field(description="When it was looked.")
    well: bool = Field(description="Whether nothing needs a person.")
    unaccounted: int = Field(description="What came in less what ended and waits: nought where nothing is lost.")
    ledger: dict[str, int] = Field(description="The books since the beginning.")
    uncertain: int = Field(description="Deliveries of which nobody knows whether they arrived.")
    disk_low: bool = Field(description="Whether the disk is too full to accept anything.")
    restored: bool = Field(description="Whether this is a restored copy that waits to be let go.")
    connections: list[Tile] = Field(description="Connections, the worst first.")
    queues: list[Queue] = Field(description="Routes on which something waits, and those that are switched.")
    dead: dict[str, int] = Field(description="Dead letters by class, the most first.")
    legs: list[Leg] = Field(description="Routes and their targets with the numbers of the last hour.")
    minutes: list[Minute] = Field(description="The last hour.")
    alerts: list[Alert] = Field(description="What fires and what may fire soon.")
    revision: str = Field(description="The configuration in force.")
    pending_limit: int = Field(description="How many deliveries may wait in all.")
    _flow: Flow = PrivateAttr(default_factory=Flow)

    def with_picture(self, drawn: Flow) -> Overview:
        """Takes the picture up, which is none of its data."""
        self._flow = drawn
        return self

    @property
    def flow(self) -> Flow:
        """The picture of routes."""
        return self._flow

    @property
    def listed(self) -> list[Leg]:
        """The legs of the routes of the picture, for where there is no room for it."""
        drawn = {node.name for node in self._flow.nodes}
        return [leg for leg in self.legs if leg.route in drawn]

    @property
    def loud(self) -> list[Tile]:
        """What is not well, and what nobody knows of yet."""
        return [tile for tile in self.connections if tile.state in ("down", "degraded", "paused")]

    @property
    def quiet(self) -> list[Tile]:
        """The others."""
        return [tile for tile in self.connections if tile.state not in ("down", "degraded", "paused")]

    @property
    def counts(self) -> list[tuple[str, int]]:
        """How many connections are in which state."""
        found = [(state, sum(tile.state == state for tile in self.connections)) for state in ORDER]
        return [each for each in found if each[1]]

    @property
    def dead_total(self) -> int:
        """Dead letters of all classes."""
        return sum(self.dead.values())

    @property
    def fills(self) -> Queue | None:
        """The queue that is full first, if all goes on like this."""
        growing = [queue for queue in self.queues if queue.full_in_s is not None]
        return min(growing, key=lambda queue: queue.full_in_s or 0.0, default=None)

    @property
    def throughput(self) -> Chart:
        """Accepted and delivered by the minute."""
        return chart([[float(each.came) for each in self.minutes], [float(each.done) for each in self.minutes]], 10)

    @property
    def latency(self) -> Chart:
        """The 95th percentile and the median of attempts."""
        return chart([[each.p95_s for each in self.minutes], [each.median_s for each in self.minutes]], 0.1)


@AREA.page(
    "/ops",
    "ops/overview.html",
    permission=READ,
    alike=True,
    api="GET /ops",
    nav=Nav("nav.ops", "ops.nav", "overview", -20),
)
async def overview(call: Call) -> Overview:
    """The gateway at one look: verdict, connections, queues, dead letters, the last hour."""
    return made(call, await look(call))


def made(call: Call, seen: Look) -> Overview:
    """The page of one look."""
    status, configuration = seen.status, call.host().configuration()
    ledger = status["ledger"]
    lines = ways(seen, configuration.routes)
    tiles = [tile_of(row, seen) for row in status["connections"]]
    tiles.sort(key=lambda tile: (ORDER.index(tile.state) if tile.state in ORDER else 0, -tile.waiting, tile.connection))
    floor = status["disk"]["floor"]
    found = Overview(
        after=seen.after,
        now=status["now"],
        well=status["well"],
        unaccounted=ledger["accepted"] + ledger["emitted"] - sum(ledger[name] for name in (*FINAL, "pending")),
        ledger={name: ledger[name] for name in NAMES},
        uncertain=sum(row["by_state"].get("uncertain", 0) for row in status["routes"]),
        disk_low=floor is not None and status["disk"]["free"] < floor,
        restored=status["restored"] is not None,
        connections=tiles,
        queues=_queues(seen, {name: route.queue.messages for name, route in configuration.routes.items()}),
        dead=seen.dead,
        legs=[
            Leg(route=way.route, source=way.source, to=out.to if out else "", came=way.came,
                done=out.done if out else 0, waiting=out.waiting if out else 0, state=out.state if out else "")
            for way in lines for out in (way.outs or (None,))
        ],
        minutes=[
            Minute(at=each.at, came=each.came, done=each.done, median_s=each.median, p95_s=each.p95)
            for each in seen.points
        ],
        alerts=[Alert.model_validate({name: row[name] for name in Alert.model_fields}) for row in seen.alerts],
        revision=configuration.revision,
        pending_limit=configuration.limits.pending.messages,
    )  # fmt: skip
    return found.with_picture(flow(lines))


def tile_of(row: dict[str, Any], seen: Look) -> Tile:
    """A connection's tile from its row of the status."""
    name = row["connection"]
    mine = seen.of_connection.get(name, ())
    paused = seen.paused.get(("connection", name))
    return Tile(
        connection=name, type=row["type"], state=row["state"], reason=row["reason"] or "", code=row["code"],
        since=row["since"], opens_at=row["opens_at"], waiting=row["waiting"],
        calls=sum(each.done + each.failed + each.dead for each in mine),
        failed=sum(each.failed + each.dead for each in mine),
        median_s=max((each.median for each in mine if each.median is not None), default=None),
        by=paused["by"] if paused else None, why=paused["reason"] if paused else None,
        certificate_days=min((each["days"] for each in row["certificates"]), default=None),
    )  # fmt: skip


def _queues(seen: Look, most: dict[str, int]) -> list[Queue]:
    rows = [row for row in seen.status["routes"] if row["pending"] or row["state"] in ("paused", "draining")]
    rows.sort(key=lambda row: -row["pending"])
    minutes = int(HOUR_S // 60)
    return [
        Queue(
            route=row["route"], state=row["state"], waiting=row["pending"], most=most.get(row["route"]),
            oldest_s=row["oldest_s"], hour=seen.queues.get(row["route"], [0] * minutes),
        )
        for row in rows
    ]  # fmt: skip
