"""Targets that are no partners: another route, or the end of the route."""

from __future__ import annotations

from pipe.contract import Message
from pipe.errors import NoSuchTarget, PipeError
from pipe.route import Target
from pipe.stations.station import Station
from pipe.steps.pipeline import Run, StepStopped
from pipe.store.journal import Outcome, Work
from pipe.store.schema import CONSUMED, DEAD, DELIVERED
from pipe.store.transaction import Tx


class EndStation(Station):
    """The end of a route without targets: whatever arrives here is done."""

    async def handle(self, work: Work) -> None:
        if (late := self.expired(work)) is not None:
            await self.end(work, late)
            return
        try:
            run = await self.prepare(work)
            message = await self.own_steps(work, run)
        except StepStopped as stop:
            await self.settle(work, self.stopped(work, stop))
            return
        work.attempts += 1
        if message is None:
            await self.end(
                work, self.filtered("a filter of the route dropped it, or its `when:` is not true"), run.taps
            )
        else:
            await self.finish(work, run, message)

    async def own_steps(self, work: Work, run: Run) -> Message | None:
        """What the target's `when:` and own steps leave of the message."""
        target = self.route.targets.get(self.name)
        if run.message is None or target is None:
            return run.message
        if target.config.when is not None and not target.config.when.is_true(run.message):
            return None
        return (await target.pipeline.run(run.message, size=work.size)).message

    async def finish(self, work: Work, run: Run, message: Message) -> None:
        """Ends the delivery of a message that got here."""
        await self.end(work, Outcome(CONSUMED, at=self.engine.clock.now()), run.taps)


class RouteStation(EndStation):
    """`{route: NAME}`: the message goes to the start of another route, in the transaction that ends it here."""

    async def finish(self, work: Work, run: Run, message: Message) -> None:
        target = self.route.targets[self.name]

        def unit(tx: Tx) -> bool:
            outcomes = self.engine.outcomes
            if not outcomes.end(tx, work, Outcome(DELIVERED, at=tx.now), run.taps):
                return False
            outcomes.emit_to(tx, target.config.route or "", message.but(id=tx.new_id()), origin=work)
            return True

        try:
            await self.engine.store.write(unit)
        except NoSuchTarget as error:
            await self.end(work, _nowhere(error, target, self.engine.clock.now(), message))
        else:
            self.forget(work)


def _nowhere(error: PipeError, target: Target, now: float, message: Message) -> Outcome:
    return Outcome(
        DEAD,
        code=error.code,
        note=error.text,
        error=error,
        at=now,
        place=str(target.config.place),
        body_at_step=message.body,
    )
