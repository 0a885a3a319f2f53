"""Picks files up: claims one by renaming it, hands it in, and only then deletes or moves it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import NamedTuple

from loguru import logger

from adapters.files.aside import REFUSED, set_aside
from adapters.files.fetching import Fetcher
from adapters.files.finding import every_file, find, fixed, overlap
from adapters.files.kept import Kept
from adapters.files.keys import FileSubscription, Marker, Move
from adapters.files.remote import Entry, Missing, Remote, Segments, Taken, shown
from adapters.files.sessions import Sessions
from adapters.files.troubles import Troubles
from pipe.contract import Arrival, Blob, Door, Doors, Services, Timeout, turns
from pipe.errors import Draining, PayloadError, PeerError, PeerFailed, QueueFull, StoreError, TooLarge, Unreachable

FAILED_AT_ONCE = 3
"""files of a look that may fail before a good one until the whole look is given up"""


class Offered(NamedTuple):
    """A file whose turn has come."""

    file: Entry
    """as it lies there now, perhaps claimed"""
    original: Segments
    """where the partner put it"""
    listed: Entry
    """as the listing shows it"""

    @property
    def claimed(self) -> bool:
        """Whether it lies where only we look."""
        return self.file.at != self.original


class Taker:
    """The picking up of one connection; what it remembers is only to save work."""

    def __init__(self, name: str, work: str, timeout: Timeout, services: Services, sessions: Sessions) -> None:
        self._work, self._timeout = work, timeout
        self._services, self._sessions = services, sessions
        self._fetcher = Fetcher(timeout, services)
        self.troubles = Troubles(work)
        """what people should look at although files pass"""
        self._seen: dict[str, dict[Segments, Entry]] = {}
        self._kept = Kept(name, services)
        self._made: set[Segments] = set()
        self._version = -1

    def close(self) -> None:
        """Forgets what was half received. Safe twice."""
        self._fetcher.close()

    async def run(self, doors: Doors) -> None:
        """Looks for every door until cancelled. Raises the PeerError of a partner that is lost."""
        async for door in turns(doors, self._services.clock):
            async with self._sessions.one(self._timeout) as remote:
                if doors.version != self._version:
                    await self._look_for_strays(remote, {each.route for each in doors})
                    self._version = doors.version
                try:
                    await self._turn(remote, door)
                except PeerError as error:
                    # What holds for one folder only must not keep the others' files from coming.
                    if _ends_all(remote, error) or len(list(doors)) == 1:
                        raise
                    self.troubles.failed[door.route] = error.text
                else:
                    self.troubles.failed.pop(door.route, None)

    async def _look_for_strays(self, remote: Remote, routes: set[str]) -> None:
        self._made.clear()
        self.troubles.forget_all_but(routes)
        self._kept.forget_all_but(routes)
        for gone in [route for route in self._seen if route not in routes]:
            del self._seen[gone]
        try:
            claimed = await remote.entries((self._work,))
        except Missing:
            claimed = []
        strays = [entry for entry in claimed if entry.kind == "folder" and entry.at[-1] not in routes]
        self.troubles.strays = [shown(entry.at[1:]) for entry in strays if await every_file(remote, entry.at)]

    async def _turn(self, remote: Remote, door: Door) -> None:
        """Hands in what is ready; stops at the first file that the store does not take.

        A file that the partner does not let us have holds up no other one.
        """
        wrong: dict[str, str] = {}
        good = 0
        try:
            async with aclosing(self._offered(remote, door, wrong)) as offers:
                async for offer in offers:
                    try:
                        await self._hand_in(remote, door, offer)
                        good += 1
                    except PeerError as error:
                        wrong[shown(offer.original)] = error.text
                        if _ends_all(remote, error) or (not good and len(wrong) >= FAILED_AT_ONCE):
                            raise
                    if not remote.usable:
                        break
            await self._tidied(remote, door)
            await self._kept.save(door.route)
        except StoreError:
            return  # nothing was accepted: the file is where it was and is taken at the next look
        finally:
            self.troubles.files[door.route] = wrong

    async def _tidied(self, remote: Remote, door: Door) -> None:
        """Folders that patterns like `in/**` have made below ours: else every look would go through all of them."""
        lasting = 2 + len(fixed(door.options.pattern))
        made = {each for each in self._made if len(each) > lasting and each[1] == door.route}
        above = {each[:depth] for each in made for depth in range(lasting + 1, len(each))}
        for each in sorted(made | above, key=len, reverse=True):
            if remote.usable:
                await remote.unmake(each)
            self._made.discard(each)

    async def _offered(self, remote: Remote, door: Door, wrong: dict[str, str]) -> AsyncGenerator[Offered, None]:
        """What was claimed before, then what is ready now, each claimed when its turn comes."""
        for claim in await every_file(remote, (self._work, door.route)):
            yield Offered(await remote.exact(claim), claim.at[2:], claim)
        for listed in await self._ready(remote, door):
            if door.options.after == "keep":
                yield Offered(await remote.exact(listed), listed.at, listed)
                continue
            try:
                claimed = await self._claimed(remote, door, listed)
            except PeerError as error:
                wrong[listed.path] = error.text
                if _ends_all(remote, error) or len(wrong) >= FAILED_AT_ONCE:
                    raise
                continue
            if claimed is not None:
                yield Offered(claimed, listed.at, listed)

    async def _ready(self, remote: Remote, door: Door) -> list[Entry]:
        """What nobody writes to any more."""
        options: FileSubscription = door.options
        done = [tuple(options.after.move.split("/"))] if isinstance(options.after, Move) else []
        remote.strange = 0
        look = await find(remote, options.pattern, done)
        self.troubles.looked(door.route, look, remote.strange)
        found = look.sorted()
        if isinstance(options.ready, Marker):
            marker = options.ready.marker
            found = [file for file in found if _marked(file.at, marker) in look.present]
        else:
            before, self._seen[door.route] = self._seen.get(door.route, {}), {file.at: file for file in found}
            found = [file for file in found if before.get(file.at) == file]
        if options.after != "keep":
            return found  # what another configuration has kept is taken now, and known by its identity
        kept = await self._kept.of(door.route)
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
            if isinstance(door.options.ready, Marker):
                # Now, and not when it is safe: by then the marker may be that of the next file of this name.
                await remote.delete(_marked(file.at, door.options.ready.marker))
            return await remote.exact(Entry(claim, file.size, file.modified))
        raise PeerFailed(f"{shown(file.at)} cannot be moved to {shown(claim[:-1])}")

    async def _hand_in(self, remote: Remote, door: Door, offer: Offered) -> None:
        file = offer.file
        arrival: Arrival | None = None
        try:
            if file.size > door.max_body:
                raise TooLarge(f"it has {file.size} bytes, `max_body` of the route is {door.max_body}")
            named = Entry(offer.original, file.size, file.modified)
            arrival = await self._fetcher.arrival(remote, door, file, named)
            if arrival is not None:
                await door.accept(arrival)
        except PayloadError as error:
            await self._refuse(remote, door, offer, error)
            return
        except StoreError as error:
            if arrival is not None and isinstance(error, (QueueFull, Draining)):
                _drop(arrival)
            if remote.usable:
                await self._put_back(remote, door, offer)
            raise
        if arrival is None:
            await self._put_back(remote, door, offer)
            return
        await self._done(remote, door, offer)

    async def _refuse(self, remote: Remote, door: Door, offer: Offered, error: PayloadError) -> None:
        """The store keeps nothing of it, and left where it is it would come again for ever."""
        path = shown(offer.original)
        self.troubles.refused[door.route, path] = error.text
        logger.bind(
            action="file_refused", route=door.route, file=path, size=offer.file.size, code=error.code, reason=error.text
        ).warning("a file cannot become a message of its route")
        if not offer.claimed:
            (await self._kept.of(door.route)).add(offer.listed)
        elif remote.usable:  # broken off in the middle, it stays claimed until the next look
            await set_aside(remote, offer.file.at, (REFUSED, door.route, *offer.original))

    async def _done(self, remote: Remote, door: Door, offer: Offered) -> None:
        """What the configuration says becomes of a file that is safe; done again after a crash, it harms nothing."""
        options: FileSubscription = door.options
        if options.after == "keep":
            (await self._kept.of(door.route)).add(offer.listed)
            return
        if isinstance(options.ready, Marker) and await remote.find(offer.original) is None:
            # A crash between claim and marker has left it; with a new file beside it, it is that one's.
            await remote.delete(_marked(offer.original, options.ready.marker))
        if isinstance(options.after, Move):
            await set_aside(remote, offer.file.at, (*options.after.move.split("/"), offer.original[-1]))
        else:
            await remote.delete(offer.file.at)

    async def _put_back(self, remote: Remote, door: Door, offer: Offered) -> None:
        """Where it was, unless it never left or a namesake took its place: then it stays claimed and comes first."""
        if not offer.claimed or isinstance(door.options.ready, Marker):  # its marker is gone
            return
        if not remote.guards and await remote.find(offer.original) is not None:
            return
        try:
            await remote.move(offer.file.at, offer.original)
        except (Taken, Missing):
            return


def _ends_all(remote: Remote, error: PeerError) -> bool:
    """Whether it is the partner that is lost, and not one file or folder that cannot be had."""
    return not remote.usable or isinstance(error, Unreachable)


def _drop(arrival: Arrival) -> None:
    """Takes a large body off the disk: it was refused before anything was written, and comes again."""
    if isinstance(arrival.body, Blob):
        arrival.body.path.unlink(missing_ok=True)


def collide(one: FileSubscription, other: FileSubscription) -> bool:
    """Whether two routes would take the same files away from one another."""
    if one.after == other.after == "keep":
        return False
    return overlap(one.pattern, other.pattern)


def _marked(at: Segments, marker: str) -> Segments:
    return (*at[:-1], at[-1] + marker)
