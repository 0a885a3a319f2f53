"""Puts a file aside, under a numbered name where the wanted one is taken."""

from __future__ import annotations

from adapters.files.remote import Missing, Remote, Segments, Taken, shown
from pipe.errors import PeerFailed

REFUSED = ".refused"
"""folder of what cannot become a message"""
RACES = 8
"""tries while others use the same names"""


async def set_aside(remote: Remote, at: Segments, wanted: Segments) -> None:
    """Moves a file; nothing is replaced. Harmless where it is gone. Raises PeerFailed."""
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
