"""An example of any message of a WSDL: made by its types, then mended by what the schema finds wrong with it."""

from __future__ import annotations

import re
from collections import Counter
from decimal import Decimal, InvalidOperation
from typing import Any

from lxml import etree

from adapters.soap.message import build, received, values_of
from adapters.soap.model import Anything, Field, Node, Object, Particle
from adapters.soap.service import Port, Service, Shape
from adapters.soap.text import Text
from adapters.soap.values import TYPE, Writer
from partners.patterns import sample
from pipe.errors import Unencodable

_ROUNDS = 200
"""mistakes that are mended before it is given up"""
_DEEPEST = 6
"""levels down to which fields are filled in that may be left out"""
_FACET = re.compile(r"\[facet '(\w+)'\]")
_NO_HEIR = re.compile(r"type definition|is not expected|Missing child|is not allowed")
_QUOTED = re.compile(r"'([^']*)'")
_ATTRIBUTE = re.compile(r"attribute '([^']*)'")
_GUESSES = (
    "text", "1", "2026-01-15", "2026-01-15T10:00:00Z", "10:00:00", "true", "P1D", "1.5", "00ff", "urn:example", "uk",
    "2026", "2026-01", "a1",
)  # fmt: skip
"""texts of which one fits any simple type that has no facets"""
_FIRST: dict[str, Any] = {"integer": 1, "decimal": 1, "float": 1, "boolean": True, "base64": b"example", "qname": "a"}


class _Lenient:
    """In the place of the schema: it is asked afterwards."""

    def mistakes(self, envelope: Any) -> list[tuple[str, str]]:
        """None yet."""
        return []


def example(service: Service, port: Port, shape: Shape) -> Any:
    """Values of a message of that shape. Raises Unencodable where none was found: then a test should give one."""
    failure: Unencodable | None = None
    for depth in (_DEEPEST, 0):
        try:
            return _found(service, port, shape, depth)
        except Unencodable as error:
            failure = failure or error
    assert failure is not None
    raise failure


def _found(service: Service, port: Port, shape: Shape, depth: int) -> Any:
    lenient: Any = _Lenient()
    envelope = build(service, port.version, shape, _values(shape, depth), lenient).envelope
    schema: Any = service.small._schema  # noqa: SLF001 — its messages, which are not told elsewhere, are the way
    guessed: Counter[str] = Counter()
    for _ in range(_ROUNDS):
        if schema.validate(envelope.getroottree()):
            return values_of(received(etree.tostring(envelope), port.version.media_type), shape, service)
        mistake = schema.error_log[0]
        if "type definition is abstract" in mistake.message:
            _give_heir(service, schema, envelope, mistake, depth)
        else:
            _mend(envelope, mistake, guessed)
    raise Unencodable(f"no example was found that fits: {schema.error_log[0].message}")


# --- by the types


def _values(shape: Shape, depth: int) -> Any:
    if shape.wrapper is not None:
        assert shape.parts is not None
        return _value(shape.parts, depth)
    if len(shape.elements) == 1:
        return _value(shape.elements[0].node, depth)
    return {field.key: _value(field.node, depth) for field in shape.elements}


def _value(node: Node, depth: int) -> Any:
    if isinstance(node, Text):
        return [_value(node.item, depth)] if node.item is not None else _FIRST.get(node.kind, _GUESSES[0])
    if isinstance(node, Anything):
        return _GUESSES[0]
    attributes = {key: _value(text, depth) for key, (_, text) in node.by_key.items()}
    if isinstance(node.content, Text):
        return {**attributes, "#text": _value(node.content, depth)}
    value: dict[str, Any] = dict(attributes)
    if node.content is not None:
        _fill(value, node, node.content, depth)
    return value


def _fill(value: dict[str, Any], node: Object, particle: Particle, depth: int) -> None:
    for item in particle.items[:1] if particle.kind == "choice" else particle.items:
        if item.least == 0 and depth <= 0:
            continue
        if isinstance(item, Particle):
            _fill(value, node, item, depth)
            continue
        field: Field = item.members[0] if item.members else item
        made = _value(field.node, depth - 1)
        value[field.key] = [made] * max(1, item.least) if node.fields[field.tag][1] else made


# --- by what the schema says


def _mend(envelope: Any, mistake: Any, guessed: Counter[str]) -> None:
    element = _at(envelope, mistake.path)
    attribute = _ATTRIBUTE.search(mistake.message)
    name = _clark(attribute[1]) if attribute else None
    if "is not allowed" in mistake.message and name is not None:
        del element.attrib[name]
        return
    if element is None or (name is None and len(element)):
        raise Unencodable(f"no example was found that fits: {mistake.message}")
    before = (element.get(name) if name is not None else element.text) or ""
    text = _better(before, mistake.message, guessed, f"{mistake.path}@{name}")
    if name is None:
        element.text = text
    else:
        element.set(name, text)


def _give_heir(service: Service, schema: Any, envelope: Any, mistake: Any, depth: int) -> None:
    """Says by xsi:type which of the types is meant, where the declared one is only there to be derived from."""
    element = _at(envelope, mistake.path)
    known: Any = service.types
    for name in sorted(known._names):  # noqa: SLF001 — nobody else needs all of them
        node = service.types.named(name)
        if not isinstance(node, Object):
            continue
        element.clear()
        Writer(service.types).fill(element, node, {TYPE: name, **_value(node, depth - 1)})
        schema.validate(envelope.getroottree())
        if not any(each.path == mistake.path and _NO_HEIR.search(each.message) for each in schema.error_log):
            return
    raise Unencodable(f"no example was found that fits: {mistake.message}")


def _at(envelope: Any, path: str) -> Any:
    spaces = {prefix: space for element in envelope.iter() for prefix, space in element.nsmap.items() if prefix}
    found = envelope.getroottree().xpath(path, namespaces=spaces)
    return found[0] if found else None


def _clark(text: str) -> str:
    return text if not text.startswith("{}") else text[2:]


def _better(before: str, message: str, guessed: Counter[str], place: str) -> str:
    facet = _FACET.search(message)
    quoted = _QUOTED.findall(message.rpartition("] ")[2])
    last = quoted[-1] if quoted else ""
    match facet[1] if facet else "":
        case "enumeration":
            return str(_QUOTED.findall(message.partition("set {")[2])[0])
        case "pattern":
            return sample(last)
        case "minLength" | "length" if len(before) < int(last):
            return before + (before[-1:] or "x") * (int(last) - len(before))
        case "maxLength" | "length":
            return before[: int(last)]
        case "minInclusive" | "maxInclusive":
            return last
        case "minExclusive" | "maxExclusive" as kind:
            return _beside(last, 1 if kind == "minExclusive" else -1)
        case "fractionDigits" | "totalDigits":
            return "1"
    guessed[place] += 1
    if guessed[place] >= len(_GUESSES):
        raise Unencodable(f"no example was found that fits: {message}")
    return _GUESSES[guessed[place]]


def _beside(number: str, step: int) -> str:
    try:
        return str(Decimal(number) + step)
    except InvalidOperation:
        return number
