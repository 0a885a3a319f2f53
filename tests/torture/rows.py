"""A store with very many messages in it, written straight into the tables: what a killed gateway leaves behind."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson

from pipe.app import tables
from pipe.clock import SystemClock, new_id
from pipe.contract import Message
from pipe.store import codec
from pipe.store.store import Store

ROUTE, STATION = "appeals", "registry"
LANES = 1000
"""messages without one another in their way: keys of the order"""
_MESSAGE = (
    "INSERT INTO message"
    " (seq, id, route, stage, revision, received_at, kind, body, size, envelope, checksum, order_key)"
    " VALUES (?, ?, ?, 0, 'none', ?, 'bytes', ?, ?, ?, ?, ?)"
)
_DELIVERY = (
    "INSERT INTO delivery"
    " (id, message, route, station, state, order_key, attempts, spent, crashes, cursor, size, done_at)"
    " VALUES (?, ?, ?, ?, ?, ?, 0, 0, 0, 0, ?, ?)"
)


async def fill(data: Path, *, pending: int = 0, finished: int = 0) -> None:
    """Makes the tables and writes finished messages, then pending ones; the books agree with them."""
    store = Store(data, url=None, clock=SystemClock())
    await store.open(tables())
    await store.close()
    await asyncio.to_thread(_fill, data, pending, finished)


def _fill(data: Path, pending: int, finished: int) -> None:
    with closing(sqlite3.connect(data / "pipe.db", isolation_level=None)) as store:
        store.execute("PRAGMA synchronous=OFF")
        store.execute("BEGIN")
        for first in range(1, finished + pending + 1, 10_000):
            last = min(first + 10_000, finished + pending + 1)
            rows = list(_rows(range(first, last), finished))
            store.executemany(_MESSAGE, [message for message, _ in rows])
            store.executemany(_DELIVERY, [delivery for _, delivery in rows])
        totals = {"accepted": finished + pending, "delivered": finished}
        store.executemany("INSERT INTO ledger VALUES (?, ?, ?)", [(ROUTE, name, n) for name, n in totals.items()])
        store.execute("COMMIT")


def _rows(numbers: range, finished: int) -> Iterator[tuple[tuple[Any, ...], tuple[Any, ...]]]:
    now = time.time()
    for n in numbers:
        lane = n % LANES
        message = Message(new_id(), ROUTE, appeal(n, lane), content_type="application/json", received_at=now)
        body, envelope = message.body, codec.envelope(message)
        done, key = n <= finished, f"lane-{lane}"
        state = "delivered" if done else "ready" if n - finished <= LANES else "held"
        checksum = codec.checksum(message.id, body, envelope)
        yield (
            (n, message.id, ROUTE, now, body, len(body), envelope, checksum, key),
            (n, n, ROUTE, STATION, state, key, len(body), now if done else None),
        )


def appeal(n: int, lane: int) -> bytes:
    """What was accepted under this number."""
    return orjson.dumps({"applicant": {"name": "Олена", "phone": f"+380{lane:09d}"}, "text": f"Звернення {n}"})
