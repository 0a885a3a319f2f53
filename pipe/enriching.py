"""The step `enrich`: calls a connection and merges its reply into the message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipe.config.models import EnrichConfig
from pipe.contract import Message, Outgoing, Receipt
from pipe.errors import MappingFailed, PipeError, ReplyRejected
from pipe.sampling import answer_in
from pipe.setting import put

if TYPE_CHECKING:
    from pipe.engine import Engine


class Enriching:
    """What pipelines see of the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def enrich(self, config: EnrichConfig, message: Message, place: str) -> Message:
        """The message with the reply at `into`. A question may be repeated, so it is asked as an idempotent one."""
        connection = self._engine.connections[config.connection]
        if not isinstance(message.body, dict):
            raise MappingFailed(
                f"enrich at {place} needs an object to merge into, the body is {type(message.body).__name__}",
                path=config.into,
            )
        body = self._engine.as_bytes(message) if connection.adapter.takes == "bytes" else message

        def begin() -> Outgoing:
            timeout = self._engine.timeout_of(connection, message.deadline)
            return Outgoing(body, config.options, f"{message.id}.enrich", 1, timeout, idempotent=True, plain=message)

        def judge(answer: Receipt | PipeError) -> Receipt:
            return _judged(config, message, answer)

        receipt, _ = await connection.send(begin, judge)
        sample = answer_in(message.route, f"enrich {config.into}")
        self._engine.sampling.offer(config.connection, sample, receipt.body)
        return message.but(body=put(message.body, config.into.removeprefix("body."), receipt.body))


def _judged(config: EnrichConfig, message: Message, answer: Receipt | PipeError) -> Receipt:
    receipt: Any = answer.reply if isinstance(answer, PipeError) else answer
    if config.success is None or not isinstance(receipt, Receipt):
        if isinstance(answer, PipeError):
            raise answer
        return answer
    scope = {"body": receipt.body, "headers": receipt.headers, "status": receipt.status, "request": message.body}
    if config.success.is_true(message, **scope):
        return receipt
    raise (
        answer
        if isinstance(answer, PipeError)
        else ReplyRejected(f"`success: {config.success}` is not true for the answer {receipt.status}", reply=receipt)
    )
