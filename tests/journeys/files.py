"""A gateway that takes files at one place and puts them down there again, killed at any word that it says to it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from tests.adapters.files_bench import FilesPeer, Place
from tests.journeys.books import quiet
from tests.journeys.conftest import until
from tests.journeys.gateway import Gateway
from tests.torture.crash import attached, killing
from tests.torture.nursery import Reared

LARGE = bytes(range(256)) * 6_000
"""more than 1 MiB, so it becomes a file of the gateway's own"""


class Wire:
    """Between the gateway and a server: counts what the gateway says, and kills it at the n-th word.

    `heard`: the server has heard the word and done its work, and its answer is lost; else not even that.
    """

    def __init__(self, server: int) -> None:
        """`server` is its port."""
        self.server, self.said = server, 0
        self.victim: Gateway | None = None
        self.at, self.heard = 0, False
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self) -> int:
        """The port to connect to."""
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Ends every connection."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def arm(self, victim: Gateway, at: int, *, heard: bool) -> None:
        """Counts from now on."""
        self.victim, self.at, self.heard, self.said = victim, at, heard, 0

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with suppress(OSError):
            back, forth = await asyncio.open_connection("127.0.0.1", self.server)
            answers = asyncio.create_task(self._pass(back, writer))
            self._tasks.add(answers)
            try:
                await self._count(reader, forth, answers)
            finally:
                forth.close()
                answers.cancel()
        writer.close()
        self._tasks.discard(task)

    async def _count(
        self, reader: asyncio.StreamReader, forth: asyncio.StreamWriter, answers: asyncio.Task[None]
    ) -> None:
        while piece := await reader.read(1 << 16):
            self.said += 1
            if self.said == self.at:
                if self.heard:
                    answers.cancel()
                    forth.write(piece)
                    await asyncio.sleep(0.05)
                self._kill()
                return
            forth.write(piece)
            await forth.drain()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while piece := await reader.read(1 << 16):
                writer.write(piece)
                await writer.drain()

    def _kill(self) -> None:
        assert self.victim is not None
        assert self.victim.process is not None
        self.victim.process.send_signal(signal.SIGKILL)


@dataclass
class Harbour:
    """The place, the gateway, and the files that were ever offered."""

    peer: FilesPeer
    gateway: Reared
    wire: Wire | None
    offered: dict[str, bytes] = field(default_factory=dict)
    cuts: int = 0

    @property
    def disk(self) -> Path:
        """The folder as the partner sees it."""
        return self.peer.disk

    def offer(self, name: str, body: bytes, modified: float | None = None) -> None:
        """The partner puts a file there, whole from the first moment."""
        self.peer.write(f"arriving/{name}", body, modified=modified)
        os.rename(self.disk / "arriving" / name, self.disk / "in" / name)  # noqa: PTH104  beside its twin in Confined
        self.offered[name] = body

    def bodies(self, folder: str) -> list[bytes]:
        """What lies in a folder, in the order of the names."""
        return [file.read_bytes() for file in sorted((self.disk / folder).glob("**/*")) if file.is_file()]

    async def settled(self) -> bool:
        """Whether everything that was offered has come through."""
        return len(self.bodies("done")) >= len(self.offered) and len(self.put()) >= len(self.offered)

    def put(self) -> list[Path]:
        """The files that the gateway has put down, by the age of their messages; no half ones."""
        return sorted(file for file in (self.disk / "out").glob("*") if not file.name.startswith("."))

    async def life(self, at: int, *, heard: bool = False, calls: str = "") -> bool:
        """Starts the gateway, offers two files and waits until they are through. True where it was killed before."""
        gateway, number = self.gateway, len(self.offered)
        if self.wire is not None:
            self.wire.arm(gateway, at, heard=heard)
        with suppress(AssertionError):  # killed before it is ready, by what it says at its start
            await gateway.start()
            if self.wire is not None:
                return await self._through(number)
            assert gateway.process is not None
            async with attached(gateway.process.pid, *killing(calls, at)):
                return await self._through(number)
        assert gateway.process is not None
        assert await gateway.process.wait() == -signal.SIGKILL, gateway.last_words()
        self.cuts += 1
        return True

    async def _through(self, number: int) -> bool:
        gateway = self.gateway
        assert gateway.process is not None
        self.offer(f"{number}.csv", f"{number}\n".encode())
        self.offer(f"{number + 1}.csv", LARGE + f"{number}".encode())

        async def over() -> bool:
            return not gateway.running or await self.settled()

        await until(over, 30)
        if await self.settled() and gateway.running:
            await gateway.kill9()
            return False
        await gateway.close()
        self.cuts += 1
        return True

    async def end(self) -> None:
        """A life without a fault; then nothing is lost, nothing is there twice, nothing is left behind."""
        gateway = self.gateway
        if self.wire is not None:
            self.wire.arm(gateway, 0, heard=False)
        await gateway.start()
        await until(self.settled, 60)
        await until(lambda: quiet(gateway, "copies"), 60)  # the file is there a moment before the outcome is
        rows = await gateway.ask("search", limit=100_000)
        assert await gateway.stop() == 0, gateway.last_words()
        wanted = sorted(self.offered.values())
        assert sorted(self.bodies("done")) == wanted
        assert sorted(file.read_bytes() for file in self.put()) == wanted
        assert [row["state"] for row in rows] == ["delivered"] * len(wanted)
        names = [path.relative_to(self.disk) for path in self.disk.rglob("*") if path.is_file()]
        assert [name for name in names if name.parts[0] not in {"done", "out"} or name.name.startswith(".")] == []
        await gateway.pipe("ledger", "verify")  # raises where it does not balance


def text(connection: dict[str, Any], **route: Any) -> str:
    """The configuration: JSON, which is YAML too."""
    source = {"get": "in/*.csv", "every": "150ms", "after": {"move": "done"}, "max_body": "2GiB"}
    return orjson.dumps(
        {
            "version": 1,
            "limits": {"disk_floor": "1MiB"},
            "defaults": {"retry": {"attempts": 1000, "first": "100ms", "max": "500ms", "within": "1h"}},
            "connections": {"files": {**connection, "reconnect": {"first": "100ms", "max": "300ms"}}},
            "routes": {
                "copies": {
                    "from": {"connection": "files", **source},
                    "queue": {"messages": 100_000, "bytes": "8GiB"},
                    "to": {"connection": "files", "put": "out/${message.id}"},
                    **route,
                }
            },
        },
        default=str,
    ).decode()


@asynccontextmanager
async def harbour(place: Place, folder: Path, *, wired: bool = True, **route: Any) -> AsyncIterator[Harbour]:
    """A gateway that is not started yet, at a place that is."""
    await place.start()
    wire = Wire(_port(place)) if wired and place.type != "file_folder" else None
    gateway = Reared(folder / "data", folder / "connections.yaml", {"FILES_PASSWORD": os.environ["FILES_PASSWORD"]})
    gateway.data.mkdir()
    try:
        peer = FilesPeer(place, "test")
        connection = place.config("test")
        if wire is not None:
            port = await wire.start()
            connection["url"] = f"{connection['url'].rpartition(':')[0]}:{port}"
        (folder / "connections.yaml").write_text(text(connection, **route), encoding="utf-8")
        yield Harbour(peer, gateway, wire)
    finally:
        await gateway.close()
        if wire is not None:
            await wire.stop()
        await place.stop()


def _port(place: Any) -> int:
    return int(place.keys("")["url"].rpartition(":")[2])
