"""What the gateway lends to adapters, for tests."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipe.contract import Blob, Clock, Duration, Listening, PlainHandler, Timeout
from pipe.errors import TooLarge
from pipe.testing.clock import FakeClock

if TYPE_CHECKING:
    from aiohttp import web

Handler = Callable[["web.Request"], Awaitable["web.StreamResponse"]]
SPILL = 1 << 20
"""bytes from which a spooled body is a file"""


class FakeSpool:
    """A Spool in memory, that makes files of large bodies where it has a folder."""

    def __init__(self, limit: int, folder: Path | None = None) -> None:
        """`limit` is in bytes; without a `folder` every body stays bytes."""
        self._limit, self._folder = limit, folder
        self._pieces = bytearray()

    async def write(self, piece: bytes) -> None:
        """Raises TooLarge past the limit."""
        if len(self._pieces) + len(piece) > self._limit:
            raise TooLarge(f"the body is larger than {self._limit} bytes")
        self._pieces += piece

    async def finish(self) -> bytes | Blob:
        """The whole body; from SPILL bytes on it is a Blob, where there is a folder."""
        body = bytes(self._pieces)
        if self._folder is None or len(body) < SPILL:
            return body
        with tempfile.NamedTemporaryFile(dir=self._folder, delete=False) as file:
            file.write(body)
        return Blob(Path(file.name), len(body), hashlib.sha256(body).hexdigest())

    def discard(self) -> None:
        """Forgets what was written."""
        self._pieces.clear()


class FakeServices:
    """Services with a clock of the test's own and short time-outs."""

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        timeout: Timeout | None = None,
        folder: Path | None = None,
        secured: bool = True,
    ) -> None:
        """`timeout` is 2 s to connect, 2 s of silence, 3 s in all unless given; `folder` takes large bodies."""
        self.clock = clock if clock is not None else FakeClock()
        self.default_timeout = timeout or Timeout(connect=Duration(2), read=Duration(2), total=Duration(3))
        self.mounted: dict[tuple[str | None, str], Handler] = {}
        """what adapters serve, by listener and prefix"""
        self.fates: dict[tuple[str, str | None], Mapping[str, Any]] = {}
        """the stories of messages, by id and caller"""
        self.listens = Listening("127.0.0.1", 0, bound=False)
        """where every listener is"""
        self.notes: dict[tuple[str, str], Any] = {}
        """what adapters noted, by connection and name"""
        self._folder, self._secured = folder, secured

    def spool(self, limit: int) -> FakeSpool:
        """A spool of the given limit in bytes."""
        return FakeSpool(limit, self._folder)

    def mount(
        self, listener: str | None, prefix: str, handler: Handler, plain: PlainHandler | None = None
    ) -> Callable[[], None]:
        """Notes the handler in `mounted`; the result takes it out again."""
        self.mounted[listener, prefix] = handler
        return lambda: self.mounted.pop((listener, prefix), None) and None

    async def fate(self, id: str, caller: str | None) -> Mapping[str, Any] | None:
        """What the test put into `fates` for this message and caller."""
        return self.fates.get((id, caller))

    async def noted(self, connection: str, name: str) -> Any:
        """What is in `notes`."""
        return self.notes.get((connection, name))

    async def note(self, connection: str, name: str, value: Any) -> None:
        """Puts it into `notes`."""
        self.notes[connection, name] = value

    def secured(self, listener: str | None) -> bool:
        """What the test said."""
        return self._secured

    def listening(self, listener: str | None) -> Listening:
        """What the test put into `listens`."""
        return self.listens
