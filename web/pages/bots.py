"""What pages may do in flows, and what they know of the bots that the configuration has."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Act(Protocol):
    """Runs a unit of work that may do what a flow's step may, in the name of `actor`: `Engine.act`."""

    def __call__(self, unit: Callable[[Any], T], actor: str) -> Awaitable[T]:
        """Returns after the commit."""


@dataclass(frozen=True, slots=True)
class Bot:
    """A connection of type telegram."""

    name: str
    api: str
    token: str
    """the reference to it, never itself"""
    state: str
    reason: str
    receives: bool
    served: bool
    """whether the routes of one-time passwords know it"""


FEED = "bots"
"""says that one of them does otherwise than before"""
