"""Now and then: removes what has been kept long enough, and files that no row names."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from loguru import logger
from sqlalchemy import select

from pipe.config.models import Retention
from pipe.errors import PipeError
from pipe.store import blobs, retention
from pipe.store.schema import ledger

if TYPE_CHECKING:
    from pipe.engine import Engine

EVERY_S = 600.0
BREATH_S = 0.2
"""between two rounds of pruning, so that traffic goes first"""
TRIES = 5
YOUNG_S = 3600.0
"""a file younger than this may belong to a message that is being accepted"""


class Upkeep:
    """One task."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._engine.clock.sleep(EVERY_S)
            try:
                await self.once()
            except PipeError as error:
                logger.bind(action="upkeep_failed", error=error.text).warning(
                    "upkeep could not be done; it is tried again later"
                )

    async def once(self) -> retention.Pruned:
        """All that is due; returns what was removed."""
        engine, total = self._engine, retention.Pruned()
        if engine.clock.now() < engine.scheduler.suspended_until:
            return total
        routes = await engine.store.read(lambda c: [row.route for row in c.execute(select(ledger.c.route).distinct())])
        while True:
            pruned = await engine.store.write(lambda tx: retention.prune(tx, self._keep, routes))
            total = retention.Pruned(
                total.bodies + pruned.bodies, total.dead + pruned.dead, total.messages + pruned.messages
            )
            await engine.store.forget_words(pruned.seqs)
            if not pruned.more:
                break
            await engine.clock.sleep(BREATH_S)
        freed = total.bodies or total.messages
        while await engine.store.write(retention.shrink):
            freed = True
            await engine.clock.sleep(BREATH_S)
        async with engine.store.files:
            named = await engine.store.read(retention.blob_names, 60.0)
            files = await asyncio.to_thread(blobs.sweep, engine.store.blobs, named, engine.clock.now() - YOUNG_S)
        for _ in range(TRIES if freed else 0):
            if await engine.store.give_back():
                break  # else somebody was reading just then
            await engine.clock.sleep(BREATH_S)
        if total.bodies or total.messages or files:
            logger.bind(
                action="pruned", bodies=total.bodies, dead=total.dead, messages=total.messages, files=files
            ).info("what was kept long enough is removed")
        return total

    def _keep(self, route: str) -> Retention:
        config = self._engine.configuration.routes.get(route)
        return (
            config.retention
            if config is not None and config.retention is not None
            else self._engine.configuration.retention
        )
