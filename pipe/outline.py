"""What a message looks like, and nothing of what it says: its fields by their paths, and of what kind each is.

Paths are those of expressions: `body.person.name`; lists on the way leave no mark.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable


class Leaf(NamedTuple):
    """One field."""

    kind: str
    """`text`, `number`, `yes/no`, `object`, a type of a schema; several stand with `, ` between"""
    required: bool = True
    """whether it is always there where what holds it is there"""
    many: bool = False
    """whether it is a list"""


Fields = Mapping[str, Leaf]
"""path → field"""
Outline = Mapping[str, Fields]
"""part → its fields: a part is one direction of one operation, named by `request_of` or `answer_of`"""
REQUEST, ANSWER = " request", " answer"


def request_of(operation: str) -> str:
    """The part of what is sent."""
    return operation + REQUEST


def answer_of(operation: str) -> str:
    """The part of what comes back."""
    return operation + ANSWER


def operation_of(part: str) -> tuple[str, bool]:
    """The operation of a part, and whether it is its request."""
    return part.removesuffix(REQUEST).removesuffix(ANSWER), part.endswith(REQUEST)


class Interface(NamedTuple):
    """What a partner says of its own interface now, and what the configuration's own copy says."""

    what: str
    """`wsdl` or `openapi`"""
    where: str
    """the address it was served at"""
    served: Outline
    pinned: Outline | None
    """None: there is no copy, and the first that is served is the known one"""
    strict: bool = False
    """whether answers with fields that the copy does not have are refused"""


@runtime_checkable
class Described(Protocol):
    """An adapter whose partner may publish a description of its interface."""

    def described_at(self) -> tuple[str, str] | None:
        """What is published (`wsdl`, `openapi`) and where; None where nothing is to be asked."""

    async def interface(self) -> Interface:
        """Fetches the description and reads it. Within the connection's allow-list. Raises PipeError."""

    @staticmethod
    def operation(options: Any, known: Iterable[str]) -> str | None:
        """Which of the known operations a route's options call; None where none of them."""


def overlap(one: str, other: str) -> bool:
    """Whether one path is the other, or lies within it."""
    return one == other or one.startswith(f"{other}.") or other.startswith(f"{one}.")


def as_plain(outline: Outline) -> dict[str, dict[str, Sequence[Any]]]:
    """For JSON."""
    return {part: {path: list(leaf) for path, leaf in fields.items()} for part, fields in outline.items()}


def of_plain(value: Mapping[str, Mapping[str, Sequence[Any]]]) -> dict[str, dict[str, Leaf]]:
    """Of JSON."""
    return {part: {path: Leaf(*leaf) for path, leaf in fields.items()} for part, fields in value.items()}
