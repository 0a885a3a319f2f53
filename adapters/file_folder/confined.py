"""File operations that cannot leave one folder: every step is taken from an open folder and follows no link.

Everything here blocks and is called through pipe.blocking. Paths are tuples of segments below the root.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

from adapters.files.remote import Entry, Segments

_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}
"""what FAT, and shares of other systems, say of a second name"""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


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
                        _keep(here)
                below = os.open(segment, _FOLDER, dir_fd=here)
                os.close(here)
                here = below
            yield here
        finally:
            os.close(here)

    def entries(self, at: Segments) -> list[Entry]:
        """Files and folders that lie directly in a folder. A link, or a file of that name, is no folder."""
        try:
            with self.folder(at) as here:
                states = [(name, _state(name, here)) for name in _names(here)]
        except NotADirectoryError as error:
            raise FileNotFoundError(errno.ENOENT, "is no folder", "/".join(at)) from error
        found: list[Entry] = []
        for name, state in states:
            if state is not None and stat.S_ISDIR(state.st_mode):
                found.append(Entry((*at, name), kind="folder"))
            elif state is not None and stat.S_ISREG(state.st_mode):
                found.append(Entry((*at, name), state.st_size, state.st_mtime_ns))
        return found

    def find(self, at: Segments) -> Entry | None:
        """What has that name; a link or a device counts as an empty file."""
        try:
            with self.folder(at[:-1]) as here:
                state = _state(at[-1], here)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if state is None:
            return None
        return Entry(at, state.st_size, state.st_mtime_ns, "folder" if stat.S_ISDIR(state.st_mode) else "file")

    def open(self, at: Segments) -> FileIO:
        """A plain file to read; a device or a pipe does not hold up anybody."""
        with self.folder(at[:-1]) as here:
            file = os.open(at[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=here)
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            raise OSError(errno.EINVAL, "is no plain file")
        return FileIO(file, "rb")

    def create(self, at: Segments) -> FileIO:
        """A new file to write; one that was left under that name is gone."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with self.folder(at[:-1]) as here:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(at[-1], dir_fd=here)
            return FileIO(os.open(at[-1], flags, 0o640, dir_fd=here), "wb")

    def make(self, at: Segments) -> bool:
        """Makes a folder and those above it, durably; False where it was there."""
        with contextlib.suppress(FileNotFoundError), self.folder(at):
            return False
        with self.folder(at, make=True):
            return True

    def unmake(self, at: Segments) -> None:
        """Takes an empty folder away; harmless where it is not empty, or gone."""
        with contextlib.suppress(OSError), self.folder(at[:-1]) as here:
            os.rmdir(at[-1], dir_fd=here)

    def move(self, source: Segments, target: Segments) -> None:
        """Renames in one step, durably. Raises FileExistsError where the target is there already."""
        with self.folder(target[:-1]) as to, self.folder(source[:-1]) as here:
            if _state(target[-1], to) is not None:
                raise FileExistsError(errno.EEXIST, "is there already", "/".join(target))
            os.rename(source[-1], target[-1], src_dir_fd=here, dst_dir_fd=to)
            _keep(to)
            _keep(here)

    def replace(self, source: Segments, target: Segments) -> None:
        """Renames over whatever is there, within one folder, durably."""
        with self.folder(source[:-1]) as here:
            os.rename(source[-1], target[-1], src_dir_fd=here, dst_dir_fd=here)
            _keep(here)

    def link(self, source: Segments, target: Segments) -> bool:
        """Gives a file its other name within one folder, durably; False where that file system knows no links.

        Raises FileExistsError even in a race.
        """
        with self.folder(source[:-1]) as here:
            try:
                os.link(source[-1], target[-1], src_dir_fd=here, dst_dir_fd=here, follow_symlinks=False)
            except OSError as error:
                if error.errno in _NO_LINKS:
                    return False
                raise
            os.unlink(source[-1], dir_fd=here)
            _keep(here)
            return True

    def delete(self, at: Segments) -> None:
        """Durably gone; harmless if it was."""
        with contextlib.suppress(FileNotFoundError), self.folder(at[:-1]) as here:
            os.unlink(at[-1], dir_fd=here)
            _keep(here)


def _keep(folder: int) -> None:
    """What was changed in a folder is on disk; some network file systems have nothing to sync there, and say so."""
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise


def _names(folder: int) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries]


def _state(name: str, folder: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
