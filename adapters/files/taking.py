"""Picks files up: claims one by renaming it, hands it in, and only then deletes or moves it."""

from __future__ import annotations

import hashlib
import mimetypes
from contextlib import aclosing
from dataclasses import dataclass

from loguru import logger

from adapters.files.finding import every_file, find, overlap
from adapters.files.keys import FileSubscription, Marker, Move
from adapters.files.remote import CannotResume, Entry, Missing, Remote, Segments, Taken, shown
from adapters.files.sessions import Sessions
from pipe.contract import Arrival, Blob, Door, Doors, Health, Services, Spool, Timeout, turns
from pipe.errors import PayloadError, PeerError, PeerFailed, Refused, StoreError, TooLarge, Unreachable

REFUSED = ".refused"
PIECE = 1 << 19
"""bytes that are handed to the spool at once"""
RACES = 8
"""tries to set a file aside while others use the same names"""


@dataclass(slots=True)
class Partial:
    """What of a file has come before the session broke."""

    file: Entry
    spool: Spool
    size: int


class Taker:
    """The picking up of one connection; what it remembers is only to save work."""

    def __init__(self, work: str, timeout: Timeout, services: Services, sessions: Sessions) -> None:
        self._work, self._timeout = work, timeout
        self._services, self._sessions = services, sessions
        self._seen: dict[str, dict[Segments, Entry]] = {}
        self._kept: dict[str, set[Entry]] = {}
        self._made: set[Segments] = set()
        self._partial: dict[str, Partial] = {}
        self._version = -1
        self._refused = self._strange = 0
        self._absent: dict[str, str] = {}
        self._strays: list[str] = []

    def health(self) -> Health:
        """What people should look at although files pass."""
        problems = []
        if self._refused:
            problems.append(
                f"{self._refused} files are too large; those that were claimed lie in {REFUSED} of the folder"
            )
        if self._strange:
            problems.append(f"{self._strange} names in listings are no names and are left alone")
        problems += [f"{what} is not there" for what in self._absent.values()]
        problems += [f"{self._work}/{name} holds files of a route that is gone" for name in self._strays]
        return Health("degraded", "; ".join(problems)) if problems else Health("up")

    def close(self) -> None:
        """Forgets what was half received. Safe twice."""
        while self._partial:
            self._partial.popitem()[1].spool.discard()

    async def run(self, doors: Doors) -> None:
        """Looks for every door until cancelled. Raises the PeerError of a partner that is lost."""
        async for door in turns(doors, self._services.clock):
            async with self._sessions.one(self._timeout) as remote:
                if doors.version != self._version:
                    await self._look_for_strays(remote, {each.route for each in doors})
                    self._version = doors.version
                await self._turn(remote, door)

    async def _look_for_strays(self, remote: Remote, routes: set[str]) -> None:
        self._made.clear()
        for known in (self._seen, self._kept, self._absent):
            for gone in [route for route in known if route not in routes]:
                del known[gone]
        try:
            claimed = await remote.entries((self._work,))
        except Missing:
            claimed = []
        strays = [entry for entry in claimed if entry.kind == "folder" and entry.at[-1] not in routes]
        self._strays = [shown(entry.at[1:]) for entry in strays if await every_file(remote, entry.at)]

    async def _turn(self, remote: Remote, door: Door) -> None:
        """Hands in what is ready; stops at the first file that the store does not take."""
        try:
            for claim in await every_file(remote, (self._work, door.route)):
                if not remote.usable:
                    return
                await self._hand_in(remote, door, await remote.exact(claim), claim.at[2:])
            for file in await self._ready(remote, door):
                if not remote.usable:
                    return
                if door.options.after == "keep":
                    await self._hand_in(remote, door, await remote.exact(file), file.at, listed=file)
                elif (claimed := await self._claimed(remote, door, file)) is not None:
                    await self._hand_in(remote, door, claimed, file.at)
        except StoreError:
            return  # nothing was accepted: the file is where it was and is taken at the next look

    async def _ready(self, remote: Remote, door: Door) -> list[Entry]:
        """What nobody writes to any more."""
        options: FileSubscription = door.options
        done = [tuple(options.after.move.split("/"))] if isinstance(options.after, Move) else []
        look = await find(remote, options.pattern, done)
        self._absent.pop(door.route, None)
        if look.absent and not look.present:
            self._absent[door.route] = shown(look.absent[0]) or "the folder"
        self._strange = remote.strange
        found = look.sorted()
        if isinstance(options.ready, Marker):
            marker = options.ready.marker
            found = [file for file in found if _marked(file.at, marker) in look.present]
        else:
            before, self._seen[door.route] = self._seen.get(door.route, {}), {file.at: file for file in found}
            found = [file for file in found if before.get(file.at) == file]
        kept = self._kept.setdefault(door.route, set())
        kept.intersection_update(look.files)
        return [file for file in found if file not in kept]

    async def _claimed(self, remote: Remote, door: Door, file: Entry) -> Entry | None:
        """The file under a name that only we use; None where somebody was quicker, or its namesake still waits."""
        claim = (self._work, door.route, *file.at)
        if not remote.guards and await remote.find(claim) is not None:
            return None
        for _ in range(2):
            if claim[:-1] not in self._made:
                await remote.make(claim[:-1])
                self._made.add(claim[:-1])
            try:
                await remote.move(file.at, claim)
            except Taken:
                return None
            except Missing:
                self._made.discard(claim[:-1])
                if await remote.find(file.at) is None:
                    return None
                continue
            return await remote.exact(Entry(claim, file.size, file.modified))
        raise PeerFailed(f"{shown(file.at)} cannot be moved to {shown(claim[:-1])}")

    async def _hand_in(
        self, remote: Remote, door: Door, file: Entry, original: Segments, *, listed: Entry | None = None
    ) -> None:
        try:
            if file.size > door.max_body:
                raise TooLarge
            arrival = await self._read(remote, door, file, Entry(original, file.size, file.modified))
            if arrival is not None:
                await door.accept(arrival)
        except PayloadError:
            await self._refuse(remote, door, file, original, listed or file)
            return
        except StoreError:
            if remote.usable:
                await self._put_back(remote, file.at, original)
            raise
        if arrival is None:
            await self._put_back(remote, file.at, original)
            return
        await self._done(remote, door, file, original, listed or file)

    async def _refuse(self, remote: Remote, door: Door, file: Entry, original: Segments, listed: Entry) -> None:
        """The store takes no body of this size, and left where it is it would come again for ever."""
        self._refused += 1
        logger.bind(action="file_refused", route=door.route, file=shown(original), size=file.size).warning(
            "a file is larger than `max_body` of its route"
        )
        if file.at == original:
            self._kept.setdefault(door.route, set()).add(listed)
        elif remote.usable:  # broken off in the middle, it stays claimed until the next look
            await self._set_aside(remote, file.at, (REFUSED, door.route, *original))

    async def _read(self, remote: Remote, door: Door, file: Entry, named: Entry) -> Arrival | None:
        """The file as an arrival; None where it changed while it was read, or is gone."""
        spool, size = await self._received(remote, door, file)
        if spool is None:
            return None
        try:
            state = await remote.find(file.at)
        except BaseException:
            spool.discard()
            raise
        if state is None or (size, state.size, state.modified) != (file.size, file.size, file.modified):
            spool.discard()
            return None
        body = await spool.finish()
        digest = body.sha256 if isinstance(body, Blob) else hashlib.sha256(body).hexdigest()
        about = {"file_name": named.path.rpartition("/")[2], "file_path": named.path, "size": str(size)}
        return Arrival(
            body=body,
            headers=about,
            params=about,
            content_type=mimetypes.guess_type(about["file_name"])[0],
            identity=f"{named.path}:{size}:{file.modified}:{digest}",
        )

    async def _received(self, remote: Remote, door: Door, file: Entry) -> tuple[Spool | None, int]:
        """All bytes of the file; what a broken session had brought of the same file is not fetched again."""
        partial = self._partial.pop(door.route, None)
        if partial is not None and partial.file != file:
            partial.spool.discard()
            partial = None
        partial = partial or Partial(file, self._services.spool(door.max_body), 0)
        try:
            await self._fetched(remote, partial)
        except (Missing, CannotResume):
            partial.spool.discard()
            return None, 0
        except PeerError as error:
            if remote.resumes and partial.size and not isinstance(error, Refused):
                self._partial[door.route] = partial
            else:
                partial.spool.discard()
            raise
        except BaseException:
            partial.spool.discard()
            raise
        return partial.spool, partial.size

    async def _fetched(self, remote: Remote, partial: Partial) -> None:
        waiting: list[bytes] = []
        held = 0

        async def write() -> None:
            nonlocal held
            if waiting:
                await partial.spool.write(b"".join(waiting))
                partial.size += held
                waiting.clear()
                held = 0

        try:
            async with aclosing(remote.read(partial.file.at, partial.size)) as pieces:
                async for piece in pieces:
                    waiting.append(piece)
                    held += len(piece)
                    if held >= PIECE:
                        await write()
        except PeerError:
            await write()
            raise
        await write()
        wanted = partial.file.size
        if partial.size < wanted and (now := await remote.find(partial.file.at)) is not None and now.size == wanted:
            raise Unreachable(f"{partial.file.path} ended after {partial.size} of {wanted} bytes")

    async def _done(self, remote: Remote, door: Door, file: Entry, original: Segments, listed: Entry) -> None:
        """What the configuration says becomes of a file that is safe; done again after a crash, it harms nothing."""
        options: FileSubscription = door.options
        if isinstance(options.ready, Marker):
            await remote.delete(_marked(original, options.ready.marker))
        if options.after == "delete":
            await remote.delete(file.at)
        elif isinstance(options.after, Move):
            await self._set_aside(remote, file.at, (*options.after.move.split("/"), original[-1]))
        else:
            self._kept.setdefault(door.route, set()).add(listed)

    async def _put_back(self, remote: Remote, at: Segments, original: Segments) -> None:
        """Where it was, unless it never left or a namesake took its place: then it stays claimed and comes first."""
        if at == original:
            return
        if not remote.guards and await remote.find(original) is not None:
            return
        try:
            await remote.move(at, original)
        except (Taken, Missing):
            return

    async def _set_aside(self, remote: Remote, at: Segments, wanted: Segments) -> None:
        """Moves a file, under a numbered name where the wanted one is taken."""
        target = wanted
        for _ in range(RACES):
            try:
                if not remote.guards and await remote.find(target) is not None:
                    raise Taken
                await remote.move(at, target)
            except Taken:
                target = await _numbered(remote, wanted)
            except Missing:
                if await remote.find(at) is None:
                    return  # somebody took it away
                await remote.make(wanted[:-1])
            else:
                return
        raise PeerFailed(f"{shown(at)} cannot be moved to {shown(wanted[:-1])}")


async def _numbered(remote: Remote, wanted: Segments) -> Segments:
    """A name with the first number that is free, found in few steps however many are taken."""
    stem, dot, suffix = wanted[-1].partition(".")

    def name(number: int) -> Segments:
        return (*wanted[:-1], f"{stem}-{number}{dot}{suffix}")

    taken, free = 0, 1
    while await remote.find(name(free)) is not None:
        taken, free = free, free * 2
    while free - taken > 1:
        middle = (taken + free) // 2
        if await remote.find(name(middle)) is None:
            free = middle
        else:
            taken = middle
    return name(free)


def collide(one: FileSubscription, other: FileSubscription) -> bool:
    """Whether two routes would take the same files away from one another."""
    if one.after == other.after == "keep":
        return False
    return overlap(one.pattern, other.pattern)


def _marked(at: Segments, marker: str) -> Segments:
    return (*at[:-1], at[-1] + marker)
