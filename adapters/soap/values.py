"""Values and XML: elements become plain values by their types, and values become elements in the schema's order.

An attribute is `@name`, the text beside attributes `#text`, an element that may come several times a list, xsi:nil
null. `@xsi:type` names a type that is not the declared one. An element that the schema leaves open is called by its
{namespace}name.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from difflib import get_close_matches
from typing import Any, Protocol

from lxml import etree

from adapters.soap.model import Anything, Field, Node, Object, Particle
from adapters.soap.names import XS, XSI, XSI_NIL, XSI_TYPE, local, space
from adapters.soap.text import Text, Wrong

TYPE, NIL, TEXT = "@xsi:type", "@xsi:nil", "#text"
_DEEPEST = 64
_GUESSED = {str: "string", bool: "boolean", int: "integer", Decimal: "decimal", float: "double"}


class Named(Protocol):
    """Finds types and elements by name."""

    def named(self, name: str) -> Node | None:
        """A type."""

    def full_name(self, name: str) -> str | None:
        """The {namespace}name of a type."""

    def element(self, tag: str) -> Field | None:
        """A global element."""


# --- XML to values ----------------------------------------------------------------------------------------------------


class Reader:
    """Makes values of elements that fit the schema."""

    def __init__(self, types: Named) -> None:
        self._types = types

    def read(self, element: Any, node: Node) -> Any:
        """The value of an element of that type."""
        named = element.get(XSI_TYPE)
        other = None
        if named is not None:
            full = _clark(named, element.nsmap)
            other = self._types.named(full)
            if other is node:
                other = None
        value = self._by_type(element, other or node)
        if other is not None and isinstance(value, dict) and isinstance(other, Object):
            assert named is not None
            return {TYPE: self._short(_clark(named, element.nsmap)), **value}
        return value

    def _short(self, full: str) -> str:
        name = local(full)
        return name if self._types.full_name(name) == full else full

    def _by_type(self, element: Any, node: Node) -> Any:
        if element.get(XSI_NIL) in {"true", "1"}:
            attributes = self._attributes(element, node)
            return {NIL: True, **attributes} if attributes else None
        if isinstance(node, Text):
            return node.read(element.text, _spaces(element, node))
        if isinstance(node, Anything):
            return self.anything(element)
        value = self._attributes(element, node)
        if isinstance(node.content, Text):
            text = node.content.read(element.text, _spaces(element, node.content))
            return {**value, TEXT: text} if node.attributes or node.open_attributes else text
        self._children(element, node, value)
        return value

    def _children(self, element: Any, node: Object, value: dict[str, Any]) -> None:
        fields = node.fields
        text = element.text or ""
        for child in element:
            text += child.tail or ""
            found = fields.get(child.tag)
            if found is None:
                self._add(value, child.tag, self._open(child))
                continue
            field, many = found
            inner = self.read(child, field.node)
            if many:
                value.setdefault(field.key, []).append(inner)
            else:
                value[field.key] = inner
        if text and (text := text.strip()):
            value[TEXT] = text

    def _open(self, element: Any) -> Any:
        known = self._types.element(element.tag)
        return self.anything(element) if known is None else self.read(element, known.node)

    def _attributes(self, element: Any, node: Node) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if not element.attrib:
            return found
        known = node.attributes if isinstance(node, Object) else {}
        for tag, text in element.attrib.items():
            if tag in known:
                key, kind = known[tag]
                found[key] = kind.read(text, _spaces(element, kind))
            elif space(tag) != XSI and isinstance(node, Object) and node.open_attributes:
                found[f"@{tag}"] = text
        return found

    def anything(self, element: Any, *, short: bool = False) -> Any:
        """An element of which no schema tells: text, or an object of what is within, `short` without namespaces."""
        value: dict[str, Any] = {f"@{tag}": text for tag, text in element.attrib.items() if space(tag) != XSI}
        text = (element.text or "").strip() if len(element) else element.text or ""
        for child in element:
            if short:
                self._add(value, local(child.tag), self.anything(child, short=True))
            else:
                self._add(value, child.tag, self._open(child))
        if not value:
            return text
        if text:
            value[TEXT] = text
        return value

    @staticmethod
    def _add(value: dict[str, Any], key: str, inner: Any) -> None:
        if key not in value:
            value[key] = inner
        elif isinstance(value[key], list):
            value[key].append(inner)
        else:
            value[key] = [value[key], inner]


# --- values to XML ----------------------------------------------------------------------------------------------------


@dataclass
class Writer:
    """Makes elements of values. Whether they fit in every detail is the schema's to say, afterwards."""

    types: Named
    binaries: list[Any] = field(default_factory=list)
    """elements of Base64, in the order in which they were written"""

    def write(self, parent: Any, field: Field, value: Any) -> None:
        """Adds one element to the parent. Raises Wrong with the path to what has no place."""
        element = etree.SubElement(parent, field.tag)
        try:
            self.fill(element, field.node, value, nillable=field.nillable)
        except Wrong as wrong:
            wrong.path.append(field.key)
            raise

    def fill(self, element: Any, node: Node, value: Any, *, nillable: bool = False, depth: int = 0) -> None:
        """Puts the value into an element of that type."""
        if depth > _DEEPEST:
            raise Wrong("it is nested too deep")
        if value is None and not nillable:
            raise Wrong("it is null, and the schema demands a value")
        if value is None or (isinstance(value, Mapping) and value.get(NIL) is True):
            element.set(XSI_NIL, "true")
            self._set_attributes(element, node, value or {})
            return
        if isinstance(value, Mapping) and value.get(TYPE) is not None:
            node = self._other_type(element, str(value[TYPE]))
        if isinstance(node, Text):
            self._set_text(element, node, value[TEXT] if isinstance(value, Mapping) and TEXT in value else value)
        elif isinstance(node, Anything):
            self._anything(element, value, depth)
        elif isinstance(node.content, Text):
            self._set_attributes(element, node, value if isinstance(value, Mapping) else {})
            text = value.get(TEXT) if isinstance(value, Mapping) else value
            self._set_text(element, node.content, "" if text is None and node.content.kind == "text" else text)
        else:
            self._object(element, node, value, depth)

    def _other_type(self, element: Any, name: str) -> Node:
        full, node = self.types.full_name(name), self.types.named(name)
        if full is None or node is None:
            raise Wrong(f"the schema has no type `{name}`, or several of that name: write {{namespace}}name")
        element.set(XSI_TYPE, etree.QName(full))
        return node

    def _set_text(self, element: Any, kind: Text, value: Any) -> None:
        if kind.kind == "qname" and isinstance(value, str) and value.startswith("{"):
            element.text = etree.QName(value)
            return
        try:
            element.text = kind.write(value)
        except ValueError as error:
            if isinstance(error, Wrong):
                raise
            raise Wrong("it holds a sign that XML cannot say") from None
        if kind.kind == "base64":
            self.binaries.append(element)

    def _set_attributes(self, element: Any, node: Node, value: Mapping[str, Any]) -> None:
        known = node.by_key if isinstance(node, Object) else {}
        for key, part in value.items():
            if key[:1] != "@" or key in {TYPE, NIL} or part is None:
                continue
            tag, kind = known.get(key, ("", Text("text")))
            if not tag:
                if not (isinstance(node, Object) and node.open_attributes):
                    raise _unknown(key, known)
                tag = key[1:]
            try:
                element.set(tag, kind.write(part))
            except ValueError as error:
                raise _at(key, error) from None

    def _object(self, element: Any, node: Object, value: Any, depth: int) -> None:
        if not isinstance(value, Mapping):
            if value in ("", []):
                value = {}
            else:
                raise Wrong(f"it should be an object; it is {type(value).__name__}")
        self._set_attributes(element, node, value)
        if TEXT in value:
            self._set_text(element, Text("text"), value[TEXT])
        pools = _Pools(value)
        if isinstance(node.content, Particle):
            self._particle(element, node.content, pools, depth)
        self._rest(element, node, pools, depth)

    def _particle(self, element: Any, particle: Particle, pools: _Pools, depth: int) -> None:
        for turn in range(particle.most):
            if turn and not pools.any_of(particle.keys):
                return
            before = pools.taken
            if particle.kind == "choice":
                self._choice(element, particle, pools, depth)
            else:
                optional = particle.least == 0 and not pools.any_of(particle.keys)
                for item in () if optional else particle.items:
                    self._item(element, item, pools, depth)
            if pools.taken == before:
                return

    def _choice(self, element: Any, particle: Particle, pools: _Pools, depth: int) -> None:
        """The branch that takes most of what is there."""
        best: Field | Particle | None = None
        most = 0
        for item in particle.items:
            keys = {each.key for each in item.each} if isinstance(item, Field) else item.keys
            count = pools.count(keys)
            if count > most:
                best, most = item, count
        if best is not None:
            self._item(element, best, pools, depth)

    def _item(self, element: Any, item: Field | Particle, pools: _Pools, depth: int) -> None:
        if isinstance(item, Particle):
            self._particle(element, item, pools, depth)
            return
        left = item.most
        for each in item.each:
            if item.most == 1 and isinstance(each.node, Text) and each.node.kind == "list":
                pools.whole(each.key)
            for value in pools.take(each.key, left):
                left -= 1
                if value is None and item.least == 0 and not (each.nillable and pools.is_list(each.key)):
                    continue  # what is null and may be missing is left out
                self._child(element, each, value, depth)

    def _child(self, element: Any, field: Field, value: Any, depth: int) -> None:
        child = etree.SubElement(element, field.tag)
        try:
            self.fill(child, field.node, value, nillable=field.nillable, depth=depth + 1)
        except Wrong as wrong:
            wrong.path.append(field.key)
            raise

    def _rest(self, element: Any, node: Object, pools: _Pools, depth: int) -> None:
        """What no field took: at home where the schema leaves it open, a mistake elsewhere."""
        is_open = isinstance(node.content, Particle) and node.content.anything
        for key, value in pools.rest():
            if not is_open:
                if isinstance(node.content, Particle) and key in node.content.keys:
                    raise Wrong(f"`{key}` has no place here: too many of it, or it excludes another field")
                raise _unknown(key, node.content.keys if isinstance(node.content, Particle) else ())
            self._free(element, key, value, depth)

    def _free(self, element: Any, key: str, value: Any, depth: int) -> None:
        known = self.types.element(key)
        try:
            child = etree.SubElement(element, key)
            if known is None:
                self._anything(child, value, depth + 1)
            else:
                self.fill(child, known.node, value, nillable=known.nillable, depth=depth + 1)
        except ValueError as error:
            raise _at(key, error) from None

    def _anything(self, element: Any, value: Any, depth: int) -> None:
        """Values that no type describes; single ones say of what type they are."""
        if depth > _DEEPEST:
            raise Wrong("it is nested too deep")
        if isinstance(value, Mapping):
            for key, part in value.items():
                if key == TEXT:
                    self._set_text(element, Text("text"), part)
                elif key[:1] == "@":
                    element.set(key[1:], Text("text").write(part))
                else:
                    for each in part if isinstance(part, list) else [part]:
                        self._free(element, key, each, depth)
        elif value is not None:
            if type(value) in _GUESSED and type(value) is not str:
                element.set(XSI_TYPE, etree.QName(XS, _GUESSED[type(value)]))
            self._set_text(element, Text("text"), value)


class _Pools:
    """The values of an object, taken out one after the other."""

    def __init__(self, value: Mapping[str, Any]) -> None:
        self.taken = 0
        self._lists = {key for key, part in value.items() if isinstance(part, list)}
        self._pools = {
            key: deque(part) if isinstance(part, list) else deque([part])
            for key, part in value.items()
            if key[:1] != "@" and key != TEXT
        }

    def any_of(self, keys: Any) -> bool:
        """Whether something is left of these."""
        return any(self._pools.get(key) for key in keys)

    def count(self, keys: Any) -> int:
        """How many of these are there still, null not counted where anything else is."""
        filled = sum(1 for key in keys if any(each is not None for each in self._pools.get(key, ())))
        return 2 * filled or (1 if self.any_of(keys) else 0)

    def is_list(self, key: str) -> bool:
        """Whether it came as a list."""
        return key in self._lists

    def whole(self, key: str) -> None:
        """A list is one value, where the type itself is a list; a list of lists stays several."""
        pool = self._pools.get(key)
        if pool and key in self._lists and not any(isinstance(part, list) for part in pool):
            self._pools[key] = deque([list(pool)])

    def take(self, key: str, most: int) -> Iterator[Any]:
        """The next values."""
        pool = self._pools.get(key)
        while pool and most > 0:
            most -= 1
            self.taken += 1
            yield pool.popleft()

    def rest(self) -> Iterator[tuple[str, Any]]:
        """What nobody took; null means nothing."""
        for key, pool in self._pools.items():
            for value in pool:
                if value is not None:
                    yield key, value


def _spaces(element: Any, kind: Text) -> Mapping[str | None, str]:
    """The prefixes in scope, where the type needs them: they are slow to come by."""
    return element.nsmap if kind.kind in {"qname", "list"} else {}


def _unknown(key: str, known: Any) -> Wrong:
    near = get_close_matches(key, list(known), 1)
    return Wrong(f"the schema has no `{key}` here" + (f". Did you mean `{near[0]}`?" if near else ""))


def _at(key: str, error: ValueError) -> Wrong:
    wrong = error if isinstance(error, Wrong) else Wrong("it holds what XML cannot say")
    wrong.path.append(key)
    return wrong


def _clark(name: str, spaces: Mapping[str | None, str]) -> str:
    prefix, colon, text = name.strip().rpartition(":")
    uri = spaces.get(prefix if colon else None, "")
    return f"{{{uri}}}{text}"
