"""What people should look at although files pass."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from adapters.files.aside import REFUSED
from adapters.files.finding import Look
from adapters.files.remote import shown

TOLD = 3
"""files that are named, of those that cannot be had"""


class Troubles:
    """Of one connection, as far as its last looks have shown."""

    def __init__(self, work: str) -> None:
        self._work = work
        self.refused: dict[tuple[str, str], str] = {}
        """why a file of a route became no message"""
        self.files: dict[str, dict[str, str]] = {}
        """of each route, the files that the partner does not let us have, and why"""
        self.failed: dict[str, str] = {}
        """why nothing of a route could be looked at"""
        self.strays: list[str] = []
        """routes that are gone and have left claims"""
        self._absent: dict[str, str] = {}
        self._strange: dict[str, int] = {}

    def forget_all_but(self, routes: set[str]) -> None:
        """Routes that are gone trouble nobody; what was refused is looked at anew with their new configuration."""
        self.refused.clear()
        for known in (self.files, self.failed, self._absent, self._strange):
            for gone in [route for route in known if route not in routes]:
                del known[gone]

    def looked(self, route: str, look: Look, strange: int) -> None:
        """Takes up what one look saw."""
        self._absent.pop(route, None)
        if look.absent and not look.present:
            self._absent[route] = shown(look.absent[0]) or "the folder"
        self._strange[route] = strange

    def __iter__(self) -> Iterator[str]:
        yield from self.failed.values()
        if self.refused:
            path, why = next((path, why) for (_, path), why in self.refused.items())
            more = f", and {len(self.refused) - 1} more" if len(self.refused) > 1 else ""
            yield (
                f"{path} became no message: {why}{more}; what was claimed lies in {REFUSED}: mend the cause and "
                "move it back"
            )
        for each in self.files.values():
            yield from (f"{path} cannot be had: {why}" for path, why in islice(each.items(), TOLD))
            if len(each) > TOLD:
                yield f"nor can {len(each) - TOLD} files more"
        if strange := max(self._strange.values(), default=0):
            yield f"{strange} lines of listings are no names of files, and are left alone"
        yield from (f"{what} is not there" for what in self._absent.values())
        yield from (
            f"{self._work}/{name} holds files of a route that is gone: move them back, or away" for name in self.strays
        )
