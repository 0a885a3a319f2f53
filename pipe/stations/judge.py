"""Decides what an attempt's answer means: the route's own expressions first, then the error's verdict."""

from __future__ import annotations

from collections.abc import Callable

from pipe.config.models import ToConfig
from pipe.contract import Message, Receipt
from pipe.errors import PeerFailed, PipeError, ReplyRejected, Verdict


def judge_of(config: ToConfig, request: Message) -> Callable[[Receipt | PipeError], Receipt]:
    """A function that returns the receipt of a good attempt and raises the error of a bad one."""
    if config.success is config.retry_when is config.dead_when is None:
        return _by_default
    return lambda answer: _by_route(config, request, answer)


def _by_default(answer: Receipt | PipeError) -> Receipt:
    if isinstance(answer, PipeError):
        raise answer
    return answer


def _by_route(config: ToConfig, request: Message, answer: Receipt | PipeError) -> Receipt:
    receipt = answer.reply if isinstance(answer, PipeError) else answer
    if not isinstance(receipt, Receipt):
        return _by_default(answer)
    scope = {
        "body": receipt.body,
        "headers": receipt.headers,
        "status": receipt.status,
        "fault": receipt.fault,
        "request": request.body,
    }
    if config.dead_when is not None and config.dead_when.is_true(request, **scope):
        raise ReplyRejected(f"`dead_when: {config.dead_when}` is true for the answer {receipt.status}", reply=receipt)
    if config.retry_when is not None and config.retry_when.is_true(request, **scope):
        after = answer.retry_after if isinstance(answer, PipeError) else None
        raise PeerFailed(
            f"`retry_when: {config.retry_when}` is true for the answer {receipt.status}",
            reply=receipt,
            retry_after=after,
        )
    if config.success is None:
        return _by_default(answer)
    if config.success.is_true(request, **scope):
        return receipt
    if isinstance(answer, PipeError):
        raise answer
    raise ReplyRejected(f"`success: {config.success}` is not true for the answer {receipt.status}", reply=receipt)


def verdict(error: PipeError, *, idempotent: bool) -> Verdict:
    """What the engine does: uncertain attempts of an idempotent target are simply tried again."""
    return Verdict.RETRY if error.verdict is Verdict.UNCERTAIN and idempotent else error.verdict
