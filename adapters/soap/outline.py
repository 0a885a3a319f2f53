"""What a WSDL means, without how it says it: operations, their messages, and the fields of these with their types."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from adapters.soap.files import Wsdl
from adapters.soap.message import HEADER
from adapters.soap.model import Field, Node, Object, Particle
from adapters.soap.names import XS, local, space
from adapters.soap.service import Operation, Port, Service, Shape
from adapters.soap.text import Text
from pipe.contract import Fields, Leaf, Outline, answer_of, request_of

MOST_FIELDS = 5000
"""of one message; what lies deeper is not compared"""
DEEPEST = 32
_FACETS = {
    "enumeration", "pattern", "length", "minLength", "maxLength", "minInclusive", "maxInclusive", "minExclusive",
    "maxExclusive", "totalDigits", "fractionDigits",
}  # fmt: skip


def outline(wsdl: Wsdl, service: Service, like: Service | None = None) -> Outline:
    """Each operation's messages. Where several ports have one, that of the version which `like` speaks in it."""
    types = _Types(wsdl)
    found: dict[str, Fields] = {}
    for name in service.names:
        port, operation = _chosen(service, name, like)
        found[request_of(name)] = types.message(operation, operation.input, port)
        if operation.output is not None:
            found[answer_of(name)] = types.message(operation, operation.output, port)
    return found


def _chosen(service: Service, name: str, like: Service | None) -> tuple[Port, Operation]:
    known = like.operation(name) if like is not None else None
    ports = [port for port in service.ports if name in port.operations]
    port = next((each for each in ports if known is not None and each.version is known[0].version), ports[0])
    return port, port.operations[name]


class _Types:
    """Flattens types into paths."""

    def __init__(self, wsdl: Wsdl) -> None:
        self._restrictions = {
            name: node for number in range(len(wsdl.documents)) for name, node in _simple(wsdl, number)
        }

    def message(self, operation: Operation, shape: Shape, port: Port) -> Fields:
        """The fields of one message, and how it is spoken."""
        spaces: set[str] = set()
        roots = sorted(root for root in shape.roots if root)
        spoken = {"version": port.version.name, "action": operation.action, "element": ", ".join(roots)}
        found: dict[str, Leaf] = {}
        if shape.wrapper is not None:
            self._node(shape.parts, "body", found, spaces, ())
        elif len(shape.elements) == 1:
            found["body"] = Leaf(self._kind(shape.elements[0].node))
            self._node(shape.elements[0].node, "body", found, spaces, ())
        else:
            for each in shape.elements:
                self._field(each, "body", found, spaces, (), required=True, many=False)
        for block in shape.headers.values():
            self._field(block, f"body.{HEADER}", found, spaces, (), required=False, many=False)
        spoken["namespaces"] = ", ".join(sorted(spaces))
        return {**{f"({name})": Leaf(value) for name, value in spoken.items()}, **found}

    def _node(
        self, node: Node | None, path: str, found: dict[str, Leaf], spaces: set[str], trail: tuple[int, ...]
    ) -> None:
        if not isinstance(node, Object) or id(node) in trail or len(trail) >= DEEPEST or len(found) >= MOST_FIELDS:
            return
        trail = (*trail, id(node))
        for key, text in node.attributes.values():
            found[f"{path}.{key}"] = Leaf(self._kind(text), required=False)
        if isinstance(node.content, Particle):
            for field, required, many in _within(node.content, required=True, many=False):
                self._field(field, path, found, spaces, trail, required=required, many=many)

    def _field(
        self, field: Field, path: str, found: dict[str, Leaf], spaces: set[str], trail: tuple[int, ...], *,
        required: bool, many: bool,
    ) -> None:  # fmt: skip
        spaces.add(space(field.tag) or "none")
        at = f"{path}.{field.key}"
        kind = self._kind(field.node) + (" or nil" if field.nillable else "")
        found[at] = Leaf(kind, required, many)
        self._node(field.node, at, found, spaces, trail)

    def _kind(self, node: Node) -> str:
        if isinstance(node, Text):
            return self._text(node)
        if isinstance(node, Object):
            return self._text(node.content) if isinstance(node.content, Text) else "object"
        return "anything"

    def _text(self, text: Text) -> str:
        if text.item is not None:
            return f"list of {self._text(text.item)}"
        return self._restricted(text.named, 0) or text.kind

    def _restricted(self, name: str, depth: int) -> str:
        """A simple type by what it allows, whatever it is called."""
        if space(name) == XS:
            return local(name)
        node = self._restrictions.get(name)
        restriction = None if node is None else node.find(f"{{{XS}}}restriction")
        if restriction is None or depth > DEEPEST:
            return ""
        prefix, _, base = (restriction.get("base") or "string").rpartition(":")
        below = self._restricted(f"{{{restriction.nsmap.get(prefix or None, '')}}}{base}", depth + 1) or base
        facets: dict[str, list[str]] = {}
        for each in restriction:
            if isinstance(each.tag, str) and local(each.tag) in _FACETS:
                facets.setdefault(local(each.tag), []).append(each.get("value", ""))
        said = [f"{facet} {'|'.join(sorted(values))}" for facet, values in sorted(facets.items())]
        return f"{below}, {', '.join(said)}" if said else below


def _within(particle: Particle, *, required: bool, many: bool) -> Iterator[tuple[Field, bool, bool]]:
    required = required and particle.least > 0 and particle.kind != "choice"
    many = many or particle.most > 1
    for item in particle.items:
        if isinstance(item, Particle):
            yield from _within(item, required=required, many=many)
        else:
            yield item, required and item.least > 0 and not item.members, many or item.most > 1
            for member in item.members:
                yield member, False, many or item.most > 1


def _simple(wsdl: Wsdl, number: int) -> Iterator[tuple[str, Any]]:
    """Simple types by name; one without a name is called as the element that has it."""
    for schema in wsdl.tree(number).iter(f"{{{XS}}}schema"):
        target = schema.get("targetNamespace") or ""
        for node in schema.iter(f"{{{XS}}}simpleType"):
            name = node.get("name") or (node.getparent().get("name") if node.getparent() is not None else None)
            if name:
                yield (f"{{{target}}}{name}" if target else name), node
