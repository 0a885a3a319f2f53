"""Work for people that takes longer than a request: it goes on when its page is left, and after a crash.

What is to be done is written down in parts before any of it is done. Each part is done in the transaction that marks
it as done, so that what is told of it is what happened, and none is done twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import orjson
from loguru import logger
from sqlalchemy import Connection, delete, func, insert, select, update

from monitoring.pulse import TOPIC
from pipe.clock import Clock
from pipe.errors import Conflict, GatewayDefect, NotFound, PipeError
from pipe.store.store import Store
from pipe.store.transaction import Tx
from web.pages.works_tables import part, work

KEPT_S = 86_400.0
"""how long one that is over is still shown"""
AT_ONCE = 4
MOST = 50
TOLD_EVERY_S = 0.5
"""pages hear of progress no more often"""
SHOWN = 50
"""refusals and reasons that are kept to be shown"""
_ROWS = 2000
"""parts that are written down in one transaction"""


@dataclass(slots=True)
class Gain:
    """What came of some of it."""

    acted: int = 0
    refused: list[dict[str, str]] = field(default_factory=list)
    """why, of the first that were: `text` and `text_uk`"""
    passing: list[int] = field(default_factory=list)
    """of a part alone; the whole has their number"""
    passed: int = 0
    failing: int = 0
    unknown: int = 0
    changed: int = 0
    why: list[tuple[tuple[str, str, str], int]] = field(default_factory=list)
    """code, place and words of those that would fail, and how many"""

    def and_(self, more: Gain) -> Gain:
        """Both together."""
        why = {(code, place, text): n for (code, place, text), n in self.why}
        for at, n in more.why:
            if at in why or len(why) < SHOWN:
                why[at] = why.get(at, 0) + n
        return Gain(
            self.acted + more.acted, (self.refused + more.refused)[:SHOWN], [], self.passed + len(more.passing),
            self.failing + more.failing, self.unknown + more.unknown, self.changed + more.changed,
            list(why.items()),
        )  # fmt: skip


Do = Callable[[list[int]], Awaitable[Callable[[Tx], Gain]]]
"""prepares one part; what it returns does it, in the transaction that notes that it is done"""


@dataclass(frozen=True, slots=True)
class Work:
    """One piece of work, as the store has it."""

    id: str
    verb: str
    actor: str
    options: Mapping[str, Any]
    began_at: float
    total: int
    done: int
    gained: Gain
    ended_at: float | None
    stopped: bool
    failed: str
    code: str
    """of that failure"""
    resumed_at: float | None
    resumed_by: str | None
    runs: bool
    """whether it is being done now"""

    @property
    def waits(self) -> bool:
        """Whether it broke off, by a restart or a failure, and waits for a person."""
        return self.ended_at is None and not self.runs


class Works:
    """Those of a running gateway."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._places = asyncio.Semaphore(AT_ONCE)
        self._told_at = float("-inf")

    async def begin(
        self, verb: str, actor: str, numbers: Sequence[int], group: int, do: Do, options: Mapping[str, Any]
    ) -> Work:
        """Writes it down in parts of `group`, and begins; `options` may hold `per_second`."""
        made = self._store.new_id()
        rows = [
            {"work": made, "n": n, "numbers": orjson.dumps(list(numbers[at : at + group])).decode()}
            for n, at in enumerate(range(0, len(numbers), group))
        ]
        for at in range(0, len(rows), _ROWS):
            await self._store.write(partial(_parted, rows[at : at + _ROWS]))
        await self._store.write(partial(_written, made, verb, actor, len(numbers), dict(options)))
        self._start(made, do, options.get("per_second"))
        return await self.one(made)

    async def resume(self, id: str, actor: str, do: Do) -> Work:
        """Goes on with what a restart or a failure broke off. Raises NotFound, Conflict where nothing waits."""
        found = await self.one(id)
        if not found.waits:
            raise Conflict("this piece of work does not wait: it runs, or is over")

        def resumed(tx: Tx) -> None:
            values = {"failed": "", "code": "", "resumed_at": tx.now, "resumed_by": actor}
            tx.execute(update(work).where(work.c.id == id, work.c.ended_at.is_(None)).values(**values))
            tx.audit("work.resumed", after={"verb": found.verb, "done": found.done}, target=id, actor=actor)

        self._start(id, do, found.options.get("per_second"))
        await self._store.write(resumed)
        return await self.one(id)

    async def halt(self, id: str, actor: str) -> Work:
        """No more of it is done; what is done stays done. Raises NotFound."""
        await self.one(id)
        await self._store.write(partial(_halted, id, actor))
        return await self.one(id)

    async def drop(self, id: str) -> None:
        """Nobody wants to see it any more. One that is not over stays. Raises NotFound."""
        if (await self.one(id)).ended_at is not None:
            await self._store.write(lambda tx: _forget(tx, work.c.id == id))

    async def all(self) -> list[Work]:
        """Those that are not over, and those that are since a day; the newest first."""
        since = self._clock.now() - KEPT_S
        c = work.c
        query = select(work).where(c.ended_at.is_(None) | (c.ended_at > since)).order_by(c.began_at.desc(), c.id.desc())
        rows = await self._store.read(lambda connection: connection.execute(query.limit(MOST)).mappings().all())
        return [self._work(row) for row in rows]

    async def one(self, id: str) -> Work:
        """Raises NotFound."""
        query = select(work).where(work.c.id == id)
        row = await self._store.read(lambda connection: connection.execute(query).mappings().first())
        if row is None:
            raise NotFound("this piece of work is over and forgotten: what it did stands in the audit")
        return self._work(row)

    async def numbers(self, id: str) -> list[int]:
        """The deliveries that were passed."""
        return await self._store.read(partial(_of_parts, id, part.c.numbers))

    async def passing(self, id: str) -> list[int]:
        """The deliveries that a rehearsal found to pass. Raises NotFound."""
        await self.one(id)
        return await self._store.read(partial(_of_parts, id, part.c.passing))

    async def stop(self) -> None:
        """Breaks them off between two parts, as a crash would: they wait for a person."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- doing it ---

    def _start(self, id: str, do: Do, per_second: int | None) -> None:
        if id in self._tasks:
            raise Conflict("this piece of work runs")
        self._tasks[id] = asyncio.create_task(self._run(id, do, per_second), name=f"work {id}")

    async def _run(self, id: str, do: Do, per_second: int | None) -> None:
        try:
            async with self._places:
                broken = await self._through(id, do, per_second)
            if broken is not None:
                await self._store.write(partial(_broke, id, *broken))
        except PipeError as error:  # the store takes nothing: it waits for a person all the same
            logger.bind(action="work", work=id, error=error.text).error("a piece of work broke off")
        finally:
            del self._tasks[id]
        with suppress(PipeError):
            await self._store.write(lambda tx: tx.publish(TOPIC, {}) and None)

    async def _through(self, id: str, do: Do, per_second: int | None) -> tuple[str, str] | None:
        """Part after part; words and code of what broke it off, where something did."""
        try:
            while (found := await self._store.read(partial(_next, id))) is not None:
                n, numbers = found
                unit = await do(numbers)
                await self._store.write(partial(self._did, id, n, len(numbers), unit))
                if per_second:
                    await self._clock.sleep(len(numbers) / per_second)
        except PipeError as error:
            return error.text, error.code
        except Exception as error:  # boundary: whoever began it must see that it broke off
            logger.bind(action="work", work=id).opt(exception=error).error("a piece of work has a defect")
            return type(error).__name__, GatewayDefect.code
        return None

    def _did(self, id: str, n: int, size: int, unit: Callable[[Tx], Gain], tx: Tx) -> None:
        """One part, in one transaction with the note that it is done; nothing where a person wants no more of it."""
        row = tx.execute(select(work).where(work.c.id == id)).mappings().first()
        if row is None or row["ended_at"] is not None:
            return
        gain = unit(tx)
        passing = orjson.dumps(gain.passing).decode() if gain.passing else None
        tx.execute(update(part).where(part.c.work == id, part.c.n == n).values(done_at=tx.now, passing=passing))
        done = row["done"] + size
        gained = orjson.dumps(asdict(_gained(row).and_(gain))).decode()
        over = {"ended_at": tx.now} if done >= row["total"] else {}
        tx.execute(update(work).where(work.c.id == id).values(done=done, gained=gained, **over))
        now = self._clock.monotonic()
        if over or now - self._told_at >= TOLD_EVERY_S:
            self._told_at = now
            tx.publish(TOPIC, {})

    def _work(self, row: Mapping[Any, Any]) -> Work:
        known = {str(name): row[name] for name in row}
        options, runs = orjson.loads(row["options"]), row["id"] in self._tasks and row["ended_at"] is None
        return Work(**{**known, "options": options, "gained": _gained(row), "runs": runs})


def _parted(rows: list[dict[str, Any]], tx: Tx) -> None:
    tx.execute(insert(part), rows)


def _written(id: str, verb: str, actor: str, total: int, options: Mapping[str, Any], tx: Tx) -> None:
    since = tx.now - KEPT_S
    _forget(tx, work.c.ended_at <= since)
    row = {
        "id": id, "verb": verb, "actor": actor, "options": orjson.dumps(options).decode(), "began_at": tx.now,
        "total": total, "done": 0, "gained": "{}", "stopped": False, "failed": "", "code": "",
    }  # fmt: skip
    tx.insert(work, **row)
    tx.audit("work.begun", after={"verb": verb, "total": total, **options}, target=id, actor=actor)


def _halted(id: str, actor: str, tx: Tx) -> None:
    open_ = (work.c.id == id, work.c.ended_at.is_(None))
    row = tx.execute(update(work).where(*open_).values(stopped=True, ended_at=tx.now).returning(work.c.done)).first()
    if row is not None:
        tx.audit("work.stopped", after={"done": row.done}, target=id, actor=actor)
        tx.publish(TOPIC, {})


def _broke(id: str, failed: str, code: str, tx: Tx) -> None:
    tx.execute(update(work).where(work.c.id == id, work.c.ended_at.is_(None)).values(failed=failed, code=code))


def _forget(tx: Tx, which: Any) -> None:
    gone = list(tx.execute(delete(work).where(which).returning(work.c.id)).scalars())
    if gone:
        tx.execute(delete(part).where(part.c.work.in_(gone)))


def _next(id: str, connection: Connection) -> tuple[int, list[int]] | None:
    """The first part that is not done; None where the work is over."""
    open_ = select(func.min(part.c.n)).where(part.c.work == id, part.c.done_at.is_(None)).scalar_subquery()
    query = select(part.c.n, part.c.numbers).join(work, work.c.id == part.c.work)
    row = connection.execute(query.where(work.c.id == id, work.c.ended_at.is_(None), part.c.n == open_)).first()
    return (row.n, orjson.loads(row.numbers)) if row is not None else None


def _of_parts(id: str, column: Any, connection: Connection) -> list[int]:
    query = select(column).where(part.c.work == id, part.c.done_at.is_not(None), column.is_not(None))
    return [number for text in connection.execute(query.order_by(part.c.n)).scalars() for number in orjson.loads(text)]


def _gained(row: Mapping[Any, Any]) -> Gain:
    return Gain(**orjson.loads(row["gained"]))
