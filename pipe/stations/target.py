"""Delivers to a partner: the target's own steps, one attempt, and what its answer means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pipe.connection import Connection
from pipe.contract import Message, Outgoing, Receipt
from pipe.errors import ConnectionWaits, DeadlinePassed, PipeError, Verdict
from pipe.events import Attempted
from pipe.redact import mask, without
from pipe.route import Route, Target
from pipe.sampling import answer_in
from pipe.stations.judge import judge_of, verdict
from pipe.stations.station import Station
from pipe.steps.pipeline import Run, StepStopped
from pipe.store import codec
from pipe.store.journal import REPLY_LIMIT, Outcome, Work
from pipe.store.schema import DEAD, DELIVERED, EXPIRED, RETRY, UNCERTAIN

if TYPE_CHECKING:
    from pipe.engine import Engine

LEAST_REST_S = 0.001


class TargetStation(Station):
    """One target of a route."""

    reaches_out: ClassVar[bool] = True

    def __init__(self, engine: Engine, route: Route, name: str, concurrency: int, connection: Connection) -> None:
        super().__init__(engine, route, name, concurrency)
        self.connection = connection
        self._idempotent = is_idempotent(route.targets[name].config, connection.adapter)
        self._sample = answer_in(route.name, route.targets[name].config.key)
        connection.on_open(self.kick)

    def retire(self) -> None:
        """Also forgets the connection, which may live longer."""
        super().retire()
        self.connection.forget(self.kick)

    def may_run(self) -> bool:
        """Also waits while the connection is closed: waiting there costs no attempts."""
        return self.connection.admits() and super().may_run()

    async def handle(self, work: Work) -> None:
        if work.state == UNCERTAIN:
            await self.engine.confirming.ask(self, work)
            return
        if (late := self.expired(work)) is not None:
            await self.end(work, late)
            return
        try:
            run = await self._prepared(work)
        except StepStopped as stop:
            await self.settle(work, self.stopped(work, stop, self.route.targets[self.name].retry))
            return
        if run.message is None:
            await self.end(work, self.filtered("a filter of the route dropped it"), run.taps)
            return
        await self._deliver(work, run)

    async def _prepared(self, work: Work) -> Run:
        """The route's steps run once for all targets of a message, as long as they go at the same time."""
        if work.output is not None or len(self.route.stages[work.stage].stations) == 1:
            return await self.prepare(work)
        return await self.engine.prepared.get(work.seq, lambda: self.prepare(work))

    async def _deliver(self, work: Work, run: Run) -> None:
        assert run.message is not None
        target = self.route.targets[self.name]
        if work.own_output is None and target.config.when is not None and not target.config.when.is_true(run.message):
            await self.end(work, self.filtered(f"`when: {target.config.when}` is not true"), run.taps)
            return
        if not work.paced and (rest := self.connection.delay(run.message)) > LEAST_REST_S:
            work.paced = True
            self.park(work, rest)
            return
        outcome = await self.attempt(work, run, target)
        work.paced = outcome is None
        if outcome is None:
            self.requeue(work)
        else:
            await self.settle(work, outcome, run.taps)

    async def attempt(self, work: Work, run: Run, target: Target) -> Outcome | None:
        """One attempt and its outcome; None where the connection closed before it began."""
        clock = self.engine.clock
        begun, at, number = clock.monotonic(), clock.now(), work.attempts + work.crashes + 1
        outgoing: Message | None = None
        try:
            outgoing = work.own_output or await self._own_steps(work, run, target)
            if outgoing is None:
                return self.filtered("a filter of the target dropped it")
            receipt, _ = await self.send(work, outgoing, target)
        except StepStopped as stop:
            outcome = self.stopped(work, stop, target.retry)
        except ConnectionWaits:
            return None
        except DeadlinePassed:
            return Outcome(
                EXPIRED,
                code=DeadlinePassed.code,
                note="the deadline passed while it waited for its turn",
                attempted=False,
            )
        except PipeError as error:
            failed = self._failed(work, error, target, clock.monotonic() - begun)
            if failed is None:
                return None
            outcome = failed
        else:
            work.attempts += 1
            outcome = Outcome(DELIVERED, status=None if receipt.status is None else str(receipt.status))
            outcome.extra["receipt"] = receipt
            self.engine.sampling.offer(self.connection.name, self._sample, receipt.body)
            if self.route.config.gather is not None:
                outcome.extra["gathered"] = receipt_bytes(receipt, self._secrets(), only=True)
        outcome.at, outcome.ms = at, (clock.monotonic() - begun) * 1000
        if outcome.state != DELIVERED or len(self.route.targets) > 1:
            outcome.output = run.message
            outcome.output_own = outgoing if not target.pipeline.empty else None
        self._tell(work, outcome, number)
        return outcome

    async def _own_steps(self, work: Work, run: Run, target: Target) -> Message | None:
        assert run.message is not None
        if target.pipeline.empty:
            return run.message
        return (await target.pipeline.run(run.message, size=work.size)).message

    async def send(self, work: Work, message: Message, target: Target) -> tuple[Receipt, bool]:
        """Hands the message to the connection. Raises the PipeError that says what happened."""
        config, adapter = target.config, self.connection.adapter
        key = None if config.idempotent_by is None else config.idempotent_by(message)
        handed = self.engine.as_bytes(message) if adapter.takes == "bytes" else message

        def begin() -> Outgoing:
            if self.expired(work) is not None:
                raise DeadlinePassed(message=work.message.id)
            return Outgoing(
                handed,
                config.options,
                work.message.id if self.name == config.connection else f"{work.message.id}.{self.name}",
                work.attempts + work.crashes + 1,
                self.engine.timeout_of(self.connection, work.expires_at),
                None if key is None else str(key),
                self._idempotent,
                message,
            )

        return await self.connection.send(begin, judge_of(config, message))

    def _hidden(self, work: Work) -> tuple[str, ...]:
        """What nobody may read in an answer: the message's sensitive values, and the secrets of all connections."""
        return (*work.sensitive, *self._secrets())

    def _secrets(self) -> tuple[str, ...]:
        return tuple(secret for connection in self.engine.connections.values() for secret in connection.secrets())

    def _failed(self, work: Work, error: PipeError, target: Target, took: float) -> Outcome | None:
        decision = verdict(error, idempotent=self._idempotent)
        outcome = Outcome(
            DEAD, code=error.code, note=mask(error.text, self._hidden(work)), error=error, extra={"error": error}
        )
        outcome.maybe_delivered = error.verdict is Verdict.UNCERTAIN
        if isinstance(error.reply, Receipt):
            outcome.status, outcome.reply = str(error.reply.status), receipt_bytes(error.reply, self._hidden(work))
        free = decision is Verdict.STOP or bool(error.facts.get("trial"))
        if free and decision in (Verdict.RETRY, Verdict.STOP):
            if error.verdict is Verdict.UNCERTAIN:  # it spends nothing either, but may have arrived: that is kept
                outcome.state, outcome.error, outcome.next_at = RETRY, None, self.engine.clock.now()
                return outcome
            return None  # the connection is at fault and closed now: the message waits and spends nothing
        work.attempts += 1
        work.spent += took
        if decision is Verdict.UNCERTAIN:
            return self._uncertain(outcome, target, work)
        pause = target.retry.next_pause(work.attempts, work.spent) if decision is Verdict.RETRY else None
        if decision is Verdict.DEAD or pause is None:
            if decision is Verdict.RETRY:
                outcome.extra["class"] = "retries_exhausted"
            return outcome
        return self._retry(work, outcome, error, pause)

    def _retry(self, work: Work, outcome: Outcome, error: PipeError, pause: float) -> Outcome:
        pause = max(pause, min(error.retry_after or 0.0, 3600.0))
        hold = self.route.config.on_stuck.hold
        if work.order_key is not None and hold != "forever" and work.spent + pause > hold:
            outcome.extra["class"] = "stuck"
            return outcome
        work.spent += pause
        outcome.state, outcome.error, outcome.next_at = RETRY, None, self.engine.clock.now() + pause
        return outcome

    def _uncertain(self, outcome: Outcome, target: Target, work: Work) -> Outcome:
        outcome.state, outcome.error, outcome.maybe_delivered = UNCERTAIN, None, True
        if target.config.on_uncertain is not None:
            outcome.next_at = self.engine.clock.now() + target.config.on_uncertain.confirm.after
        elif work.order_key is not None and (hold := self.route.config.on_stuck.hold) != "forever":
            outcome.next_at = self.engine.clock.now() + hold
        return outcome

    def _tell(self, work: Work, outcome: Outcome, number: int) -> None:
        self.engine.events.tell(
            Attempted(
                self.route_name,
                self.name,
                self.connection.name,
                outcome.state,
                outcome.code,
                outcome.ms / 1000,
                work.message.id,
                number,
                work.message,
            )
        )


def is_idempotent(config: Any, adapter: Any) -> bool:
    """Whether repeating this target is harmless: told so, de-duplicated by the partner, or by the protocol's rules."""
    if config.idempotent is not None:
        return bool(config.idempotent)
    return config.idempotent_by is not None or bool(adapter.natural(config.options))


def receipt_bytes(receipt: Receipt, hidden: tuple[str, ...], *, only: bool = False) -> bytes:
    """A receipt for the journal, its body cut at 64 KiB.

    What is hidden is masked first, or the cut would leave a half. `only` that: the rest goes on as data.
    """

    def shown(value: Any) -> Any:
        return without(value, hidden) if only else mask(value, hidden)

    body = receipt.body
    if isinstance(body, (bytes, bytearray)):
        body = shown(bytes(body[: 2 * REPLY_LIMIT]).decode("utf-8", "replace"))[:REPLY_LIMIT]
    elif isinstance(body, str):
        body = shown(body[: 2 * REPLY_LIMIT])[:REPLY_LIMIT]
    elif body is not None and len(text := codec.dump(body)) > REPLY_LIMIT:
        body = shown(text[: 2 * REPLY_LIMIT].decode("utf-8", "ignore"))[:REPLY_LIMIT]
    else:
        body = shown(body)
    headers = shown(dict(receipt.headers))
    return codec.dump(
        {"status": receipt.status, "headers": headers, "content_type": receipt.content_type, "body": body}
    )
