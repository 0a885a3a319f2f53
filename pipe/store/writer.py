"""The one thread that writes. Many units share one commit, so a hundred callers pay for one fsync.

A unit is a plain function of a transaction. When it raises, only it is undone. Its caller gets the result only after
the outer commit; a failed commit fails them all.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from loguru import logger
from sqlalchemy import Connection, Engine

from pipe.clock import Clock
from pipe.errors import PipeError, StoreFull, StoreUnavailable
from pipe.store.faults import cause_of, is_disk, is_fatal, is_full, over_quota
from pipe.store.transaction import Tx, UnitOfWork

T = TypeVar("T")
Unit = Callable[[Tx], T]
_Result = tuple[asyncio.Future[Any], Any, BaseException | None]
LARGEST_GROUP = 512
SLOW_UNIT_S = 0.05
SILENCE_S = 15.0
"""a database server that has not ended a group for so long is given up: no I/O over a network is without a limit"""


@dataclass(slots=True)
class Committed:
    """What one commit brought that others wait for."""

    ready: list[Any] = field(default_factory=list)
    """work that can be done now"""
    due: float | None = None
    """the earliest moment at which something stored in it becomes due"""
    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    """what was added to the ledger, by route and name"""
    bytes: dict[str, int] = field(default_factory=dict)
    """how the bytes waiting on each route changed"""
    topics: set[str] = field(default_factory=set)
    """feeds that grew"""


@dataclass(slots=True)
class _Job:
    unit: Unit[Any]
    future: asyncio.Future[Any]
    value: Any = None
    work: UnitOfWork | None = None


class Writer:
    """Owns the writing connection. Started on a loop; `write` may be called from that loop only."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        new_id: Callable[[], str],
        on_commit: Callable[[Committed], None],
        *,
        threaded: bool = True,
    ) -> None:
        """Without a thread of its own it works on the loop, in an order that can be repeated."""
        self._engine, self._clock, self._new_id, self._on_commit = engine, clock, new_id, on_commit
        self._jobs: deque[_Job] = deque()
        self._busy = False
        """whether a group is being written, or its callers have not all heard of it yet"""
        self._calls: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="pipe-writer", daemon=True) if threaded else None
        self._connection: Connection | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.sequences: dict[str, int] = {}
        self.failed: StoreUnavailable | None = None
        """set for ever once a commit could not be synced: what is on disk is no longer known"""
        self.silent = False
        """whether it was given up because the database did not answer: what waits for it may wait for ever"""
        self.on_failure: Callable[[StoreUnavailable], None] = lambda error: None
        self.commits = 0
        self.units = 0
        self._group: list[_Job] = []
        self._seen: list[_Job] = []
        """the group that the last look found"""

    def start(self, loop: asyncio.AbstractEventLoop, sequences: dict[str, int]) -> None:
        """Starts the work; `sequences` holds the last number used in each table."""
        self._loop, self.sequences = loop, sequences
        if self._thread is not None:
            self._thread.start()
            if self._engine.dialect.name != "sqlite":
                loop.call_later(SILENCE_S, self._look)
        else:
            self._connection = self._engine.connect()

    def write(self, unit: Unit[T]) -> asyncio.Future[T]:
        """Queues a unit; the future resolves after its commit is on disk, or with what it raised."""
        assert self._loop is not None
        future: asyncio.Future[T] = self._loop.create_future()
        if self.failed is not None:
            future.set_exception(self.failed)
            return future
        self._jobs.append(_Job(unit, future))
        if not self._busy:
            self._next()
        return future

    def _next(self) -> None:
        """Has the next group written, where anything waits for it."""
        assert self._loop is not None
        self._busy = bool(self._jobs)
        if self._busy:
            self._call(self._loop)

    def _call(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._thread is not None:
            self._calls.put(True)
        else:
            loop.call_soon(self._write_group)

    def stop(self) -> None:
        """Finishes what is queued and closes the connection; blocks until then."""
        if self._thread is not None:
            if self._thread.is_alive():
                self._calls.put(False)
                self._thread.join(SILENCE_S if self.silent else None)
        elif self._connection is not None:
            self._write_rest()
            self._connection.close()
            self._connection = None

    def _run(self) -> None:
        self._connection = self._engine.connect()
        while self._calls.get():
            self._write_group()
        self._write_rest()
        self._connection.close()

    def _write_rest(self) -> None:
        while self._jobs:
            self._write_group()

    def _write_group(self) -> None:
        assert self._connection is not None
        group = [self._jobs.popleft() for _ in range(min(len(self._jobs), LARGEST_GROUP))]
        if group:
            self._commit(self._connection, group)

    def _look(self) -> None:
        """Gives up a group that was there at the look before."""
        assert self._loop is not None
        group, self._seen, before = self._group, self._group, self._seen
        if group and group is before and self.failed is None:
            self.silent = True
            self.failed = StoreUnavailable(f"the store has been silent for more than {SILENCE_S:g} s and is closed")
            logger.bind(action="store_silent").critical("the store does not answer; nothing more is accepted")
            self._resolve([(job.future, None, self.failed) for job in (*group, *self._jobs)], Committed())
            self.on_failure(self.failed)
        elif self._thread is not None and self._thread.is_alive():
            self._loop.call_later(SILENCE_S, self._look)

    def _commit(self, connection: Connection, group: list[_Job]) -> None:
        self._group = group
        committed = Committed()
        refusal: PipeError | None = self.failed
        if refusal is None:
            try:
                with connection.begin():
                    tx = Tx(connection, self._clock.now(), self._new_id, self.sequences, committed)
                    for job in group:
                        self._run_unit(tx, job)
                    tx.flush()
            except Exception as error:  # boundary: whatever it is, nothing of the group is on disk
                refusal = self._refusal(error)
            self.commits += 1
            self.units += len(group)
        results: list[_Result] = [
            (job.future, job.value, refusal or (job.work.error if job.work else None)) for job in group
        ]
        self._group = []
        self._tell(results, committed if refusal is None else Committed())

    def _tell(self, results: list[_Result], committed: Committed) -> None:
        assert self._loop is not None
        if self._thread is None:
            self._resolve(results, committed)
        else:
            self._loop.call_soon_threadsafe(self._resolve, results, committed)

    def _run_unit(self, tx: Tx, job: _Job) -> None:
        begun = time.perf_counter()
        tx.begin()
        try:
            job.value = job.unit(tx)
        except Exception as error:  # boundary: the unit's own failure is its caller's to handle
            # Hot statements go straight to the driver, so its own exceptions come here beside those of SQLAlchemy.
            if is_disk(error):
                raise
            job.work = tx.undo(error)
            return
        job.work = tx.keep()
        if (took := time.perf_counter() - begun) > SLOW_UNIT_S:
            logger.bind(
                action="slow_unit", unit=getattr(job.unit, "__qualname__", str(job.unit)), ms=round(took * 1000)
            ).warning("a unit of work was slow")

    def _refusal(self, error: Exception) -> PipeError:
        cause = cause_of(error)
        if is_full(cause) or over_quota(cause, self._engine.url.database):
            return StoreFull(f"the store has no space left: {cause}")
        if not is_fatal(cause):
            return StoreUnavailable(f"the store refused to commit: {cause}")
        # After a failed fsync the kernel may have dropped the pages and the next fsync would lie: stop for good.
        self.failed = StoreUnavailable(f"the store failed and is closed: {cause}")
        logger.bind(action="store_failed", error=str(cause)).critical("the store failed; nothing more is accepted")
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self.on_failure, self.failed)
        return self.failed

    def _resolve(self, results: list[_Result], committed: Committed) -> None:
        assert self._loop is not None
        try:
            # The engine hears of it before any caller goes on: no work is forgotten when a caller was cancelled.
            self._on_commit(committed)
            for future, value, error in results:
                if future.done():
                    continue
                if error is None:
                    future.set_result(value)
                else:
                    future.set_exception(error)
                    future.exception()  # a caller that went away has no use for it
        finally:
            # The next group begins when these callers have gone on: what they bring along goes with it, and while they
            # work the thread does not fight with them for the interpreter.
            self._loop.call_soon(self._next)
