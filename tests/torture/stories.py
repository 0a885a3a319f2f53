"""One life of the gateway with a whole journey in it: accept, deliver, dead letter, replay; cut off anywhere."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.journeys.books import quiet
from tests.journeys.conftest import World, until
from tests.journeys.ledger import check
from tests.torture.crash import attached, sound
from tests.torture.nursery import Reared

LARGE = "ж" * (600 << 10)
"""makes a body of more than 1 MiB, which goes to a file of its own"""
AT_ONCE = 4
"""deliveries that a kill can interrupt at most"""
DEAD = {"dead", "expired"}


@dataclass
class Stories:
    """Many lives on one data folder; what one left undone the last one finishes."""

    world: World
    begun: list[int] = field(default_factory=list)
    cuts: int = 0

    async def life(self, *cut: str, trace: Path | None = None) -> bool:
        """Starts the gateway and lives through the journey; `cut` goes to strace. True where it was cut off."""
        gateway = self.world.gateway
        await gateway.start()
        assert gateway.process is not None
        self.begun.append(len(self.begun))
        async with attached(gateway.process.pid, *cut, output=trace):
            return await self._cut_off(self._journey(self.begun[-1]))

    async def birth(self, *cut: str, trace: Path | None = None) -> bool:
        """Starts the gateway under strace and kills it when it is ready. True where it did not come so far."""
        gateway = self.world.gateway
        assert isinstance(gateway, Reared)
        gateway.held = True
        await gateway.spawn()
        gateway.held = False
        assert gateway.process is not None
        async with attached(gateway.process.pid, *cut, output=trace):
            gateway.process.send_signal(signal.SIGCONT)
            return await self._cut_off(gateway.until_ready(30))

    async def end(self) -> list[str]:
        """A last life without any fault: everything is handed in, replayed and settled; what the ledger finds wrong."""
        world = self.world
        await world.tell("well")
        await world.gateway.start()
        await asyncio.gather(*(self._hand_in(n) for n in self.begun))
        for _ in range(10):
            await until(lambda: quiet(world.gateway), 60)
            rows = await world.gateway.ask("dead.list", limit=100_000)
            if not rows:
                break
            await self._replay({row["message_id"] for row in rows})
        found = await world.settled(in_flight=AT_ONCE)
        assert await world.gateway.stop() == 0
        sound(world.gateway.data)
        assert not {row.state for row in found.final} & DEAD
        return check(found)

    # --- one journey --------------------------------------------------------------------------------------------------

    async def _cut_off(self, story: Coroutine[Any, Any, None]) -> bool:
        """Whether the process was killed before the story was through; else it is killed now."""
        gateway, task = self.world.gateway, asyncio.create_task(story)
        assert gateway.process is not None
        ended = asyncio.create_task(gateway.process.wait())
        await asyncio.wait({task, ended}, return_when=asyncio.FIRST_COMPLETED, timeout=60)
        if task.done() and task.exception() is not None:
            # It may have stumbled over the end of the process before we heard of it.
            await asyncio.wait({ended}, timeout=5)
        if not ended.done():
            ended.cancel()
            await task
            await gateway.kill9()
            return False
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert ended.result() == -signal.SIGKILL, gateway.last_words()
        gateway.kills += 1
        self.cuts += 1
        return True

    async def _journey(self, n: int) -> None:
        world, phone = self.world, _phone(n)
        await world.tell("well")
        await asyncio.gather(world.client.hand_in(phone, 0), world.client.hand_in(_phone(n, 1), 0, ballast=LARGE))
        await until(lambda: quiet(world.gateway))
        await world.tell("refuse")
        refused = await world.client.hand_in(phone, 1)
        await until(lambda: self._is_dead(refused.id))
        await world.tell("well")
        await asyncio.gather(self._replay({refused.id}), world.client.hand_in(phone, 2))
        await until(lambda: quiet(world.gateway))

    async def _hand_in(self, n: int) -> None:
        """Whatever of a journey the client knows no end of."""
        client = self.world.client
        known = {row.key for row in client.rows if row.outcome == "accepted"}
        appeals = [(_phone(n), 0, {}), (_phone(n, 1), 0, {"ballast": LARGE}), (_phone(n), 1, {}), (_phone(n), 2, {})]
        for phone, place, fields in appeals:
            if f"{phone}-{place}" not in known:
                await client.hand_in(phone, place, **fields)

    async def _is_dead(self, id: str | None) -> bool:
        rows = await self.world.gateway.ask("dead.list", which={"ids": [id]})
        return bool(rows)

    async def _replay(self, ids: set[str | None]) -> None:
        self.world.replayed |= {each for each in ids if each is not None}
        await self.world.gateway.ask("dead.replay", which={"ids": sorted(map(str, ids))}, reason="it was a storm")


def _phone(n: int, other: int = 0) -> str:
    return f"+380{n:06d}{other:03d}"
