"""Stand-ins of the partners as a process beside the gateway, for trying things out; never where others can reach it."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import orjson

from pipe.errors import ConfigError
from pipe.unix_socket import reachable

ANNOUNCED, SOCKET = "partners.json", "partners.sock"
PATIENCE_S = 60.0


class StandIns:
    """Starts them, and ends them with the gateway: they watch their standard input, so kill -9 leaves none behind."""

    def __init__(self, config: Path, data: Path) -> None:
        self._config, self._data = config, data
        self._process: asyncio.subprocess.Process | None = None
        self.addresses: dict[str, str] = {}
        self.redirects: dict[str, dict[str, Any]] = {}
        self.covered: list[str] = []

    async def start(self) -> None:
        """Brings them up on free ports and tells the configuration where; those that run on the folder are joined.

        Raises ConfigError with their last words.
        """
        announced = self._data / ANNOUNCED
        self._data.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not await self._run_already():
            announced.unlink(missing_ok=True)
            await self._spawn()
        told = orjson.loads(announced.read_bytes())
        self.addresses, self.redirects, self.covered = told["addresses"], told["redirects"], told["covered"]
        os.environ.update(told["environment"])

    async def _run_already(self) -> bool:
        """Whether they run and stay: those of a gateway that was killed are about to end, and that is waited for."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while (stay := await self._stay()) is False:  # noqa: ASYNC110 — another process ends
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise ConfigError(f"the stand-ins of a gateway that is gone did not end within {PATIENCE_S:g} s") from None
        return stay is not None

    async def _stay(self) -> bool | None:
        """What those say that run on the folder; None where there are none."""
        try:
            with reachable(self._data / SOCKET) as path:
                reader, writer = await asyncio.open_unix_connection(path)
        except OSError:
            return None
        try:
            writer.write(b'{"name": "", "verb": "stay", "arguments": []}\n')
            answer = await reader.readline()
        except ConnectionError:
            return False
        finally:
            writer.close()
        return bool(answer and orjson.loads(answer)["stay"])

    async def _spawn(self) -> None:
        command = ("-m", "pipe", "partners", "--config", str(self._config), "--data", str(self._data))
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, *command, "--port-base", "0", "--with-parent"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not (self._data / ANNOUNCED).exists():
                    if self._process.returncode is not None:
                        raise ConfigError(f"the stand-ins did not start: {await self._last_words()}")
                    await asyncio.sleep(0.02)
        except TimeoutError:
            await self.stop()
            raise ConfigError(f"the stand-ins did not start within {PATIENCE_S:g} s") from None

    async def stop(self) -> None:
        """Ends them. Safe twice."""
        if self._process is not None and self._process.returncode is None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            try:
                await asyncio.wait_for(self._process.wait(), 5)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()

    async def _last_words(self) -> str:
        assert self._process is not None
        assert self._process.stderr is not None
        said = (await self._process.stderr.read()).decode(errors="replace").strip()
        return said.rpartition("\n")[2] or f"exit code {self._process.returncode}"
