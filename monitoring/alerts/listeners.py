"""Who hears of an alert, routes of the configuration and people who subscribed alike, and how they are told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from sqlalchemy import Connection

from monitoring.alerts.book import ROUTE_RULES, Alert, summary
from pipe.config.alerts import Listener
from pipe.config.models import Configuration
from pipe.config.walk import every_target
from pipe.outcomes import Outcomes
from pipe.store.transaction import Tx


class People(Protocol):
    """Those who subscribed."""

    def listeners(self, connection: Connection, configuration: Configuration, now: float) -> Sequence[Listener]:
        """Those who hear now: who may see alerts, and can be reached."""

    def told(self, tx: Tx, listener: Listener, message: str) -> None:
        """Notes the message that told somebody last."""


class Nobody:
    """Where nobody can subscribe."""

    def listeners(self, connection: Connection, configuration: Configuration, now: float) -> Sequence[Listener]:
        """None."""
        return ()

    def told(self, tx: Tx, listener: Listener, message: str) -> None:
        """Nothing to note."""


def configured(configuration: Configuration) -> list[Listener]:
    """The routes that tell alerts to whoever stands in them."""
    return [
        Listener(name, name, (route.source.wish,))
        for name, route in configuration.routes.items()
        if route.source.kind == "alerts" and route.source.people is None
    ]


def wants(listener: Listener, alert: Alert, configuration: Configuration) -> bool:
    """Whether it is for this listener."""
    return listener.wants(alert.rule, alert.severity, concerned(alert, configuration))


def concerned(alert: Alert, configuration: Configuration) -> set[str]:
    """The connections and routes that an alert concerns; one of a route those that it leads to, too."""
    names = {alert.subject}
    route = configuration.routes.get(alert.subject)
    if route is not None and alert.rule in ROUTE_RULES:
        names |= {name for target in every_target(route) for name in (target.connection, target.route) if name}
        names |= {route.source.connection} if route.source.connection else set()
    return names


def tell(tx: Tx, outcomes: Outcomes, people: People, listener: Listener, alerts: Iterable[Alert], **more: Any) -> str:
    """Hands what a listener is to be told to its route; the id of the message."""
    body = {**summary(each.told() for each in alerts), **more}
    person = listener.person
    if person is None:
        return outcomes.begin(tx, outcomes.routes[listener.route], body)
    if person.language == "uk":
        body |= {"subject": body["subject_uk"], "text": body["text_uk"]}
    body |= {"to": person.to, "bot": person.bot, "language": person.language}
    made = outcomes.begin(tx, outcomes.routes[listener.route], body, (person.to,))
    people.told(tx, listener, made)
    return made
