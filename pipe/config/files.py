"""The files of a configuration: from the disk, or from a stored revision; whatever is read is recorded."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

MAX_BYTES = 10 << 20


class Files:
    """Reads texts by their path relative to the folder of the first file."""

    def __init__(self, root: Path, stored: Mapping[str, str] | None = None) -> None:
        """`stored` is used instead of the disk, for a revision that was kept."""
        self.root = root
        self.seen: dict[str, str] = {}
        self._stored = stored

    def name(self, folder: str, path: str) -> str:
        """The name of `path`, which starts at `folder`, in `seen`."""
        if Path(path).is_absolute():
            path = os.path.relpath(path, self.root.resolve())
            folder = ""
        return posixpath.normpath(posixpath.join(folder, Path(path).as_posix()))

    def read(self, name: str) -> str:
        """The text. Raises ValueError that says why it cannot be had."""
        if name not in self.seen:
            self.seen[name] = self._text(name)
        return self.seen[name]

    def _text(self, name: str) -> str:
        if self._stored is not None:
            if name not in self._stored:
                raise ValueError(f"`{name}` is not part of this revision")
            return self._stored[name]
        try:
            raw = (self.root / name).read_bytes()
        except OSError as error:
            raise ValueError(f"`{name}` cannot be read: {error.strerror}") from None
        if len(raw) > MAX_BYTES:
            raise ValueError(f"`{name}` is larger than {MAX_BYTES >> 20} MiB")
        try:
            return raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise ValueError(f"`{name}` is not UTF-8 text: byte {error.start} is {raw[error.start]:#04x}") from None

    def matching(self, folder: str, pattern: str) -> list[str]:
        """Names of the files that a pattern with `*`, `?` or `**` means, sorted."""
        wanted = self.name(folder, pattern)
        if self._stored is not None:
            shape = re.compile(_as_regex(wanted))
            return sorted(name for name in self._stored if shape.fullmatch(name))
        return sorted(found.relative_to(self.root).as_posix() for found in self.root.glob(wanted) if found.is_file())

    def revision(self) -> str:
        """12 hex digits over all that was read."""
        digest = sha256()
        for name, text in sorted(self.seen.items()):
            for part in (name, text):
                encoded = part.encode("utf-8", "surrogatepass")
                digest.update(len(encoded).to_bytes(8, "big") + encoded)
        return digest.hexdigest()[:12]


def is_pattern(text: str) -> bool:
    """Whether it names files by `*`, `?` or `[…]`."""
    return re.search(r"[*?\[]", text) is not None


def _as_regex(pattern: str) -> str:
    pieces = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]+\])", pattern)
    meaning = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(
        meaning[piece] if piece in meaning else piece.replace("[!", "[^") if piece.startswith("[") else re.escape(piece)
        for piece in pieces
    )
