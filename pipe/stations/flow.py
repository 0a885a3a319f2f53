"""Calls a flow's function: what it writes, what it emits, and that its input is done commit together."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import Executable, Result, select

from pipe.contract import Message
from pipe.errors import NoSuchTarget, PipeError, StepFailed, StoreError, Verdict
from pipe.events import Attempted
from pipe.retry import RetryPolicy
from pipe.stations.station import Station
from pipe.steps.pipeline import Run, StepStopped
from pipe.store import schema
from pipe.store.journal import Outcome, Work
from pipe.store.schema import CONSUMED, DEAD, DISCARDED, RETRY, TIMER
from pipe.store.transaction import Tx

if TYPE_CHECKING:
    from pipe.engine import Engine


class FlowStation(Station):
    """A flow that ends a stage. Inside the gateway it happens exactly once for each message."""

    async def handle(self, work: Work) -> None:
        if (late := self.expired(work)) is not None:
            await self.end(work, late)
            return
        try:
            run = await self.prepare(work)
        except StepStopped as stop:
            await self.settle(work, self.stopped(work, stop))
            return
        if run.message is None:
            await self.end(work, self.filtered("a filter of the route dropped it"), run.taps)
            return
        await self.call(work, run)

    async def call(self, work: Work, run: Run) -> list[Message]:
        """Runs the function in one unit; returns what it yielded. Its failures become outcomes and go no further."""
        begun = self.engine.clock.monotonic()
        work.attempts += 1
        outcome = Outcome(CONSUMED, at=self.engine.clock.now())
        try:
            yielded = await self.engine.store.write(lambda tx: self.unit(tx, work, run, outcome))
        except StoreError as error:
            if error.verdict is not Verdict.RETRY:  # what is damaged stays so: waiting for the store does not mend it
                outcome, yielded = await self._failed(work, run, error), []
            else:
                work.attempts -= 1
                raise
        except Overtaken:
            self.forget(work)
            return []
        except Exception as error:  # boundary: a flow's defect must not stop its route
            work.spent += self.engine.clock.monotonic() - begun
            outcome = await self._failed(work, run, error)
            yielded = []
        else:
            self.forget(work)
        seconds = self.engine.clock.monotonic() - begun
        self.engine.events.tell(
            Attempted(
                self.route_name, self.name, None, outcome.state, outcome.code, seconds, work.message.id, of=work.message
            )
        )
        return yielded

    def unit(self, tx: Tx, work: Work, run: Run, outcome: Outcome) -> list[Message]:
        """The function with all that hangs on it, in one transaction. Raises Overtaken and what the function raises."""
        assert run.message is not None
        flow_tx = FlowTransaction(tx, self.engine, work)
        stage = self.route.by_station[self.name]
        assert stage.flow is not None
        yielded = list(stage.flow(run.message, flow_tx) or ())
        if stage.emits:  # before the end: a gather must know the offspring when it hears that this delivery is done
            for message in yielded:
                flow_tx.emit(message)
        if not self.engine.outcomes.end(tx, work, outcome, run.taps):
            raise Overtaken
        return yielded

    def failure(self, error: Exception) -> PipeError:
        """What went wrong, in the gateway's words."""
        end = self.route.by_station[self.name].end
        assert end is not None
        return (
            error
            if isinstance(error, PipeError)
            else StepFailed(f"`{end.config.name}` broke: {type(error).__name__}: {error}")
        )

    async def _failed(self, work: Work, run: Run, error: Exception) -> Outcome:
        stage = self.route.by_station[self.name]
        assert stage.end is not None
        assert run.message is not None
        trace = None if isinstance(error, PipeError) else traceback.format_exc()
        failure = self.failure(error)
        outcome = Outcome(
            DEAD, code=failure.code, note=failure.text, error=failure, at=self.engine.clock.now(), step=stage.end.path,
            place=str(stage.end.place), body_at_step=run.message.body, traceback=trace,
        )  # fmt: skip
        pause = RetryPolicy(self.route.config.retry).next_pause(work.attempts, work.spent)
        if failure.verdict is Verdict.RETRY and pause is not None:
            work.spent += pause
            outcome.state, outcome.error, outcome.next_at = RETRY, None, self.engine.clock.now() + pause
            await self.put_off(work, outcome)
        else:
            await self.end(work, outcome)
        return outcome


class Overtaken(Exception):
    """Someone else ended the delivery meanwhile: what the flow did is undone."""


class GatewayTransaction:
    """What the gateway's own pages get to act on flows: see `pipe.contract.Transaction`."""

    def __init__(self, tx: Tx, engine: Engine, actor: str) -> None:
        self._tx, self._engine, self._actor = tx, engine, actor
        self.now = tx.now
        self.new_id = tx.new_id
        vault = engine.store.vault
        self.hash, self.seal, self.unseal = vault.hash, vault.seal, vault.open

    def execute(self, statement: Executable, parameters: Any = None) -> Result[Any]:
        return self._tx.execute(statement, parameters)

    def emit(
        self,
        message: Message,
        *,
        route: str | None = None,
        at: float | None = None,
        cancel: str | None = None,
        deadline: float | None = None,
    ) -> str:
        if route is None:
            raise NoSuchTarget("what no route emits must name the route that it is for")
        return self._emit_to(route, message, None, at, cancel, deadline)

    def _emit_to(
        self,
        route: str,
        message: Message,
        origin: Work | None,
        at: float | None,
        cancel: str | None,
        deadline: float | None,
    ) -> str:
        # A message that is passed on unchanged is still another message: ids are never used twice.
        fresh = message.but(id=self._tx.new_id())
        key = self._cancel_key(cancel)
        outcomes = self._engine.outcomes
        return outcomes.emit_to(self._tx, route, fresh, origin=origin, at=at, cancel=key, deadline=deadline)

    def _cancel_key(self, name: str | None) -> str | None:
        return None if name is None else self.hash("cancel", name)

    def cancel(self, key: str) -> int:
        return cancel(self._tx, self._engine, key)

    def publish(self, topic: str, event: Mapping[str, Any]) -> int:
        return self._tx.publish(topic, event)

    def audit(self, event: str, *, before: Any = None, after: Any = None, target: str = "") -> None:
        self._tx.audit(event, before=before, after=after, target=target, actor=self._actor)


class FlowTransaction(GatewayTransaction):
    """What a flow step is given."""

    def __init__(self, tx: Tx, engine: Engine, work: Work) -> None:
        super().__init__(tx, engine, f"route {work.route}")
        self._work = work

    def emit(
        self,
        message: Message,
        *,
        route: str | None = None,
        at: float | None = None,
        cancel: str | None = None,
        deadline: float | None = None,
    ) -> str:
        if route is not None:
            return self._emit_to(route, message, self._work, at, cancel, deadline)
        fresh = message.but(id=self._tx.new_id())
        key, on = self._cancel_key(cancel), self._engine.outcomes.emit_on
        return on(self._tx, self._work, fresh, deadline=deadline, at=at, cancel_key=key)

    def audit(self, event: str, *, before: Any = None, after: Any = None, target: str = "") -> None:
        super().audit(event, before=before, after=after, target=target or self._work.message.id)


def cancel(tx: Tx, engine: Engine, key: str) -> int:
    """Takes back timers that are not due yet; they end as discarded."""
    d, m = schema.delivery.c, schema.message.c
    named = select(m.seq).where(m.cancel_key == engine.store.vault.hash("cancel", key))
    works, _ = engine.store.loader.works(tx.connection, d.state == TIMER, d.message.in_(named))
    for work in works:
        engine.outcomes.end(
            tx, work, Outcome(DISCARDED, code="cancelled", note="taken back by a flow", attempted=False), []
        )
    return len(works)
