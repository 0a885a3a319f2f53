"""A queue of deliveries with its workers. What does not fit into memory stays in the store until there is room."""

from __future__ import annotations

import asyncio
import traceback
from collections import deque
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, ClassVar

from loguru import logger

from pipe.contract import Message
from pipe.errors import ConnectionWaits, DeadlinePassed, GatewayDefect, OutOfMemory, PipeError, StoreError, Verdict
from pipe.redact import shield
from pipe.retry import RetryPolicy
from pipe.steps.pipeline import LARGE, Run, StepStopped
from pipe.store import journal
from pipe.store.journal import Outcome, Work
from pipe.store.schema import DEAD, DISCARDED, EXPIRED, RETRY, UNCERTAIN

if TYPE_CHECKING:
    from pipe.engine import Engine
    from pipe.route import Route
    from pipe.store.transaction import Tx

IN_MEMORY = 1000
IN_MEMORY_BYTES = 32 << 20
"""of bodies that wait in a station's queue; what they are decoded to is several times as large"""
READ_AT_ONCE = 500
STORE_PAUSE_S = 1.0
ASK_AGAIN_S = 5.0
"""after a step found its connection closed"""


class Station:
    """Base of the three kinds; each says in `attempt` what it does with one delivery."""

    reaches_out: ClassVar[bool] = False
    """whether a partner may have got the message when its work broke off"""

    def __init__(self, engine: Engine, route: Route, name: str, concurrency: int) -> None:
        self.engine, self.route, self.name, self.concurrency = engine, route, name, concurrency
        self.route_name = route.name
        self._suspects = asyncio.Lock()
        """what was in work when the process died is worked on one at a time, so that the guilty one shows"""
        self.queue: deque[Work] = deque()
        self._bytes = 0
        """of the bodies in it"""
        self.owned: set[int] = set()
        """deliveries in memory: queued, parked or in work"""
        self._in_hands: set[int] = set()
        self._wanted: set[int] = set()
        self._arrived: list[Work] = []
        """pushed while the store was being read"""
        self._behind = True
        self._ended: set[int] | None = None
        self._workers = 0
        self._starting = 0
        """workers that have taken nothing yet; busy ones are no help to what is queued"""
        self._reading = False
        self.successor: Station | None = None
        """the station of a later revision, which must not take up what this one has in work"""
        self._before: Station | None = None
        self._retired = False

    # --- what the engine calls ---

    def push(self, work: Work) -> None:
        """Takes a delivery that is ready. When memory is full it is left in the store."""
        if work.id in self.owned:
            return
        if self._reading and len(self._arrived) < IN_MEMORY and work.size <= LARGE:
            self._arrived.append(work)
        elif self._behind or self._reading or len(self.owned) >= IN_MEMORY or self._bytes >= IN_MEMORY_BYTES:
            self._behind = True
            self.kick()
        else:
            self._take(work)
            self.kick()

    def _take(self, work: Work) -> None:
        self.owned.add(work.id)
        if self.queue and work.size > LARGE:
            work.decoded = None  # it waits: better decoded again than kept
        self._line_up(work)

    def _line_up(self, work: Work) -> None:
        self.queue.append(work)
        self._bytes += work.size

    def want(self, delivery: int) -> None:
        """Takes a delivery that is known by its number only."""
        # One that is still in memory is about to be forgotten: its commit is known here before its worker goes on.
        self._wanted.add(delivery)
        self.kick()

    def kick(self) -> None:
        """Starts as many workers as there is work for, and reads more where there is room."""
        if not self.may_run():
            return
        while self._workers < self.concurrency and self._starting < len(self.queue):
            self._workers += 1
            self._starting += 1
            self.engine.spawn(self._work())
        room = len(self.owned) < IN_MEMORY // 2 and self._bytes < IN_MEMORY_BYTES // 2
        if room and (self._behind or not self._wanted <= self.owned) and not self._reading:
            self._reading = True
            self.engine.spawn(self._read())

    def may_run(self) -> bool:
        """Whether work may begin now."""
        return not self._retired and self.engine.running and not self.engine.is_paused(self.route_name)

    def inherit(self, before: Station) -> None:
        """Takes over from the station of the revision before: what is in work stays its own, the rest is read anew."""
        in_work = before.owned - {work.id for work in before.queue}
        self._behind = True
        before.queue.clear()
        before._bytes = 0
        before._arrived.clear()
        before.owned &= in_work
        before.successor = self
        if before.is_busy:
            self._before = before
        self.owned |= in_work

    def is_in_work(self, delivery: int) -> bool:
        """Whether a worker may have it in hands."""
        return delivery in self._in_hands or (self._before is not None and self._before.is_in_work(delivery))

    @property
    def is_busy(self) -> bool:
        """Whether a worker of this or an earlier revision has something in hands."""
        return bool(self._in_hands) or (self._before is not None and self._before.is_busy)

    def retire(self) -> None:
        """Its revision is no longer in force: begins nothing any more."""
        self._retired = True

    @property
    def idle(self) -> bool:
        """Whether nothing is in work or being read."""
        return self._workers == 0 and not self._reading

    # --- working ---

    async def _work(self) -> None:
        self._starting -= 1
        try:
            while self.queue and self.may_run():
                work = self.queue.popleft()
                self._bytes -= work.size
                if work.crashes or work.sensitive:
                    await self._guarded(work)
                else:
                    await self._one(work)
        finally:
            self._workers -= 1
            self.kick()

    async def _guarded(self, work: Work) -> None:
        async with AsyncExitStack() as guards:
            if work.crashes:
                await guards.enter_async_context(self._suspects)
            guards.enter_context(shield.over(work.sensitive))
            await self._one(work)

    async def _one(self, work: Work) -> None:
        slot = self.engine.in_flight.enter(work.id)
        self._in_hands.add(work.id)
        try:
            await self.handle(work)
        except asyncio.CancelledError:
            raise
        except StoreError as error:
            logger.bind(action="store_refused", message=work.message.id, route=self.route_name, error=error.text).error(
                "the store refuses; the message is tried again"
            )
            self.park(work, STORE_PAUSE_S)
        except Exception as error:  # boundary of the route: a defect becomes a dead letter, never a stopped route
            await self._buried(work, error)
        finally:
            self._in_hands.discard(work.id)
            self.engine.in_flight.leave(slot)

    async def _buried(self, work: Work, error: Exception) -> None:
        try:
            await self._defect(work, error)
        except Exception as worse:  # boundary: it may have been sent, so it is not sent again before somebody looked
            logger.bind(action="not_buried", route=self.route_name, station=self.name, message=work.message.id).opt(
                exception=worse
            ).critical("the dead letter cannot be written; the message stays as it is until the gateway starts again")

    async def _defect(self, work: Work, error: Exception) -> None:
        logger.bind(action="defect", route=self.route_name, station=self.name, message=work.message.id).opt(
            exception=error
        ).error("the gateway has a defect; the message is a dead letter")
        failure = error if isinstance(error, PipeError) else GatewayDefect(f"{type(error).__name__}: {error}")
        work.attempts += 1
        outcome = Outcome(
            DEAD,
            code=failure.code,
            note=failure.text,
            error=failure,
            at=self.engine.clock.now(),
            traceback=traceback.format_exc(),
            maybe_delivered=self.reaches_out,
        )
        await self.end(work, outcome)

    async def handle(self, work: Work) -> None:
        """Works one delivery off, to an outcome that is stored."""
        raise AssertionError(f"{type(self).__name__} handles nothing")

    async def prepare(self, work: Work) -> Run:
        """The message after the route's steps of this stage. Raises StepStopped."""
        if work.output is not None:
            return Run(work.output, large=work.size > LARGE)
        route = self.route
        stage = route.by_station.get(work.station) or route.stages[work.stage]
        run = Run(work.message, large=work.size > LARGE)
        if stage.index == 0:
            if work.decoded is None:
                run = await route.door.run(work.message, size=work.size)
            else:
                run.message = work.decoded
        await stage.pipeline.continue_(run)
        return run

    def stopped(self, work: Work, stop: StepStopped, retry: RetryPolicy | None = None) -> Outcome:
        """The outcome of a delivery whose steps failed; what finds no answer (`enrich`) or memory waits."""
        error, now = stop.error, self.engine.clock.now()
        outcome = Outcome(
            DEAD, code=error.code, note=error.text, error=error, at=now,
            step=stop.step.path, place=str(stop.step.place), body_at_step=stop.body, traceback=stop.trace,
        )  # fmt: skip
        if error.verdict is Verdict.STOP or isinstance(error, (ConnectionWaits, OutOfMemory)):
            outcome.state, outcome.error, outcome.next_at, outcome.attempted = RETRY, None, now + ASK_AGAIN_S, False
            return outcome
        work.attempts += 1
        if error.verdict is not Verdict.DEAD:
            pause = (retry or RetryPolicy(self.route.config.retry)).next_pause(work.attempts, work.spent)
            if pause is None:
                outcome.extra["class"] = "retries_exhausted"
            else:
                work.spent += pause
                outcome.state, outcome.error, outcome.next_at = RETRY, None, now + pause
        return outcome

    async def settle(self, work: Work, outcome: Outcome, taps: list[tuple[str, Message]] | None = None) -> None:
        """Stores an outcome, whether it is final or not."""
        if outcome.state in (RETRY, UNCERTAIN):
            await self.put_off(work, outcome, taps)
        else:
            await self.end(work, outcome, taps)

    def filtered(self, why: str) -> Outcome:
        """The outcome of a delivery that a filter or a `when` dropped."""
        return Outcome(DISCARDED, code="filtered", note=why, attempted=False)

    def expired(self, work: Work) -> Outcome | None:
        """The outcome of a delivery whose deadline is over; None where it is not."""
        if work.expires_at is None or not self.engine.scheduler.is_over(work.expires_at):
            return None
        return late(work)

    async def end(self, work: Work, outcome: Outcome, taps: list[tuple[str, Message]] | None = None) -> None:
        """Stores a final outcome with all that hangs on it, then forgets the delivery."""
        await self.engine.persist(lambda tx: self.engine.outcomes.finish(tx, work, outcome, taps or []))
        self.forget(work)

    async def put_off(self, work: Work, outcome: Outcome, taps: list[tuple[str, Message]] | None = None) -> None:
        """Stores that a delivery waits, then forgets it until it is due."""

        def unit(tx: Tx) -> None:
            self.engine.outcomes.tap(tx, work, taps or [])
            journal.put_off(tx, work, outcome, self.engine.store.vault)

        await self.engine.persist(unit)
        self.forget(work)

    def forget(self, work: Work) -> None:
        """The delivery is no longer this station's business."""
        if self.successor is not None:
            self.successor.forget(work)
        self.owned.discard(work.id)
        if self._ended is not None:
            self._ended.add(work.id)
        if (self._behind or self._wanted) and not self._reading:
            self.kick()

    def requeue(self, work: Work) -> None:
        """Puts a delivery back to the front: nothing was tried."""
        if self.successor is not None:
            self.forget(work)
            self.successor.want(work.id)
        else:
            self.queue.appendleft(work)
            self._bytes += work.size

    def park(self, work: Work, seconds: float) -> None:
        """Puts a delivery aside for some seconds, without a worker."""
        asyncio.get_running_loop().call_later(seconds, self._unpark, work)

    def _unpark(self, work: Work) -> None:
        if self.successor is not None:
            self.requeue(work)
        else:
            self._line_up(work)
            self.kick()

    # --- reading what is in the store ---

    async def _read(self) -> None:
        """Reads what is ready in the store. What ends while it reads is left out, or it would be delivered twice."""
        self._ended = set()
        # What is pushed from here on and not kept in memory sets it again: this reading may have passed it already.
        self._behind = False
        # What is still in memory is wanted later: it would be left out as ended, and never be read again.
        wanted = set(list(self._wanted - self.owned)[:READ_AT_ONCE])
        self._wanted -= wanted
        try:
            works, more, left = await self.engine.load(
                self.route_name, self.name, self.owned | wanted, wanted, READ_AT_ONCE, IN_MEMORY_BYTES
            )
            self._wanted |= left
            arrived, self._arrived = self._arrived, []
            for work in works if more else (*works, *arrived):
                if work.id not in self._ended and work.id not in self.owned:
                    self._take(work)
            self._behind |= more
        except Exception as error:  # boundary: what was not read must be read again, whatever the store said
            self._wanted |= wanted
            self._behind = True
            logger.bind(action="read_failed", route=self.route_name, station=self.name, error=str(error)).warning(
                "the queue could not be read; it is tried again"
            )
            await self.engine.clock.sleep(1)
        finally:
            self._ended, self._arrived = None, []
            self._reading = False
            self.kick()


def late(work: Work) -> Outcome:
    """The outcome of a delivery whose deadline is over."""
    error = DeadlinePassed("the deadline passed before it was delivered")
    maybe = work.state == UNCERTAIN
    return Outcome(EXPIRED, code=error.code, note=error.text, error=error, attempted=False, maybe_delivered=maybe)
