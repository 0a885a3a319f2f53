"""The bare libraries, used as their documentation shows: nothing is claimed, compared, sealed or synced."""

from __future__ import annotations

import asyncio
import os
import shutil
from typing import Any, ClassVar

import aioftp
import asyncssh

from benchmarks.race_files import Runner
from partners.demo import PASSWORD

BLOCK = 1 << 18


class BareFtp(Runner):
    """aioftp's client."""

    name: ClassVar[str] = "library"

    async def begin(self) -> None:
        """See Runner."""
        place: Any = self.place
        self._client = aioftp.Client()
        await self._client.connect("127.0.0.1", place.port)
        await self._client.login(place.user, PASSWORD)
        await self._client.change_directory(place.keys(self.name)["folder"])

    async def stop(self) -> None:
        """See Runner."""
        await self._client.quit()

    async def put(self) -> None:
        """See Runner."""
        with self.local.open("rb") as file:
            async with self._client.upload_stream("put") as stream:
                while piece := file.read(BLOCK):
                    await stream.write(piece)

    async def take(self) -> None:
        """See Runner."""
        with (self.base / "taken").open("wb") as file:
            async with self._client.download_stream("in/take") as stream:
                async for piece in stream.iter_by_block(BLOCK):
                    file.write(piece)
        await self._client.remove_file("in/take")


class BareSftp(Runner):
    """asyncssh's client, with its own copying."""

    name: ClassVar[str] = "library"

    async def begin(self) -> None:
        """See Runner."""
        place: Any = self.place
        self._ssh = await asyncssh.connect(
            "127.0.0.1",
            place.port,
            client_keys=[place.ours],
            known_hosts=place.known_hosts.read_bytes(),
            config=None,
        )
        self._sftp = await self._ssh.start_sftp_client()

    async def stop(self) -> None:
        """See Runner."""
        self._ssh.close()
        await self._ssh.wait_closed()

    async def put(self) -> None:
        """See Runner."""
        await self._sftp.put(str(self.local), str(self.disk / "put"))

    async def take(self) -> None:
        """See Runner."""
        await self._sftp.get(str(self.disk / "in" / "take"), str(self.base / "taken"))
        await self._sftp.remove(str(self.disk / "in" / "take"))


class BareFolder(Runner):
    """The standard library."""

    name: ClassVar[str] = "library"

    async def begin(self) -> None:
        """See Runner."""

    async def stop(self) -> None:
        """See Runner."""

    async def put(self) -> None:
        """See Runner."""
        await asyncio.to_thread(self._copy, self.local, self.disk / "put")

    async def take(self) -> None:
        """See Runner."""
        await asyncio.to_thread(self._copy, self.disk / "in" / "take", self.base / "taken")
        (self.disk / "in" / "take").unlink()

    def _copy(self, source: Any, target: Any) -> None:
        with source.open("rb") as read, target.open("wb") as written:
            shutil.copyfileobj(read, written, BLOCK)
            self.ended(written)

    def ended(self, file: Any) -> None:
        """Nothing more: what was written is in memory."""


class BareFolderSynced(BareFolder):
    """The same, on the disk when it is done."""

    def ended(self, file: Any) -> None:
        """Syncs it."""
        file.flush()
        os.fsync(file.fileno())
