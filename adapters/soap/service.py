"""One service of a WSDL: its operations, and how their messages look."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from adapters.soap.model import Field, Object
from adapters.soap.names import VERSIONS, Version
from adapters.soap.schema import Validator
from adapters.soap.values import Named


@dataclass(frozen=True, eq=False)
class Shape:
    """One message: what stands in its Body and in its Header."""

    elements: tuple[Field, ...] = ()
    """children of the Body, where the style is document"""
    wrapper: str | None = None
    """the one child of the Body, where the style is rpc"""
    parts: Object | None = None
    """what the wrapper holds"""
    headers: Mapping[str, Field] = field(default_factory=dict)
    """header blocks by their tags"""

    @property
    def roots(self) -> tuple[str, ...]:
        """What may be the first element of the Body."""
        if self.wrapper is not None:
            return (self.wrapper,)
        return tuple(each.tag for each in self.elements[0].each) if self.elements else ("",)


@dataclass(frozen=True, eq=False)
class Operation:
    """One operation of one port."""

    name: str
    action: str
    input: Shape
    output: Shape | None
    """None where it is one-way"""
    faults: Mapping[str, Field]
    """elements that its WSDL names as details of faults, by their tags"""


@dataclass(frozen=True, eq=False)
class Port:
    """One port: a version of SOAP and the operations that are spoken in it."""

    name: str
    version: Version
    operations: Mapping[str, Operation]

    @cached_property
    def _by_root(self) -> Mapping[str, list[Operation]]:
        found: dict[str, list[Operation]] = {}
        for operation in self.operations.values():
            for root in operation.input.roots:
                found.setdefault(root, []).append(operation)
        return found

    def meant(self, root: str, action: str) -> Operation | None:
        """The operation whose Body begins with that element (empty: with none), told apart by the action."""
        candidates = self._by_root.get(root, [])
        if len(candidates) > 1:
            candidates = [each for each in candidates if each.action == action]
        return candidates[0] if len(candidates) == 1 else None


@dataclass(frozen=True, eq=False)
class Service:
    """What an adapter knows of its WSDL."""

    name: str
    ports: tuple[Port, ...]
    types: Named
    small: Validator
    """for the event loop"""
    large: Validator
    """for threads, so that the loop never waits for a large message"""

    def validator(self, *, apart: bool) -> Validator:
        """The one for threads, or the one for the event loop."""
        return self.large if apart else self.small

    def port(self, version: Version) -> Port | None:
        """The first port of that version."""
        return next((port for port in self.ports if port.version is version), None)

    def operation(self, name: str) -> tuple[Port, Operation] | None:
        """The first port that has it, and the operation."""
        return next(((port, port.operations[name]) for port in self.ports if name in port.operations), None)

    @property
    def names(self) -> Iterable[str]:
        """All operations."""
        return dict.fromkeys(name for port in self.ports for name in port.operations)


def version_of(envelope: str) -> Version | None:
    """The version whose envelope has this namespace."""
    return next((version for version in VERSIONS if version.envelope == envelope), None)
