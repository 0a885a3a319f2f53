"""Types of a schema as the codec needs them: for each its fields, in order, and how its text reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from adapters.soap.text import Text

MANY = 1 << 31
"""`maxOccurs="unbounded"`"""


@dataclass(frozen=True)
class Anything:
    """xs:anyType: whatever stands there."""


@dataclass(eq=False)
class Field:
    """An element at its place: what it is called in XML and in values, and of what type it is."""

    tag: str
    key: str
    find: Callable[[], Node]
    """its type, looked into when it is first needed: types may contain themselves"""
    least: int = 1
    most: int = 1
    nillable: bool = False
    members: tuple[Field, ...] = ()
    """what may stand in its place: its substitution group"""

    @cached_property
    def node(self) -> Node:
        """Its type."""
        return self.find()

    @property
    def each(self) -> tuple[Field, ...]:
        """Itself and whatever may stand in its place."""
        return (self, *self.members)


@dataclass(eq=False)
class Particle:
    """A sequence, a choice or an all, with what it is made of."""

    kind: Literal["sequence", "choice", "all"]
    items: tuple[Field | Particle, ...]
    least: int = 1
    most: int = 1
    open: bool = False
    """whether anything may stand in it besides"""

    def fields(self) -> Iterator[Field]:
        """All fields within, those of substitution groups included."""
        for item in self.items:
            yield from item.each if isinstance(item, Field) else item.fields()

    @cached_property
    def keys(self) -> frozenset[str]:
        """What values of its fields are called."""
        return frozenset(field.key for field in self.fields())

    def counts(self) -> dict[str, int]:
        """How often each tag may come at most."""
        total: dict[str, int] = {}
        for item in self.items:
            inner = {each.tag: item.most for each in item.each} if isinstance(item, Field) else item.counts()
            for tag, most in inner.items():
                before = total.get(tag, 0)
                total[tag] = max(before, most) if self.kind == "choice" else before + most
        return {tag: min(count * self.most, MANY) for tag, count in total.items()}

    @property
    def anything(self) -> bool:
        """Whether elements that no field names may stand somewhere within."""
        return self.open or any(isinstance(item, Particle) and item.anything for item in self.items)


@dataclass(eq=False)
class Object:
    """A complex type."""

    attributes: Mapping[str, tuple[str, Text]]
    """attribute → its key (`@name`) and type"""
    content: Particle | Text | None
    open_attributes: bool = False

    @cached_property
    def fields(self) -> Mapping[str, tuple[Field, bool]]:
        """Tag → its field, and whether its values are a list."""
        if not isinstance(self.content, Particle):
            return {}
        counts = self.content.counts()
        return {field.tag: (field, counts[field.tag] > 1) for field in self.content.fields()}

    @cached_property
    def by_key(self) -> Mapping[str, tuple[str, Text]]:
        """Key of an attribute → the attribute and its type."""
        return {key: (tag, text) for tag, (key, text) in self.attributes.items()}


Node = Text | Object | Anything
