"""The audit: read, exported, verified. Whoever reads it stands in it, too."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import orjson
from sqlalchemy import Connection, or_, select

from pipe.operations.host import Host
from pipe.store import checkpoints
from pipe.store.audit_verify import verify as verify_chain
from pipe.store.checkpoints import Signer
from pipe.store.schema import audit

MOST = 10_000
"""rows in one answer"""
VERIFY_LIMIT_S = 600.0


async def find(
    host: Host,
    event: str | None = None,
    actor: str | None = None,
    target: str | None = None,
    text: str | None = None,
    since: float | None = None,
    until: float | None = None,
    after: int | None = None,
    before: int | None = None,
    limit: int = 100,
    purpose: Literal["read", "export"] = "read",
) -> list[dict[str, Any]]:
    """Rows that fit, the newest first; those after row `after` in their order. An event may end in `*`.

    The first page of each look is itself written into the audit.
    """
    a = audit.c
    query = select(audit)
    if event is not None:
        query = query.where(
            a.event.startswith(event[:-1], autoescape=True) if event.endswith("*") else a.event == event
        )
    if actor is not None:
        query = query.where(or_(a.actor == actor, a.actor == f"person/{actor}", a.actor == f"service/{actor}"))
    if target is not None:
        query = query.where(a.target == target)
    if text is not None:
        query = query.where(or_(a.before.contains(text, autoescape=True), a.after.contains(text, autoescape=True)))
    if since is not None:
        query = query.where(a.at >= since)
    if until is not None:
        query = query.where(a.at < until)
    query = query.order_by(a.seq.desc()) if after is None else query.where(a.seq > after).order_by(a.seq)
    if before is not None:
        query = query.where(a.seq < before)
    rows = await host.store.read(lambda connection: _rows(connection, query.limit(max(1, min(limit, MOST)))))
    if not after and before is None:
        asked = {"event": event, "actor": actor, "target": target, "text": text, "since": since, "until": until}
        facts = {name: value for name, value in asked.items() if value is not None}
        what = "audit.exported" if purpose == "export" else "audit.read"
        await host.store.write(lambda tx: tx.audit(what, after=facts or None, actor=host.actor))
    return rows


async def verify(host: Host, files: list[str] | None = None, key: str | None = None) -> dict[str, Any]:
    """Follows the chain and holds it against the checkpoints beside the store and in other files.

    Without `key` (the public one, kept elsewhere) that of this folder is taken.
    """
    own = host.store.data / checkpoints.FILE
    wanted = [*([own] if own.exists() else []), *(Path(file) for file in files or ())]
    private = host.store.data / "keys" / "audit.key"
    public = key if key is not None else Signer(private).public if private.exists() else None
    host.progress(0, None, "rows of the audit")
    found = await host.store.read(lambda connection: verify_chain(connection, wanted, public), VERIFY_LIMIT_S)
    return {
        "good": not found.findings,
        "rows": found.rows,
        "last": found.last,
        "head": found.head,
        "checkpoints": found.checkpoints,
        "findings": [{"kind": each.kind, "seq": each.seq, "text": each.text} for each in found.findings],
    }


async def key(host: Host) -> dict[str, Any]:
    """The public key of the checkpoints, to be kept elsewhere."""
    return {"key": Signer(host.store.data / "keys" / "audit.key").public}


def _rows(connection: Connection, query: Any) -> list[dict[str, Any]]:
    found = []
    for row in connection.execute(query).mappings():
        told = {str(name): value for name, value in row.items()}
        for name in ("before", "after"):
            told[name] = orjson.loads(told[name]) if told[name] is not None else None
        found.append(told)
    return found
