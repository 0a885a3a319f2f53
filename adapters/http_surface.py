"""Everything below `/pipe` of one listener: the routes of its connections, and what became of their messages."""

from __future__ import annotations

import functools
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Protocol
from weakref import WeakValueDictionary

import orjson
from aiohttp import web
from loguru import logger

from adapters.http_accepted import STORIES
from adapters.http_paths import PathTable, Pattern
from pipe.contract import Door, PlainRequest, Services
from pipe.errors import BadRequest, MethodNotAllowed, NotFound

PREFIX = "/pipe"
_ID = re.compile(r"[0-9a-hjkmnp-tv-z]{26}")


class Owner(Protocol):
    """A connection that serves routes here."""

    name: str

    async def identify(self, request: web.Request) -> str | None:
        """The caller. Raises NoCredentials."""

    async def answer(self, request: web.Request, door: Door, params: dict[str, str]) -> web.StreamResponse:
        """Serves one request of one of its routes."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One route at its address."""

    pattern: Pattern
    methods: tuple[str, ...]
    door: Door
    answer: Callable[[web.Request, Door, dict[str, str]], Awaitable[web.StreamResponse]]
    plain: Callable[[PlainRequest, Door, dict[str, str]], Awaitable[bytes]]
    """the same for plain requests of a route that answers 202"""


class Surface:
    """Finds the route that a request is for. One for each listener, shared by the connections there."""

    def __init__(self, services: Services, listener: str | None) -> None:
        self._services = services
        self._listener = listener
        self._owners: dict[Owner, tuple[Entry, ...]] = {}
        self._table: PathTable[Entry] = PathTable()
        self._unmount: Callable[[], None] | None = None

    def put(self, owner: Owner, entries: Iterable[Entry]) -> None:
        """Serves these routes of the connection, instead of those it had, in one step."""
        self._owners[owner] = tuple(entries)
        self._rebuild()
        if self._unmount is None:
            self._unmount = self._services.mount(self._listener, PREFIX, self.handle, self.plain)

    def remove(self, owner: Owner) -> None:
        """Serves the connection's routes no more."""
        self._owners.pop(owner, None)
        self._rebuild()
        if not self._owners and self._unmount is not None:
            self._unmount()
            self._unmount = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answers one request; failures are raised for the listener to tell."""
        path = request.rel_url.raw_path
        if path.startswith(STORIES):
            return await self._story(request, path.removeprefix(STORIES))
        match = self._table.find(path[len(PREFIX) :])
        if match is None:
            raise NotFound("no route is served at this address")
        found = match.methods.get(request.method)
        if found is None:
            return _other_method(request, match.methods)
        entry, names = found
        return await entry.answer(request, entry.door, match.params(names) if names else {})

    def plain(self, request: PlainRequest) -> Callable[[], Awaitable[bytes]] | None:
        """What answers a plain request to a route that answers 202; all others are left to `handle`."""
        try:
            match = self._table.find(request.raw_path[len(PREFIX) :])
        except BadRequest:
            return None
        found = None if match is None else match.methods.get(request.method)
        if match is None or found is None:
            return None
        entry, names = found
        if entry.door.synchronous:
            return None
        return functools.partial(entry.plain, request, entry.door, match.params(names) if names else {})

    async def _story(self, request: web.Request, id: str) -> web.StreamResponse:
        """What became of a message, for the caller that sent it; nobody else learns whether it exists."""
        if request.method not in {"GET", "HEAD"}:
            return _other_method(request, ("GET", "HEAD"))
        callers = await self._callers(request)
        for owner, caller in callers:
            story = await self._services.fate(id, caller) if _ID.fullmatch(id) else None
            if story is not None and story.get("route") not in self._routes_of_others(owner):
                return web.Response(
                    body=orjson.dumps(dict(story), default=str),
                    content_type="application/json",
                    headers={"Cache-Control": "no-store"},
                )
        raise NotFound("no message of that id was sent with these credentials")

    async def _callers(self, request: web.Request) -> list[tuple[Owner, str | None]]:
        """Every connection that takes these credentials. Raises what the last one raised where none does."""
        callers: list[tuple[Owner, str | None]] = []
        refusal: Exception = NotFound()
        for owner in tuple(self._owners):
            try:
                callers.append((owner, await owner.identify(request)))
            except Exception as error:  # boundary: kept, and raised where nobody knows the caller
                refusal = error
        if not callers:
            raise refusal
        return callers

    def _routes_of_others(self, owner: Owner) -> set[str]:
        """Callers of two connections may have one name: each is told of its own connection's messages only."""
        return {entry.door.route for other, entries in self._owners.items() if other is not owner for entry in entries}

    def _rebuild(self) -> None:
        table: PathTable[Entry] = PathTable()
        for owner in sorted(self._owners, key=lambda owner: owner.name):
            for entry in self._owners[owner]:
                for method in entry.methods:
                    if not table.add(entry.pattern, method, entry):
                        logger.error(
                            "Two routes ask for one address; the first is served",
                            action="routes", route=entry.door.route, method=method,
                        )  # fmt: skip
        self._table = table


def surface_of(services: Services, listener: str | None) -> Surface:
    """The one surface of that listener; it lives as long as a connection holds it."""
    key = (id(services), listener)
    surface = _surfaces.get(key)
    if surface is None:
        surface = _surfaces[key] = Surface(services, listener)
    return surface


# Connections are made one by one and know nothing of one another, yet share `/pipe`. A surface holds its services, so
# their id stays theirs while the entry lives.
_surfaces: WeakValueDictionary[tuple[int, str | None], Surface] = WeakValueDictionary()


def _other_method(request: web.Request, methods: Iterable[str]) -> web.Response:
    allow = ", ".join(sorted({*methods, "OPTIONS"}))
    if request.method == "OPTIONS":
        return web.Response(status=204, headers={"Allow": allow})
    raise MethodNotAllowed(f"{request.method} is not served here", allow=allow)
