"""Many processes of the gateway in little time: one that has imported it already forks a child for each of them.

What runs in a child is `pipe.cli.main`, as after `python -m pipe`, with a folder, an environment and standard streams
of its own, until the interpreter ends; only the imports are shared. They take longer than most of what is tested.
"""

from __future__ import annotations

import asyncio
import atexit
import gc
import importlib
import json
import os
import random
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any

from tests.journeys.order import MAIN, NUMBER, order, told

LOCALE = {"LC_ALL": "C.UTF-8"}
"""the streams of children are opened before their own environment comes"""


class Child:
    """One process: what `asyncio.subprocess.Process` is for one that somebody else has started."""

    def __init__(self, pid: int, line: int) -> None:
        self.pid = pid
        self._line = line
        loop = asyncio.get_running_loop()
        self._end: asyncio.Future[int] = loop.create_future()
        loop.add_reader(line, self._over)

    def _over(self) -> None:
        asyncio.get_running_loop().remove_reader(self._line)
        try:
            self._end.set_result(told(self._line))
        except ConnectionResetError as error:
            self._end.set_exception(error)
        os.close(self._line)

    @property
    def returncode(self) -> int | None:
        """None while it lives; -9 after a kill."""
        return self._end.result() if self._end.done() else None

    async def held(self) -> None:
        """Returns when it has stopped before its first step: a SIGCONT that came earlier would be lost."""
        stopped = Path(f"/proc/{self.pid}/stat")
        while stopped.read_text().rpartition(")")[2].split()[0] not in "Tt":  # noqa: ASYNC110 — /proc tells nobody
            await asyncio.sleep(0.002)

    async def wait(self) -> int:
        """Its exit code, when it has one."""
        return await asyncio.shield(self._end)

    def send_signal(self, signal: int, /) -> None:
        """Harmless where it has ended."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal)


class Nursery:
    """The process that forks; it ends with the process that made it."""

    def __init__(self, root: Path) -> None:
        self._folder = mkdtemp(prefix="nursery")
        self.address = f"{self._folder}/s"
        """where orders are taken, once `ready` has returned"""
        self._process = subprocess.Popen(
            (sys.executable, "-m", "tests.journeys.nursery", self.address),
            cwd=root,
            env={**os.environ, **LOCALE, "PYTHONPATH": str(root)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._ready = False
        atexit.register(self._close)

    async def ready(self) -> None:
        """Returns when it has imported all there is. Raises AssertionError where it could not."""
        if not self._ready:
            assert self._process.stdout is not None
            assert await asyncio.to_thread(self._process.stdout.readline), "the nursery could not begin"
            self._ready = True

    async def bear(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        *,
        streams: Sequence[int],
        held: bool = False,
        main: str = MAIN,
    ) -> Child:
        """A child that calls `main` with these arguments; `held`: not before SIGCONT."""
        await self.ready()
        return Child(*order(self.address, arguments, environment, str(folder), streams=streams, held=held, main=main))

    def _close(self) -> None:
        with self._process as process:
            process.kill()
        rmtree(self._folder, ignore_errors=True)


@cache
def nursery(root: Path) -> Nursery:
    """The one of a checkout: what it has imported serves all tests."""
    return Nursery(root)


# --- the other process --------------------------------------------------------------------------------------------


def serve(address: str) -> dict[str, Any] | None:
    """Forks a child for each order and tells its number, and its exit code when it has ended.

    Returns in each child, with its order; in the nursery itself only when its standard input ends, with nothing.
    """
    with socket.socket(socket.AF_UNIX) as orders, selectors.DefaultSelector() as events:
        orders.bind(address)
        orders.listen()
        events.register(orders, selectors.EVENT_READ)
        events.register(0, selectors.EVENT_READ)
        os.write(1, b"ready\n")
        while True:
            for key, _ in events.select():
                if key.fd == 0:
                    return None
                if key.data is not None:
                    events.unregister(key.fd)
                    end(key.fd, *key.data)
                    continue
                line, _ = orders.accept()
                with line:
                    asked, streams = heard(line)
                    process = os.fork()
                    if process == 0:
                        for ours, theirs in enumerate(streams):
                            os.dup2(theirs, ours)
                        return asked
                    for stream in streams:
                        os.close(stream)
                    tell(line.fileno(), process)
                    events.register(os.pidfd_open(process), selectors.EVENT_READ, (process, line.detach()))


def heard(line: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """What is ordered, and the standard streams of the child."""
    length, streams, _, _ = socket.recv_fds(line, NUMBER, 3)
    text = line.recv(int.from_bytes(length, "big"), socket.MSG_WAITALL)
    return json.loads(text), streams


def tell(line: int, number: int) -> None:
    """Tells whoever ordered, if he is still there."""
    with suppress(BrokenPipeError):
        os.write(line, number.to_bytes(NUMBER, "big", signed=True))


def end(watch: int, process: int, line: int) -> None:
    """A child has ended."""
    os.close(watch)
    _, status = os.waitpid(process, 0)
    tell(line, os.waitstatus_to_exitcode(status))
    os.close(line)


def live(arguments: list[str], environment: dict[str, str], folder: str, held: bool, main: str) -> None:
    """A child's life."""
    os.closerange(3, 64)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    random.seed()
    sys.argv = ["pipe", *arguments]
    if held:
        os.kill(os.getpid(), signal.SIGSTOP)
    module, _, function = main.partition(":")
    getattr(importlib.import_module(module), function)()


if __name__ == "__main__":
    import uvloop  # noqa: F401 — imported here once, for all children

    from pipe import app, cli, log, operations  # noqa: F401

    gc.freeze()  # children share what they do not change
    if ordered := serve(sys.argv[1]):
        live(**ordered)
