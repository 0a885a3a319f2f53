"""Who did what: rows chained by hashes, so that an altered or missing row shows."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import orjson

from pipe.store.statements import Statement

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from pipe.store.transaction import Tx

GENESIS = "0" * 64
_LAST = Statement("SELECT hash FROM audit ORDER BY seq DESC LIMIT 1")
_APPEND = Statement(
    "INSERT INTO audit (seq, at, actor, event, target, before, after, prev, hash) "
    "VALUES (:seq, :at, :actor, :event, :target, :before, :after, :prev, :hash)"
)


def append_audit(tx: Tx, event: str, before: Any, after: Any, target: str, actor: str) -> None:
    """Adds one row after the last; values are kept as JSON with sorted keys."""
    last = tx.run(_LAST, {}).fetchone()
    row = {
        "seq": tx.number("audit"),
        "at": tx.now,
        "actor": actor,
        "event": event,
        "target": target,
        "before": _json(before),
        "after": _json(after),
        "prev": last[0] if last else GENESIS,
    }
    row["hash"] = chain_hash(row)
    tx.run(_APPEND, row)


def chain_hash(row: dict[str, Any]) -> str:
    """SHA-256 over the row and the hash before it."""
    fields = [row[name] for name in ("prev", "seq", "at", "actor", "event", "target", "before", "after")]
    return hashlib.sha256(b"pipe-audit-v1" + orjson.dumps(fields)).hexdigest()


def first_broken(connection: Connection) -> int | None:
    """The number of the first row whose hash or link does not fit; None where the whole chain holds."""
    prev = GENESIS
    for row in connection.exec_driver_sql(
        "SELECT seq, at, actor, event, target, before, after, prev, hash FROM audit ORDER BY seq"
    ).mappings():
        if row["prev"] != prev or chain_hash(dict(row)) != row["hash"]:
            return int(row["seq"])
        prev = row["hash"]
    return None


def _json(value: Any) -> str | None:
    return None if value is None else orjson.dumps(value, option=orjson.OPT_SORT_KEYS, default=str).decode()
