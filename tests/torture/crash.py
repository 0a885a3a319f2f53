"""What torture needs: system calls that fail or kill, swept one by one, and a look at what the disk holds.

strace does it from outside: no hook in the product. Its count of calls is kept for each thread apart, so a sweep from
a process's birth and one from the moment at which it is ready are two sweeps.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import shutil
import signal
import sqlite3
from asyncio.subprocess import Process
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.journeys.conftest import until

TORTURE = Path(__file__).with_name("torture.yaml")
SYNCS = "fdatasync,fsync"
PAGES = "pwrite64"
WORDS = "write,writev,sendto,sendmsg"
NAMES = "openat,rename,unlink,ftruncate,mkdir"


def killing(calls: str, at: int) -> tuple[str, ...]:
    """Arguments of strace: kill -9 at the entry of the `at`-th of these calls, counted for each call and thread."""
    return ("-e", f"trace={calls}", "-e", f"inject={calls}:signal=KILL:when={at}")


@asynccontextmanager
async def attached(pid: int, *arguments: str, output: Path | None = None) -> AsyncIterator[None]:
    """Strace on all threads of a process for as long as the block lasts; afterwards the process runs free again.

    Raises AssertionError where strace cannot attach.
    """
    if shutil.which("strace") is None:
        pytest.skip("needs strace: apt-get install strace")
    with TemporaryDirectory() as folder:
        told = output or Path(folder) / "told"
        tracer = await asyncio.create_subprocess_exec(
            "strace", "-f", "-o", str(told), "-p", str(pid), *arguments, stderr=asyncio.subprocess.PIPE
        )
        assert tracer.stderr is not None
        words = await tracer.stderr.readline()
        assert b"attached" in words, words.decode()
        try:
            yield
        finally:
            await _let_go(tracer, pid, told if any(":error=" in argument for argument in arguments) else None)


async def _let_go(tracer: Process, pid: int, told: Path | None) -> None:
    """Ends strace; where it makes calls fail, the process stands still meanwhile.

    A call that strace has taken away and not yet answered would fail with ENOSYS, as it does on no disk.
    """
    with suppress(ProcessLookupError):
        if told is not None and tracer.returncode is None:
            before = told.stat().st_size
            os.kill(pid, signal.SIGSTOP)
            await until(partial(_stands_still, tracer, pid, told, before))
        if tracer.returncode is None:
            tracer.send_signal(signal.SIGINT)
    await tracer.wait()
    if told is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


async def _stands_still(tracer: Process, pid: int, told: Path, start: int) -> bool:
    """Whether strace has said since then that each thread of the process stopped, which none does within a call."""
    with told.open("rb") as file:
        file.seek(start)
        stopped = set(re.findall(rb"^(\d+) +--- stopped by SIGSTOP", file.read(), re.MULTILINE))
    threads = {file.name.encode() for file in Path(f"/proc/{pid}/task").glob("*")}
    return tracer.returncode is not None or (bool(threads) and threads <= stopped)


def failing(calls: str, error: str, *, at: int | None = None) -> tuple[str, ...]:
    """Arguments of strace: these calls fail, all of them or the `at`-th of each kind and thread."""
    when = "" if at is None else f":when={at}"
    return ("-e", f"trace={calls}", "-e", f"inject={calls}:error={error}{when}")


def watching(traced: str) -> tuple[str, ...]:
    """Arguments of strace: only writes these calls down, so that `calls` can count them."""
    return ("-e", f"trace={traced}")


def calls(output: Path) -> int:
    """The largest number of one call in one thread: beyond it a sweep cuts nothing any more."""
    found = Counter(re.findall(r"^(\d+) +(\w+)\(", output.read_text(errors="replace"), re.MULTILINE))
    return max(found.values(), default=0)


def sample(total: int, *, ends: int, between: int, seed: int) -> list[int]:
    """The first few, the last few and some of those between, out of 1 … total."""
    edges = {*range(1, ends + 1), *range(total - ends + 1, total + 1)} & set(range(1, total + 1))
    rest = sorted(set(range(1, total + 1)) - edges)
    return sorted(edges | set(random.Random(seed).sample(rest, min(between, len(rest)))))


@contextmanager
def opened(data: Path) -> Iterator[sqlite3.Connection]:
    """The store of a data folder, read past the gateway: a copy of its files, as they lie there now."""
    # SQLite looks behind /proc/PID/root and opens another file than was meant; and it would tidy up after a crash.
    with TemporaryDirectory() as folder:
        for file in data.glob("pipe.db*"):
            if not file.name.endswith("-shm"):
                shutil.copy(file, folder)
        with closing(sqlite3.connect(Path(folder) / "pipe.db")) as store:
            yield store


def sound(data: Path) -> None:
    """The database is what SQLite says it should be. Raises AssertionError."""
    with opened(data) as store:
        assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
