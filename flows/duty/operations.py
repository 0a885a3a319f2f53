"""What people ask of who hears: `pipe alerts listeners`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from flows.access.engine import Access
from flows.duty.hearing import Duty
from pipe.config.alerts import Wish
from pipe.operations.host import Host


async def listeners(host: Host) -> list[dict[str, Any]]:
    """Routes that tell alerts, then people who subscribed, in order of logins: what each wants, and who hears not."""
    configuration = host.configuration()
    access = await Access(host.store, host.clock).open()
    duty, now = Duty(access, host.store.vault), host.clock.now()
    judged = await host.store.read(lambda connection: duty.judged(connection, configuration, now))
    routes = [
        {
            "kind": "people" if route.source.people else "route", "who": None, "way": route.source.people,
            "route": name, **_wish(route.source.wish), "language": None, "hears": True, "why": None, "told_at": None,
            "id": None,
        }
        for name, route in configuration.routes.items()
        if route.source.kind == "alerts"
    ]  # fmt: skip
    people = [
        {
            "kind": "person", "who": each.login, "way": each.subscription.way,
            "route": each.listener.route if each.listener is not None else None, **_wish(each.subscription.wish),
            "language": each.subscription.language, "hears": each.listener is not None, "why": each.why,
            "told_at": each.subscription.told_at, "id": each.subscription.id,
        }
        for each in judged
    ]  # fmt: skip
    return [*routes, *people]


def _wish(wish: Wish) -> dict[str, Any]:
    hours = str(wish.hours) if wish.hours else None
    return {"severity": wish.severity, "rules": list(wish.rules), "of": list(wish.about), "hours": hours}


OPERATIONS: Mapping[str, Callable[..., Awaitable[Any]]] = {"alerts.listeners": listeners}
