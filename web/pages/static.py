"""Files that pages are made of: styles, scripts, icons. Their address holds a hash of them all, so they never expire.

One hash for the folder, not one a file: scripts import one another by relative paths, and stay together so.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from pipe.errors import NotFound

FOLDER = Path(__file__).resolve().parent.parent / "static"
FOR_EVER = "public, max-age=31536000, immutable"
_MEDIA = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".png": "image/png"}


@dataclass(frozen=True, slots=True)
class _File:
    plain: bytes
    packed: bytes | None
    media: str


class Static:
    """The files of a folder, read once."""

    def __init__(self, folder: Path = FOLDER, prefix: str = "/static") -> None:
        self._files: dict[str, _File] = {}
        digest = hashlib.sha256()
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                name, plain = path.relative_to(folder).as_posix(), path.read_bytes()
                digest.update(f"{name}\0{len(plain)}\0".encode() + plain)
                self._files[name] = _File(plain, _packed(path, plain), _media(path))
        self.version = digest.hexdigest()[:12]
        self._prefix = f"{prefix}/{self.version}/"

    def url(self, name: str) -> str:
        """The address of a file. Raises KeyError where there is none: a template names it wrongly."""
        if name.partition("#")[0] not in self._files:
            raise KeyError(f"there is no file web/static/{name}")
        return self._prefix + name

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """The file, to be kept for ever; one of another version (a page older than this process) to be asked for anew.

        Raises NotFound.
        """
        version, _, name = request.rel_url.path.removeprefix("/static/").partition("/")
        file = self._files.get(name)
        if file is None:
            raise NotFound("there is no such file")
        current = version == self.version
        headers = {"Cache-Control": FOR_EVER if current else "no-cache", "Vary": "Accept-Encoding"}
        body = file.plain
        if file.packed is not None and "gzip" in request.headers.get("Accept-Encoding", ""):
            body, headers["Content-Encoding"] = file.packed, "gzip"
        charset = "utf-8" if file.media.startswith("text/") else None
        return web.Response(body=body, content_type=file.media, charset=charset, headers=headers)


def _packed(path: Path, plain: bytes) -> bytes | None:
    if path.suffix == ".png":
        return None
    packed = gzip.compress(plain, 9, mtime=0)
    return packed if len(packed) < len(plain) else None


def _media(path: Path) -> str:
    return _MEDIA.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
