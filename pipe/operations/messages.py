"""What a message holds; looking at it is noted."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from pipe.contract import Blob, Message
from pipe.errors import NotFound
from pipe.operations.host import Host, reason_given
from pipe.operations.selection import message_row
from pipe.operations.wires import wire_of
from pipe.redact import MASK, mask

SHOWN = 64 << 10


async def show(host: Host, id: str, reveal: bool = False, reason: str | None = None) -> dict[str, Any]:
    """The message as it was accepted, sensitive values masked; `reveal` shows them and needs a reason.

    Either look is written into the audit.
    """
    row = await message_row(host, id)
    if row["kind"] == "gone":
        raise NotFound(f"the body of {row['id']} is no longer kept; `pipe explain {row['id']}` still tells its story")
    loader = host.store.loader
    message = loader.message(row)
    values = () if reveal else loader.sensitive(row)
    why = {"reason": reason_given(reason)} if reveal else None
    event = "message.revealed" if reveal else "message.viewed"
    await host.store.write(lambda tx: tx.audit(event, after=why, target=row["id"], actor=host.actor))
    shown = {
        "id": message.id,
        "route": message.route,
        "stage": row["stage"],
        "revision": row["revision"],
        "received_at": message.received_at,
        "deadline": message.deadline,
        "caller": message.caller,
        "content_type": message.content_type,
        "size": row["size"],
        "headers": dict(message.headers),
        "params": dict(message.params),
        "query": dict(message.query),
        "item": message.item,
        "parent": message.parent,
        "origin": row["origin"],
        **(body_of(message.body) if reveal else shown_of(message.body, row, values)),
    }
    if (wire := wire_of(row, loader, whole=reveal)) is not None:
        shown["wire"] = wire
    hidden = row["sealed"] is not None
    return shown if reveal else {**mask(shown, values), "id": message.id, "masked": hidden}


def shown_of(body: Any, row: Any, values: Sequence[str]) -> dict[str, Any]:
    """As `body_of`; of a sealed body in which no sensitive value was found, nothing: it may stand anywhere."""
    return {"body": MASK} if row["sealed"] is not None and not values else body_of(body)


def body_of(body: Any) -> dict[str, Any]:
    """A body for JSON: `body` as text or values, `body_base64` where it is no text; cut at 64 KiB, `body_cut` then."""
    cut = False
    if isinstance(body, Blob):
        body, cut = next(body.open(), b"")[:SHOWN], body.size > SHOWN
    if not isinstance(body, bytes):
        return {"body": body}
    cut = cut or len(body) > SHOWN
    piece = body[:SHOWN]
    try:
        told: dict[str, Any] = {"body": piece.decode("utf-8", "strict" if not cut else "ignore")}
    except UnicodeDecodeError:
        told = {"body": None, "body_base64": base64.b64encode(piece).decode()}
    return {**told, "body_cut": True} if cut else told


def sha256_of(message: Message) -> str | None:
    """The SHA-256 of a body of bytes; None of plain values."""
    import hashlib

    if isinstance(message.body, Blob):
        return message.body.sha256
    return hashlib.sha256(message.body).hexdigest() if isinstance(message.body, bytes) else None
