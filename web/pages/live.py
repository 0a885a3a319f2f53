"""Live updates: the store's feeds as Server-Sent Events, in order, without a gap, cut when the right to them goes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web
from pydantic import Field
from sqlalchemy import Connection, func, select

from flows.access.changes import TOPIC as RIGHTS
from flows.signin.sessions import FEED as SESSIONS
from pipe.clock import Clock
from pipe.errors import BadRequest, RateLimited
from pipe.store.schema import feed
from web.pages.forms import Input
from web.pages.kept import Kept
from web.pages.permission import GATEWAY, Permission
from web.server import Request

if TYPE_CHECKING:
    from web.pages.call import Call

BEAT_S = 15.0
"""so often a quiet stream says that it lives, and looks whether its session does"""
LOOK_S = 1.0
"""so often a busy stream looks, too"""
STREAMS = 24
"""of one session: as many open pages"""
GUARDS = (RIGHTS, SESSIONS)
"""feeds after whose events it is looked again whether the stream may go on"""


class Follow(Input):
    """Which feeds, and from where."""

    topics: str = Field(default="", max_length=500, description="Names of feeds, with commas between them.")
    rights: str = Field(default="", max_length=20, description="The mark of the menu that the page shows.")
    after: int | None = Field(default=None, ge=0, description="Number of the last event that is known already.")


@dataclass(frozen=True, slots=True)
class Topic:
    """A feed that pages may follow."""

    name: str
    permission: Permission
    tells: bool = False
    """whether pages get what an event says; else only that there was one: it may be about what is not theirs to see"""
    whole: bool = False
    """it tells of the gateway as a whole: a right that is given for one company is not enough"""

    def allowed(self, call: Call) -> bool:
        """Whether the one who asks may follow it."""
        return call.may(self.permission, GATEWAY if self.whole else None)


class Streams:
    """The open streams."""

    def __init__(self, topics: Sequence[Topic], clock: Clock) -> None:
        self._topics: Mapping[str, Topic] = {topic.name: topic for topic in topics}
        self._open: dict[str, list[Request]] = {}
        self._stop = asyncio.Event()
        self.kept = Kept(clock)
        """the sessions that have streams"""

    def stop(self) -> None:
        """Ends them all; browsers come again."""
        self._stop.set()

    async def serve(self, call: Call, ask: Follow) -> web.StreamResponse:
        """The stream. Raises BadRequest for an unknown feed, Denied for one that is not for this person."""
        topics = [self._known(name) for name in dict.fromkeys(ask.topics.split(",")) if name]
        for topic in topics:
            call.require(topic.permission, GATEWAY if topic.whole else None)
        names = {topic.name for topic in topics}
        with self._place(call.session.id if call.session else call.actor, call.request):
            response = web.StreamResponse(
                headers={"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
            )
            call.site.guard(call.request, response)
            await response.prepare(call.request)
            try:
                await self._tell(call, response, topics, names, ask)
            except ConnectionError:  # the page was closed
                return response
            await response.write_eof()
            return response

    async def _tell(
        self, call: Call, response: web.StreamResponse, topics: list[Topic], names: set[str], ask: Follow
    ) -> None:
        store, after, menu = call.site.store, _known_before(call, ask), ask.rights or call.menu_mark
        oldest, newest = await store.read(ends)
        if after is None:
            after = newest
        elif after > newest or after + 1 < oldest:
            # The events in between are gone, or the store was restored: the page must look afresh.
            await response.write(f"id: {newest}\nevent: reset\ndata: {{}}\n\n".encode())
            after = newest
        await response.write(b"retry: 1500\n: open\n\n")
        access, known, looked = call.site.access, -1, 0.0
        while True:
            events = await self._next(call, [*names, *(name for name in GUARDS if name not in names)], after, known)
            if events is None:
                return
            # Also where events come all the time: rights and sessions end by the clock as well.
            now = call.site.clock.monotonic()
            if not events or known != access.version or now - looked >= LOOK_S:
                known, looked = access.version, now
                if not await self._goes_on(call, response, topics, events[-1][0] if events else after):
                    return
                if menu != call.menu_mark:
                    menu = call.menu_mark
                    await response.write(b"event: rights\ndata: {}\n\n")
            for seq, topic, event in events:
                if topic in GUARDS and not await self._goes_on(call, response, topics, seq):
                    return
                after = seq
                if topic in names:
                    said = event if self._topics[topic].tells else b"{}"
                    await response.write(b"id: %d\nevent: %b\ndata: %b\n\n" % (seq, topic.encode(), said))
            if not events:
                await response.write(b": beat\n\n")

    async def _next(self, call: Call, topics: list[str], after: int, known: int) -> list[tuple[int, str, bytes]] | None:
        """What comes next: nothing where it is quiet or rights have turned, None where the gateway stops."""
        coming = asyncio.ensure_future(call.site.store.follow_all(topics, after))
        stop = asyncio.ensure_future(self._stop.wait())
        turned = asyncio.ensure_future(call.site.access.changed(known))
        try:
            await asyncio.wait({coming, stop, turned}, timeout=BEAT_S, return_when=asyncio.FIRST_COMPLETED)
            if stop.done():
                return None
            return coming.result() if coming.done() else []
        finally:
            for each in (coming, stop, turned):
                each.cancel()
            await asyncio.gather(coming, stop, turned, return_exceptions=True)

    async def _goes_on(self, call: Call, response: web.StreamResponse, topics: list[Topic], mark: int) -> bool:
        """Whether the session is still good and may still see all of it; tells the page where not."""
        why = "signed_out" if not await call.site.still_there(call, mark) else ""
        if not why and not all(topic.allowed(call) for topic in topics):
            why = "denied"
        if why:
            await response.write(f'event: end\ndata: {{"why": "{why}"}}\n\n'.encode())
        return not why

    def _known(self, name: str) -> Topic:
        topic = self._topics.get(name)
        if topic is None:
            raise BadRequest("there is no such feed")
        return topic

    @contextmanager
    def _place(self, owner: str, request: Request) -> Iterator[None]:
        # A page that was left is noticed when it is written to; until then it takes no place.
        mine = self._open.setdefault(owner, [])
        if sum(each.transport is not None and not each.transport.is_closing() for each in mine) >= STREAMS:
            raise RateLimited(f"{STREAMS} pages of this session are open already", retry_after=30)
        mine.append(request)
        try:
            yield
        finally:
            mine[:] = [each for each in mine if each is not request]
            if not mine:
                self._open.pop(owner, None)
                self.kept.drop(owner)


def ends(connection: Connection) -> tuple[int, int]:
    """Numbers of the oldest and the newest event that are kept; 0 where there is none."""
    row = connection.execute(select(func.min(feed.c.seq), func.max(feed.c.seq))).one()
    return row[0] or 0, row[1] or 0


def newest(connection: Connection, topic: str) -> int:
    """Number of the newest event of one feed; 0 where there is none."""
    return connection.execute(select(func.max(feed.c.seq)).where(feed.c.topic == topic)).scalar() or 0


def _known_before(call: Call, ask: Follow) -> int | None:
    """What the browser has seen last, as it says itself after a lost connection."""
    text = call.request.headers.get("Last-Event-ID", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else ask.after
