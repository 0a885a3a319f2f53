"""`/ops/alerts`: what fires, what may, what is over; who takes care of it; what is silent, and a test."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel, Field

from monitoring.alerts import operations
from pipe.config.alerts import RuleName
from web.ops.asking import acted
from web.ops.looking import look
from web.pages.call import Call
from web.pages.forms import Input, Invalid, Said
from web.pages.permission import GATEWAY
from web.pages.results import Done
from web.pages.router import Area, Nav
from web.pages.words import Words

AREA = Area("alerts", whole=True)
READ, EDIT = "alert.read", "alert.edit"
HOURS = (1, 2, 4, 8, 24, 72)


class Alert(BaseModel):
    """One alert."""

    id: str = Field(description="Its id.")
    rule: str = Field(description="The rule that found it.")
    subject: str = Field(description="The connection or route, or `gateway`.")
    connection: str | None = Field(description="The connection, where it is about one.")
    route: str | None = Field(description="The route, where it is about one.")
    severity: str = Field(description="`info`, `warning` or `critical`.")
    state: str = Field(description="`pending`, `firing` or `over`.")
    text: str = Field(description="What is wrong.")
    text_uk: str = Field(description="The same in Ukrainian.")
    began_at: float = Field(description="When it began.")
    fired_at: float | None = Field(description="When it had lasted for as long as its rule says.")
    ended_at: float | None = Field(description="When it was over.")
    told_at: float | None = Field(description="When somebody was last told.")
    acked_at: float | None = Field(description="When somebody said that they take care of it.")
    acked_by: str | None = Field(description="Who.")
    note: str | None = Field(description="What they say of it.")


class Silence(BaseModel):
    """What nobody is told of for a while."""

    id: str = Field(description="Its id.")
    rule: str | None = Field(description="Only this rule.")
    subject: str | None = Field(description="Only this connection or route.")
    until: float = Field(description="Until when.")
    by: str = Field(description="Who wanted it.")
    reason: str = Field(description="Why.")


class Alerts(BaseModel):
    """All of it."""

    after: int = Field(description="Number of the last event of the feed that is in it.")
    now: float = Field(description="When it was looked.")
    alerts: list[Alert] = Field(description="What fires, the loudest first, then what may, then what is over.")
    silences: list[Silence] = Field(description="What is silent now.")
    told_by: list[str] = Field(description="Routes that tell alerts.")
    subscribed: int = Field(description="How many people subscribed and hear.")
    subjects: list[str] = Field(description="Connections and routes that can be silenced.")

    def of(self, state: str) -> list[Alert]:
        """Those in a state."""
        return [each for each in self.alerts if each.state == state]

    def rule_choices(self, t: Words) -> list[tuple[str, str]]:
        """Among which rules one chooses."""
        return [("", t("ops.alerts.any_rule")), *((name, t(f"ops.rule.{name}")) for name in get_args(RuleName))]

    def subject_choices(self, t: Words) -> list[tuple[str, str]]:
        """Among which connections and routes one chooses."""
        return [("", t("ops.alerts.any_subject")), *((name, name) for name in self.subjects)]

    def hour_choices(self, t: Words) -> list[tuple[str, str]]:
        """How long a silence may last, to choose from."""
        return [(str(hours), t("ops.alerts.hours", n=hours)) for hours in HOURS]


class Acknowledged(Input):
    """Somebody takes care of it."""

    note: str = Field(default="", max_length=500, description="What is being done about it.")


class Silenced(Input):
    """Nobody is told for a while."""

    rule: str = Field(default="", max_length=60, description="Only this rule.")
    subject: str = Field(default="", max_length=300, description="Only this connection or route.")
    hours: int = Field(ge=1, le=24 * 30, description="How long.")
    reason: Said = Field(max_length=500, description="Why; it stands in the audit.")


class Tested(BaseModel):
    """What was sent."""

    sent: dict[str, str] = Field(description="Id of the message by the route that tells it.")


@AREA.page(
    "/ops/alerts", "ops/alerts.html", permission=READ, alike=True, api="GET /alerts",
    nav=Nav("nav.ops", "ops.alerts.title", "bell", -15),
)  # fmt: skip
async def everything(call: Call) -> Alerts:
    """What fires, what may fire soon, what is over and what is silent."""
    seen, host = await look(call), call.host()
    told = await operations.find(host, past=True)
    silent = told["silences"]
    configuration = host.configuration()
    heard = await call.read(lambda connection: call.site.duty.listeners(connection, configuration, call.now))
    return Alerts(
        after=seen.after, now=call.now,
        alerts=[Alert.model_validate({name: row[name] for name in Alert.model_fields}) for row in told["alerts"]],
        silences=[Silence.model_validate({name: row[name] for name in Silence.model_fields}) for row in silent],
        told_by=[name for name, route in configuration.routes.items() if route.source.kind == "alerts"],
        subscribed=len({each.person.to for each in heard if each.person is not None}),
        subjects=sorted({*configuration.connections, *configuration.routes}),
    )  # fmt: skip


@AREA.action("/ops/alerts/{id}/acknowledge", permission=EDIT, on=everything, api="POST /alerts/{id}/acknowledge")
async def acknowledge(call: Call, form: Acknowledged) -> Done:
    """You take care of it: it is not told again while it lasts; the all-clear is."""
    call.require(READ, GATEWAY)
    await acted(call, operations.acknowledge(call.host(), call.params["id"], form.note))
    return Done("/ops/alerts", "ops.acknowledged")


@AREA.action("/ops/silences", permission=EDIT, on=everything, api="POST /silences", result=Silence)
async def silence(call: Call, form: Silenced) -> Done:
    """Nobody is told of it for a while; it stands in the list all the same."""
    if not form.rule and not form.subject:
        raise Invalid("subject", "ops.alerts.say_what")
    told: Any = await acted(
        call,
        operations.silence_for(call.host(), form.hours * 3600.0, form.reason, form.rule or None, form.subject or None),
    )
    return Done("/ops/alerts", "ops.silenced", result=Silence(by=call.actor, **told))


@AREA.action("/ops/silences/{id}/end", permission=EDIT, on=everything, api="POST /silences/{id}/end")
async def speak(call: Call) -> Done:
    """Ends a silence before its time."""
    await acted(call, operations.speak(call.host(), call.params["id"]))
    return Done("/ops/alerts", "ops.spoken")


@AREA.action("/ops/alerts/test", permission=EDIT, on=everything, api="POST /alerts/test", result=Tested)
async def test(call: Call) -> Done:
    """Sends a test through every route that tells alerts."""
    told = await acted(call, operations.test(call.host()))
    return Done("/ops/alerts", "ops.tested", {"routes": ", ".join(told["sent"])}, Tested(sent=told["sent"]))
