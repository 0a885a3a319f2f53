"""Files that nobody reads without their key: a body too large for a row, sealed piece by piece as it arrives.

Each file has a key of its own, so the nonce can simply count the pieces; the last piece says that it is the last.
Whoever loses or erases the key has erased the file, in every backup too.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pipe.errors import RowDamaged
from pipe.write_back import WriteBack

PIECE = 256 << 10
"""bytes of a body that are sealed together"""
_TAG = 16
_MORE, _LAST = b"more", b"last"


def new_key() -> bytes:
    """A key for one file."""
    return os.urandom(32)


class SealedWriter:
    """Writes one file, which must be new. Not usable from two threads at once."""

    def __init__(self, path: Path, key: bytes) -> None:
        self.file: BinaryIO = path.open("xb")
        self._cipher = AESGCM(key)
        self._waiting: list[memoryview] = []
        """up to a piece; not sealed, as it may be the last"""
        self._waits = 0
        """bytes of these"""
        self._pieces = 0
        self._back = WriteBack(self.file.fileno())

    def write(self, data: bytes) -> None:
        """Takes the next bytes, as many as there are; they are kept as they are, and must not change."""
        rest = memoryview(data)
        while self._waits + len(rest) > PIECE:
            if missing := PIECE - self._waits:
                self._waiting.append(rest[:missing])
            self._seal(_MORE)
            rest = rest[missing:]
        # A view of the end would keep all of what came with it.
        self._waiting.append(rest if len(rest) == len(data) else memoryview(bytes(rest)))
        self._waits += len(rest)

    def finish(self) -> None:
        """Writes what is left and syncs the file; it stays open."""
        self._seal(_LAST)
        self.file.flush()
        os.fsync(self.file.fileno())

    def _seal(self, which: bytes) -> None:
        plain = self._waiting[0] if len(self._waiting) == 1 else b"".join(self._waiting)
        self.file.write(self._cipher.encrypt(_nonce(self._pieces), plain, which))
        self._back.wrote(len(plain) + _TAG)
        self._waiting.clear()
        self._waits = 0
        self._pieces += 1


def opened(path: Path, key: bytes, start: int = 0) -> Iterator[bytes]:
    """The bytes in pieces. Raises RowDamaged where the file is not what was written: altered, cut, or another one.

    `start` is where the first piece begins, in a file that has something else before.
    """
    cipher = AESGCM(key)
    with path.open("rb") as file:
        file.seek(start)
        number, sealed = 0, file.read(PIECE + _TAG)
        while True:
            ahead = file.read(PIECE + _TAG)
            try:
                yield cipher.decrypt(_nonce(number), sealed, _MORE if ahead else _LAST)
            except (InvalidTag, ValueError) as error:
                raise RowDamaged(f"piece {number} of the body {path.name} is not what was written") from error
            if not ahead:
                return
            number, sealed = number + 1, ahead


class SealedFile(io.RawIOBase):
    """The body as a file that can be read from any place; wrap it in `io.BufferedReader`."""

    def __init__(self, path: Path, key: bytes) -> None:
        self._file = path.open("rb")
        self._path, self._cipher = path, AESGCM(key)
        sealed = os.fstat(self._file.fileno()).st_size
        self._pieces = -(-sealed // (PIECE + _TAG))
        self._size = sealed - self._pieces * _TAG
        self._at = 0
        self._known: tuple[int, bytes] = (-1, b"")

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """The place in the body."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Goes to a place in the body."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Raises RowDamaged where the file is not what was written."""
        if self._at >= self._size:
            return 0
        number, within = divmod(self._at, PIECE)
        plain = self._piece(number)[within : within + len(buffer)]
        buffer[: len(plain)] = plain
        self._at += len(plain)
        return len(plain)

    def close(self) -> None:
        """Closes the file. Safe twice."""
        self._file.close()
        super().close()

    def _piece(self, number: int) -> bytes:
        if self._known[0] != number:
            self._file.seek(number * (PIECE + _TAG))
            which = _LAST if number == self._pieces - 1 else _MORE
            try:
                plain = self._cipher.decrypt(_nonce(number), self._file.read(PIECE + _TAG), which)
            except (InvalidTag, ValueError) as error:
                raise RowDamaged(f"piece {number} of the body {self._path.name} is not what was written") from error
            self._known = (number, plain)
        return self._known[1]


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")
