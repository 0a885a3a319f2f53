"""Files that nobody reads without their key: a body too large for a row, sealed piece by piece as it arrives.

Each file has a key of its own, so the nonce can simply count the pieces; the last piece says that it is the last.
Whoever loses or erases the key has erased the file, in every backup too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pipe.errors import RowDamaged

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
        self._waiting = bytearray()
        self._pieces = 0

    def write(self, data: bytes) -> None:
        """Takes the next bytes, as many as there are."""
        self._waiting += data
        while len(self._waiting) > PIECE:  # never the last one: that is told apart in `finish`
            self._seal(bytes(self._waiting[:PIECE]), _MORE)
            del self._waiting[:PIECE]

    def finish(self) -> None:
        """Writes what is left and syncs the file; it stays open."""
        self._seal(bytes(self._waiting), _LAST)
        self._waiting.clear()
        self.file.flush()
        os.fsync(self.file.fileno())

    def _seal(self, plain: bytes, which: bytes) -> None:
        self.file.write(self._cipher.encrypt(_nonce(self._pieces), plain, which))
        self._pieces += 1


def opened(path: Path, key: bytes) -> Iterator[bytes]:
    """The bytes in pieces. Raises RowDamaged where the file is not what was written: altered, cut, or another one."""
    cipher = AESGCM(key)
    with path.open("rb") as file:
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


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")
