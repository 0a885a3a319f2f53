"""Takes the models of the configuration apart: each key with its type, default, unit, description and an example."""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, RootModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from pipe.contract import Duration, Expression, Percent, Rate, Secret, Size, Template

_WORDS: dict[Any, str] = {
    Duration: "duration", Size: "size", Percent: "share", Rate: "rate", Secret: "secret", Expression: "expression",
    Template: "template", str: "text", int: "whole number", float: "number", bool: "true or false", Any: "see there",
    dict: "map", list: "list",
}  # fmt: skip
_UNITS: dict[Any, str] = {
    Duration: "ms, s, m, h, d", Size: "B, kB, MB, GB, KiB, MiB, GiB", Percent: "%", Rate: "per s, m, h, d",
}  # fmt: skip
_EXAMPLES: dict[Any, str] = {
    Duration: "30s", Size: "10MiB", Percent: "50%", Rate: "30/s", Secret: '"${env:NAME}"', Expression: "body.id",
    Template: '"${message.id}"', str: "text", int: "1", float: "1.5", bool: "true", dict: "", list: "", Any: "",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a block."""

    name: str
    kind: str
    default: str
    """empty where the key must be written or has no value unless written"""
    unit: str
    description: str
    example: str
    required: bool


def keys_of(model: type[BaseModel]) -> list[Key]:
    """The keys of a model in the order of its fields; those of a RootModel are none."""
    if issubclass(model, RootModel):
        return []
    return [_key(info.alias or name, info) for name, info in model.model_fields.items()]


def undescribed(model: type[BaseModel]) -> Iterator[str]:
    """The keys of a model, and of the blocks inside, that say nothing about themselves: `Retry.first`."""
    for block in (model, *blocks_in(model)):
        if issubclass(block, RootModel):
            continue
        for name, info in block.model_fields.items():
            # A connection's own type is described where all connections are.
            if not info.description and name != "type":
                yield f"{block.__name__}.{info.alias or name}"


def blocks_in(model: type[BaseModel]) -> list[type[BaseModel]]:
    """The blocks that stand inside of a model, at any depth, each once, in the order of the fields."""
    found: dict[type[BaseModel], None] = {}
    waiting = [model]
    while waiting:
        for info in waiting.pop(0).model_fields.values():
            for inner in _models(info.annotation):
                if inner not in found and inner is not model:
                    found[inner] = None
                    waiting.append(inner)
    return list(found)


def summary(thing: Any) -> str:
    """The docstring, without the indentation of its code."""
    return (inspect.getdoc(thing) or "").strip()


def plain(value: Any) -> str:
    """A value as one writes it in YAML, in one line."""
    if isinstance(value, (Duration, Size, Percent, Rate, Expression, Template)):
        return str(value)
    if isinstance(value, BaseModel):
        changed = {name: plain(getattr(value, name)) for name in type(value).model_fields}
        return "{" + ", ".join(f"{name}: {inner}" for name, inner in changed.items() if inner) + "}"
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, str):
        return value or '""'
    if isinstance(value, list) and any(isinstance(each, BaseModel) for each in value):
        return f"[{', '.join(plain(each) for each in value)}]"
    text = yaml.dump(value, Dumper=_Dumper, default_flow_style=True, allow_unicode=True, width=10_000)
    return text.removesuffix("\n...\n").strip()


class _Dumper(yaml.SafeDumper):
    """Also writes the quantities and texts of our own."""


def _as_number(dumper: yaml.SafeDumper, value: Any) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:float", str(value))


def _as_text(dumper: yaml.SafeDumper, value: Any) -> yaml.ScalarNode:
    return dumper.represent_str(str(value))


_Dumper.add_representer(Decimal, _as_number)
for _kind_of_text in (Duration, Size, Percent, Rate, Expression, Template):
    _Dumper.add_representer(_kind_of_text, _as_text)


def _key(name: str, info: FieldInfo) -> Key:
    default = info.get_default(call_default_factory=True, validated_data={})
    shown = "" if default is PydanticUndefined else plain(default)
    return Key(
        name=name,
        kind=_kind(info.annotation),
        default=shown,
        unit=", ".join(dict.fromkeys(unit for part in _parts(info.annotation) if (unit := _UNITS.get(part)))),
        description=(info.description or ("This word." if name == "type" else "")).strip(),
        example=_example(info, shown),
        required=info.is_required(),
    )


def _kind(annotation: Any) -> str:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _kind(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        words = [_kind(part) for part in get_args(annotation) if part is not type(None)]
        return " or ".join(dict.fromkeys(words))
    if origin is Literal:
        return " or ".join(f"`{plain(value)}`" for value in get_args(annotation))
    if origin in (list, tuple, set, frozenset):
        return f"list of {_kind(get_args(annotation)[0])}"
    if origin is dict:
        return f"map of {_kind(get_args(annotation)[1])}"
    if annotation in _WORDS:
        return _WORDS[annotation]
    if isinstance(annotation, type) and issubclass(annotation, RootModel):
        return _kind(annotation.model_fields["root"].annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        # A block without keys has no table that one could be led to.
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})" if annotation.model_fields else "`{}`"
    return str(getattr(annotation, "__name__", annotation))


def _example(info: FieldInfo, default: str) -> str:
    if info.examples:
        return plain(info.examples[0])
    if isinstance(info.default, BaseModel):
        return ""
    if default and default not in ("{}", "[]", '""'):
        return default
    parts = [part for part in _parts(info.annotation) if part is not type(None)]
    if any(get_origin(part) is Literal for part in parts):
        return plain(get_args(next(part for part in parts if get_origin(part) is Literal))[0])
    return next((_EXAMPLES[part] for part in parts if part in _EXAMPLES), "")


def _parts(annotation: Any) -> list[Any]:
    """The plain types of a union; those inside of lists and maps too."""
    origin = get_origin(annotation)
    if origin is Literal:
        return [annotation]
    if origin is Annotated:
        return _parts(get_args(annotation)[0])
    inner = [part for each in get_args(annotation) for part in _parts(each)]
    return [*([origin] if origin in (list, dict) else []), *inner] if inner else [annotation]


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)
