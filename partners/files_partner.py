"""What the stand-ins of an FTP and of an SFTP server share: the folder, who is let in, and the record of files."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

from adapters.files.finding import fits, fixed
from adapters.files.keys import FileSubscription, Marker
from adapters.files.names import wrong
from partners.manners import Verb
from partners.partner import Partner
from partners.records import Answer
from pipe.config.models import Configuration, ConnectionSpec
from pipe.errors import BadRequest, SecretMissing

_NO_BODY = "it has no answer with a body to hide an error in; use `refuse`"


class FilesPartner(Partner):
    """Keeps files under `DATA/partners/NAME/files`: what the gateway has put there, and what it is to take."""

    senseless: ClassVar[dict[Verb, str]] = {"error200": _NO_BODY}

    def __init__(
        self, spec: ConnectionSpec, configuration: Configuration, folder: Path, *, port: int = 0, fsync: bool = False
    ) -> None:
        """The folders that the routes look into are there from the beginning."""
        super().__init__(spec.name, folder, port=port, fsync=fsync)
        self.config: Any = spec.config
        self.root = folder / "files"
        self.home = self.root / self.config.folder.strip("/")
        """what the connection's paths are below"""
        self.home.mkdir(parents=True, exist_ok=True)
        self._taken = list(_subscriptions(spec.name, configuration))
        for each in self._taken:
            self.home.joinpath(*fixed(each.pattern)).mkdir(parents=True, exist_ok=True)

    def lets_in(self, user: str, password: str) -> bool:
        """Whether that is who the connection says it is; the secret is read at that moment."""
        if self.config.password is None:
            return bool(user == self.config.user)
        try:
            wanted = self.config.password.reveal()
        except SecretMissing:
            return False
        return user == self.config.user and hmac.compare_digest(password.encode(), wanted.encode())

    async def offer(self, place: str, body: bytes) -> None:
        """A file of that name for the gateway to take, whole from its first moment. Raises BadRequest."""
        segments = tuple(place.split("/"))
        if any(wrong(segment) is not None for segment in segments):
            raise BadRequest(f"{place!r} is no path of a file below the connection's folder")
        meant = next((each for each in self._taken if _fits(segments, each.pattern)), None)
        if meant is None:
            known = ", ".join(each.get for each in self._taken) or "nothing"
            raise BadRequest(f"the gateway takes {known} from {self.name}, not {place}")
        file = self.home.joinpath(*segments)
        file.parent.mkdir(parents=True, exist_ok=True)
        part = self.root / ".offered"
        part.write_bytes(body)
        part.replace(file)
        if isinstance(meant.ready, Marker):
            file.with_name(file.name + meant.ready.marker).touch()

    def moved(self, method: str, path: Path, answer: Answer, status: int, *, body: bytes | None = None) -> None:
        """Writes down that a file was sent or fetched, or that it was not let through."""
        name = path.relative_to(self.home).as_posix() if path.is_relative_to(self.home) else str(path)
        read = body if body is not None else path.read_bytes() if path.is_file() else b""
        # The name stands for the message: it is the same on every attempt.
        self.recorder.saw({"X-Pipe-Message-Id": name}, method, name, read, answer, status)

    def named(self, old: Path, new: Path) -> None:
        """A file that was half until now has its own name: that is a row, once for each content."""
        if old.name.startswith(".") and old.name.endswith(".part"):
            body, path = new.read_bytes(), new.relative_to(self.home).as_posix()
            key = f"{path} {hashlib.sha256(body).hexdigest()[:16]}"
            if self.rows.of_key(key) is None:
                self.rows.add(key, body, path=path, size=len(body))


def _subscriptions(name: str, configuration: Configuration) -> Iterable[FileSubscription]:
    for route in configuration.routes.values():
        options = route.source.options
        if route.source.connection == name and isinstance(options, FileSubscription):
            yield options


def _fits(path: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    if not pattern or not path:
        return not pattern and not path
    if pattern[0] == "**":
        return len(pattern) == 1 or any(_fits(path[at:], pattern[1:]) for at in range(len(path)))
    return fits(path[0], pattern[0]) and _fits(path[1:], pattern[1:])
