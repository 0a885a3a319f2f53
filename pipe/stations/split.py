"""Takes a message apart, 500 items a commit, and remembers how far it came."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any

from pipe.contract import Message
from pipe.errors import MappingFailed, PipeError
from pipe.gathering import parent_of
from pipe.stations.station import Station
from pipe.steps.pipeline import Run, StepStopped
from pipe.store.journal import Outcome, Work
from pipe.store.schema import CONSUMED, DEAD
from pipe.store.statements import Statement
from pipe.store.transaction import Tx

AT_ONCE = 500
_CURSOR = Statement("UPDATE delivery SET cursor = :cursor WHERE id = :id")


class SplitStation(Station):
    """A split that ends a stage."""

    async def handle(self, work: Work) -> None:
        if (late := self.expired(work)) is not None:
            await self.end(work, late)
            return
        try:
            run = await self.prepare(work)
            work.attempts += 1
            if run.message is None:
                await self.end(work, self.filtered("a filter of the route dropped it"), run.taps)
                return
            await self._split(work, run, run.message)
        except StepStopped as stop:
            await self.settle(work, self.stopped(work, stop))

    async def _split(self, work: Work, run: Run, message: Message) -> None:
        try:
            items = self._items(message)
            for _ in islice(items, work.cursor):
                pass
            while chunk := list(islice(items, AT_ONCE)):
                await self.engine.room_for_emissions(self.route)
                await self.engine.store.write(
                    partial(self._emit, work=work, message=message, items=chunk, begins_at=work.cursor)
                )
                work.cursor += len(chunk)
        except PipeError as error:
            if error.code.startswith("PIPE-40"):
                raise
            await self.end(work, self._broken(error, message))
            return
        await self.engine.store.write(lambda tx: self._done(tx, work, run))
        self.forget(work)

    def _items(self, message: Message) -> Iterator[Any]:
        stage = self.route.by_station[self.name]
        assert stage.split is not None
        expression = stage.split.items
        # `items: body` keeps a body that is read as it goes: a table of a million rows need not fit into memory.
        value = message.body if expression.text == "body" else expression(message)
        if isinstance(value, (str, bytes, dict)) or not isinstance(value, Iterable):
            raise MappingFailed(f"`items: {expression}` is no list but {type(value).__name__}", path=str(expression))
        return iter(value)

    def _emit(self, tx: Tx, work: Work, message: Message, items: list[Any], begins_at: int) -> None:
        outcomes = self.engine.outcomes
        gather = self.route.config.gather
        if begins_at == 0 and gather is not None:
            outcomes.gathering.begin(tx, work, gather.within)
        parent = parent_of(work.message)
        for position, item in enumerate(items, begins_at):
            child = message.but(id=tx.new_id(), body=item, item=item, parent=parent, content_type=None)
            outcomes.split_child(tx, work, child, position, gathered=gather is not None)
        tx.run(_CURSOR, {"id": work.id, "cursor": begins_at + len(items)})

    def _done(self, tx: Tx, work: Work, run: Run) -> None:
        gather = self.route.config.gather
        if work.cursor == 0 and gather is not None:
            self.engine.outcomes.gathering.begin(tx, work, gather.within)
        if (
            self.engine.outcomes.end(tx, work, Outcome(CONSUMED, note=f"split into {work.cursor}"), run.taps)
            and gather is not None
        ):
            self.engine.outcomes.gathering.split_ended(tx, work, work.cursor)

    def _broken(self, error: PipeError, message: Message) -> Outcome:
        stage = self.route.by_station[self.name]
        assert stage.end is not None
        body = message.body if isinstance(message.body, (str, bytes, dict, list)) else None
        return Outcome(
            DEAD, code=error.code, note=error.text, error=error, at=self.engine.clock.now(),
            step=stage.end.path, place=str(stage.end.place), body_at_step=body,
        )  # fmt: skip
