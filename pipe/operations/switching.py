"""Pause, resume and drain, by name; a restart changes nothing of it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, select

from pipe.errors import BadRequest, NotFound
from pipe.operations.host import Host, reason_given
from pipe.refusing import refused
from pipe.store import restore
from pipe.store.schema import control
from pipe.store.transaction import Tx
from pipe.switches import Switch

C = control.c


async def pause(host: Host, name: str, reason: str) -> dict[str, Any]:
    """A connection neither sends nor receives; a route keeps what comes in and works on nothing."""
    return await _switch(host, name, "paused", reason)


async def drain(host: Host, name: str, reason: str) -> dict[str, Any]:
    """A route takes nothing more in (callers get 503) and works off what it has."""
    return await _switch(host, name, "draining", reason)


async def resume(host: Host, name: str, reason: str = "") -> dict[str, Any]:
    """Takes a pause or a drain back."""
    return await _switch(host, name, None, reason)


async def resume_all(host: Host, reason: str = "") -> dict[str, Any]:
    """Lets a restored copy go: takes back all that the restore has paused. Raises BadRequest where this is none."""

    def unit(tx: Tx) -> list[tuple[str, str]]:
        if restore.restored_from(tx.connection) is None:
            raise refused(BadRequest, "not_restored")
        released = restore.release(tx)
        tx.audit("gateway.resumed", after={"reason": reason, "resumed": released}, target="gateway", actor=host.actor)
        return released

    released = await host.store.write(unit)
    if host.engine is not None:
        for kind, name in released:
            await host.engine.switches.set(kind, name, None)
    return {"resumed": [name for _, name in released]}


async def _switch(host: Host, name: str, switch: Switch | None, reason: str) -> dict[str, Any]:
    if switch is not None:
        reason = reason_given(reason)
    kind = await _kind(host, name)
    if switch == "draining" and kind == "connection":
        raise refused(BadRequest, "no_drain", name=name)

    def unit(tx: Tx) -> str | None:
        at = (C.kind == kind, C.name == name)
        before = tx.execute(select(C.state).where(*at)).scalar()
        if before == switch:
            return before
        tx.execute(delete(control).where(*at))
        if switch is not None:
            tx.insert(control, kind=kind, name=name, state=switch, at=tx.now, by=host.actor, reason=reason)
        restore.forget_if_all_go(tx)
        event = f"{kind}.{switch or 'resumed'}"
        tx.audit(event, before=before, after={"state": switch, "reason": reason}, target=name, actor=host.actor)
        return before

    before = await host.store.write(unit)
    if host.engine is not None:
        await host.engine.switches.set(kind, name, switch)
    return {"kind": kind, "name": name, "state": switch or "running", "before": before or "running"}


async def _kind(host: Host, name: str) -> str:
    """Connections and routes share one namespace; what is switched already may be gone from the configuration."""
    configuration = host.configuration()
    if name in configuration.connections:
        return "connection"
    if name in configuration.routes:
        return "route"
    row = await host.store.read(lambda c: c.execute(select(C.kind).where(C.name == name, C.kind != "gateway")).first())
    if row is not None:
        return str(row.kind)
    known = ", ".join(sorted([*configuration.connections, *configuration.routes]))
    raise NotFound(f"there is no connection and no route `{name}`; there are: {known}")
