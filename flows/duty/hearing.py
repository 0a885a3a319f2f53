"""Which of those who subscribed hear of alerts now, where they are reached, and why the others do not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection

from flows.access.engine import Access
from flows.access.model import Object
from flows.duty import subscriptions
from flows.duty.subscriptions import Subscription
from flows.otp import bindings
from flows.otp.reading import Reading
from pipe.config.alerts import Addressee, Listener, Way
from pipe.config.models import Configuration, RouteConfig
from pipe.config.walk import bots_of
from pipe.store.transaction import Tx
from pipe.store.vault import Vault

RIGHT = "alert.read"
"""who may not see alerts hears of none"""
GATEWAY = Object()
"""alerts concern the gateway as a whole, and no company"""
Why = Literal["no_right", "no_route", "no_address", "no_chat", "blocked"]


@dataclass(frozen=True, slots=True)
class Judged:
    """One subscription, as things are now."""

    subscription: Subscription
    login: str
    listener: Listener | None
    why: Why | None = None
    """why nobody hears by it"""


class Duty:
    """Asked at every look at the gateway: whoever loses the right, is blocked or leaves is no longer among them."""

    def __init__(self, access: Access, vault: Vault) -> None:
        self._access, self._vault = access, vault

    def listeners(self, connection: Connection, configuration: Configuration, now: float) -> list[Listener]:
        """Those who hear."""
        judged = self.judged(connection, configuration, now)
        return [each.listener for each in judged if each.listener is not None]

    def judged(self, connection: Connection, configuration: Configuration, now: float) -> list[Judged]:
        """All subscriptions, in order of logins."""
        reading = Reading(connection, self._vault, now)
        found = []
        for each, login, email in subscriptions.everyone(connection):
            if not self._access.rights(each.person).may(RIGHT, GATEWAY):
                found.append(Judged(each, login, None, "no_right"))
                continue
            reached = reach(reading, configuration, each.way, each.person, email)
            if isinstance(reached, str):
                found.append(Judged(each, login, None, reached))
                continue
            route, to, bot = reached
            person = Addressee(each.id, to, each.language, bot)
            wishes = (route.source.wish, each.wish)
            found.append(Judged(each, login, Listener(each.name, route.name, wishes, person)))
        return found

    def told(self, tx: Tx, listener: Listener, message: str) -> None:
        """Notes what told a person last."""
        if listener.person is not None:
            subscriptions.told(tx, listener.person.subscription, message)


def ways(configuration: Configuration) -> list[Way]:
    """The ways in which people can be told here."""
    return list(dict.fromkeys(route.source.people for route in configuration.routes.values() if route.source.people))


def reach(
    reading: Reading, configuration: Configuration, way: Way, person: str, email: str | None
) -> tuple[RouteConfig, str, str | None] | Why:
    """The route that tells a person, the address or chat, and the bot; else why there is none.

    Of several routes the first one whose bot the person has a chat with.
    """
    routes = [route for route in configuration.routes.values() if route.source.people == way]
    if not routes:
        return "no_route"
    if way == "mail":
        return (routes[0], email, None) if email else "no_address"
    blocked = False
    for route in routes:
        for bot in bots_of(route, configuration):
            chat = bindings.find(reading, bindings.person(person), bot)  # type: ignore[arg-type]  # it only reads
            if chat is not None and chat.blocked_at is None:
                return route, str(chat.chat), bot
            blocked = blocked or chat is not None
    return "blocked" if blocked else "no_chat"
