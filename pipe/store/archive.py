"""The file that a backup is: one line in plain text, then a tar archive that only the master key opens.

The archive is sealed piece by piece under a key of its own, and that key under the master key. So a backup may lie
where the gateway's data may not, and whoever alters a byte of it is found out.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import orjson

from pipe.errors import BackupDamaged, PipeError, RowDamaged, SecretMissing
from pipe.sealed_file import SealedWriter, new_key, opened
from pipe.store.vault import Vault

MAGIC = b"PIPE backup 1 "
UNFINISHED = ".part"
LONGEST_HEADER = 64 << 10
BUFFER = 1 << 20

Tick = Callable[[int], None]
"""called with the bytes that were just worked on; may raise to stop"""


@dataclass(frozen=True, slots=True)
class Header:
    """What can be read of a backup without a key."""

    id: str
    made_at: float
    """seconds since 1970: what was committed until then is in it"""
    wrapped: str
    """the archive's key, sealed with the master key, in hex"""

    @property
    def about(self) -> str:
        """What the key was sealed for: a header that was altered opens nothing."""
        return f"backup {self.id} of {self.made_at!r}"


@contextmanager
def written(path: Path, vault: Vault, id: str, made_at: float) -> Iterator[tarfile.TarFile]:
    """A new archive to put members into; synced when the block ends well."""
    key = new_key()
    header = Header(id, made_at, "")
    wrapped = vault.seal(key, header.about).hex()
    sealed = SealedWriter(path, key)
    try:
        fcntl.flock(sealed.file, fcntl.LOCK_EX)
        os.fchmod(sealed.file.fileno(), 0o600)
        sealed.file.write(MAGIC + orjson.dumps({"id": id, "made_at": made_at, "wrapped": wrapped}) + b"\n")
        with tarfile.open(fileobj=_Writes(sealed), mode="w|", bufsize=BUFFER) as tar:
            yield tar
        sealed.finish()
    finally:
        sealed.file.close()


def header_of(path: Path) -> Header:
    """The first line of a backup. Raises BackupDamaged where the file is none."""
    with path.open("rb") as file:
        line = file.readline(LONGEST_HEADER)
    if not line.startswith(MAGIC) or not line.endswith(b"\n"):
        raise BackupDamaged(f"{path} is no backup of this gateway")
    try:
        fields = orjson.loads(line[len(MAGIC) :])
        return Header(str(fields["id"]), float(fields["made_at"]), str(fields["wrapped"]))
    except (ValueError, KeyError, TypeError) as error:
        raise BackupDamaged(f"the first line of {path} cannot be read: {error}") from error


@contextmanager
def read(path: Path, vault: Vault) -> Iterator[Iterator[tuple[str, IO[bytes]]]]:
    """Names and contents of the members, in order, each to be read before the next.

    Raises SecretMissing where the master key is another one, BackupDamaged where the file is not what was written.
    """
    header = header_of(path)
    try:
        key = vault.open(bytes.fromhex(header.wrapped), header.about)
    except (PipeError, ValueError) as error:
        raise SecretMissing(
            f"the master key does not open {path}", hint="name the key file that was in use when it was made: --keys"
        ) from error
    start = path.open("rb")
    with start:
        begin = len(start.readline(LONGEST_HEADER))
    try:
        stream = io.BufferedReader(_Reads(opened(path, key, begin)), BUFFER)
        with tarfile.open(fileobj=stream, mode="r|", bufsize=BUFFER) as tar:
            yield _members(tar)
            # The end must have been reached and be the end: a file that was cut short has none.
            while stream.read(BUFFER):
                continue
    except (RowDamaged, tarfile.TarError, EOFError) as error:
        raise BackupDamaged(f"{path} is not what was written: {error}") from error


def add(tar: tarfile.TarFile, name: str, source: Path, tick: Tick) -> dict[str, Any]:
    """Puts a file into an archive; returns its size and SHA-256."""
    with source.open("rb") as file:
        info = tarfile.TarInfo(name)
        info.size = os.fstat(file.fileno()).st_size
        counting = Counting(file, tick)
        tar.addfile(info, counting)
    return {"bytes": info.size, "sha256": counting.sha256}


def add_text(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    """Puts a small member into an archive."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def clear(folder: Path) -> None:
    """Removes the unfinished archives of processes that are no more."""
    for left in folder.glob(f".*{UNFINISHED}"):
        with suppress(OSError), left.open("rb") as file:
            # Who still writes holds a lock, which the kernel lets go of even on kill -9.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if file.read(len(MAGIC)) in (MAGIC, b""):
                left.unlink()


class Counting(io.RawIOBase):
    """Reads from a file, hashing and counting what passes."""

    def __init__(self, file: IO[bytes], tick: Tick) -> None:
        self._file, self._tick = file, tick
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        """Of what has passed."""
        return self._hash.hexdigest()

    def read(self, size: int | None = -1) -> bytes:
        """The next bytes."""
        data = self._file.read(-1 if size is None else size)
        self._hash.update(data)
        self.size += len(data)
        self._tick(len(data))
        return data


def _members(tar: tarfile.TarFile) -> Iterator[tuple[str, IO[bytes]]]:
    for info in tar:
        content = tar.extractfile(info) if info.isreg() else None
        if content is None:
            raise BackupDamaged(f"the archive holds {info.name}, which is no file")
        yield info.name, content


class _Writes(io.RawIOBase):
    """What tarfile writes to."""

    def __init__(self, sealed: SealedWriter) -> None:
        self._sealed = sealed

    def write(self, data: Any) -> int:
        self._sealed.write(bytes(data))
        return len(data)


class _Reads(io.RawIOBase):
    """Pieces as a file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._left = piece
        part, self._left = self._left[: len(buffer)], self._left[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)
