"""The store on a disk that fills up, breaks, and loses the process at any commit."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from sqlalchemy import Connection, Engine, event

from pipe.store import database
from pipe.store.database import READ_LIMIT_S
from pipe.store.store import Store
from pipe.store.writer import Committed, Writer
from tests.simulator.loop import Crash, VirtualLoop

T = TypeVar("T")
FIRST_S = 0.003
"""longest time until the writer takes up a group of units"""
TOLD_S = 0.005
"""longest time from a commit until the loop hears of it"""
Fault = Literal["full", "broken before", "broken after", "killed before", "killed after"]


class Disk:
    """What the next commits of the one process that writes will meet."""

    def __init__(self) -> None:
        self.full = False
        self.fault: Fault | None = None
        """at the next commit, once"""

    def commit(self, commit: Callable[[], None], rollback: Callable[[], None]) -> None:
        """Does it, or what the fault says. SQLite itself rolls back where a commit fails for the disk's sake."""
        fault, self.fault = self.fault, None
        if self.full or fault == "full":
            rollback()
            raise sqlite3.OperationalError("database or disk is full")
        if fault is None:
            commit()
            return
        if fault.endswith("after"):
            commit()
        else:
            rollback()
        if fault.startswith("broken"):
            raise sqlite3.OperationalError("disk I/O error")
        raise Crash(fault)


DISK = Disk()
"""of this process; cleared for each schedule"""


class _Connection(sqlite3.Connection):
    """The driver's own connection, whose commits go past the disk."""

    def commit(self) -> None:
        if self.in_transaction:
            DISK.commit(super().commit, super().rollback)


class SlowWriter(Writer):
    """The writer at the pace of a thread: it begins a while after it was called, and is heard a while after its end."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.untold = 0
        """groups on disk that the loop has not heard of"""
        self._heard_at = 0.0

    def _call(self, loop: Any) -> None:
        loop.call_later(loop.wait(FIRST_S), self._work_off)

    def _tell(self, results: Any, committed: Committed) -> None:
        loop = self._loop
        assert isinstance(loop, VirtualLoop)
        # What threads tell is heard in the order in which it was told.
        self._heard_at = max(self._heard_at, loop.time() + loop.wait(TOLD_S))
        self.untold += 1
        loop.call_at(self._heard_at, self._hear, results, committed)

    def _hear(self, results: Any, committed: Committed) -> None:
        self.untold -= 1
        self._resolve(results, committed)


class SimulatedStore(Store):
    """The store, whose threads are the loop's."""

    writer_type: ClassVar[type[Writer]] = SlowWriter

    def _engines(self) -> tuple[Engine, Engine]:
        return _engines(self.url)

    async def read(self, query: Callable[[Connection], T], limit_s: float = READ_LIMIT_S) -> T:
        """On a thread that reads at one moment and is heard at another."""
        loop = self.writer._loop
        assert loop is not None
        found: T = await loop.run_in_executor(None, self._read, query, limit_s)
        return found

    @property
    def untold(self) -> int:
        """Commits on disk that the loop has not heard of."""
        assert isinstance(self.writer, SlowWriter)
        return self.writer.untold

    def abandon(self) -> None:
        """What a kill does: connections and locks are gone, nothing is finished."""
        writer = self.writer
        if writer._connection is not None:
            writer._connection.invalidate()
            writer._connection.close()
            writer._connection = None
        self._reading.dispose()
        self._let_go()


@cache
def _engines(url: str) -> tuple[Engine, Engine]:
    """One pair for all lives: what SQLAlchemy has once compiled stays compiled."""
    writing, reading = database.open_writer(url), database.open_reader(url)

    @event.listens_for(writing, "do_connect")
    def connect(dialect: Any, record: Any, arguments: Any, named: dict[str, Any]) -> None:
        named["factory"] = _Connection

    event.listen(writing, "connect", _careless)
    return writing, reading


def _careless(connection: sqlite3.Connection, _record: object) -> None:
    """A kill of the process takes nothing from the kernel, so no sync is waited for."""
    connection.execute("PRAGMA synchronous=OFF")


class Folder:
    """The data folder of this process: emptied for each schedule, by a copy of one that was prepared."""

    def __init__(self) -> None:
        memory = Path("/dev/shm")
        self._holder = tempfile.TemporaryDirectory(
            prefix="pipe-simulator-", dir=memory if memory.is_dir() and os.access(memory, os.W_OK) else None
        )
        self.root = Path(self._holder.name)
        self.data, self._template = self.root / "data", self.root / "template"

    def prepare(self, prepare: Callable[[Path], None]) -> None:
        """Has the template made, once."""
        if not self._template.exists():
            (self.data / "keys").mkdir(parents=True)
            # The same key in every run: hashes of keys are part of the schedule.
            (self.data / "keys" / "master.keys").write_text(f"k1:{'5e' * 32}\n")
            prepare(self.data)
            self.data.rename(self._template)

    def fresh(self) -> Path:
        """A data folder as a first start leaves it."""
        if self.data.exists():
            shutil.rmtree(self.data)
        shutil.copytree(self._template, self.data)
        return self.data


@cache
def folder() -> Folder:
    """Of this process."""
    return Folder()
