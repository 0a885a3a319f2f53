"""Files that were taken and stay where they are: known after a restart too, so that nobody fetches them in vain."""

from __future__ import annotations

from adapters.files.remote import Entry
from pipe.contract import Services

MOST = 50_000
"""files of a route that are remembered over a restart; more are fetched again, and known by their identity then"""


class Kept:
    """Of one connection, by route."""

    def __init__(self, name: str, services: Services) -> None:
        self._name, self._services = name, services
        self._known: dict[str, set[Entry]] = {}
        self._noted: dict[str, set[Entry]] = {}

    async def of(self, route: str) -> set[Entry]:
        """Those of a route, to be changed by whoever asks."""
        if route not in self._known:
            told = await self._services.noted(self._name, f"kept {route}") or []
            found = {Entry(tuple(map(_heard, at)), size, modified) for at, size, modified in told}
            self._known[route], self._noted[route] = found, set(found)
        return self._known[route]

    async def save(self, route: str) -> None:
        """Notes them, where they have changed."""
        known = self._known.get(route, set())
        if known != self._noted.get(route, set()) and len(known) <= MOST:
            told = [[list(map(_said, entry.at)), entry.size, entry.modified] for entry in known]
            await self._services.note(self._name, f"kept {route}", told)
            self._noted[route] = set(known)

    def forget_all_but(self, routes: set[str]) -> None:
        """Routes that are gone need no memory here."""
        for gone in [route for route in self._known if route not in routes]:
            del self._known[gone], self._noted[gone]


def _said(segment: str) -> str:
    """Any bytes as text that every store takes."""
    return segment.encode("utf-8", "surrogateescape").decode("latin-1")


def _heard(text: str) -> str:
    return text.encode("latin-1").decode("utf-8", "surrogateescape")
