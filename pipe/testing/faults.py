"""What a network does to a connection, one class each; `FaultProxy.turn` puts one of them in force.

`towards` says which of the two directions is meant: what flows towards the server, towards the client (who connected to
the proxy), or both. `after` counts bytes of one direction of one connection from the moment the fault was turned on:
so many pass, and the fault strikes in place of the next one. Where no further byte comes, nothing happens.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from pipe.testing.fault_proxy import Line, Stream

Towards = Literal["server", "client", "both"]
STEPS_A_SECOND = 20
NOISE = hashlib.shake_256(b"noise").digest(512)


class Fault:
    """No fault: everything passes. Base of the others."""

    listens: ClassVar[bool] = True
    """whether the proxy takes connections"""

    async def meet(self, line: Line) -> None:
        """What becomes of a new connection; returns when it is over."""
        await line.join()

    def take_over(self, line: Line) -> None:
        """What becomes at once of a connection that stands when the fault is turned on."""

    async def carry(self, stream: Stream, piece: bytes) -> None:
        """What becomes of up to 64 KiB that came in."""
        await stream.pass_on(piece)


@dataclass(frozen=True)
class _OneWay(Fault):
    towards: Towards = field(default="both", kw_only=True)

    async def carry(self, stream: Stream, piece: bytes) -> None:
        await (self.strike(stream, piece) if self.towards in ("both", stream.towards) else stream.pass_on(piece))

    async def strike(self, stream: Stream, piece: bytes) -> None:
        """What becomes of a piece that flows this way."""
        raise NotImplementedError


@dataclass(frozen=True)
class Delay(_OneWay):
    """Each piece waits so many seconds before it goes on, and the next one behind it."""

    seconds: float

    async def strike(self, stream: Stream, piece: bytes) -> None:
        """Passes it on late; under another fault, where that was turned on meanwhile."""
        await (stream.pass_on(piece) if await stream.rest(self.seconds) else stream.carry(piece))


@dataclass(frozen=True)
class Rate(_OneWay):
    """No more than so many bytes pass in a second, 20 times a second a part of them, or one at a time."""

    bytes_a_second: float

    async def strike(self, stream: Stream, piece: bytes) -> None:
        """Passes it on in small parts; the rest under another fault, where that was turned on meanwhile."""
        step = max(1, int(self.bytes_a_second / STEPS_A_SECOND))
        while piece:
            part, piece = piece[:step], piece[step:]
            await stream.pass_on(part)
            if not await stream.rest(len(part) / self.bytes_a_second):
                await stream.carry(piece)
                return


@dataclass(frozen=True)
class _Striking(_OneWay):
    after: int = field(default=0, kw_only=True)

    async def strike(self, stream: Stream, piece: bytes) -> None:
        """Passes on what may pass."""
        room = max(0, self.after - stream.passed)
        await stream.pass_on(piece[:room])
        if len(piece) > room:
            await self.end(stream)

    async def end(self, stream: Stream) -> None:
        """What happens in place of the next byte."""
        raise NotImplementedError


@dataclass(frozen=True)
class Cut(_Striking):
    """An orderly end for both sides in the middle of what one of them says."""

    towards: Towards = field(default="client", kw_only=True)

    async def end(self, stream: Stream) -> None:
        """FIN to both."""
        stream.line.finish()


@dataclass(frozen=True)
class Reset(_Striking):
    """The same without order: both sides get a reset."""

    towards: Towards = field(default="client", kw_only=True)

    async def end(self, stream: Stream) -> None:
        """RST to both."""
        stream.line.reset()


@dataclass(frozen=True)
class Swallow(_Striking):
    """Read and never handed on, the end of it neither. A connection that has lost something stays so when healed."""

    async def end(self, stream: Stream) -> None:
        """Loses all that follows."""
        stream.lost = True


@dataclass(frozen=True)
class Garbage(_Striking):
    """Other bytes in place of the next ones, then an orderly end."""

    data: bytes = NOISE
    towards: Towards = field(default="client", kw_only=True)

    async def end(self, stream: Stream) -> None:
        """Says something else, then FIN to both."""
        await stream.pass_on(self.data)
        stream.line.finish()


class HalfOpen(Fault):
    """The other end is gone without a word, as after a power failure: nothing is read, nothing comes, nothing ends.

    What the client sends stays in the buffers of the two systems until they are full. For the server the connection is
    reset. A connection in this state stays so when healed.
    """

    async def meet(self, line: Line) -> None:
        """Takes it, and never looks at it."""
        line.abandon()
        await line.over.wait()

    def take_over(self, line: Line) -> None:
        """Never looks at it again."""
        line.abandon()


class AcceptThenClose(Fault):
    """Each new connection is taken and ended at once; those that stand go on."""

    async def meet(self, line: Line) -> None:
        """FIN."""
        line.finish()


class Refuse(Fault):
    """New connections are refused and those that stand are reset, as when the server's process died."""

    listens: ClassVar[bool] = False

    async def meet(self, line: Line) -> None:
        """One that came in the very moment."""
        line.reset()

    def take_over(self, line: Line) -> None:
        """RST."""
        line.reset()
