"""What became of a message, in the words that callers get."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select

from pipe.store import codec
from pipe.store.family import family
from pipe.store.loading import Loader
from pipe.store.schema import ANSWERING, DEAD, EXPIRED, FINAL, HELD, READY, RETRY, TIMER, UNCERTAIN, delivery, message

_WORST_FIRST = (DEAD, UNCERTAIN, EXPIRED, RETRY, HELD, ANSWERING, READY, TIMER)


def fate(connection: Connection, loader: Loader, message_id: str, caller: str | None) -> dict[str, Any] | None:
    """State of a message for the caller that handed it in; None where there is none of that id and caller."""
    row = connection.execute(select(message).where(message.c.id == message_id)).mappings().first()
    if row is None:
        return None
    envelope = codec.read_envelope(bytes(row["envelope"]), loader.vault, message_id)
    if envelope.get("caller") != caller:
        return None
    d = delivery.c
    columns = (d.station, d.state, d.next_at, d.attempts, d.code)
    # What flows and splits made of it goes on under the caller's id.
    statement = select(*columns).where(d.message.in_(family([message_id]))).order_by(d.id)
    rows = [dict(found) for found in connection.execute(statement).mappings()]
    return {
        "id": message_id,
        "route": row["route"],
        "received_at": row["received_at"],
        "state": summary([found["state"] for found in rows]),
        "next_at": min(
            (found["next_at"] for found in rows if found["next_at"] and found["state"] not in FINAL), default=None
        ),
        "targets": [
            {
                "target": found["station"],
                "state": word(found["state"]),
                "attempts": found["attempts"],
                "code": found["code"],
            }
            for found in rows
        ],
    }


def summary(states: list[str]) -> str:
    """One word for all deliveries of a message: the worst that is true."""
    for state in _WORST_FIRST:
        if state in states:
            return word(state)
    return "delivered" if states else "accepted"


def word(state: str) -> str:
    """A delivery's state as callers know it."""
    return {
        READY: "delivering",
        ANSWERING: "delivering",
        RETRY: "waiting",
        HELD: "waiting",
        TIMER: "waiting",
        "consumed": "delivered",
        "answered": "delivered",
    }.get(state, state)
