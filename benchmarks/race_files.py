"""One file, put or taken by somebody, with the clock running."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import ClassVar, Self

from tests.adapters.files_bench import Place

SIZE = 100 << 20


class Runner:
    """Somebody who puts and takes files at a place."""

    name: ClassVar[str]

    def __init__(self, place: Place, base: Path, size: int = SIZE) -> None:
        """`base` is a folder on the same disk, for what lies on this side; `size` in bytes."""
        self.place, self.base, self.size = place, base, size
        self.disk = place.root / self.name
        """the place's folder, seen from behind"""
        self.local = base / f"{self.name}.local"

    async def start(self) -> Self:
        """Signs in."""
        for each in (self.disk, self.disk / "in"):
            each.mkdir(parents=True, exist_ok=True)
            each.chmod(0o777)
        block = os.urandom(1 << 20)
        with self.local.open("wb") as file:
            for _ in range(self.size >> 20):
                file.write(block)
        await self.begin()
        return self

    async def begin(self) -> None:
        """Signs in."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Says goodbye."""
        raise NotImplementedError

    async def put(self) -> None:
        """The local file, to `put`."""
        raise NotImplementedError

    async def take(self) -> None:
        """The file `in/take`, which is gone there afterwards."""
        raise NotImplementedError

    def offered(self) -> None:
        """Lays down the file that is to be taken."""
        part = self.disk / "part"
        with self.local.open("rb") as source, part.open("wb") as target:
            while piece := source.read(1 << 20):
                target.write(piece)
        part.chmod(0o666)
        part.rename(self.disk / "in" / "take")


async def measured(runner: Runner, way: str) -> tuple[float, float]:
    """MiB a second, and seconds of processor of this process."""
    if way == "take":
        runner.offered()
    os.sync()  # neither pays for what the other one has left unwritten
    spent, began = time.process_time(), time.perf_counter()
    await (runner.put if way == "put" else runner.take)()
    seconds = time.perf_counter() - began
    cpu = time.process_time() - spent
    if way == "put":
        (there,) = [path for path in runner.disk.iterdir() if path.is_file()]
        assert there.stat().st_size == runner.size
        there.unlink()
    else:
        assert not (runner.disk / "in" / "take").exists()
    return (runner.size >> 20) / seconds, cpu
