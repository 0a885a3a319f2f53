"""What every stand-in is, whatever it speaks: a name, a port of its own, manners, and the record of what it saw."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from partners.manners import Manner, Verb
from partners.records import Lines, Recorder, Rows
from pipe.errors import BadRequest


class Partner:
    """A partner on a port of its own, so that stopping it refuses connections as a dead host does."""

    scheme: ClassVar[str] = "http"
    senseless: ClassVar[Mapping[Verb, str]] = {}
    """manners that its protocol has no room for, and what to use instead"""

    def __init__(self, name: str, folder: Path, *, port: int = 0, fsync: bool = False) -> None:
        """`folder` takes its records; port 0 is any free one. Raises OSError where the port is taken."""
        self.name, self.folder = name, folder
        self.manner = Manner()
        self.recorder = Recorder(Lines(folder / "seen.jsonl", fsync=fsync))
        self.rows = Rows(Lines(folder / "rows.jsonl", fsync=fsync))
        self._socket = bound(port)
        self.port: int = self._socket.getsockname()[1]
        self.listening = False
        """whether it takes connections"""

    @property
    def address(self) -> str:
        """Where it listens, or would."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def settings(self) -> Mapping[str, Any]:
        """What its connection must say instead, by dotted key, to reach it; None leaves a key out."""
        return {}

    def behave(self, manner: Manner) -> None:
        """Takes up a manner. Raises BadRequest where its protocol has no room for it."""
        if manner.verb in self.senseless:
            raise BadRequest(f"`{manner.verb}` makes no sense for {self.name}: {self.senseless[manner.verb]}")
        self.manner = manner

    def take_turn(self) -> Manner:
        """The manner that the next request meets; a manner `for=N` wears off."""
        manner = self.manner
        self.behave(manner.after_one())
        return manner

    async def start(self) -> None:
        """Takes connections; harmless when it does already."""
        if not self.listening:
            await self._open(self._socket)
            self.listening = True

    async def stop(self) -> None:
        """Refuses connections and drops those that stand; what it was working on gets no answer."""
        if self.listening:
            self.listening = False
            await self._shut()
            self._socket.close()
            self._socket = bound(self.port)

    async def close(self) -> None:
        """Ends it; safe twice."""
        await self.stop()
        self._socket.close()
        self.recorder.close()
        self.rows.close()

    async def _open(self, sock: socket.socket) -> None:
        raise NotImplementedError

    async def _shut(self) -> None:
        raise NotImplementedError

    async def offer(self, place: str, body: bytes) -> None:
        """Has something for us there: a message on a topic, a file, an answer to a question. Raises BadRequest."""
        raise BadRequest(f"{self.name} has no place where something can be offered to us")

    def status(self) -> dict[str, Any]:
        """How it is, for people and for `tell`."""
        return {
            "name": self.name,
            "address": self.address,
            "listening": self.listening,
            "manner": str(self.manner),
            "seen": self.recorder.count,
            "rows": len(self.rows),
        }


def bound(port: int) -> socket.socket:
    """A socket that owns its port without listening: connections to it are refused."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind(("127.0.0.1", port))
    except OSError:
        made.close()
        raise
    return made
