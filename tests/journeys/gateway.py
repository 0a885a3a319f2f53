"""The gateway as a process: started, stopped, killed without warning, and asked by its own commands.

Its processes come out of a nursery, unless they are to begin with another command, run another checkout's code, or have
something in their environment that is read before the first line of ours.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Protocol

import aiohttp
import orjson

from pipe.unix_socket import reachable
from tests.journeys.nursery import nursery

ROOT = Path(__file__).resolve().parents[2]
EARLY = ("PYTHON", "LD_", "MALLOC_", "GLIBC_")
"""variables that begin so mean nothing to a process that runs already"""


class Process(Protocol):
    """What a gateway needs of its process."""

    pid: int

    @property
    def returncode(self) -> int | None:
        """None while it lives."""

    async def wait(self) -> int:
        """Its exit code, once it has ended."""

    def send_signal(self, signal: int, /) -> None:
        """Sends a signal."""


class Gateway:
    """One data folder and the process that works on it, if one does."""

    def __init__(
        self, data: Path, config: Path, environment: Mapping[str, str] | None = None, *, root: Path = ROOT
    ) -> None:
        self.data = data
        self.config = config
        self.root = root
        """the checkout whose code runs"""
        self.environment = {**os.environ, "PYTHONPATH": str(root), **(environment or {})}
        self.log = data.parent / "gateway.log"
        self.process: Process | None = None
        self.kills = 0
        self.inside: Path | None = None
        """where its folder is to be found, if it lies on a disk that only the process sees"""

    async def start(self, *, within: float = 60, under: Sequence[str] = ()) -> None:
        """Returns when it says that it is ready. Raises AssertionError with its last words where it does not."""
        await self.spawn(under=under)
        await self.until_ready(within)

    async def spawn(self, *, under: Sequence[str] = ()) -> None:
        """Starts the process; `under` is a command that takes its own as last arguments and becomes it (strace -D)."""
        (self.folder / "addresses.json").unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self.process = await self._begun(*self.arguments, output=log, words=log, under=under)

    async def _begun(self, *arguments: str, output: IO[bytes], words: IO[bytes], under: Sequence[str] = ()) -> Process:
        with Path(os.devnull).open("rb") as nothing:
            if not under and self.root == ROOT and not self._begins_otherwise():
                streams = [each.fileno() for each in (nothing, output, words)]
                return await nursery(ROOT).bear(arguments, self.environment, ROOT, streams=streams)
            return await asyncio.create_subprocess_exec(
                *(*under, sys.executable, "-m", "pipe", *arguments),
                cwd=self.root,
                env=self.environment,
                stdin=nothing,
                stdout=output,
                stderr=words,
            )

    def _begins_otherwise(self) -> bool:
        usual = {**os.environ, "PYTHONPATH": str(ROOT)}
        return any(
            self.environment.get(name) != usual.get(name)
            for name in {*self.environment, *usual}
            if name.startswith(EARLY)
        )

    @property
    def arguments(self) -> tuple[str, ...]:
        """Of the command `pipe`."""
        return ("run", "--config", str(self.config), "--data", str(self.data), "--listen", "127.0.0.1:0")

    @property
    def folder(self) -> Path:
        """The data folder as this process sees it."""
        return self.inside or self.data

    async def until_ready(self, within: float = 60) -> None:
        """Waits for `/ready`, at most so many seconds."""
        end = time.monotonic() + within
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as client:
            while time.monotonic() < end:
                assert self.process is not None
                assert self.process.returncode is None, f"it ended with {self.process.returncode}: {self.last_words()}"
                if await self._ready(client):
                    return
                await asyncio.sleep(0.03)
        raise AssertionError(f"not ready within {within} s: {self.last_words()}")

    async def _ready(self, client: aiohttp.ClientSession) -> bool:
        try:
            async with client.get(f"{self.address}/ready") as response:
                return response.status == 200
        except (OSError, aiohttp.ClientError, TimeoutError):
            return False

    @property
    def address(self) -> str:
        """Where its default listener is; raises OSError while it has not said so."""
        address: str = orjson.loads((self.folder / "addresses.json").read_bytes())["default"]
        return address

    @property
    def running(self) -> bool:
        """Whether there is a process."""
        return self.process is not None and self.process.returncode is None

    async def kill9(self) -> None:
        """Ends it between one instruction and the next."""
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
            await self.process.wait()
            self.kills += 1

    async def close(self) -> None:
        """Nothing of it runs any more."""
        await self.kill9()

    async def stop(self, *, within: float = 40) -> int:
        """Asks it to end and returns its exit code."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), within)

    async def restart(self) -> None:
        """Ends it without warning and starts it again on the same folder."""
        await self.kill9()
        await self.start()

    async def ask(self, operation: str, **args: Any) -> Any:
        """What the running gateway answers on its control socket: an operation of `pipe.operations`.

        Raises AssertionError with its words where it refuses, OSError where nobody is there or it ends meanwhile.
        """
        with reachable(self.folder / "pipe.sock") as path:
            reader, writer = await asyncio.open_unix_connection(path, limit=1 << 30)
        try:
            writer.write(orjson.dumps({"operation": operation, "args": args}) + b"\n")
            while line := await reader.readline():
                answer = orjson.loads(line)
                assert "error" not in answer, f"{operation}: {answer['error']}"
                if "result" in answer:
                    return answer["result"]
        finally:
            writer.close()
        raise ConnectionResetError(f"it ended before it answered {operation}")

    async def pipe(self, *arguments: str, good: tuple[int, ...] = (0,)) -> Any:
        """What a `pipe` command says with `--json` of this data folder; None where it says nothing.

        Raises AssertionError with its words where it ends with another code than those of `good`.
        """
        with TemporaryFile() as output, TemporaryFile() as words:
            process = await self._begun(*arguments, "--data", str(self.data), "--json", output=output, words=words)
            code = await process.wait()
            for each in (output, words):
                each.seek(0)
            assert code in good, f"pipe {' '.join(arguments)} ended with {code}: {words.read().decode()}"
            said = output.read()
            return orjson.loads(said) if said else None

    def last_words(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-4000:] if self.log.exists() else ""
