"""The store as the rest of the gateway sees it: write units, read, follow feeds."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import DBAPIError, OperationalError

from pipe.clock import Clock
from pipe.clock import new_id as random_id
from pipe.errors import StoreBusy, StoreUnavailable
from pipe.store import database, schema
from pipe.store.blobs import BlobSpool
from pipe.store.full_text import FullText, full_text
from pipe.store.loading import Loader
from pipe.store.lock import FolderLock, usable
from pipe.store.migrations import Migration, migrate
from pipe.store.moments import Moments
from pipe.store.spent import SPENT, Spent
from pipe.store.transaction import Tx
from pipe.store.vault import Vault
from pipe.store.writer import Committed, Writer

T = TypeVar("T")
_LAST_NUMBERS = {
    name: select(func.max(column))
    for name, column in (
        ("message", schema.message.c.seq),
        ("delivery", schema.delivery.c.id),
        ("feed", schema.feed.c.seq),
        ("audit", schema.audit.c.seq),
    )
}


class Store:
    """One data folder (and its database). Opened once in a process; a second process is refused."""

    writer_type: ClassVar[type[Writer]] = Writer

    def __init__(
        self,
        data: Path,
        *,
        url: str | None,
        clock: Clock,
        new_id: Callable[[], str] = random_id,
        key_file: Path | None = None,
        threaded: bool = True,
    ) -> None:
        """Without threads of its own it does all its work on the loop, in an order that can be repeated."""
        with usable(data):
            data.mkdir(parents=True, exist_ok=True, mode=0o700)
            (data / "blobs").mkdir(exist_ok=True, mode=0o700)
        self.data, self.clock, self.new_id = data, clock, new_id
        self.url = url or database.default_url(data)
        self.blobs = data / "blobs"
        self.full_text: FullText = full_text(self.url, data)
        self.moments = Moments()
        self._lock = FolderLock(data)
        self._guard: Connection | None = None
        self.vault: Vault
        self.loader: Loader
        self.key_file = key_file or data / "keys" / "master.keys"
        self._readers = ThreadPoolExecutor(4, "pipe-reader") if threaded else None
        self._listeners: dict[str, set[asyncio.Event]] = {}
        self._followed: dict[tuple[tuple[str, ...], int, int], asyncio.Future[Sequence[Any]]] = {}
        """reads of feeds that are under way and began after the last commit that concerned them"""
        self.files = asyncio.Lock()
        """held by whoever needs the blobs to stay as they are, or takes some away: a backup, an erasure, upkeep"""
        self.on_commit: Callable[[Committed], None] = lambda committed: None
        self._writer: Writer | None = None

    # --- life ---

    async def open(self, components: Iterable[tuple[str, Sequence[Migration]]] = ()) -> None:
        """Locks the folder, migrates, starts the writer. Raises StoreLocked, SchemaTooNew, StoreUnavailable."""
        self._lock.acquire()
        try:
            self.vault = Vault(self.key_file)
            self.loader = Loader(self.vault, self.blobs)
            await self._aside(self._open, list(components))
        except BaseException:
            self._let_go()
            raise

    def _open(self, components: list[tuple[str, Sequence[Migration]]]) -> None:
        # Whoever was copying has died with the process that held the folder.
        for left in self.scratch.parent.glob(f"{self.scratch.name}*"):
            left.unlink(missing_ok=True)
        engine, self._reading = self._engines()
        try:
            if not database.is_sqlite(self.url):
                self._guard = database.only_gateway(engine)
            with engine.begin() as connection:
                migrate(connection, components)
                last = {name: connection.execute(most).scalar() or 0 for name, most in _LAST_NUMBERS.items()}
        except DBAPIError as error:
            raise StoreUnavailable(
                f"the store at {self.url.rpartition('@')[2]} cannot be opened: {error.orig}"
            ) from error
        threaded = self._readers is not None
        self._writer = self.writer_type(engine, self.clock, self.new_id, self._committed, threaded=threaded)
        self._last = last

    def _engines(self) -> tuple[Engine, Engine]:
        """The one that writes, and the one that only reads."""
        return database.open_writer(self.url), database.open_reader(self.url)

    def start(self) -> None:
        """Binds the writer to the running loop; call once after `open`."""
        self.writer.start(asyncio.get_running_loop(), self._last)

    async def close(self) -> None:
        """Finishes what is queued, closes everything, lets go of the folder. Safe twice."""
        if self._writer is not None:
            await self._aside(self._writer.stop)
            silent = self._writer.silent
            self._writer = None
            if self._readers is not None:
                # A read that hangs in a silent database would be waited for without end.
                await asyncio.to_thread(self._readers.shutdown, wait=not silent, cancel_futures=silent)
            self._reading.dispose()
            if not silent:
                await self._aside(self.full_text.close)
        self._let_go()

    async def _aside(self, work: Callable[..., None], *arguments: Any) -> None:
        """Runs what blocks, off the loop where there are threads."""
        if self._readers is None:
            work(*arguments)
        else:
            await asyncio.to_thread(work, *arguments)

    def _let_go(self) -> None:
        if self._guard is not None:
            self._guard.close()
            self._guard = None
        self._lock.release()

    @property
    def writer(self) -> Writer:
        """The writing thread. Raises StoreUnavailable where the store is not open."""
        if self._writer is None:
            raise StoreUnavailable("the store is closed")
        return self._writer

    # --- use ---

    def write(self, unit: Callable[[Tx], T]) -> asyncio.Future[T]:
        """Runs a unit on the writer's thread; resolves after its commit is on disk."""
        return self.writer.write(unit)

    async def read(self, query: Callable[[Connection], T], limit_s: float = database.READ_LIMIT_S) -> T:
        """Runs a query on a connection that cannot write. Raises StoreBusy past `limit_s` seconds."""
        if self._writer is not None and self._writer.silent:
            raise StoreUnavailable("the store is silent and was given up")  # a read would wait for it without end
        if self._readers is None:
            await asyncio.sleep(0)
            return self.read_here(query, limit_s)
        work, spent = self.read_here, SPENT.get()
        if spent is not None:
            work = partial(self._read_for, spent)
        return await asyncio.get_running_loop().run_in_executor(self._readers, work, query, limit_s)

    def _read_for(self, spent: Spent, query: Callable[[Connection], T], limit_s: float) -> T:
        began = time.thread_time()
        try:
            return self.read_here(query, limit_s)
        finally:
            spent.seconds += time.thread_time() - began

    def read_here(self, query: Callable[[Connection], T], limit_s: float = database.READ_LIMIT_S) -> T:
        """The same for a thread of one's own: it blocks."""
        with self._reading.connect() as connection:
            raw: Any = connection.connection.driver_connection
            until = time.monotonic() + limit_s
            if connection.dialect.name == "sqlite":
                raw.set_progress_handler(lambda: time.monotonic() > until, 20000)
            try:
                return query(connection)
            except DBAPIError as error:
                if "interrupted" in str(error.orig) or "statement timeout" in str(error.orig):
                    raise StoreBusy(f"a read took longer than {limit_s:g} s") from error
                if isinstance(error, OperationalError):
                    raise StoreUnavailable(f"the store cannot be read: {error.orig}") from error
                raise
            finally:
                if connection.dialect.name == "sqlite":
                    raw.set_progress_handler(None, 0)

    async def forget_words(self, seqs: Iterable[int], *, wholly: bool = False) -> None:
        """These messages are no longer found by their words: see `FullText.forget`."""
        await self._aside(partial(self.full_text.forget, list(seqs), wholly=wholly))

    def spool(self, limit: int) -> BlobSpool:
        """Takes an incoming body of at most `limit` bytes."""
        return BlobSpool(self.blobs, self.new_id(), limit)

    @property
    def scratch(self) -> Path:
        """Where a backup copies the tables to before it packs them; it is gone after."""
        return self.data / "backup.scratch"

    async def give_back(self) -> bool:
        """Gives the file system what pruning has freed in the log. False where a reader stood in the way."""
        if not database.is_sqlite(self.url):
            return True
        if self._readers is None:
            return database.checkpoint(self.url)
        return await asyncio.to_thread(database.checkpoint, self.url)

    def free_bytes(self) -> int:
        """Free space where the data folder lies."""
        return shutil.disk_usage(self.data).free

    # --- feeds ---

    def _committed(self, committed: Committed) -> None:
        self.on_commit(committed)
        if committed.topics:
            self._followed.clear()
        for topic in committed.topics:
            for event in self._listeners.get(topic, ()):
                event.set()

    async def follow(self, topic: str, after: int, limit: int = 500) -> list[tuple[int, float, bytes]]:
        """The next events of a feed after number `after`: number, time, event; waits until there is one."""
        rows = await self._follow([topic], after, limit)
        return [(row.seq, row.at, bytes(row.event)) for row in rows]

    async def follow_all(self, topics: Sequence[str], after: int, limit: int = 500) -> list[tuple[int, str, bytes]]:
        """The next events of several feeds in one order: number, topic, event; waits until there is one."""
        rows = await self._follow(topics, after, limit)
        return [(row.seq, row.topic, bytes(row.event)) for row in rows]

    async def _follow(self, topics: Sequence[str], after: int, limit: int) -> Sequence[Any]:
        arrived = asyncio.Event()
        for topic in topics:
            self._listeners.setdefault(topic, set()).add(arrived)
        try:
            while True:
                arrived.clear()
                events = await self._next(tuple(sorted(topics)), after, limit)
                if events:
                    return events
                await arrived.wait()
        finally:
            for topic in topics:
                listeners = self._listeners[topic]
                listeners.discard(arrived)
                if not listeners:
                    del self._listeners[topic]

    async def _next(self, topics: tuple[str, ...], after: int, limit: int) -> Sequence[Any]:
        """What follows now; those who follow the same from the same place read it once."""
        key = topics, after, limit
        reading = self._followed.get(key)
        if reading is None:
            work = self.read(lambda connection: _events(connection, topics, after, limit))
            reading = self._followed[key] = asyncio.ensure_future(work)
            reading.add_done_callback(partial(self._read_through, key))
        # Whoever goes away takes it from nobody else.
        return await asyncio.shield(reading)

    def _read_through(self, key: tuple[tuple[str, ...], int, int], reading: asyncio.Future[Sequence[Any]]) -> None:
        if self._followed.get(key) is reading:
            del self._followed[key]
        if not reading.cancelled():
            reading.exception()  # each who waited for it was told


def _events(connection: Connection, topics: Sequence[str], after: int, limit: int) -> Sequence[Any]:
    feed = schema.feed.c
    return connection.execute(
        select(feed.seq, feed.topic, feed.at, feed.event)
        .where(feed.topic.in_(list(topics)), feed.seq > after)
        .order_by(feed.seq)
        .limit(limit)
    ).all()
