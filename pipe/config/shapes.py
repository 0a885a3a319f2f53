"""What a message's body can have at one moment of its way, as far as schemas and `map` steps tell."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Shape:
    """The known parts of a value. A part of shape None may be anything."""

    parts: Mapping[str, Shape | None] = field(default_factory=dict)
    origin: str = ""
    """what says so: `the map on line 12`, `schemas/appeal.json`"""
    certain: bool = True
    """whether nothing else can be there; a schema may leave it open"""

    def with_part(self, way: Iterable[str], shape: Shape | None = None) -> Shape:
        """The same with one more part at the end of `way`."""
        first, *rest = way
        inner = self.parts.get(first)
        if rest and first in self.parts and inner is None:
            return self
        added = (inner or Shape(origin=self.origin, certain=self.certain)).with_part(rest, shape) if rest else shape
        return Shape({**self.parts, first: added}, self.origin, self.certain)


@dataclass(frozen=True, slots=True)
class Missing:
    """A path that leads nowhere."""

    path: str
    known: tuple[str, ...]
    """paths of the same depth that are there"""
    origin: str
    certain: bool


def missing(shape: Shape | None, path: str) -> Missing | None:
    """What is wrong with a dotted path, where the shape tells."""
    walked: list[str] = []
    for part in path.split("."):
        if shape is None:
            return None
        if part not in shape.parts:
            beside = tuple(".".join([*walked, name]) for name in shape.parts)
            return Missing(".".join([*walked, part]), beside, shape.origin, shape.certain)
        shape, walked = shape.parts[part], [*walked, part]
    return None


def of_map(value: Any, origin: str) -> Shape | None:
    """The shape that a `map:` makes: its keys, and those of the maps inside."""
    if not isinstance(value, dict):
        return None
    return Shape({str(key): of_map(inner, origin) for key, inner in value.items()}, origin)


def of_schema(text: str, origin: str) -> Shape | None:
    """The shape that a JSON Schema allows; None where the text is none, or leaves everything open."""
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return _Schema(schema, origin).shape(schema, 0) if isinstance(schema, dict) else None


class _Schema:
    """Walks a JSON Schema; references within the file are followed."""

    def __init__(self, root: dict[str, Any], origin: str) -> None:
        self.root, self.origin = root, origin

    def shape(self, schema: Any, depth: int) -> Shape | None:
        if not isinstance(schema, dict) or depth > 32:
            return None
        schema = self._referred(schema)
        if schema is None:
            return None
        parts: dict[str, Shape | None] = {}
        is_open = bool(schema.get("patternProperties")) or schema.get("additionalProperties", False) is not False
        certain = schema.get("additionalProperties") is False
        for word in ("allOf", "anyOf", "oneOf", "then", "else"):
            inner = schema.get(word, [])
            for each in inner if isinstance(inner, list) else [inner]:
                shape = self.shape(each, depth + 1)
                if shape is None and word not in ("allOf", "then", "else"):
                    return None
                parts |= shape.parts if shape else {}
        properties = schema.get("properties", {})
        parts |= (
            {name: self.shape(each, depth + 1) for name, each in properties.items()}
            if isinstance(properties, dict)
            else {}
        )
        if not parts and "items" in schema:
            # Paths leave no mark for lists: `body.items.sum` is a part of each item.
            return self.shape(schema["items"], depth + 1)
        return None if is_open or not parts else Shape(parts, self.origin, certain)

    def _referred(self, schema: dict[str, Any]) -> dict[str, Any] | None:
        for _ in range(32):
            reference = schema.get("$ref")
            if reference is None:
                return schema
            if not isinstance(reference, str) or not reference.startswith("#/"):
                return None
            found: Any = self.root
            for part in reference[2:].split("/"):
                found = found.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
            if not isinstance(found, dict):
                return None
            schema = found
        return None
