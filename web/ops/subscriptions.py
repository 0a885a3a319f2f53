"""`/ops/alerts/subscriptions`: what somebody wants to hear of, how, when and in which language; each their own."""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import BaseModel, Field
from sqlalchemy import Connection, select

from flows.duty import subscriptions
from flows.duty.hearing import Judged, Why, reach, ways
from flows.duty.subscriptions import Subscription
from flows.otp.reading import Reading
from monitoring.alerts import operations
from pipe.config.alerts import SEVERITIES, Hours, RuleName, Severity, Way, Wish
from pipe.store.schema import delivery, message
from web.ops.looking import look
from web.pages.call import Call
from web.pages.forms import Input, Invalid
from web.pages.permission import GATEWAY
from web.pages.results import Done
from web.pages.router import Area
from web.pages.words import Words

AREA = Area("subscriptions", whole=True)
READ = "alert.read"
HOME = "/ops/alerts/subscriptions"
MOMENT = r"^([01]\d|2[0-3]):[0-5]\d$"


class One(BaseModel):
    """One of one's own subscriptions."""

    id: str = Field(description="Its id.")
    way: Way = Field(description="How: `mail`, `telegram`.")
    language: Literal["uk", "en"] = Field(description="In which language.")
    severity: Severity = Field(description="The least severity.")
    rules: list[RuleName] = Field(description="Only these rules; none: all.")
    about: list[str] = Field(description="Only what concerns these connections and routes; none: all.")
    begins: str | None = Field(description="Told from this time of the day on, in Kyiv; empty: at any time.")
    ends: str | None = Field(description="Until this time.")
    hears: bool = Field(description="Whether it is told by it.")
    why: Why | None = Field(description="Why not.")
    told_at: float | None = Field(description="When it was told something last.")
    told: str | None = Field(description="The message that did so.")
    fate: Literal["arrived", "waiting", "dead", "over"] | None = Field(description="What became of that message.")


class Possible(BaseModel):
    """A way of being told."""

    way: Way = Field(description="Which.")
    why: Why | None = Field(description="Why it cannot be now.")


class Mine(BaseModel):
    """All of one's own."""

    after: int = Field(description="Number of the last event of the feed that is in it.")
    subscriptions: list[One] = Field(description="The oldest first.")
    ways: list[Possible] = Field(description="The ways that the configuration has.")
    email: str | None = Field(description="Where mail goes.")


class Wanted(Input):
    """What is wanted."""

    way: Way = Field(description="How: `mail` or `telegram`.")
    language: Literal["uk", "en"] = Field(default="uk", description="In which language.")
    severity: Severity = Field(default="warning", description="The least severity.")
    rules: list[RuleName] = Field(default=[], max_length=50, description="Only these rules; none: all.")
    about: list[str] = Field(
        default=[], max_length=200, description="Only what concerns these connections and routes; none: all."
    )
    begins: str = Field(default="", pattern=f"{MOMENT}|^$", description="Not before this time of the day, in Kyiv.")
    ends: str = Field(default="", pattern=f"{MOMENT}|^$", description="Not after this time of the day.")


class Editing(BaseModel):
    """One to be made or changed, and among what one chooses."""

    one: One | None = Field(description="The one that is changed.")
    ways: list[Possible] = Field(description="The ways that the configuration has.")
    email: str | None = Field(description="Where mail goes.")
    language: str = Field(description="The person's own language.")
    connections: list[str] = Field(description="Connections that one may see.")
    routes: list[str] = Field(description="Routes that one may see.")
    kept: list[str] = Field(description="What was chosen before and is not there now.")

    def severity_choices(self, t: Words) -> list[tuple[str, str]]:
        """From which severity on."""
        return [(each, t(f"subscriptions.severity.{each}")) for each in reversed(SEVERITIES)]

    def rule_choices(self, t: Words) -> list[tuple[str, str]]:
        """Which rules there are."""
        return [(name, t(f"ops.rule.{name}")) for name in get_args(RuleName)]


class Tested(BaseModel):
    """What was sent."""

    message: str = Field(description="Id of the message that tells it.")


@AREA.page(HOME, "ops/subscriptions.html", permission=READ, api="GET /alerts/subscriptions")
async def mine(call: Call) -> Mine:
    """What one has subscribed to, whether it is told, and what became of the last message."""
    seen, configuration = await look(call), call.host().configuration()

    def read(connection: Connection) -> tuple[list[One], list[Possible]]:
        return [_one(connection, each) for each in _judged(connection, call)], _ways(connection, call, configuration)

    found, possible = await call.read(read)
    return Mine(after=seen.after, subscriptions=found, ways=possible, email=call.who.email)


@AREA.page(f"{HOME}/new", "ops/subscription.html", permission=READ)
async def new(call: Call) -> Editing:
    """The form of a new one."""
    return await _editing(call, None)


@AREA.page(f"{HOME}/{{id}}", "ops/subscription.html", permission=READ)
async def one(call: Call) -> Editing:
    """The form of one that there is."""
    return await _editing(call, call.params["id"])


@AREA.action(f"{HOME}/new", permission=READ, on=new, api="POST /alerts/subscriptions", result=One, status=201)
async def subscribe(call: Call, form: Wanted) -> Done:
    """Subscribes: what fires already is told at once."""
    wish = _wish(call, form, ())
    me = call.who
    made = await call.write(lambda tx: subscriptions.add(tx, call.by, me.id, me.login, form.way, form.language, wish))
    return Done(HOME, "subscriptions.made", result=await _shown(call, made), status=201)


@AREA.action(f"{HOME}/{{id}}", permission=READ, on=one, api="POST /alerts/subscriptions/{id}", result=One)
async def change(call: Call, form: Wanted) -> Done:
    """Changes one of one's own."""
    me, id_of = call.who, call.params["id"]
    before = await call.read(lambda connection: subscriptions.mine(connection, me.id, id_of))
    wish = _wish(call, form, before.wish.about)
    await call.write(
        lambda tx: subscriptions.change(tx, call.by, me.id, me.login, id_of, form.way, form.language, wish)
    )
    return Done(HOME, "subscriptions.changed", result=await _shown(call, id_of))


@AREA.action(f"{HOME}/{{id}}/end", permission=READ, on=mine, api="POST /alerts/subscriptions/{id}/end")
async def end(call: Call) -> Done:
    """Nothing is told by it any more."""
    me, id_of = call.who, call.params["id"]
    await call.write(lambda tx: subscriptions.end(tx, call.by, me.id, me.login, id_of))
    return Done(HOME, "subscriptions.ended")


@AREA.action(
    f"{HOME}/{{id}}/test", permission=READ, on=mine, api="POST /alerts/subscriptions/{id}/test", result=Tested
)  # fmt: skip
async def test(call: Call) -> Done:
    """Sends a test the way of real alerts; what became of it stands beside the subscription."""
    id_of = call.params["id"]
    await call.read(lambda connection: subscriptions.mine(connection, call.who.id, id_of))
    judged = await call.read(lambda connection: _judged(connection, call))
    (found,) = [each for each in judged if each.subscription.id == id_of]
    if found.listener is None:
        raise Invalid("", f"subscriptions.why.{found.why}")
    sent = await operations.test_one(call.host(), call.site.duty, found.listener)
    return Done(HOME, "subscriptions.tested", result=Tested(message=sent))


# --- parts --------------------------------------------------------------------------------------------------------


def _judged(connection: Connection, call: Call) -> list[Judged]:
    judged = call.site.duty.judged(connection, call.host().configuration(), call.now)
    return [each for each in judged if each.subscription.person == call.who.id]


async def _shown(call: Call, id_of: str) -> One:
    def read(connection: Connection) -> One:
        (found,) = [each for each in _judged(connection, call) if each.subscription.id == id_of]
        return _one(connection, found)

    return await call.read(read)


def _ways(connection: Connection, call: Call, configuration: Any) -> list[Possible]:
    reading = Reading(connection, call.site.store.vault, call.now)
    found = []
    for way in ways(configuration):
        reached = reach(reading, configuration, way, call.who.id, call.who.email)
        found.append(Possible(way=way, why=reached if isinstance(reached, str) else None))
    return found


async def _editing(call: Call, id_of: str | None) -> Editing:
    configuration = call.host().configuration()
    names = _names(call)

    def read(connection: Connection) -> tuple[One | None, list[Possible]]:
        shown = None
        if id_of is not None:
            subscriptions.mine(connection, call.who.id, id_of)
            (judged,) = [each for each in _judged(connection, call) if each.subscription.id == id_of]
            shown = _one(connection, judged)
        return shown, _ways(connection, call, configuration)

    shown, possible = await call.read(read)
    kept = [name for name in (shown.about if shown is not None else ()) if name not in {*names[0], *names[1]}]
    return Editing(
        one=shown, ways=possible, email=call.who.email, language=call.who.language, connections=names[0],
        routes=names[1], kept=kept,
    )  # fmt: skip


def _names(call: Call) -> tuple[list[str], list[str]]:
    """Connections and routes that the one who asks may see."""
    configuration = call.host().configuration()
    connections = sorted(configuration.connections) if call.may("connection.read", GATEWAY) else []
    return connections, sorted(configuration.routes) if call.may("route.read", GATEWAY) else []


def _wish(call: Call, form: Wanted, before: tuple[str, ...]) -> Wish:
    """Raises Invalid for what cannot be wanted."""
    if form.way not in ways(call.host().configuration()):
        raise Invalid("way", "subscriptions.why.no_route")
    connections, routes = _names(call)
    if not set(form.about) <= {*connections, *routes, *before}:
        raise Invalid("about", "subscriptions.unknown")
    if bool(form.begins) != bool(form.ends) or (form.begins and form.begins == form.ends):
        raise Invalid("ends", "subscriptions.hours_both")
    hours = Hours(f"{form.begins}-{form.ends}") if form.begins else None
    return Wish(form.severity, tuple(dict.fromkeys(form.rules)), tuple(dict.fromkeys(form.about)), hours)


def _one(connection: Connection, judged: Judged) -> One:
    it: Subscription = judged.subscription
    begins, _, ends = str(it.wish.hours or "").partition("-")
    return One(
        id=it.id, way=it.way, language=it.language, severity=it.wish.severity, rules=list(it.wish.rules),
        about=list(it.wish.about), begins=begins or None, ends=ends or None, hears=judged.listener is not None,
        why=judged.why, told_at=it.told_at, told=it.told, fate=_fate(connection, it.told),
    )  # fmt: skip


def _fate(connection: Connection, told: str | None) -> Any:
    """What became of a message: of its last delivery, as most routes have one."""
    if told is None:
        return None
    query = select(delivery.c.state).join(message, message.c.seq == delivery.c.message).where(message.c.id == told)
    state = connection.execute(query.order_by(delivery.c.id.desc()).limit(1)).scalar()
    if state is None or state == "discarded":
        return "over"
    if state in ("delivered", "consumed", "answered"):
        return "arrived"
    return "dead" if state in ("dead", "expired") else "waiting"
