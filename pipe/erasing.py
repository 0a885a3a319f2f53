"""Brings erasures to their end: now, after a crash, and after the restore of an older backup.

An erasure is a row first, with all that was pending of the subject discarded in the same commit. What it wipes after
that can be cut off anywhere and is gone on with: nothing of it is done twice, and its row is closed last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import orjson
from loguru import logger
from sqlalchemy import Connection, select, update

from pipe.errors import PipeError
from pipe.outcomes import Outcomes
from pipe.store import erasures, retention, wiping
from pipe.store.erasures import Erasure
from pipe.store.journal import Outcome
from pipe.store.loading import Loader
from pipe.store.schema import DISCARDED, backup, delivery, erasure
from pipe.store.store import Store
from pipe.store.transaction import Tx
from pipe.store.wiping import Places

EVERY_S = 600.0
LIMIT_S = 120.0


@dataclass(slots=True)
class Noted:
    """Where the list of erasures was brought up to date, and where it could not be."""

    files: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """file → why"""


class Erasing:
    """Works on a store that is open; `outcomes` and `places` (what flows keep) are asked when they are needed."""

    def __init__(self, store: Store, outcomes: Callable[[], Outcomes], places: Places) -> None:
        self._store, self._outcomes, self._places = store, outcomes, places

    async def run(self) -> None:
        """Until cancelled: what waited for something that was on its way is wiped when that is done."""
        while True:
            await self._store.clock.sleep(EVERY_S)
            try:
                await self.go_on()
            except PipeError as error:
                logger.bind(action="erasure_failed", error=error.text).warning(
                    "an erasure could not go on; it is tried again"
                )

    async def go_on(self) -> int:
        """Does what is left of all erasures; returns how many messages were wiped."""
        rows = await self._store.read(wiping.unfinished, LIMIT_S)
        wiped = 0
        for row in rows:
            done, _ = await self.through(row.id, Erasure(row.at, row.subject))
            wiped += done
        if rows:
            await self.note()
        return wiped

    async def through(self, id: str, sought: Erasure) -> tuple[int, int]:
        """Wipes one subject's data; how many messages were wiped, and how many wait for their end."""
        store, wiped = self._store, 0
        async with store.files:
            found = await store.read(lambda c: wiping.reach(c, sought), LIMIT_S)
            await store.write(lambda tx: discard(tx, store.loader, self._outcomes, found.own, "it was erased"))
            for seqs, places in ((found.own, self._places), (found.shared, ())):
                left = await store.read(partial(wiping.unwiped, seqs=seqs), LIMIT_S)
                for begin in range(0, len(left), wiping.AT_ONCE):
                    wiped += await self._wipe(id, left[begin : begin + wiping.AT_ONCE], places)
            both = (*found.own, *found.shared)
            waits = await store.read(lambda c: wiping.unwiped(c, both), LIMIT_S)
            # Of what was wiped before a crash, too.
            await store.forget_words({*both}.difference(waits), wholly=True)
            waiting = len(waits)
            if not waiting:
                await store.write(lambda tx: wiping.finish(tx, id, sought, self._places))
        await store.give_back()
        return wiped, waiting

    async def _wipe(self, id: str, seqs: Sequence[int], places: Places) -> int:
        def unit(tx: Tx) -> tuple[int, list[str]]:
            done, blobs = wiping.wipe(tx, seqs, places)
            tx.execute(update(erasure).where(erasure.c.id == id).values(messages=erasure.c.messages + done))
            return done, blobs

        done, blobs = await self._store.write(unit)
        if blobs:
            named = await self._store.read(retention.blob_names, LIMIT_S)
            for name in set(blobs) - named:
                (self._store.blobs / name).unlink(missing_ok=True)
        return done

    async def note(self, files: Iterable[Path] = ()) -> Noted:
        """Brings the lists beside the backups up to date, and those that were named."""
        every, places = await self._store.read(lambda c: (wiping.every(c), _lists(c)), LIMIT_S)
        wanted = sorted({*places, *files})
        return await asyncio.to_thread(self._note, wanted, every)

    def _note(self, files: Sequence[Path], every: Sequence[Erasure]) -> Noted:
        noted = Noted()
        for file in files:
            try:
                erasures.note(file, every, self._store.vault)
                noted.files.append(str(file))
            except (OSError, PipeError) as error:
                noted.failed[str(file)] = error.text if isinstance(error, PipeError) else error.strerror or str(error)
        return noted


def discard(tx: Tx, loader: Loader, outcomes: Callable[[], Outcomes], own: Sequence[int], note: str) -> int:
    """Ends what is pending of these messages; returns how many deliveries. Nobody hears what they held."""
    rows = wiping.pending(tx.connection, own)
    if not rows:
        return 0
    ending = outcomes()
    for row in rows:
        works, damaged = loader.works(tx.connection, delivery.c.id == row.id)
        for work in (*works, *(work for work, _ in damaged)):
            work.message = work.message.but(body=b"", headers={}, params={}, query={}, item=None, parent=None)
            ending.end(tx, work, Outcome(DISCARDED, code="erased", note=note, at=tx.now, attempted=False), [])
    return len(rows)


def _lists(connection: Connection) -> set[Path]:
    """The files where erasures are noted: one beside each backup, and those that people named."""
    beside = {Path(path).parent / erasures.NAME for path in connection.execute(select(backup.c.path)).scalars()}
    named = connection.execute(select(erasure.c.lists)).scalars()
    return beside | {Path(path) for text in named for path in orjson.loads(text)}
