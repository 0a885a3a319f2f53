"""Hands messages to a partner over TCP: a line of size, id and label, then the body; the partner answers a line."""

from __future__ import annotations

import asyncio
from typing import ClassVar, Literal

from pydantic import Field

from pipe.contract import Blob, ConnectionConfig, Health, Options, Outgoing, Receipt, Services, Template, pieces
from pipe.errors import NoAnswer, PipeError, Refused, Unreachable, translated


class FramesConfig(ConnectionConfig):
    """A partner that takes frames over TCP."""

    type: Literal["tcp_frames"] = "tcp_frames"
    host: str = Field(description="Name or address of the partner.")
    port: int = Field(ge=1, le=65535, description="Its port.")


class FramesTarget(Options):
    """One frame for each message."""

    label: Template = Field(description="What the partner sorts frames by; one word.", examples=["${message.route}"])


class TcpFrames:
    """A sink with one TCP connection for each attempt."""

    Config: ClassVar[type[ConnectionConfig]] = FramesConfig
    Target: ClassVar[type[Options]] = FramesTarget
    takes: ClassVar[Literal["bytes", "values"]] = "bytes"

    def __init__(self, name: str, config: FramesConfig, services: Services) -> None:
        self._address, self._who = (config.host, config.port), f"{name} at {config.host}:{config.port}"

    async def open(self) -> None:
        """Needs nothing."""

    async def close(self) -> None:
        """Holds nothing."""

    async def check(self) -> Health:
        """Connects and says nothing."""
        try:
            _, writer = await self._connected(2)
        except PipeError as error:
            return Health("down", error.text, error.code)
        writer.close()
        return Health("up")

    def natural(self, target: FramesTarget) -> bool:
        """Two frames are two orders."""
        return False

    async def send(self, outgoing: Outgoing) -> Receipt:
        """Raises Unreachable where nothing was sent, NoAnswer where nobody knows, Refused where the partner says so."""
        body, label = outgoing.message.body, outgoing.target.label.fill(outgoing.message, _word)
        size = body.size if isinstance(body, Blob) else len(body)
        reader, writer = await self._connected(outgoing.timeout.connect)
        try:
            with translated({OSError: NoAnswer, EOFError: NoAnswer}, self._who):
                async with asyncio.timeout(outgoing.timeout.total):
                    writer.write(f"{size} {outgoing.id} {label}\n".encode())
                    async for piece in pieces(body):
                        writer.write(piece)
                        await writer.drain()
                    answer = (await reader.readuntil()).decode("utf-8", "replace").strip()
        finally:
            writer.close()
        if answer != "OK":
            raise Refused(f"{self._who} answered {answer!r}", reply=Receipt("refused", body=answer))
        return Receipt("OK", body=answer)

    async def _connected(self, seconds: float) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        with translated({OSError: Unreachable}, self._who):
            async with asyncio.timeout(seconds):
                return await asyncio.open_connection(*self._address)


def _word(value: object) -> str:
    return "".join(sign if sign.isalnum() else "-" for sign in str(value))
