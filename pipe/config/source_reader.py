"""Reads `from:`: a connection, a schedule, other routes, outcomes, alerts, or a channel of every company."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from cronsim import CronSim, CronSimError
from pydantic import Field

from pipe.config import hooks
from pipe.config.alerts import Hours, RuleName, Severity, Way, Wish
from pipe.config.events import EventKind
from pipe.config.findings import nearest
from pipe.config.models import FromConfig, OutcomeName
from pipe.config.reading import Reading, keys_of
from pipe.config.step_reader import known_connection, known_route, read_options
from pipe.config.yaml_source import Node
from pipe.contract import Duration, Size, Strict

MAX_BODY = Size(10 << 20)


class ConnectionKeys(Strict):
    """Messages that a connection receives."""

    connection: str = Field(description="The connection that receives.")
    max_body: Size = Field(default=MAX_BODY, description="Largest body, counted unpacked.")


class ScheduleKeys(Strict):
    """An empty message at times of the clock, Europe/Kyiv."""

    schedule: str = Field(description="Five fields of cron.", examples=["0 6 * * *"])


class EveryKeys(Strict):
    """An empty message again and again."""

    every: Duration = Field(description="Pause between two messages.", gt=0)


class OutcomeKeys(Strict):
    """What became of deliveries of other routes."""

    outcome: OutcomeName | list[OutcomeName] = Field(description="Which outcomes.")
    of: str | list[str] = Field(default=[], description="Of which routes; without it, of all that follow no outcomes.")


class AlertKeys(Strict):
    """Alerts that begin, last or are over; what happens together comes as one message."""

    alerts: Severity = Field(description="Those of at least this severity.")
    rules: list[RuleName] = Field(default=[], description="Only those of these rules.")
    of: list[str] = Field(
        default=[], description="Only those that concern these connections or routes; a route concerns its connections."
    )
    hours: Hours | None = Field(
        default=None,
        description="Only within these hours, in Kyiv; what still lasts when they begin is told then.",
        examples=["08:00-20:00"],
    )
    people: Way | None = Field(
        default=None,
        description="Tells people what they subscribed to at `/ops/alerts/subscriptions`, one message each: `body.to` "
        "is their mail address, or their chat with the bot that is a target of the route.",
    )


class EventKeys(Strict):
    """Integration events, each a message of its own."""

    events: list[EventKind] = Field(description="Those of these kinds, as far as they are kept.", min_length=1)


class ChannelKeys(Strict):
    """Messages of one channel of every company; `company` is in scope."""

    channel: str = Field(description="Which channel.", examples=["telegram"])
    max_body: Size = Field(default=MAX_BODY, description="Largest body, counted unpacked.")


_FORMS: dict[str, type[Strict]] = {
    "connection": ConnectionKeys,
    "schedule": ScheduleKeys,
    "outcome": OutcomeKeys,
    "alerts": AlertKeys,
    "events": EventKeys,
    "channel": ChannelKeys,
    "every": EveryKeys,
}


def read_source(reading: Reading, node: Node) -> FromConfig | None:
    """Where the route's messages come from; None where that could not be read."""
    if node.value == "internal":
        return FromConfig("internal", node.place)
    form = next((name for name in _FORMS if name in node.items), None)
    if form is None:
        forms = ", ".join(f"`{name}:`" for name in _FORMS)
        hint = nearest(node.value, ["internal"]) if isinstance(node.value, str) else ""
        reading.note(node, "bad-value", f"`from:` is the word `internal`, or a map with one of {forms}{hint}")
        return None
    if form == "connection":
        return _from_connection(reading, node)
    keys: Any = reading.validated(_FORMS[form], node, "from")
    if keys is None:
        return None
    if isinstance(keys, ScheduleKeys):
        return _from_schedule(reading, node, keys)
    if isinstance(keys, OutcomeKeys):
        return _from_outcome(reading, node, keys)
    if isinstance(keys, AlertKeys):
        return _from_alerts(reading, node, keys)
    if isinstance(keys, EventKeys):
        return FromConfig("events", node.place, events=tuple(keys.events))
    if isinstance(keys, ChannelKeys):
        return FromConfig("channel", node.place, channel=keys.channel, max_body=int(keys.max_body))
    return FromConfig("every", node.place, every=float(keys.every))


def _from_connection(reading: Reading, node: Node) -> FromConfig | None:
    engine_keys = keys_of(ConnectionKeys)
    keys = reading.validated(ConnectionKeys, node.only(*engine_keys), "from")
    adapter_type = known_connection(reading, node)
    if adapter_type is None:
        return None
    model = hooks.subscription(reading.adapters[adapter_type])
    if model is None:
        text = f"`{node.items['connection'].value}` ({adapter_type}) cannot receive messages"
        reading.note(node, "not-a-source", text, "connection")
        return None
    options = read_options(reading, node, engine_keys, model)
    if keys is None or options is None:
        return None
    return FromConfig("connection", node.place, keys.connection, options, int(keys.max_body))


def _from_schedule(reading: Reading, node: Node, keys: ScheduleKeys) -> FromConfig | None:
    try:
        CronSim(keys.schedule, datetime(2026, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        text = f"`{keys.schedule}` is not five fields of cron as in `0 6 * * *`: {str(error).lower()}"
        reading.note(node.items["schedule"], "bad-value", text)
        return None
    return FromConfig("schedule", node.place, schedule=keys.schedule)


def _from_alerts(reading: Reading, node: Node, keys: AlertKeys) -> FromConfig:
    if "of" in node.items:
        for place, name in zip(node.items["of"].entries or [], keys.of, strict=False):
            if name not in reading.connection_types and name not in reading.routes:
                known = sorted({*reading.connection_types, *reading.routes})
                text = f"there is no connection or route `{name}`{nearest(name, known)}"
                reading.note(place, "unknown-name", text)
    wish = Wish(keys.alerts, tuple(keys.rules), tuple(keys.of), keys.hours)
    return FromConfig("alerts", node.place, wish=wish, people=keys.people)


def _from_outcome(reading: Reading, node: Node, keys: OutcomeKeys) -> FromConfig:
    outcomes = (keys.outcome,) if isinstance(keys.outcome, str) else tuple(keys.outcome)
    of = (keys.of,) if isinstance(keys.of, str) else tuple(keys.of)
    if "of" in node.items:
        places = node.items["of"].entries or [node.items["of"]]
        for place, name in zip(places, of, strict=False):
            known_route(reading, place, name)
    return FromConfig("outcome", node.place, outcomes=outcomes, of=of)
