"""What a gateway does by itself now and then, done at once, so that it can be cut off."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from pipe import log
from pipe.app import Gateway, Settings
from pipe.clock import SystemClock

AHEAD_S = 2 * 366 * 86400.0


class Ahead(SystemClock):
    """The clock of a machine on which everything has been kept long enough."""

    def now(self) -> float:
        """Two years from now."""
        return super().now() + AHEAD_S


def prune() -> None:
    """`prune CONFIG DATA`: a gateway starts two years from now, does its upkeep, and stops."""
    _, config, data = sys.argv
    log.set_up(level="info", as_json=True)
    asyncio.run(_prune(Settings(Path(config), Path(data), "127.0.0.1:0")))


async def _prune(settings: Settings) -> None:
    gateway = Gateway(settings, Ahead())
    await gateway.start()
    await gateway.engine.upkeep.once()
    await gateway.stop()
