"""Stubs in the place of partners: they note what they get, and answer what a test says."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, cast

from pydantic import BaseModel

from pipe.config import hooks
from pipe.contract import Adapter, Blob, Expression, Health, Message, Outgoing, Receipt, Services, Template, Transformer
from pipe.errors import PipeError, Refused, every_error
from pipe.trials.matching import TEXT
from pipe.trials.model import Problem, Reply

QUESTIONS = (".enrich", ".confirm")
"""how the ids of calls end that only ask something"""


@dataclass(slots=True)
class Call:
    """One delivery to a partner, or one question; all attempts of it together."""

    connection: str
    outgoing: Outgoing
    filled: dict[str, Any]
    """the target's own keys with the values of this message"""
    attempts: int = 1

    @property
    def is_question(self) -> bool:
        """Asked by `enrich` or `confirm`: nothing is handed over."""
        return self.outgoing.id.endswith(QUESTIONS)


class Partners:
    """All partners of one test."""

    def __init__(self, replies: Mapping[str, list[Reply]], answering: str | None) -> None:
        """`replies` are given in turn, the last one for good; `answering` must have one, its answer is the route's."""
        self.calls: dict[str, Call] = {}
        self.problems: list[Problem] = []
        self._replies, self._answering = replies, answering
        self._given: dict[str, int] = {}

    def answer(self, adapter: type[Adapter], connection: str, outgoing: Outgoing) -> Receipt:
        """What this partner says to this call. Raises the PipeError that its real adapter would raise."""
        name = f"{connection} {outgoing.id}"
        if name in self.calls:
            self.calls[name].attempts += 1
        else:
            # As in the adapters: a template that cannot be filled fails the attempt.
            self.calls[name] = Call(connection, outgoing, _filled(outgoing.target, outgoing.data))
        replies = self._replies.get(connection)
        if not replies:
            self._check_needed(connection, self.calls[name])
            return Receipt(200)
        number = self._given.get(connection, 0)
        self._given[connection] = number + 1
        return _received(adapter, replies[min(number, len(replies) - 1)])

    def _check_needed(self, connection: str, call: Call) -> None:
        if connection == self._answering or call.is_question:
            problem = Problem(
                "no-reply",
                f"what {connection} answers decides what happens next: "
                f"say it under `replies: {{{connection}: {{body: …}}}}`",
            )
            self.problems += [] if problem in self.problems else [problem]


def _received(adapter: type[Adapter], reply: Reply) -> Receipt:
    if reply.error is not None:
        raise _error(reply.error)
    receipt = Receipt(reply.status, reply.headers, reply.body, reply.content_type, reply.fault)
    meaning = getattr(adapter, "failure", None)
    error: PipeError | None = None if meaning is None else meaning(receipt)
    if error is None and reply.fault is not None:
        error = Refused("the partner answered with a fault", reply=receipt)
    if error is not None:
        raise error
    return receipt


def _error(word: str) -> PipeError:
    for kind in every_error():
        if word in (kind.code, kind.slug(), kind.__name__):
            return kind(f"the test says so: {kind.slug()}")
    known = ", ".join(sorted(kind.slug() for kind in every_error() if kind.code.startswith("PIPE-20")))
    raise Refused(f"`error: {word}` names no failure; known: {known}")


def stub_of(real: type[Adapter], partners: Partners) -> type[Adapter]:
    """A class that takes the place of an adapter: the same keys, no network."""

    class Stub:
        """See `stub_of`."""

        Config = real.Config
        Target = hooks.target(real)
        takes: ClassVar[Literal["bytes", "values"]] = getattr(real, "takes", "bytes")
        answers: ClassVar[bool] = hooks.is_caller(real)

        def __init__(self, name: str, config: Any, services: Services) -> None:
            self.name = name

        async def open(self) -> None:
            """Needs nothing."""

        async def close(self) -> None:
            """Holds nothing."""

        async def check(self) -> Health:
            """Always well."""
            return Health("up")

        def natural(self, target: Any) -> bool:
            """As the real one says."""
            return hooks.is_natural(real, target)

        async def send(self, outgoing: Outgoing) -> Receipt:
            """Answers as the test says."""
            return partners.answer(real, self.name, outgoing)

    return cast("type[Adapter]", Stub)


# --- a call in the words of `expect:` ---------------------------------------------------------------------------------


def told(call: Call, transformers: Mapping[str, type[Transformer]]) -> dict[str, Any]:
    """The call as `expect:` describes it: the target's own keys filled in, body and headers."""
    outgoing = call.outgoing
    happening: dict[str, Any] = {"connection": call.connection, **call.filled}
    if outgoing.key is not None:
        happening["key"] = outgoing.key
    if call.attempts > 1:
        happening["attempts"] = call.attempts
    if outgoing.message.headers:
        happening["message_headers"] = dict(outgoing.message.headers)
    return {**happening, **body_of(outgoing.message, transformers)}


def body_of(message: Message, transformers: Mapping[str, type[Transformer]]) -> dict[str, Any]:
    """`body` decoded by its content type, and the text behind it; nothing where it is empty."""
    body = message.body
    if isinstance(body, Blob):
        body = body.read()
    if not isinstance(body, bytes):
        return {} if body is None else {"body": body}
    if not body:
        return {}
    text = _text(body)
    for word in _formats(message.content_type or ""):
        step = transformers["decode"]
        try:
            decoded = step(step.Config.model_validate(word)).apply(message.but(body=body))
        except PipeError:
            continue
        return {"body": decoded.body if decoded is not None else None, TEXT: text}
    return {"body": text, TEXT: text}


def _formats(content_type: str) -> list[str]:
    kind = content_type.partition(";")[0].strip().lower()
    if kind.endswith(("/json", "+json")) or not kind:
        return ["json"]
    return ["xml"] if kind.endswith(("/xml", "+xml")) else ["text"] if kind.startswith("text/") else []


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return base64.b64encode(body).decode()


def _filled(value: Any, message: Message) -> Any:
    """A target's keys with what this message makes of their templates and expressions; unset ones left out."""
    if isinstance(value, Template):
        return value.fill(message)
    if isinstance(value, Expression):
        return value(message)
    if isinstance(value, BaseModel):
        inner = {name: _filled(getattr(value, name), message) for name in type(value).model_fields}
        return {name: each for name, each in inner.items() if each not in (None, {}, [])}
    if isinstance(value, dict):
        return {name: _filled(each, message) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_filled(each, message) for each in value]
    return value
