"""Lives of the gateway that may be held before their first step, until strace is attached."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path

from tests.journeys.gateway import Gateway
from tests.journeys.nursery import Child, nursery
from tests.journeys.order import MAIN
from tests.torture.crash import attached


class Reared(Gateway):
    """A gateway whose lives all come out of the nursery of its checkout."""

    held = False
    """the next life waits for SIGCONT"""

    async def spawn(self, *, under: Sequence[str] = ()) -> None:
        """Bears a child; nothing can be put in front of it."""
        assert not under, "a child of the nursery is not started by a command"
        (self.folder / "addresses.json").unlink(missing_ok=True)
        self.process = child = await self._born(self.arguments, held=self.held)
        if self.held:
            await child.held()

    async def act(self, *arguments: str, main: str = MAIN, cut: Sequence[str] = (), trace: Path | None = None) -> int:
        """The exit code of a command that works on the folder while no gateway does; `cut` goes to strace."""
        self.process = child = await self._born(arguments, held=True, main=main)
        await child.held()
        async with attached(child.pid, *cut, output=trace):
            child.send_signal(signal.SIGCONT)
            return await child.wait()

    async def _born(self, arguments: Sequence[str], *, held: bool, main: str = MAIN) -> Child:
        with self.log.open("ab") as log, Path(os.devnull).open("rb") as nothing:
            streams = (nothing.fileno(), log.fileno(), log.fileno())
            return await nursery(self.root).bear(
                arguments, self.environment, self.root, streams=streams, held=held, main=main
            )
