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

from pipe.store import audit_guard, database
from pipe.store.database import READ_LIMIT_S
from pipe.store.store import Store
from pipe.store.writer import Committed, Writer
from tests.simulator.loop import Crash, VirtualLoop

T = TypeVar("T")
PLACE = "PIPE_SIMULATOR_PLACE"
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
    """The driver's own connection, whose commits go past the disk. Who closes it only lets go of it.

    A kill and a close leave the same in the file: what was committed. To open it anew, read its tables and prepare all
    statements again would cost more than everything else that a life does.
    """

    def commit(self) -> None:
        if self.in_transaction:
            DISK.commit(super().commit, super().rollback)

    def close(self) -> None:
        if self.in_transaction:
            super().rollback()


class SlowWriter(Writer):
    """The writer at the pace of a thread: it begins a while after it was called, and is heard a while after its end."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.untold = 0
        """groups on disk that the loop has not heard of"""
        self._heard_at = 0.0

    def _call(self, loop: Any) -> None:
        loop.call_later(loop.wait(FIRST_S), self._write_group)

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
        found: T = await loop.run_in_executor(None, self.read_here, query, limit_s)
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
    """One pair for all lives, each with its one connection: what was once compiled and prepared stays so."""
    engines = database.open_writer(url), database.open_reader(url)
    for engine in engines:
        _keep_connection(engine)
    event.listen(engines[0], "connect", _careless)
    return engines


def _keep_connection(engine: Engine) -> None:
    kept: list[_Connection] = []

    @event.listens_for(engine, "do_connect")
    def connect(dialect: Any, record: Any, arguments: Any, named: dict[str, Any]) -> _Connection:
        if not kept:
            kept.append(sqlite3.connect(*arguments, **{**named, "factory": _Connection, "cached_statements": 1024}))
        return kept[0]


def _careless(connection: sqlite3.Connection, _record: object) -> None:
    """A kill of the process takes nothing from the kernel, so no sync is waited for."""
    connection.execute("PRAGMA synchronous=OFF")


def a_place() -> tempfile.TemporaryDirectory[str]:
    """A folder, in memory where the system has one, or where the environment says."""
    memory = Path("/dev/shm")
    place = os.environ.get(PLACE)
    if place is None and memory.is_dir() and os.access(memory, os.W_OK):
        place = str(memory)
    return tempfile.TemporaryDirectory(prefix="pipe-simulator-", dir=place)


class Folder:
    """The data folder of this process: for each schedule as a first start leaves it."""

    def __init__(self) -> None:
        self._holder = a_place()
        self.data = Path(self._holder.name) / "data"
        self._files: dict[str, bytes] = {}
        self._emptied: list[str] = []
        """statements that bring the tables back to what they were"""
        self._rows: list[tuple[str, list[Any]]] = []

    def prepare(self, prepare: Callable[[Path], None]) -> None:
        """Has a first start done, once, and keeps what it left."""
        if self._files:
            return
        (self.data / "keys").mkdir(parents=True)
        # The same key in every run: hashes of keys are part of the schedule.
        (self.data / "keys" / "master.keys").write_text(f"k1:{'5e' * 32}\n")
        prepare(self.data)
        self._files = {
            str(path.relative_to(self.data)): path.read_bytes()
            for path in self.data.rglob("*")
            if path.is_file() and not path.name.startswith("pipe.db")
        }
        self.looker = sqlite3.connect(self.data / "pipe.db", isolation_level=None, cached_statements=1024)
        for statement in audit_guard.removal("sqlite"):  # or the audit could not be emptied
            self.looker.execute(statement)
        for (table,) in self.looker.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            self._emptied.append(f"DELETE FROM {table}")
            if rows := self.looker.execute(f"SELECT * FROM {table}").fetchall():
                places = ", ".join("?" * len(rows[0]))
                self._rows.append((f"INSERT INTO {table} VALUES ({places})", rows))

    def fresh(self) -> Path:
        """As that first start left it. The database's file is kept, as it is open; its tables are emptied."""
        for path in self.data.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif not path.name.startswith("pipe.db"):
                path.unlink()
        for name, content in self._files.items():
            path = self.data / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        run = self.looker.execute
        run("BEGIN IMMEDIATE")
        for statement in self._emptied:
            run(statement)
        for statement, rows in self._rows:
            self.looker.executemany(statement, rows)
        run("COMMIT")
        run("PRAGMA incremental_vacuum").fetchall()
        return self.data


@cache
def folder() -> Folder:
    """Of this process."""
    return Folder()
