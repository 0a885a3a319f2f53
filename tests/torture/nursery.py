"""Many lives of the gateway in little time: a process that has imported it already and forks one for each life.

What runs in the child is `pipe.cli.main`, as after `python -m pipe`; only the imports are shared. A child may be held
before its first step, until strace is attached.
"""

from __future__ import annotations

import asyncio
import atexit
import importlib
import json
import os
import random
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import orjson

from tests.journeys.gateway import Gateway
from tests.torture.crash import attached

MAIN = "pipe.cli:main"


class Child:
    """One life: what `asyncio.subprocess.Process` is for a process of our own."""

    def __init__(self, pid: int, ended: Callable[[], int]) -> None:
        self.pid = pid
        self._ended = ended
        loop = asyncio.get_running_loop()
        self._end: asyncio.Future[int] = loop.create_future()
        self._watch = os.pidfd_open(pid)
        loop.add_reader(self._watch, self._over)

    def _over(self) -> None:
        asyncio.get_running_loop().remove_reader(self._watch)
        os.close(self._watch)
        self._end.set_result(self._ended())

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
            os.kill(self.pid, signal)


class Nursery:
    """The process that forks, one child at a time; it ends with the process that made it."""

    def __init__(self, root: Path) -> None:
        self._process = subprocess.Popen(
            (sys.executable, "-m", "tests.torture.nursery"),
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(root)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        atexit.register(self._close)

    def bear(self, gateway: Gateway, arguments: Sequence[str], *, held: bool = False, main: str = MAIN) -> Child:
        """A child that calls `main` with these arguments; `held`: not before SIGCONT. The last one must have ended."""
        assert self._process.stdin is not None
        order = {"arguments": arguments, "log": str(gateway.log), "held": held, "main": main}
        self._process.stdin.write(orjson.dumps({**order, "environment": gateway.environment}) + b"\n")
        self._process.stdin.flush()
        return Child(self._read(), self._read)

    def _read(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())

    def _close(self) -> None:
        with self._process as process:
            process.kill()


@cache
def nursery(root: Path) -> Nursery:
    """The one of a checkout: what it has imported serves all tests."""
    return Nursery(root)


class Reared(Gateway):
    """A gateway whose lives come out of a nursery."""

    held = False
    """the next life waits for SIGCONT"""

    async def spawn(self, *, under: Sequence[str] = ()) -> None:
        """Bears a child; nothing can be put in front of it."""
        assert not under, "a child of the nursery is not started by a command"
        (self.folder / "addresses.json").unlink(missing_ok=True)
        self.process = child = nursery(self.root).bear(self, self.arguments, held=self.held)
        if self.held:
            await child.held()

    async def act(self, *arguments: str, main: str = MAIN, cut: Sequence[str] = (), trace: Path | None = None) -> int:
        """The exit code of a command that works on the folder while no gateway does; `cut` goes to strace."""
        self.process = child = nursery(self.root).bear(self, arguments, held=True, main=main)
        await child.held()
        async with attached(child.pid, *cut, output=trace):
            child.send_signal(signal.SIGCONT)
            return await child.wait()


# --- the other process --------------------------------------------------------------------------------------------


def serve() -> None:
    """Forks a child for each line of standard input; writes its number, and its exit code when it has ended."""
    import uvloop  # noqa: F401 — imported here once, for all children

    from pipe import app, cli, log, operations  # noqa: F401

    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            live(**order)
        say(child)
        _, status = os.waitpid(child, 0)
        say(os.waitstatus_to_exitcode(status))


def live(arguments: list[str], log: str, held: bool, main: str, environment: dict[str, str]) -> None:
    """The child's life. Never returns."""
    os.environ.clear()
    os.environ.update(environment)
    words = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for theirs, ours in ((nothing, 0), (words, 1), (words, 2)):
        os.dup2(theirs, ours)
    os.closerange(3, 64)
    random.seed()
    if held:
        os.kill(os.getpid(), signal.SIGSTOP)
    sys.argv = ["pipe", *arguments]
    code = 1
    module, _, function = main.partition(":")
    try:
        getattr(importlib.import_module(module), function)()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # boundary: after a fork nobody else would tell of it
        traceback.print_exc()
    else:
        code = 0
    finally:
        os._exit(code)


def say(number: int) -> None:
    """One line for who ordered."""
    os.write(1, b"%d\n" % number)


if __name__ == "__main__":
    serve()
