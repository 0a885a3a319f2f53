"""The adapters of files, over the gateway's own sealed bodies; without a route and without a journal."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import ClassVar

from adapters.files.keys import FileSubscription, FileTarget
from benchmarks.race_files import Runner
from pipe.clock import SystemClock, new_id
from pipe.contract import Accepted, Arrival, Blob, Message, Outgoing, Spool, Timeout
from pipe.store.blobs import BlobSpool
from pipe.testing import FakeDoor, FakeDoors, FakeServices

PATIENCE = {"connect": "10s", "read": "60s", "total": "600s"}
PATIENT = Timeout.model_validate(PATIENCE)


class Disk(FakeServices):
    """Bodies go where the gateway's go."""

    def __init__(self, blobs: Path) -> None:
        super().__init__(SystemClock())
        self._blobs = blobs

    def spool(self, limit: int) -> Spool:  # type: ignore[override]  # the real one
        """Sealed, hashed and synced."""
        return BlobSpool(self._blobs, new_id(), limit)


class Entrance(FakeDoor):
    """Keeps nothing."""

    entered = False

    async def accept(self, arrival: Arrival) -> Accepted:
        """Whatever it is."""
        assert isinstance(arrival.body, Blob)
        assert arrival.body.size == self.max_body
        arrival.body.path.unlink()
        self.entered = True
        return Accepted("1")


class Ours(Runner):
    """The adapter."""

    name: ClassVar[str] = "PIPE"

    async def begin(self) -> None:
        """See Runner."""
        services = Disk(self.base / "blobs")
        self._adapter = self.place.adapter(self.name, services=services, timeout=PATIENCE)
        await self._adapter.open()
        await self._adapter.check()
        spool = services.spool(self.size)
        with self.local.open("rb") as file:
            while piece := file.read(1 << 19):
                await spool.write(piece)
        body = await spool.finish()
        self._sent = Outgoing(Message("m-1", "r", body), FileTarget.model_validate({"put": "put"}), "d-1", 1, PATIENT)

    async def stop(self) -> None:
        """See Runner."""
        await self._adapter.close()

    async def put(self) -> None:
        """See Runner."""
        await self._adapter.send(self._sent)

    async def take(self) -> None:
        """See Runner."""
        options = {"get": "in/take", "every": "5ms", "ready": {"marker": ".ready"}}
        door = Entrance(FileSubscription.model_validate(options), max_body=self.size)
        (self.disk / "in" / "take.ready").touch()
        source = asyncio.create_task(self._adapter.run(FakeDoors(door)))
        claimed = self.disk / ".work" / door.route / "in" / "take"
        while not door.entered or claimed.exists():
            await asyncio.sleep(0.002)
            if source.done():
                source.result()
        source.cancel()
        await asyncio.wait([source])
