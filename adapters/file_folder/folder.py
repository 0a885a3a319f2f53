"""The adapter: claims a file by renaming it, hands it in, and only then deletes or moves it."""

from __future__ import annotations

import errno
import hashlib
import mimetypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from adapters.file_folder.confined import Confined, Found, Segments, read_piece
from adapters.file_folder.names import filled, wrong
from pipe import blocking
from pipe.contract import (
    Arrival,
    Blob,
    ConnectionConfig,
    Door,
    Doors,
    Duration,
    Health,
    Options,
    Outgoing,
    Receipt,
    Services,
    Strict,
    Template,
    path_beside,
    turns,
)
from pipe.errors import BadHeader, NotAuthorised, PayloadError, PeerError, PeerFailed, Refused, StoreError, Unreachable

R = TypeVar("R")
WORK, REFUSED = ".work", ".refused"


def _located(value: Any, info: ValidationInfo) -> Any:
    return path_beside(info, value) if isinstance(value, str) else value


def _inside(text: str) -> str:
    """Checks a path of the configuration that lies below the folder. Raises ValueError."""
    for segment in text.removesuffix("/").split("/"):
        if (problem := wrong(segment)) is not None:
            raise ValueError(f"`{text}` must lie below the folder: {segment!r} {problem}")
    if "**" in text:
        raise ValueError(f"`{text}`: `**` is not known here, write each level")
    return text.removesuffix("/")


def _template_inside(template: Template) -> Template:
    if template.text.startswith("/") or ".." in template.text.split("/"):
        raise ValueError(f"`{template.text}` must lie below the folder: no `/` in front, no `..`")
    return template


Inside = Annotated[str, AfterValidator(_inside)]


class FolderConfig(ConnectionConfig):
    """A folder of this machine, or one that is mounted there."""

    type: Literal["file_folder"] = "file_folder"
    path: Annotated[Path, BeforeValidator(_located)] = Field(
        description="The folder; nothing outside it is ever touched.", examples=["exchange/bank"]
    )


class Marker(Strict):
    """A file is ready when another one says so."""

    marker: str = Field(
        pattern=r"^[^/\x00]+$", description="Ending of the file that says so: `.done` waits for `a.csv.done`."
    )


class Move(Strict):
    """Keeps what was taken in another folder."""

    move: Inside = Field(description="Folder below the connection's; a name that is taken there gets a number.")


class FolderSubscription(Options):
    """Which files are taken, when, and what becomes of them."""

    get: Inside = Field(description="Pattern below the folder.", examples=["in/*.csv"])
    every: Duration = Field(default=Duration(60), description="Pause between two looks.")
    ready: Literal["stable"] | Marker = Field(
        default="stable", description="`stable`: size and time are the same at two looks."
    )
    after: Literal["delete", "keep"] | Move = Field(
        default="delete", description="What becomes of a file once its message is safe."
    )


class FolderTarget(Options):
    """Where a message becomes a file."""

    put: Annotated[Template, AfterValidator(_template_inside)] = Field(
        description="Path below the folder; missing folders are made.", examples=["out/${date}/${message.id}.xml"]
    )
    exists: Literal["replace", "refuse"] = Field(
        default="replace", description="What to do when the file is there with other content."
    )


class FileFolder:
    """Source and sink over a folder."""

    Config: ClassVar[type[ConnectionConfig]] = FolderConfig
    Subscription: ClassVar[type[Options]] = FolderSubscription
    Target: ClassVar[type[Options]] = FolderTarget
    takes: ClassVar[Literal["bytes", "values"]] = "bytes"
    refusable: ClassVar[bool] = False

    def __init__(self, name: str, config: FolderConfig, services: Services) -> None:
        self.name, self.services = name, services
        self._files = Confined(config.path)
        self._pool = f"files {name}"
        self._seen: dict[str, dict[Segments, Found]] = {}
        self._kept: dict[str, set[Found]] = {}
        self._refused = 0

    async def open(self) -> None:
        """Raises Unreachable where the folder is not there."""
        await self._do(self._look)

    async def close(self) -> None:
        """Gives its threads back. Safe before open, safe twice."""
        blocking.close(self._pool)

    async def check(self) -> Health:
        """Looks whether the folder is there and may be used. Never raises."""
        try:
            await self._do(self._look)
        except PeerError as error:
            return Health("down", str(error))
        if self._refused:
            return Health("degraded", f"{self._refused} files are too large and lie in {REFUSED} of the folder")
        return Health("up")

    def _look(self) -> None:
        with self._files.folder(()):
            if not os.access(self._files.root, os.R_OK | os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, "may not be read and written", str(self._files.root))

    async def _do(self, function: Callable[..., R], *arguments: object) -> R:
        """Calls a blocking function in a thread and says what its OSError means."""
        try:
            return await blocking.run(self._pool, function, *arguments)
        except OSError as error:
            raise _meaning(error, self.name) from error

    # --- putting

    def natural(self, target: Any) -> bool:
        """A file of the same name with the same content is the same file."""
        return True

    async def send(self, outgoing: Outgoing) -> Receipt:
        """Puts one file there; a reader sees all of it or nothing. Safe to repeat.

        Raises BadHeader for a name that data must not make, Refused where another file is in the way.
        """
        target, body = outgoing.target, outgoing.message.body or b""
        at = filled(target.put, outgoing.data)
        pieces = body.open() if isinstance(body, Blob) else (body,)
        written = await self._do(self._put, at, pieces, f".{outgoing.id}.part", target.exists == "replace")
        if not written:
            raise Refused(f"{'/'.join(at)} is there already, with other content")
        size = body.size if isinstance(body, Blob) else len(body)
        return Receipt(status="stored", headers={"file_path": "/".join(at)}, body={"path": "/".join(at), "size": size})

    def _put(self, at: Segments, pieces: Any, part: str, replace: bool) -> bool:
        return self._files.write(at, pieces, part, replace=replace)

    # --- taking

    async def run(self, doors: Doors) -> None:
        """Looks for every door until cancelled. Raises the PeerError of a folder that is lost."""
        async for door in turns(doors, self.services.clock):
            await self._turn(door)

    async def _turn(self, door: Door) -> None:
        """Hands in what is ready; stops at the first file that the store does not take."""
        try:
            for claim in await self._do(self._files.every_file, (WORK, door.route)):
                await self._hand_in(door, claim, claim.at[2:])
            for file in await self._ready(door):
                if door.options.after == "keep":
                    await self._hand_in(door, file, file.at)
                elif (claimed := await self._claimed(door, file)) is not None:
                    await self._hand_in(door, claimed, file.at)
        except StoreError:
            return  # nothing was accepted: the file is where it was and is taken at the next look

    async def _ready(self, door: Door) -> list[Found]:
        """What nobody writes to any more."""
        options: FolderSubscription = door.options
        found = await self._do(self._files.find, tuple(options.get.split("/")))
        if isinstance(options.ready, Marker):
            marker = options.ready.marker
            return [file for file in found if await self._do(self._files.exists, _marked(file.at, marker))]
        before, now = self._seen.get(door.route, {}), {file.at: file for file in found}
        self._seen[door.route] = now
        kept = self._kept.setdefault(door.route, set())
        kept.intersection_update(found)
        return [file for file in found if before.get(file.at) == file and file not in kept]

    async def _claimed(self, door: Door, file: Found) -> Found | None:
        """The file under a name that only we use; None where somebody was quicker, or its namesake still waits."""
        claim = (WORK, door.route, *file.at)
        try:
            await blocking.run(self._pool, self._files.move, file.at, claim)
        except (FileNotFoundError, FileExistsError):
            return None
        except OSError as error:
            raise _meaning(error, self.name) from error
        return Found(claim, file.size, file.modified)

    async def _hand_in(self, door: Door, file: Found, original: Segments) -> None:
        try:
            arrival = await self._read(door, file, Found(original, file.size, file.modified))
        except PayloadError:
            # The store takes no body of this size, and left in place it would come again for ever.
            self._refused += 1
            await self._set_aside(file.at, (REFUSED, door.route, *original))
            return
        if arrival is None:
            await self._put_back(file.at, original)
            return
        try:
            await door.accept(arrival)
        except StoreError:
            await self._put_back(file.at, original)
            raise
        await self._done(door, file, original)

    async def _read(self, door: Door, file: Found, shown: Found) -> Arrival | None:
        """The file as an arrival; None where it changed while it was read."""
        spool = self.services.spool(door.max_body)
        digest, size = hashlib.sha256(), 0
        descriptor = await self._do(self._files.open, file.at)
        try:
            while piece := await self._do(read_piece, descriptor):
                await spool.write(piece)
                digest.update(piece)
                size += len(piece)
            state = os.fstat(descriptor)
        except BaseException:
            spool.discard()
            raise
        finally:
            os.close(descriptor)
        if (size, state.st_size, state.st_mtime_ns) != (file.size, file.size, file.modified):
            spool.discard()
            return None
        about = {"file_name": shown.path.rpartition("/")[2], "file_path": shown.path, "size": str(size)}
        return Arrival(
            body=await spool.finish(),
            headers=about,
            params=about,
            content_type=mimetypes.guess_type(about["file_name"])[0],
            identity=f"{shown.path}:{size}:{file.modified}:{digest.hexdigest()}",
        )

    async def _done(self, door: Door, file: Found, original: Segments) -> None:
        """What the configuration says becomes of a file that is safe; done again after a crash, it harms nothing."""
        options: FolderSubscription = door.options
        if isinstance(options.ready, Marker):
            await self._do(self._files.delete, _marked(original, options.ready.marker))
        if options.after == "delete":
            await self._do(self._files.delete, file.at)
        elif isinstance(options.after, Move):
            await self._set_aside(file.at, (*options.after.move.split("/"), original[-1]))
        else:
            self._kept.setdefault(door.route, set()).add(file)

    async def _put_back(self, at: Segments, original: Segments) -> None:
        """Where it was, unless it never left or a namesake took its place: then it stays claimed and comes first."""
        if at != original:
            try:
                await blocking.run(self._pool, self._files.move, at, original)
            except (FileExistsError, FileNotFoundError):
                return
            except OSError as error:
                raise _meaning(error, self.name) from error

    async def _set_aside(self, at: Segments, wanted: Segments) -> None:
        """Moves a file, under a numbered name where the wanted one is taken."""
        stem, dot, suffix = wanted[-1].partition(".")
        for number in range(10_000):
            name = f"{stem}-{number}{dot}{suffix}" if number else wanted[-1]
            try:
                await blocking.run(self._pool, self._files.move, at, (*wanted[:-1], name))
            except FileExistsError:
                continue
            except OSError as error:
                raise _meaning(error, self.name) from error
            return
        raise PeerFailed(f"{'/'.join(wanted)} and ten thousand numbered names of it are taken")


def _marked(at: Segments, marker: str) -> Segments:
    return (*at[:-1], at[-1] + marker)


def _meaning(error: OSError, name: str) -> PeerError | PayloadError:
    """What an OSError says about the folder, the message, or the moment."""
    text = f"{error.strerror or error}{f' ({error.filename})' if error.filename else ''}"
    if error.errno in {errno.ENAMETOOLONG, errno.EILSEQ}:
        return BadHeader(f"the file's name does not fit the file system: {text}")
    if error.errno in {errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EINVAL}:
        return Refused(f"the path leads over a link, or over something that is not a folder: {text}")
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return NotAuthorised(f"{name} may not be used by this user: {text}")
    if error.errno in {errno.ENODEV, errno.ENOENT}:
        return Unreachable(f"{name} is not there: {text}")
    return PeerFailed(f"{name} failed: {text}")
