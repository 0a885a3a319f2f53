"""Reads behind the traffic and indexes the words of what came, masked, so that `pipe exchanges --text` finds it.

It takes a small share of the time while there is traffic, and catches up when it is quiet. A message that came through
a route with `sensitive:` is indexed as people see it: its values masked, and where none was found in it, not at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson
from loguru import logger
from sqlalchemy import Connection, func, select

from pipe.errors import PipeError
from pipe.operations.messages import SHOWN, shown_of
from pipe.redact import mask
from pipe.store.full_text import Entry
from pipe.store.loading import Loader
from pipe.store.schema import message
from pipe.words import leaves, words_of

if TYPE_CHECKING:
    from pipe.engine import Engine

IDLE_S = 1.0
"""between two looks where nothing is new"""
QUIET, BUSY = 200, 20
"""messages taken at once: while there is traffic few, as they hold the interpreter"""
BYTES = 1 << 20
"""of their bodies at once, or one that is larger"""
UNITS_BUSY = 20.0
"""units of work in a second from which on there is traffic"""
REST_QUIET, REST_BUSY = 1.0, 60.0
"""times as long as the work took is rested after it"""
TROUBLED_S = 30.0


class Indexing:
    """One task of a running gateway."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._told = False

    async def run(self) -> None:
        """Until cancelled."""
        tidied = False
        while True:
            try:
                if self._engine.configuration.exchanges.full_text and self._engine.room.disk_low is None:
                    if not tidied:
                        await asyncio.to_thread(self._engine.store.full_text.tidy)
                        tidied = True
                    await self._go_on()
                self._told = False
                await self._engine.clock.sleep(IDLE_S)
            except PipeError as error:
                if not self._told:
                    logger.bind(action="indexing_failed", error=error.text).warning(
                        "the words of messages are not indexed just now; it goes on where it stopped"
                    )
                self._told = True
                await self._engine.clock.sleep(TROUBLED_S)

    async def _go_on(self) -> None:
        """Takes in what is new, until there is nothing."""
        clock, writer = self._engine.clock, self._engine.store.writer
        busy, units, looked = True, writer.units, clock.monotonic()
        while True:
            began = clock.monotonic()
            if began > looked:
                busy = (writer.units - units) / (began - looked) >= UNITS_BUSY
                units, looked = writer.units, began
            size = BUSY if busy else QUIET
            if not await self.once(size):
                return
            await clock.sleep((clock.monotonic() - began) * (REST_BUSY if busy else REST_QUIET))

    async def once(self, most: int = QUIET) -> int:
        """Takes in at most so many messages; returns how many were looked at. Raises StoreUnavailable."""
        return await asyncio.to_thread(self._once, most)

    def _once(self, most: int) -> int:
        store, looked = self._engine.store, 0

        def read(after: int) -> tuple[int, Sequence[Entry]]:
            nonlocal looked
            rows = store.read_here(partial(_rows, after=after, most=most))
            looked = len(rows)
            entries = [(row["seq"], words) for row in rows if (words := words_in(row, store.loader))]
            return (rows[-1]["seq"] if rows else after), entries

        store.full_text.add(read)
        return looked


def _rows(connection: Connection, after: int, most: int) -> list[Any]:
    """The next messages: at most so many, and as many as BYTES allow."""
    m = message.c
    newer = select(m.seq, func.length(m.body)).where(m.seq > after).order_by(m.seq).limit(most)
    room, chosen = BYTES, list[int]()
    for seq, size in connection.execute(newer):
        if chosen and size > room:
            break
        chosen.append(seq)
        room -= size
    rows = select(
        m.seq, m.id.label("message_id"), m.route, m.received_at, m.kind, m.body, m.envelope, m.checksum, m.sealed
    )
    return list(connection.execute(rows.where(m.seq.in_(chosen)).order_by(m.seq)).mappings())


def words_in(row: Any, loader: Loader) -> list[str]:
    """The words of a message's body as people without a right to more see it; none of one that is not kept."""
    if row["kind"] == "gone":
        return []
    try:
        values = loader.sensitive(row)
        shown = shown_of(loader.message(row).body, row, values)
    except (PipeError, OSError):  # damaged, or the blob is not there: `pipe doctor` and the delivery tell of it
        return []
    return words_of("\n".join(leaves(mask(_values(shown["body"]), values))))[: SHOWN // 2]


def _values(body: Any) -> Any:
    """What a JSON text says, so that it is read as it is meant; any other text as it is."""
    if isinstance(body, str) and body.lstrip()[:1] in ("{", "["):
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError:
            return body
    return body
