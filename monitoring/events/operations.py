"""What people ask of the log of integration events."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from sqlalchemy import select

from monitoring.events.tables import event
from pipe.config.events import EventKind
from pipe.operations.host import Host

MOST = 10_000


async def find(
    host: Host,
    kind: EventKind | None = None,
    subject: str | None = None,
    since: float | None = None,
    until: float | None = None,
    after: int | None = None,
    limit: int = 100,
) -> list[dict[str, Any]]:
    """Events that fit, the newest first; those after number `after` in their order. Times are seconds since 1970."""
    e = event.c
    query = select(event)
    for column, value in ((e.kind, kind), (e.subject, subject)):
        if value is not None:
            query = query.where(column == value)
    if since is not None:
        query = query.where(e.at >= since)
    if until is not None:
        query = query.where(e.at < until)
    query = query.order_by(e.seq.desc()) if after is None else query.where(e.seq > after).order_by(e.seq)
    most = max(1, min(limit, MOST))
    return await host.store.read(
        lambda connection: [dict(row) for row in connection.execute(query.limit(most)).mappings()]
    )


OPERATIONS: Mapping[str, Callable[..., Awaitable[Any]]] = {"events.list": find}
