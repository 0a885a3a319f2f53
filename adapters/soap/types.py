"""Makes the codec's types of what zeep read of a schema."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from zeep.exceptions import Error as ZeepError
from zeep.xsd.elements import All, AnyAttribute, AttributeGroup, Choice, Element, Group, Sequence
from zeep.xsd.elements import Any as AnyElement
from zeep.xsd.types import ComplexType, builtins
from zeep.xsd.types.collection import ListType, UnionType
from zeep.xsd.types.simple import AnySimpleType

from adapters.soap.model import MANY, Anything, Field, Node, Object, Particle
from adapters.soap.names import XSI, local, space
from adapters.soap.text import Kind, Text

_KINDS: tuple[tuple[type, Kind], ...] = (
    (builtins.Boolean, "boolean"),
    (builtins.Integer, "integer"),
    (builtins.Decimal, "decimal"),
    (builtins.Float, "float"),
    (builtins.Double, "float"),
    (builtins.Base64Binary, "base64"),
    (builtins.QName, "qname"),
)
_LISTS = (builtins.NmTokens, builtins.IDREFS, builtins.Entities)
_TOKENS = (builtins.Token, builtins.NormalizedString)


class Types:
    """The types of one WSDL."""

    def __init__(self, schema: Any, substitutions: Iterable[tuple[str, str]]) -> None:
        """`schema` is zeep's; `substitutions`: (head, member) of every substitution group."""
        self._schema = schema
        self._nodes: dict[int, Node] = {}
        self._sources: list[Any] = []  # zeep's types stay alive, so that their ids stay theirs
        self._groups: dict[str, list[str]] = {}
        for head, member in substitutions:
            self._groups.setdefault(head, []).append(member)
        self._local: dict[str, str | None] = {}
        self._names: set[str] = set()
        self._named: dict[str, Node] = {}
        self._elements: dict[str, Field | None] = {}
        for each in schema.types:
            if each.qname is not None:
                self._names.add(each.qname.text)
                name = each.qname.localname
                self._local[name] = each.qname.text if name not in self._local else None

    def node(self, source: Any) -> Node:
        """The type that zeep's stands for."""
        known = self._nodes.get(id(source))
        if known is None:
            self._sources.append(source)
            known = self._nodes[id(source)] = self._made(source)
        return known

    def named(self, name: str) -> Node | None:
        """The type of this {namespace}name, or of this name alone where only one has it; None where there is none."""
        full = self.full_name(name)
        if full is None:
            return None
        if full not in self._named:
            found = self._schema.get_type(full, fail_silently=True) if full in self._names else None
            if found is None:
                return None
            self._named[full] = self.node(found.resolve())
        return self._named[full]

    def full_name(self, name: str) -> str | None:
        """The {namespace}name of a type that may be told by its name alone, or with a prefix."""
        return name if name.startswith("{") else self._local.get(name.rpartition(":")[2])

    def element(self, tag: str) -> Field | None:
        """The global element of this {namespace}name."""
        if tag in self._elements:
            return self._elements[tag]
        try:
            found = self._schema.get_element(tag)
        except (ZeepError, ValueError):
            return None  # not remembered: messages may name any number of elements that are not there
        self._elements[tag] = None if found is None else self._field(found.resolve())
        return self._elements[tag]

    def field(self, tag: str, source: Any) -> Field:
        """A part of an rpc message, or any other element of that type."""
        return Field(tag, local(tag), partial(self.node, source))

    def _field(self, element: Any) -> Field:
        tag = str(element.qname.text)
        return Field(
            tag,
            local(tag),
            partial(self.node, element.type),
            int(element.min_occurs),
            _most(element.max_occurs),
            bool(element.nillable),
            tuple(self._members(tag, {tag})) if tag in self._groups else (),
        )

    def _members(self, head: str, seen: set[str]) -> Iterable[Field]:
        for tag in self._groups.get(head, ()):
            if tag in seen:
                continue
            seen.add(tag)
            element = self._schema.get_element(tag).resolve()
            yield Field(tag, local(tag), partial(self.node, element.type), 0, 1, bool(element.nillable))
            yield from self._members(tag, seen)

    def _made(self, source: Any) -> Node:
        if isinstance(source, ComplexType):
            return self._object(source)
        return _text(source) if isinstance(source, AnySimpleType) else Anything()

    def _object(self, source: ComplexType) -> Object:
        attributes: dict[str, tuple[str, Text]] = {}
        keys: set[str] = set()
        open_attributes = False
        for attribute in _attributes(source._attributes):  # noqa: SLF001  zeep's public view renames them
            if isinstance(attribute, AnyAttribute):
                open_attributes = True
                continue
            tag = str(attribute.qname.text)
            key = f"@{local(tag)}" if f"@{local(tag)}" not in keys else f"@{tag}"
            keys.add(key)
            attributes[tag] = (key, _text(attribute.type))
        return Object(attributes, self._content(source._element), open_attributes)  # noqa: SLF001

    def _content(self, element: Any) -> Particle | Text | None:
        if element is None:
            return None
        if isinstance(element, Element):  # simple content, which zeep calls _value_1
            inner = self.node(element.type)
            return inner if isinstance(inner, Text) else inner.content if isinstance(inner, Object) else None
        particle = self._particle(element)
        _tell_apart(particle)
        return particle

    def _particle(self, indicator: Any) -> Particle:
        if isinstance(indicator, Group):
            child = self._particle(indicator.child)
            return Particle("sequence", (child,), int(indicator.min_occurs), _most(indicator.max_occurs))
        kind: Any = "choice" if isinstance(indicator, Choice) else "all" if isinstance(indicator, All) else "sequence"
        items: list[Field | Particle] = []
        is_open = False
        for item in indicator:
            if isinstance(item, AnyElement):
                is_open = True
            elif isinstance(item, (All, Choice, Group, Sequence)):
                items.append(self._particle(item))
            else:
                items.append(self._field(item))
        return Particle(kind, tuple(items), int(indicator.min_occurs), _most(indicator.max_occurs), is_open)


def _tell_apart(particle: Particle) -> None:
    """Two elements of one name but different namespaces: the later one is called by its full name."""
    known: dict[str, str] = {}
    for field in particle.fields():
        if known.setdefault(field.key, field.tag) != field.tag:
            field.key = field.tag


def _attributes(attributes: Iterable[Any]) -> Iterable[Any]:
    for attribute in attributes:
        if isinstance(attribute, AttributeGroup):
            yield from _attributes(attribute.attributes)
        elif isinstance(attribute, AnyAttribute) or space(attribute.qname.text) != XSI:
            yield attribute


def _text(source: Any) -> Text:
    named = source.qname.text if getattr(source, "qname", None) is not None else ""
    if isinstance(source, ListType):
        return Text("list", _text(source.item_type))
    if isinstance(source, UnionType):
        return Text("token", named=named)
    if isinstance(source, _LISTS):
        return Text("list", Text("token"))
    found: Kind | None = next((kind for known, kind in _KINDS if isinstance(source, known)), None)
    if found is None:
        keeps_spaces = isinstance(source, builtins.String) and not isinstance(source, _TOKENS)
        found = "text" if keeps_spaces or type(source) is AnySimpleType else "token"
    return Text(found, named=named)


def _most(count: Any) -> int:
    return MANY if count == "unbounded" else int(count)
