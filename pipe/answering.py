"""Synchronous routes: one answering target, called while the caller waits, and never again after a crash."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loguru import logger
from sqlalchemy import update

from pipe.contract import Accepted, Message, Receipt
from pipe.errors import ConnectionWaits, DeadlinePassed, OutcomeUnknown, PipeError, ReplyInvalid
from pipe.expression import Expression
from pipe.route import Route
from pipe.stations.flow import FlowStation
from pipe.stations.target import TargetStation
from pipe.steps.pipeline import Run, StepStopped
from pipe.store import codec, journal, schema
from pipe.store.journal import Outcome, Work
from pipe.store.schema import ANSWERED, DELIVERED, DISCARDED, EXPIRED, RETRY, UNCERTAIN
from pipe.store.transaction import Tx
from pipe.store.vault import Vault

if TYPE_CHECKING:
    from pipe.engine import Engine

TRIES = 3
FIRST_PAUSE_S = 0.5


class Answering:
    """Answers callers; what it answered is stored before they hear it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def answer(self, route: Route, works: list[Work], scope: str | None) -> Accepted:
        """Runs the answering delivery of a message that was just stored. Raises what the caller must be told."""
        work = works[0]
        if work.expires_at is None:
            work.expires_at = self._engine.clock.now() + self._engine.sync_deadline
        station = self._engine.stations[route.name, work.station]
        if isinstance(station, FlowStation):
            return await self._by_flow(route, station, work, scope)
        assert isinstance(station, TargetStation)
        run = await self._prepared(station, work, scope)
        if run.message is None:
            reply = Receipt(204)
            await self._close(work, Outcome(ANSWERED, note="a filter of the route dropped it"), scope, reply, run.taps)
            return Accepted(work.message.id, reply)
        outcome = await self._try(route, station, work, run)
        return await self._told(route, work, run, outcome, scope)

    async def _prepared(self, station: FlowStation | TargetStation, work: Work, scope: str | None) -> Run:
        """The route's steps have run. Raises the error that stopped them, once the delivery is closed with it."""
        try:
            return await station.prepare(work)
        except StepStopped as stop:
            await self._close(work, Outcome(ANSWERED, code=stop.error.code, note=stop.error.text), scope, None, [])
            raise stop.error from stop

    async def _try(self, route: Route, station: TargetStation, work: Work, run: Run) -> Outcome:
        clock, target = self._engine.clock, route.targets[work.station]
        pause = FIRST_PAUSE_S
        while True:
            outcome = await station.attempt(work, run, target)
            late = work.expires_at is not None and clock.now() + pause >= work.expires_at
            if outcome is None:
                waits = ConnectionWaits(
                    f"{station.connection.name} is {station.connection.state}: {station.connection.reason}"
                )
                return Outcome(ANSWERED, code=waits.code, note=waits.text, error=waits, attempted=False)
            if outcome.state != RETRY or work.attempts >= TRIES or late:
                return outcome
            await clock.sleep(pause)
            pause *= 2

    async def _told(self, route: Route, work: Work, run: Run, outcome: Outcome, scope: str | None) -> Accepted:
        error = outcome.extra.get("error") or outcome.error
        if outcome.state == DELIVERED:
            receipt: Receipt = outcome.extra["receipt"]
            try:
                reply = await self._reply(route, run.message or work.message, receipt)
            except StepStopped as stop:
                await self._close(
                    work,
                    Outcome(ANSWERED, code=stop.error.code, note=f"the reply: {stop.error.text}"),
                    scope,
                    None,
                    run.taps,
                )
                raise _of_the_reply(stop.error, work) from stop
            outcome.state = ANSWERED
            await self._close(work, outcome, scope, reply, run.taps)
            return Accepted(work.message.id, reply)
        if outcome.state == UNCERTAIN:
            await self._engine.persist(lambda tx: journal.put_off(tx, work, outcome, self._engine.store.vault))
            raise OutcomeUnknown(f"{outcome.note}", message=work.message.id)
        if outcome.state == DISCARDED:
            await self._close(work, outcome, scope, Receipt(204), run.taps)
            return Accepted(work.message.id, Receipt(204))
        if outcome.state == EXPIRED:
            await self._close(work, outcome, scope, None, run.taps)
            raise DeadlinePassed(message=work.message.id)
        fault = self._fault(route, run.message or work.message, error)
        await self._close(
            work,
            Outcome(
                ANSWERED, code=outcome.code, status=outcome.status, note=outcome.note, ms=outcome.ms, at=outcome.at
            ),
            scope,
            fault,
            run.taps,
        )
        if fault is None:
            assert error is not None
            raise error
        return Accepted(work.message.id, fault)

    async def _by_flow(self, route: Route, station: FlowStation, work: Work, scope: str | None) -> Accepted:
        run = await self._prepared(station, work, scope)
        if run.message is None:
            await self._close(work, station.filtered("a filter of the route dropped it"), scope, None, run.taps)
            return Accepted(work.message.id, Receipt(204))
        work.attempts += 1
        outcome = Outcome(ANSWERED, at=self._engine.clock.now())
        try:
            yielded = await self._engine.store.write(lambda tx: station.unit(tx, work, run, outcome))
        except Exception as error:  # boundary: the caller hears of a flow's defect, and nothing was done
            return await self._flow_failed(route, work, run, scope, station.failure(error), error)
        station.forget(work)
        if not yielded:
            return Accepted(work.message.id, Receipt(204))
        reply = await self._reply(
            route, yielded[0], Receipt(200, body=yielded[0].body, content_type=yielded[0].content_type)
        )
        await self._engine.store.write(lambda tx: _keep_reply(tx, self._engine.store.vault, scope, reply))
        return Accepted(work.message.id, reply)

    async def _flow_failed(
        self, route: Route, work: Work, run: Run, scope: str | None, failure: PipeError, cause: Exception
    ) -> Accepted:
        log = logger.bind(action="flow_failed", route=route.name, message=work.message.id, error=failure.text)
        log.opt(exception=None if cause is failure else cause).warning("a flow failed; its caller is told")
        fault = self._fault(route, run.message or work.message, failure)
        await self._close(
            work,
            Outcome(ANSWERED, code=failure.code, note=failure.text, at=self._engine.clock.now()),
            scope,
            fault,
            run.taps,
        )
        if fault is None:
            raise failure from cause
        return Accepted(work.message.id, fault)

    async def _reply(self, route: Route, request: Message, receipt: Receipt) -> Receipt:
        message = request.but(body=receipt.body, headers=receipt.headers, content_type=receipt.content_type)
        shaped = (await route.reply.run(message)).message
        if shaped is None:
            return Receipt(204)
        shaped = self._engine.as_bytes(shaped) if shaped.body is not None else shaped.but(body=b"")
        status = receipt.status if receipt.status in (200, 201, 204) else 200
        return Receipt(status, {}, shaped.body, shaped.content_type)

    def _fault(self, route: Route, request: Message, error: PipeError | None) -> Receipt | None:
        answer = error.reply if error is not None and isinstance(error.reply, Receipt) else Receipt()
        code = error.code if error is not None else None
        scope = {
            "body": answer.body,
            "headers": answer.headers,
            "status": answer.status,
            "fault": answer.fault,
            "code": code,
            "request": request.body,
        }
        for fault in route.config.reply.faults:
            if fault.when.is_true(request, **scope):
                body = self._engine.as_bytes(request.but(body=_mapped(fault.map or {}, request, scope)))
                return Receipt(fault.status, {}, body.body, body.content_type)
        return None

    async def _close(
        self, work: Work, outcome: Outcome, scope: str | None, reply: Receipt | None, taps: list[Any]
    ) -> None:
        outcome.error = None

        def unit(tx: Tx) -> None:
            self._engine.outcomes.end(tx, work, outcome, taps)
            if reply is not None:
                _keep_reply(tx, self._engine.store.vault, scope, reply)
            elif scope is not None:
                # A refusal is not kept: the same key may try again.
                tx.execute(schema.idempotency.delete().where(schema.idempotency.c.scope == scope))

        await self._engine.persist(unit)
        if (station := self._engine.stations.get((work.route, work.station))) is not None:
            station.forget(work)

    def stored(self, scope: str, data: bytes) -> Receipt:
        """A reply that was kept, sealed, with its idempotency key."""
        data = self._engine.store.vault.open(data, scope)
        head, _, body = data.partition(b"\n")
        status, content_type = codec.load(head)
        return Receipt(status, {}, body, content_type)


def _of_the_reply(error: PipeError, work: Work) -> PipeError:
    """Not the caller's fault: it is the partner's answer that the steps of `reply:` could not take."""
    if error.blame != "caller":
        return error
    return ReplyInvalid(f"the steps of `reply:` cannot take the answer: {error.text}", message=work.message.id)


def _keep_reply(tx: Tx, vault: Vault, scope: str | None, reply: Receipt) -> None:
    if scope is not None:
        body = reply.body if isinstance(reply.body, bytes) else b""
        data = codec.dump([reply.status, reply.content_type]) + b"\n" + body
        keys = schema.idempotency
        tx.execute(update(keys).where(keys.c.scope == scope).values(reply=vault.seal(data, scope)))


def _mapped(value: Any, message: Message, scope: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        return {name: _mapped(inner, message, scope) for name, inner in value.items()}
    if isinstance(value, list):
        return [_mapped(inner, message, scope) for inner in value]
    return Expression(value)(message, **scope) if isinstance(value, str) else value
