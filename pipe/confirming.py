"""Asks the partner what became of an uncertain delivery, where the route says how."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loguru import logger

from pipe.config.models import Confirm
from pipe.contract import Message, Outgoing, Receipt
from pipe.errors import OutcomeUnknown, PeerFailed, PipeError
from pipe.stations.station import Station
from pipe.store import journal
from pipe.store.journal import Outcome, Work
from pipe.store.schema import DEAD, DELIVERED, READY, UNCERTAIN

if TYPE_CHECKING:
    from pipe.engine import Engine

MOST_QUESTIONS = 10


class Confirming:
    """Nothing uncertain is sent again blindly: it is confirmed, refuted, or waits for a person."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def ask(self, station: Station, work: Work) -> None:
        """One question; its answer ends the delivery, makes it ready again, or sets the time of the next question."""
        target = station.route.targets[work.station]
        if target.config.on_uncertain is None or work.cursor >= MOST_QUESTIONS:
            await self._give_up(station, work)
            return
        confirm = target.config.on_uncertain.confirm
        request = work.own_output or work.output or work.message
        connection = self._engine.connections[confirm.connection]
        asked = self._engine.as_bytes(request) if connection.adapter.takes == "bytes" else request
        outgoing = Outgoing(
            asked,
            confirm.options,
            f"{work.message.id}.confirm",
            1,
            self._engine.timeout_of(connection, None),
            idempotent=True,
            plain=request,
        )
        try:
            receipt, _ = await connection.send(lambda: outgoing, _any_answer)
        except PipeError as error:
            await self._later(station, work, confirm, f"the question failed: {error.text}")
            return
        await self._decide(station, work, confirm, request, receipt)

    async def _decide(self, station: Station, work: Work, confirm: Confirm, request: Message, receipt: Receipt) -> None:
        scope = {"body": receipt.body, "headers": receipt.headers, "status": receipt.status, "request": request.body}
        try:
            happened = confirm.success.is_true(request, **scope)
            failed = not happened if confirm.failure is None else confirm.failure.is_true(request, **scope)
        except PipeError as error:
            await self._later(station, work, confirm, f"the answer cannot be judged: {error.text}")
            return
        if happened:
            await station.end(
                work,
                Outcome(
                    DELIVERED, status=str(receipt.status), note="confirmed by the partner", at=self._engine.clock.now()
                ),
            )
        elif failed:
            await self._again(station, work)
        else:
            await self._later(station, work, confirm, "the partner does not know yet")

    async def _again(self, station: Station, work: Work) -> None:
        note = "the partner says that it did not take effect"
        if station.route.targets[work.station].retry.next_pause(work.attempts, work.spent) is None:
            error = PeerFailed(f"{note}, and its tries are used up")
            outcome = Outcome(
                DEAD, code=error.code, note=error.text, error=error, at=self._engine.clock.now(), attempted=False
            )
            outcome.extra["class"] = "retries_exhausted"
            await station.end(work, outcome)
            return
        await self._engine.persist(lambda tx: journal.make_ready(tx, work.id, note))
        work.state, work.cursor = READY, 0
        station.requeue(work)

    async def _later(self, station: Station, work: Work, confirm: Confirm, why: str) -> None:
        work.cursor += 1  # an uncertain delivery has no use for its cursor but to count the questions
        outcome = Outcome(UNCERTAIN, code="PIPE-6002", note=why, at=self._engine.clock.now(), attempted=False)
        if work.cursor < MOST_QUESTIONS:
            outcome.next_at = self._engine.clock.now() + confirm.after * 2**work.cursor
        else:
            hold = station.route.config.on_stuck.hold
            if work.order_key is not None and hold != "forever":
                outcome.next_at = self._engine.clock.now() + hold
            logger.bind(action="uncertain", message=work.message.id, route=work.route).warning(
                "nobody knows whether it was delivered: a person must decide"
            )
        await station.put_off(work, outcome)

    async def _give_up(self, station: Station, work: Work) -> None:
        """Its key has waited as long as `on_stuck: hold` allows."""
        error = OutcomeUnknown("its outcome is unknown, and its key has waited long enough")
        outcome = Outcome(
            DEAD,
            code=error.code,
            note=error.text,
            error=error,
            maybe_delivered=True,
            at=self._engine.clock.now(),
            attempted=False,
        )
        await station.end(work, outcome)


def _any_answer(answer: Receipt | PipeError) -> Receipt:
    """Every answer of the partner says something, a 404 too; only silence is a failure."""
    if isinstance(answer, Receipt):
        return answer
    if isinstance(answer.reply, Receipt):
        return answer.reply
    raise answer
