"""Changes rights without end, to be killed meanwhile: a nursery calls `main` with the data folder as argument."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from flows.access import roles
from flows.access.changes import Actor
from flows.access.tables import create
from pipe.clock import SystemClock
from pipe.store.store import Store

ROOT = Actor("root")
PERMISSIONS = ("file.read", "file.add", "message.read", "dead.replay")


async def opened(data: Path) -> Store:
    """A store with the tables of rights."""
    store = Store(data, url=None, clock=SystemClock())
    await store.open([("access", (create,))])
    store.start()
    return store


async def change(data: Path) -> None:
    """Roles are made, changed and removed, one unit each."""
    store = await opened(data)
    number = 0
    while True:
        name = f"r-{store.new_id()}"
        await store.write(lambda tx, name=name: roles.create(tx, ROOT, name, {"uk": name}, PERMISSIONS[:2]))  # type: ignore[misc]
        await store.write(lambda tx, name=name: roles.change(tx, ROOT, name, permissions=PERMISSIONS[1:]))  # type: ignore[misc]
        number += 1
        if number % 2:
            await store.write(lambda tx, name=name: roles.remove(tx, ROOT, name, "no longer needed"))  # type: ignore[misc]
        sys.stdout.write("done\n")
        sys.stdout.flush()


def main() -> None:
    """What a nursery calls."""
    asyncio.run(change(Path(sys.argv[1])))
