"""File operations that cannot leave one folder: every step is taken from an open folder and follows no link.

Everything here blocks and is called through pipe.blocking. Paths are tuples of segments below the root.
"""

from __future__ import annotations

import contextlib
import errno
import fnmatch
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

Segments = tuple[str, ...]
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PIECE = 1 << 18


@dataclass(frozen=True, slots=True)
class Found:
    """A file as a listing shows it."""

    at: Segments
    size: int
    modified: int
    """nanoseconds since 1970"""

    @property
    def path(self) -> str:
        """Below the root, as text that every reader can show."""
        return "/".join(segment.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for segment in self.at)


class Confined:
    """A folder that nothing here leads out of.

    All methods raise OSError: a link on the way is ELOOP or ENOTDIR, ENODEV means that the folder itself is gone.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @contextlib.contextmanager
    def folder(self, at: Segments, *, make: bool = False) -> Iterator[int]:
        """An open folder below the root; with `make` missing ones are made, durably."""
        try:
            here = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise OSError(errno.ENODEV, "there is no such folder", str(self.root)) from error
        try:
            for segment in at:
                if make:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(segment, 0o750, dir_fd=here)
                        os.fsync(here)
                below = os.open(segment, _FOLDER, dir_fd=here)
                os.close(here)
                here = below
            yield here
        finally:
            os.close(here)

    def find(self, pattern: Segments) -> list[Found]:
        """The files that fit, oldest first. Hidden names fit only a pattern that starts with a dot; links never do."""
        found = list(self._below((), pattern))
        return sorted(found, key=lambda file: (file.modified, file.at))

    def _below(self, at: Segments, pattern: Segments) -> Iterator[Found]:
        wanted, rest = pattern[0], pattern[1:]
        try:
            with self.folder(at) as here:
                names = [name for name in _names(here) if _fits(name, wanted)]
                states = [(name, _state(name, here)) for name in names]
        except (FileNotFoundError, NotADirectoryError):
            return
        for name, state in states:
            if state is None:
                continue
            if rest and stat.S_ISDIR(state.st_mode):
                yield from self._below((*at, name), rest)
            elif not rest and stat.S_ISREG(state.st_mode):
                yield Found((*at, name), state.st_size, state.st_mtime_ns)

    def every_file(self, at: Segments) -> list[Found]:
        """All files below a folder, whatever they are called, oldest first."""
        try:
            with self.folder(at) as here:
                states = [(name, _state(name, here)) for name in _names(here)]
        except FileNotFoundError:
            return []
        found: list[Found] = []
        for name, state in states:
            if state is not None and stat.S_ISDIR(state.st_mode):
                found += self.every_file((*at, name))
            elif state is not None and stat.S_ISREG(state.st_mode):
                found.append(Found((*at, name), state.st_size, state.st_mtime_ns))
        return sorted(found, key=lambda file: (file.modified, file.at))

    def exists(self, at: Segments) -> bool:
        """Whether there is anything of that name."""
        try:
            with self.folder(at[:-1]) as here:
                return _state(at[-1], here) is not None
        except (FileNotFoundError, NotADirectoryError):
            return False

    def open(self, at: Segments) -> int:
        """A descriptor to read a plain file by; a device or a pipe does not hold up anybody."""
        with self.folder(at[:-1]) as here:
            file = os.open(at[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=here)
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            raise OSError(errno.EINVAL, "is no plain file")
        return file

    def move(self, source: Segments, target: Segments) -> None:
        """Renames in one step. Raises FileExistsError where the target is there already."""
        with self.folder(target[:-1], make=True) as to, self.folder(source[:-1]) as here:
            if _state(target[-1], to) is not None:
                raise FileExistsError(errno.EEXIST, "is there already", "/".join(target))
            os.rename(source[-1], target[-1], src_dir_fd=here, dst_dir_fd=to)
            os.fsync(to)
            os.fsync(here)

    def delete(self, at: Segments) -> None:
        """Durably gone; harmless if it was."""
        with contextlib.suppress(FileNotFoundError), self.folder(at[:-1]) as here:
            os.unlink(at[-1], dir_fd=here)
            os.fsync(here)

    def write(self, at: Segments, pieces: Iterable[bytes], part: str, *, replace: bool) -> bool:
        """Puts a file there whole, under the temporary name `part` until it is on disk.

        False: without `replace`, another file has that name. A file with the very same bytes counts as ours.
        """
        with self.folder(at[:-1], make=True) as here:
            digest = hashlib.sha256()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(part, dir_fd=here)  # an earlier attempt of this delivery broke off
            try:
                _write(part, here, pieces, digest)
                if replace:
                    os.rename(part, at[-1], src_dir_fd=here, dst_dir_fd=here)
                else:
                    os.link(part, at[-1], src_dir_fd=here, dst_dir_fd=here, follow_symlinks=False)
            except FileExistsError:
                return self._hash(at) == digest.digest()
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(part, dir_fd=here)
            os.fsync(here)
        return True

    def _hash(self, at: Segments) -> bytes:
        with os.fdopen(self.open(at), "rb") as file:
            return hashlib.file_digest(file, "sha256").digest()


def _write(name: str, folder: int, pieces: Iterable[bytes], digest: hashlib._Hash) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, 0o640, dir_fd=folder), "wb") as file:
        for piece in pieces:
            file.write(piece)
            digest.update(piece)
        file.flush()
        os.fsync(file.fileno())


def read_piece(file: int) -> bytes:
    """The next bytes of an open file; none at its end."""
    return os.read(file, _PIECE)


def _names(folder: int) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries]


def _fits(name: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(name, pattern) and (not name.startswith(".") or pattern.startswith("."))


def _state(name: str, folder: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
