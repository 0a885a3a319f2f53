"""Signs how far the audit is, every minute and every thousand rows; looks at each start whether it is all there."""

from __future__ import annotations

import asyncio
from pathlib import Path

from loguru import logger
from sqlalchemy import Connection

from pipe.clock import Clock
from pipe.errors import PipeError
from pipe.store import checkpoints
from pipe.store.checkpoints import Checkpoint, Signer
from pipe.store.store import Store

EVERY_S = 60.0
ROWS = 1000
LOOK_S = 2.0


class Checkpointing:
    """One task. `copy` is a second file, best on another machine's disk."""

    def __init__(self, store: Store, clock: Clock, copy: Path | None = None) -> None:
        self._store, self._clock = store, clock
        self._files = [store.data / checkpoints.FILE, *([copy] if copy is not None else [])]
        self._signer = Signer(store.data / "keys" / "audit.key")
        self._mark, _ = checkpoints.last(self._files[0])
        self._ends = {file: checkpoints.last(file) for file in self._files}
        """last line and digest of each file: chains of their own, as one of them may be away for a while"""
        self._signed_at = clock.monotonic()

    async def start(self) -> None:
        """Says loudly where the audit is shorter or another one than was signed. Then signs how far it is."""
        mark = self._mark
        if mark is not None:
            row = await self._store.read(lambda connection: _hash(connection, mark.seq))
            if row != mark.head:
                logger.bind(action="audit_altered", seq=mark.seq).critical(
                    "the audit is not what was signed: it was cut off or written anew; `pipe audit verify` says where"
                )
                self._mark = None  # all of it is counted anew; what was signed before stays in the file
        await self.once()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._clock.sleep(LOOK_S)
            try:
                await self._look()
            except PipeError as error:
                logger.bind(action="checkpoint_failed", error=error.text).error(
                    "how far the audit is could not be signed; it is tried again"
                )

    async def _look(self) -> None:
        since = self._mark.seq if self._mark is not None else 0
        last = await self._store.read(_last)
        old = self._clock.monotonic() - self._signed_at >= EVERY_S
        if last > since and (old or last - since >= ROWS):
            await self.once()

    async def once(self) -> Checkpoint | None:
        """Signs now, if there is something new; returns what was signed."""
        mark = self._mark
        found = await self._store.read(lambda connection: checkpoints.state(connection, mark))
        if found is None or (mark is not None and found[1] <= mark.seq):
            return None
        count, seq, head = found
        self._signed_at = self._clock.monotonic()
        failed: PipeError | None = None
        for file, (end, digest) in self._ends.items():
            if end is not None and end.seq == seq and end.head == head:
                continue
            fresh = self._signer.sign(Checkpoint(count, seq, head, self._clock.now(), digest))
            try:
                await asyncio.to_thread(checkpoints.append, file, fresh)
            except PipeError as error:  # the other files are signed all the same
                failed = error
                continue
            self._ends[file] = fresh, checkpoints.digest(fresh)
        if failed is not None:
            raise failed
        self._mark, _ = self._ends[self._files[0]]
        return self._mark


def _last(connection: Connection) -> int:
    return int(connection.exec_driver_sql("SELECT coalesce(max(seq), 0) FROM audit").scalar() or 0)


def _hash(connection: Connection, seq: int) -> str | None:
    sql = f"SELECT hash FROM audit WHERE seq = {int(seq)}"  # noqa: S608 — a number of ours
    return connection.exec_driver_sql(sql).scalar()
