"""What would a changed configuration do, and take it up; and tests made of what has happened."""

from __future__ import annotations

from functools import partial
from typing import Any

import orjson
from sqlalchemy import select

from pipe.applying import Orphans, counted
from pipe.applying import plan as plan_of
from pipe.capturing import attempts_of, case_of, stored
from pipe.config.checked import check
from pipe.config.models import Configuration
from pipe.errors import ConfigError, NotFound, RevisionUnknown
from pipe.operations.host import Host
from pipe.operations.stubs import Offline
from pipe.route import Route
from pipe.store import schema


async def plan(host: Host) -> dict[str, Any]:
    """What the configuration on disk would change against the one in use, or against the last that was in use."""
    world = host.built
    adapters = world.catalogue().adapters
    checked = check(world.configuration, adapters)
    findings = [finding.as_json() for finding in checked.findings]
    if checked.configuration is None:
        return {"findings": findings, "valid": False}
    new = checked.configuration
    known = world.catalogue()
    routes = {
        name: Route(config, new.revision, known.transformers, known.flows, Offline(), host.store.vault)
        for name, config in new.routes.items()
    }
    found = plan_of(await _in_use(host), new, await host.store.read(counted), routes, adapters)
    return {"findings": findings, "valid": not checked.errors, **found.as_json()}


async def apply(host: Host, orphans: Orphans = "refuse") -> dict[str, Any]:
    """Takes up the configuration on disk, whole or not at all; what that changed."""
    return (await host.built.apply(host.built.configuration(), host.actor, orphans)).as_json()


async def _in_use(host: Host) -> Configuration:
    if host.engine is not None:
        return host.engine.configuration
    r = schema.revision.c
    row = await host.store.read(lambda c: c.execute(select(r.files).order_by(r.at.desc()).limit(1)).first())
    if row is None:
        return Configuration()
    try:
        return host.built.revision(orjson.loads(bytes(row.files)))
    except ConfigError as error:
        raise RevisionUnknown(
            f"the configuration that was last in use cannot be read any more: {error.text}"
        ) from error


async def capture(host: Host, route: str, count: int = 20, masked: bool = True) -> list[dict[str, Any]]:
    """The last messages of a route as test cases. Taking them is written into the audit. Raises NotFound."""
    routes = host.routes()
    if route not in routes:
        raise NotFound(f"no route is called {route}")
    targets = {
        (name, station): target.config.connection
        for name, each in routes.items()
        for station, target in each.targets.items()
        if target.config.connection is not None
    }
    rows = await host.store.read(lambda c: stored(c, route, count))
    facts = {"messages": len(rows), "masked": masked}
    await host.store.write(lambda tx: tx.audit("messages.captured", after=facts, target=route, actor=host.actor))
    cases = []
    for row in rows:
        attempts = await host.store.read(partial(attempts_of, id=row["id"], seq=row["seq"], targets=targets))
        case = await case_of(row, routes[route], host.store.loader, attempts, masked=masked)
        cases += [case.as_json()] if case is not None else []
    return cases
