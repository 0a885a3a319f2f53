"""What a place that keeps files can do, whatever it speaks."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

Segments = tuple[str, ...]
"""a path below the connection's folder; bytes that are no text stand in it as lone surrogates"""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or folder as a listing shows it. Links and devices are never shown."""

    at: Segments
    size: int = 0
    modified: int = 0
    """nanoseconds since 1970, as fine as the server tells"""
    kind: Literal["file", "folder"] = "file"

    @property
    def path(self) -> str:
        """Below the folder, as text that every reader can show."""
        return shown(self.at)


def shown(at: Segments) -> str:
    """A path as text that every reader can show."""
    return "/".join(segment.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for segment in at)


class Missing(Exception):
    """There is no such file, or no such folder; FTP cannot tell it from one that may not be seen."""


class Taken(Exception):
    """That name is taken."""


class CannotResume(Exception):
    """The server does not go on in the middle of a file."""


class Remote(Protocol):
    """A session with such a place: one thing at a time, nothing remembered.

    Besides Missing, Taken and CannotResume it raises only PipeErrors, and none of its waits is without a limit.
    """

    guards: ClassVar[bool]
    """`move` cannot replace a file, not even in a race"""
    resumes: ClassVar[bool]
    """a file that is half written is worth to be kept: the rest can follow"""
    unsure: ClassVar[int]
    """bytes at the end of such a file that may have holes: it is gone on with before them"""
    usable: bool
    """False once nobody knows what the session would answer next"""
    strange: int
    """names in listings that were no names: `..`, with a slash, with a control character"""

    async def entries(self, at: Segments) -> list[Entry]:
        """What lies directly in a folder. Raises Missing."""

    async def find(self, at: Segments) -> Entry | None:
        """The file of that name; None where there is none."""

    async def exact(self, entry: Entry) -> Entry:
        """The same with its time as exact as `find` tells it."""

    def read(self, at: Segments, offset: int = 0) -> AsyncGenerator[bytes, None]:
        """The file from there to its end. Raises Missing, CannotResume."""

    async def write(self, at: Segments, pieces: AsyncIterator[bytes], offset: int = 0) -> None:
        """Makes the file, or goes on at `offset` of one that is there. Raises Missing (the folder), CannotResume."""

    async def move(self, source: Segments, target: Segments, *, strict: bool = False) -> None:
        """Renames in one step. Raises Missing, and Taken where the target is there and the server says so.

        `strict`: where it can be helped, not even a race may replace the target.
        """

    async def replace(self, source: Segments, target: Segments) -> None:
        """Renames over whatever is there. Raises Missing."""

    async def delete(self, at: Segments) -> None:
        """Gone; harmless if it was."""

    async def make(self, at: Segments) -> bool:
        """Makes a folder and those above it; False where it was there. Raises where it may not."""

    async def unmake(self, at: Segments) -> None:
        """Takes an empty folder away; harmless where it is not empty, or gone, or may not be taken away."""

    async def alive(self) -> None:
        """Asks whether the session still stands. Raises a PeerError."""

    async def close(self) -> None:
        """Says goodbye, for a second at most."""

    def drop(self) -> None:
        """Ends it at once. Safe twice."""
