"""What everything in the house agrees on. Read this first.

A `Source` hands arrivals to a `Door`; the door returns once the message is safe on disk. Steps make one message into
another. A `Sink` hands one message to a partner and says what it answered. Adapters know protocols and nothing else:
they never retry, never queue, never remember. The engine does, by the verdict of the error that an adapter raises.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

from pipe.certificate import Certificate
from pipe.clock import Clock
from pipe.config.blocks import (
    Breaker,
    ConnectionConfig,
    Drift,
    KeyedRate,
    Options,
    Probe,
    Reconnect,
    Strict,
    Timeout,
    path_beside,
    read_beside,
)
from pipe.config.units import Duration, Percent, Rate, Secret, Size
from pipe.expression import Expression, Template
from pipe.outline import Described, Fields, Interface, Leaf, Outline, answer_of, request_of
from pipe.tracing import onward

if TYPE_CHECKING:
    from aiohttp import web
    from pydantic import BaseModel
    from sqlalchemy import Executable, Result

__all__ = [
    "WIRE_KEPT", "Accepted", "Adapter", "Arrival", "Blob", "Breaker", "Caller", "Certificate", "Certified", "Clock",
    "ConnectionConfig", "Described", "Door", "Doors", "Drift", "Duration", "Examinable", "Expression", "Fields",
    "Flow", "FlowStep", "Health", "Interface", "KeyedRate", "Leaf", "Listening", "Message", "Options", "Outgoing",
    "Outline", "Percent", "PlainHandler", "PlainRequest", "Probe", "Rate", "Receipt", "Reconnect", "Rung", "Secret",
    "Services", "Sink", "Size", "Source", "Spool", "State", "Strict", "Template", "Timeout", "Transaction",
    "Transformer", "Troubled", "Wire", "answer_of", "path_beside", "pieces", "read_beside", "request_of", "step",
    "turns",
]  # fmt: skip


# --- messages -----------------------------------------------------------------------------------------------------


_NONE: Mapping[str, str] = MappingProxyType({})


class Message(NamedTuple):
    """One message at one moment of its way. A step returns a new one: `message.but(body=…)`."""

    # A named tuple, because a new one is made at every step: a third of what a frozen dataclass costs.

    id: str
    route: str
    body: Any
    """bytes or a Blob until decoded, then plain values: dict, list, str, int, float, Decimal, bool, None"""
    headers: Mapping[str, str] = _NONE
    """names are lower_snake: `idempotency_key`"""
    params: Mapping[str, str] = _NONE
    """named parts of the path or topic"""
    query: Mapping[str, str] = _NONE
    content_type: str | None = None
    """with its charset, where the body is bytes"""
    received_at: float = 0.0
    """seconds since 1970, frozen at acceptance: `now` and `date` of expressions"""
    deadline: float | None = None
    caller: str | None = None
    company: Mapping[str, Any] | None = None
    item: Any = None
    """what a `split` made this message from, before its steps"""
    parent: Mapping[str, Any] | None = None
    """id, name (without extension) and headers of the message that a `split` took apart"""
    hops: int = 0
    """how many routes it has passed"""

    def but(self, **changes: Any) -> Message:
        """The same message with some fields changed. Raises KeyError for a field that messages do not have."""
        values = list(self)
        for name, value in changes.items():
            values[_FIELDS[name]] = value
        return tuple.__new__(Message, values)


_FIELDS = {name: at for at, name in enumerate(Message._fields)}


@dataclass(frozen=True, slots=True)
class Blob:
    """A body too large for memory: a file of the gateway's own, fsynced, named by chance."""

    path: Path
    size: int
    """of the body; the file is a little larger where it is sealed"""
    sha256: str
    key: bytes = field(default=b"", repr=False)
    """what the file is sealed with; empty: it lies in clear, as nothing does that the gateway itself stores"""

    def open(self) -> Iterator[bytes]:
        """The bytes in pieces of 256 KiB; for threads and small files. Raises RowDamaged where they were altered."""
        if self.key:
            from pipe.sealed_file import opened  # who reads no large body need not load the cipher

            yield from opened(self.path, self.key)
            return
        with self.path.open("rb") as file:
            while piece := file.read(262144):
                yield piece

    def file(self) -> BinaryIO:
        """The body as a file to read and to seek in; close it."""
        if self.key:
            from pipe.sealed_file import SealedFile  # see `open`

            return io.BufferedReader(SealedFile(self.path, self.key))
        return self.path.open("rb")

    def read(self) -> bytes:
        """All of it."""
        return b"".join(self.open())


class Wire(NamedTuple):
    """What came over the line where a source hands over values made of it: kept for people, never worked on."""

    content_type: str
    data: bytes
    """its beginning, without passwords; at most `WIRE_KEPT` bytes"""
    size: int
    """of the whole"""


WIRE_KEPT = 256 * 1024
"""bytes of a message as it came over the line that are kept beside the values made of it"""


class Arrival(NamedTuple):
    """What a source received, before anything was decided about it."""

    body: bytes | Blob
    headers: Mapping[str, str] = _NONE
    params: Mapping[str, str] = _NONE
    query: Mapping[str, str] = _NONE
    content_type: str | None = None
    caller: str | None = None
    fingerprint: str = ""
    """what beside the body makes two requests the same: method and path"""
    identity: str | None = None
    """the protocol's own name of this very arrival (update id; path, size and time of a file): taken once per route"""
    once: str | None = None
    """what must not be used twice on this connection, whatever the route (a nonce): a second arrival is refused"""
    wire: Wire | None = None
    company: Mapping[str, Any] | None = None


class Accepted(NamedTuple):
    """The message is on disk: the source may confirm it to the peer."""

    id: str
    reply: Receipt | None = None
    """what to answer on a synchronous route"""
    replayed: bool = False
    """a repetition: nothing was stored again"""


class Receipt(NamedTuple):
    """What a partner answered; the `body` and `headers` of `success:`, `retry_when:`, `dead_when:` and `reply:`."""

    status: int | str | None = None
    headers: Mapping[str, str] = _NONE
    body: Any = None
    """plain values where the adapter understands the content type, else bytes"""
    content_type: str | None = None
    fault: Any = None
    """a typed fault of the protocol (SOAP), where there is one"""


# --- adapters -----------------------------------------------------------------------------------------------------

State = Literal["up", "degraded", "down", "paused", "unknown"]


@dataclass(frozen=True, slots=True)
class Health:
    """How a connection is, in words that ops can act upon."""

    state: State
    reason: str = ""
    code: str = ""
    """of the error that says so, or a word of `[ops.cause]`: people read it in their own language"""


class Door(Protocol):
    """A route's entrance, given to its source."""

    @property
    def route(self) -> str:
        """The route's name."""

    @property
    def options(self) -> Any:
        """The adapter's own keys of `from:`, an instance of its `Subscription`."""

    @property
    def max_body(self) -> int:
        """Bytes that a body may have, decompressed."""

    @property
    def synchronous(self) -> bool:
        """Whether `accept` returns with an answer."""

    async def accept(self, arrival: Arrival) -> Accepted:
        """Returns once the message is safe on disk (synchronous routes: once it is answered).

        Raises a PipeError where it is refused; then nothing is stored, and the peer must not get an acknowledgement.
        """


class Doors(Protocol):
    """The entrances of one connection; their content changes on reload, in one step."""

    def __iter__(self) -> Iterator[Door]: ...
    @property
    def version(self) -> int:
        """Grows with every change."""

    async def changed(self, version: int) -> None:
        """Returns when the version is no longer `version`."""


class Spool(Protocol):
    """Takes an incoming body piece by piece; small ones stay in memory, large ones go to disk."""

    async def write(self, piece: bytes) -> None:
        """Raises TooLarge past the limit."""

    async def finish(self) -> bytes | Blob:
        """The whole body; a Blob is fsynced."""

    def discard(self) -> None:
        """Forgets it; harmless after finish."""


class PlainRequest(Protocol):
    """A whole small request without a query or anything unusual; what it has is named as in `web.Request`."""

    method: str
    raw_path: str
    body: bytes

    @property
    def headers(self) -> Mapping[str, str]:
        """By lower_snake name, each once, without those of the hop; `get` and `in` take any spelling."""

    @property
    def query(self) -> Mapping[str, str]:
        """Empty."""

    @property
    def remote(self) -> str:
        """The address it came from, as trusted proxies tell it."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What the transport knows, such as `peercert`."""


PlainHandler = Callable[[PlainRequest], Callable[[], Awaitable[bytes]] | None]
"""makes what answers a plain request with the bytes to be sent; None: it leaves the request to the usual handler"""


class Listening(NamedTuple):
    """One of the gateway's own addresses."""

    host: str
    port: int
    bound: bool
    """whether it stands; else it is what the configuration says"""
    certificate: Path | None = None
    """the file of its certificate, where it speaks TLS"""


class Services(Protocol):
    """What the gateway lends to adapters."""

    @property
    def clock(self) -> Clock:
        """The gateway's time."""

    @property
    def default_timeout(self) -> Timeout:
        """Of `defaults:`, for what an adapter does of its own."""

    def spool(self, limit: int) -> Spool:
        """Takes an incoming body of at most `limit` bytes."""

    def mount(
        self,
        listener: str | None,
        prefix: str,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
        plain: PlainHandler | None = None,
    ) -> Callable[[], None]:
        """Serves everything below `prefix` of a listener (None: the default one); call the result to stop.

        `plain` is asked first about plain requests, which cost a third of others; what it leaves is `handler`'s.
        """

    def secured(self, listener: str | None) -> bool:
        """Whether that listener is loopback only, or demands client certificates."""

    def listening(self, listener: str | None) -> Listening:
        """Where that listener is. Raises ConfigError where there is none of that name."""

    async def fate(self, id: str, caller: str | None) -> Mapping[str, Any] | None:
        """The story of a message for the caller that sent it; None for everybody else."""

    async def noted(self, connection: str, name: str) -> Any:
        """What `note` kept last under this name of this connection; None where it never did."""

    async def note(self, connection: str, name: str, value: Any) -> None:
        """Keeps plain values over restarts; durable when it returns. For what a partner holds of ours, not for data."""


class Adapter(Protocol):
    """Anything the gateway connects to. `open`, then `run` or `send`, then `close`; a closed adapter is not reused."""

    Config: ClassVar[type[ConnectionConfig]]

    def __init__(self, name: str, config: Any, services: Services) -> None: ...
    async def open(self) -> None:
        """Acquires what it needs. Raises a PipeError where it cannot; the supervisor tries again."""

    async def close(self) -> None:
        """Safe before open, safe twice."""

    async def check(self) -> Health:
        """Asks the partner cheaply, without side effects. Never raises."""


@runtime_checkable
class Certified(Adapter, Protocol):
    """An adapter that knows the certificates that its connection rests on; `pipe connections` watches their days."""

    def certificates(self) -> Sequence[Certificate]:
        """Those that were seen last, and our own. Asks nobody; never raises."""


@runtime_checkable
class Troubled(Adapter, Protocol):
    """An adapter that knows of what people should look at although messages pass; it makes an `up` degraded."""

    def troubles(self) -> Sequence[str]:
        """Each in words that ops can act upon. Asks nobody; never raises."""


class Rung(NamedTuple):
    """One thing that must hold before the next one up can: name, TCP, TLS, sign-in, the right to do the operation."""

    name: str
    state: Literal["ok", "warn", "fail"]
    text: str
    """what was seen: addresses, days left, what the partner said; never a secret"""
    hint: str = ""
    """what to do about it"""


@runtime_checkable
class Examinable(Adapter, Protocol):
    """An adapter that can say, rung by rung, why its partner cannot be used. `pipe doctor NAME` asks it.

    It is asked of an adapter made for the purpose, beside the one that works: never opened, closed afterwards.
    """

    def examine(self, uses: Sequence[Any]) -> AsyncIterator[Rung]:
        """Climbs until a rung fails. Harmless: reads, lists, says hello; leaves nothing behind at the partner.

        `uses` are the Subscription and Target options of the routes that use this connection.
        """


@runtime_checkable
class Source(Adapter, Protocol):
    """Receives messages."""

    Subscription: ClassVar[type[Options]]
    """its keys of `from:`"""
    refusable: ClassVar[bool]
    """False where the peer cannot be told no (files, MQTT, mail): the door keeps what it refuses as a dead letter"""

    async def run(self, doors: Doors) -> None:
        """Receives until cancelled; confirms to the peer only after `accept` returned. Raises when the peer is lost."""


class Outgoing(NamedTuple):
    """One attempt to hand one message to a partner."""

    message: Message
    target: Any
    """the adapter's own keys of `to:`, an instance of its `Target`"""
    id: str
    """stable over all attempts of this delivery"""
    attempt: int
    timeout: Timeout
    key: str | None = None
    """what `idempotent_by:` says; sent as `Idempotency-Key` over HTTP"""
    idempotent: bool = False
    plain: Message | None = None
    """the message before its values became bytes, where they did"""

    @property
    def data(self) -> Message:
        """What the target's own templates and expressions are filled from: its body is still plain values."""
        return self.plain or self.message

    @property
    def trace(self) -> Mapping[str, str]:
        """Headers of W3C Trace Context to be sent along; none where the message belongs to no trace."""
        return onward(self.data, self.id, self.attempt)


@runtime_checkable
class Sink(Adapter, Protocol):
    """Hands messages to a partner."""

    Target: ClassVar[type[Options]]
    """its keys of `to:`"""
    takes: ClassVar[Literal["bytes", "values"]]
    """bytes: the engine encodes plain values as JSON before `send`"""

    def natural(self, target: Any) -> bool:
        """Whether repeating this target is harmless by the protocol's own rules (PUT, GET, a file of the same name)."""

    async def send(self, outgoing: Outgoing) -> Receipt:
        """One attempt. Raises the PipeError whose verdict fits; never retries itself."""


@runtime_checkable
class Caller(Sink, Protocol):
    """A sink whose receipts carry the partner's reply: it can answer synchronous routes and `enrich`."""

    answers: ClassVar[Literal[True]]


# --- steps --------------------------------------------------------------------------------------------------------


class Transformer(Protocol):
    """A pure function of a message, made from its YAML."""

    name: ClassVar[str]
    """the key in `steps:`"""
    Config: ClassVar[type[BaseModel]]
    """what stands behind the key; a RootModel where that is not a map"""
    heavy: ClassVar[bool]
    """runs in a thread"""

    def __init__(self, config: Any) -> None: ...
    def apply(self, message: Message) -> Message | None:
        """The message after this step; None = dropped on purpose. Raises PayloadError with `path` among its facts."""


class Transaction(Protocol):
    """What a flow step may do: everything commits together with the fact that its message is done, or not at all."""

    @property
    def now(self) -> float:
        """Seconds since 1970, the same for all that happens in this transaction."""

    def new_id(self) -> str:
        """A fresh id."""

    def execute(self, statement: Executable, parameters: Any = None) -> Result[Any]:
        """Runs SQL of SQLAlchemy Core on the step's own tables."""

    def hash(self, *parts: str) -> str:
        """A keyed hash, its key outside the database: finds equal values, tells nothing about them."""

    def seal(self, plain: bytes, about: str) -> bytes:
        """Encrypts for the step's own tables; `about` must be the same when it is opened."""

    def unseal(self, sealed: bytes, about: str) -> bytes:
        """Decrypts what `seal` made. Raises RowDamaged where it was altered."""

    def emit(
        self,
        message: Message,
        *,
        route: str | None = None,
        at: float | None = None,
        cancel: str | None = None,
        deadline: float | None = None,
    ) -> str:
        """Sends a message on: through this route, or to another one of `from: internal`; returns its id.

        `at` (seconds since 1970) makes it due later; `cancel` names it, so that `tx.cancel` can take it back. With
        `deadline` it expires then, whatever its route says.
        """

    def cancel(self, key: str) -> int:
        """Takes back what was emitted with `cancel=key` and is not due yet; returns how many."""

    def publish(self, topic: str, event: Mapping[str, Any]) -> int:
        """Appends to a feed that pages follow; returns its number."""

    def audit(self, event: str, *, before: Any = None, after: Any = None, target: str = "") -> None:
        """Writes who did what."""


StepFunction = Callable[[Message, Transaction], Iterable[Message] | None]


@dataclass(frozen=True, slots=True)
class FlowStep:
    """A function that a route calls by `flow: NAME`; made by `@step`."""

    name: str
    function: StepFunction

    def __call__(self, message: Message, tx: Transaction) -> Iterable[Message] | None:
        """Calls the function."""
        return self.function(message, tx)


def step(name: str) -> Callable[[StepFunction], FlowStep]:
    """Makes a flow step of a plain function. What it yields goes on through the route; nothing yielded = consumed."""
    return lambda function: FlowStep(name, function)


@dataclass(frozen=True, slots=True)
class Flow:
    """One business flow: its steps and its tables. Stands in `flows/NAME/__init__.py`, listed in `flows.FLOWS`."""

    name: str
    steps: Sequence[FlowStep] = ()
    migrations: Sequence[Callable[[Any], None]] = ()
    """each gets a SQLAlchemy Connection, runs once, in this order, at start; never change one that was released"""
    operations: Mapping[str, Callable[..., Awaitable[Any]]] = field(default_factory=dict)
    """what commands and pages may ask of it, by names like `access.grants`: see `pipe.operations`"""
    subjects: Sequence[tuple[str, str]] = ()
    """(table, column) pairs: what they hold is the id of a message, or the keyed hash `tx.hash("subject", …)` of a
    subject; `pipe erase` deletes the rows of a subject and of a subject's messages"""


async def pieces(body: bytes | Blob) -> AsyncIterator[bytes]:
    """A body in pieces, whichever it is, for adapters that stream."""
    if isinstance(body, Blob):
        for piece in body.open():
            yield piece
    else:
        yield body


async def turns(doors: Doors, clock: Clock) -> AsyncIterator[Door]:
    """Each door when its turn comes: at once, then `door.options.every` seconds after its last turn.

    For sources that poll. Never ends. A door that a reload adds has its turn at once.
    """
    due: dict[str, float] = {}
    while True:
        version, present = doors.version, list(doors)
        due = {door.route: due.get(door.route, clock.monotonic()) for door in present}
        for door in present:
            if due[door.route] <= clock.monotonic():
                yield door
                due[door.route] = clock.monotonic() + door.options.every
        waits = [asyncio.ensure_future(doors.changed(version))]
        if due:
            waits.append(asyncio.ensure_future(clock.sleep(max(0.0, min(due.values()) - clock.monotonic()))))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
