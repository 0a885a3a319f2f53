"""The one thread that writes. Many units share one commit, so a hundred callers pay for one fsync.

A unit is a plain function of a transaction. It runs in a savepoint: when it raises, only it is undone. Its caller gets
the result only after the outer commit; a failed commit fails them all.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import psycopg
from loguru import logger
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from pipe.clock import Clock
from pipe.errors import PipeError, StoreFull, StoreUnavailable
from pipe.store.transaction import Tx

T = TypeVar("T")
Unit = Callable[[Tx], T]
LARGEST_GROUP = 512
_FATAL = ("disk I/O error", "malformed", "readonly", "unable to open", "not a database")
SLOW_UNIT_S = 0.05


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


class Writer:
    """Owns the writing connection. Started on a loop; `write` may be called from that loop only."""

    def __init__(
        self, engine: Engine, clock: Clock, new_id: Callable[[], str], on_commit: Callable[[Committed], None]
    ) -> None:
        self._engine, self._clock, self._new_id, self._on_commit = engine, clock, new_id, on_commit
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="pipe-writer", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self.sequences: dict[str, int] = {}
        self.failed: StoreUnavailable | None = None
        """set for ever once a commit could not be synced: what is on disk is no longer known"""
        self.on_failure: Callable[[StoreUnavailable], None] = lambda error: None
        self.commits = 0
        self.units = 0

    def start(self, loop: asyncio.AbstractEventLoop, sequences: dict[str, int]) -> None:
        """Starts the thread; `sequences` holds the last number used in each table."""
        self._loop, self.sequences = loop, sequences
        self._thread.start()

    def write(self, unit: Unit[T]) -> asyncio.Future[T]:
        """Queues a unit; the future resolves after its commit is on disk, or with what it raised."""
        assert self._loop is not None
        future: asyncio.Future[T] = self._loop.create_future()
        if self.failed is not None:
            future.set_exception(self.failed)
        else:
            self._jobs.put(_Job(unit, future))
        return future

    def stop(self) -> None:
        """Finishes what is queued and closes the connection; blocks until then."""
        if self._thread.is_alive():
            self._jobs.put(None)
            self._thread.join()

    def _run(self) -> None:
        connection = self._engine.connect()
        open_ = True
        while open_:
            jobs = [self._jobs.get()]
            while len(jobs) < LARGEST_GROUP and not self._jobs.empty():
                jobs.append(self._jobs.get())
            group = [job for job in jobs if job is not None]
            open_ = len(group) == len(jobs)
            if group:
                self._commit(connection, group)
        connection.close()

    def _commit(self, connection: Connection, group: list[_Job]) -> None:
        results: list[tuple[asyncio.Future[Any], Any, BaseException | None]] = []
        committed = Committed()
        if self.failed is not None:
            results = [(job.future, None, self.failed) for job in group]
            self._tell(results, committed)
            return
        try:
            with connection.begin():
                tx = Tx(connection, self._clock.now(), self._new_id, self.sequences, committed)
                for job in group:
                    results.append((job.future, *self._run_unit(tx, job.unit)))
                tx.flush()
        except (
            Exception
        ) as error:  # boundary: whatever the driver raises here means that nothing of the group is on disk
            refusal = self._refusal(error)
            results = [(job.future, None, refusal) for job in group]
            committed = Committed()
        self.commits += 1
        self.units += len(group)
        self._tell(results, committed)

    def _tell(self, results: list[tuple[asyncio.Future[Any], Any, BaseException | None]], committed: Committed) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._resolve, results, committed)

    def _run_unit(self, tx: Tx, unit: Unit[Any]) -> tuple[Any, BaseException | None]:
        begun = time.perf_counter()
        tx.savepoint()
        try:
            result = unit(tx)
        except Exception as error:  # boundary: the unit's own failure is its caller's to handle
            # Hot statements go straight to the driver, so its own exceptions come here beside those of SQLAlchemy.
            if _is_disk(error):
                raise
            tx.rollback()
            return None, error
        tx.release()
        if (took := time.perf_counter() - begun) > SLOW_UNIT_S:
            logger.bind(
                action="slow_unit", unit=getattr(unit, "__qualname__", str(unit)), ms=round(took * 1000)
            ).warning("a unit of work was slow")
        return result, None

    def _refusal(self, error: Exception) -> PipeError:
        cause = _cause(error)
        text = str(cause)
        if _is_full(text):
            return StoreFull(f"the store has no space left: {text}")
        if not _is_fatal(cause):
            return StoreUnavailable(f"the store refused to commit: {text}")
        # After a failed fsync the kernel may have dropped the pages and the next fsync would lie: stop for good.
        self.failed = StoreUnavailable(f"the store failed and is closed: {text}")
        logger.bind(action="store_failed", error=text).critical("the store failed; nothing more is accepted")
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self.on_failure, self.failed)
        return self.failed

    def _resolve(
        self, results: list[tuple[asyncio.Future[Any], Any, BaseException | None]], committed: Committed
    ) -> None:
        # The engine hears of the commit before any caller goes on: no work is forgotten when a caller was cancelled.
        self._on_commit(committed)
        for future, value, error in results:
            if future.done():
                continue
            if error is None:
                future.set_result(value)
            else:
                future.set_exception(error)
                future.exception()  # a caller that went away has no use for it


def _is_full(text: str) -> bool:
    return "database or disk is full" in text or "No space left" in text or "could not extend file" in text


def _cause(error: Exception) -> BaseException:
    """The driver's own exception, whether SQLAlchemy wrapped it or not."""
    return (error.orig or error) if isinstance(error, DBAPIError) else error


def _is_fatal(cause: BaseException) -> bool:
    if isinstance(cause, psycopg.Error):
        return isinstance(
            cause, (psycopg.OperationalError, psycopg.InterfaceError)
        )  # the connection, or the server's disk
    return not isinstance(cause, sqlite3.Error) or any(sign in str(cause) for sign in _FATAL)


def _is_disk(error: Exception) -> bool:
    cause = _cause(error)
    return isinstance(cause, (sqlite3.Error, psycopg.Error)) and (_is_full(str(cause)) or _is_fatal(cause))
