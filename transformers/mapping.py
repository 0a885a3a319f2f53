"""`map:` makes a new body, `set:` changes parts of a message. Strings are expressions, other scalars literals."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, RootModel

from pipe.contract import Expression, Message
from pipe.errors import BadHeader, MappingFailed, PayloadError
from transformers.text_format import scalar

Maker = Callable[[Message], Any]


def _compiled(value: Any, path: str = "") -> Any:
    """The same tree with an Expression in place of each string. Raises ValueError that names the place."""
    if isinstance(value, str):
        try:
            return Expression(value)
        except ValueError as error:
            raise ValueError(f"{path or 'the value'}: {error}") from error
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise ValueError(f"{path or 'the value'}: the key {key!r} should be text; put it in quotes")
        return {key: _compiled(part, f"{path}.{key}".lstrip(".")) for key, part in value.items()}
    if isinstance(value, list):
        return [_compiled(part, f"{path}[{index}]") for index, part in enumerate(value)]
    return value


Tree = Annotated[Any, AfterValidator(_compiled)]
"""Expressions and literals, nested in objects and lists"""


def _maker(tree: Any, path: str) -> Maker:
    """What makes the value of a tree for a message; failures name the field that was being made."""
    if isinstance(tree, Expression):
        return _named(tree, path)
    if isinstance(tree, dict):
        return _object(tree, path)
    if isinstance(tree, list):
        makers = [_maker(part, f"{path}[{index}]") for index, part in enumerate(tree)]
        return lambda message: [make(message) for make in makers]
    return lambda _: tree


def _named(expression: Expression, path: str) -> Maker:
    def make(message: Message) -> Any:
        try:
            return expression.read(message)
        except PayloadError as error:
            error.facts.setdefault("field", path or "body")
            raise

    return make


def _object(tree: Mapping[str, Any], path: str) -> Maker:
    """What makes an object. It names failures itself, so that its fields are read without a call between."""
    inner = {key: f"{path}.{key}".lstrip(".") for key in tree}
    parts = [
        (key, part.read if isinstance(part, Expression) else _maker(part, inner[key])) for key, part in tree.items()
    ]

    def make(message: Message) -> dict[str, Any]:
        made = {}
        key = ""
        try:
            for key, read in parts:
                made[key] = read(message)
        except PayloadError as error:
            error.facts.setdefault("field", inner[key] or "body")
            raise
        return made

    return make


class MapConfig(RootModel[Tree]):
    """What the new body is made of; a missing path gives null."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        json_schema_extra={"examples": [{"id": "message.id", "state": "'new'", "urgent": False}]},
    )


class Map:
    """Makes a new body; nothing of the old one is kept but what is named."""

    name: ClassVar[str] = "map"
    Config: ClassVar[type[BaseModel]] = MapConfig
    heavy: ClassVar[bool] = False

    def __init__(self, config: MapConfig) -> None:
        self._make = _maker(config.root, "")

    def apply(self, message: Message) -> Message:
        """The message with the new body. Raises MappingFailed that names the path read and the field made."""
        return message.but(body=self._make(message))


# --- set --------------------------------------------------------------------------------------------------------------

_PLACES = {
    "headers": re.compile(r"headers\.[a-z][a-z0-9_]*"),
    "params": re.compile(r"params\.[A-Za-z_][A-Za-z0-9_]*"),
    "query": re.compile(r"query\.[^.\s]+"),
    "body": re.compile(r"body(\.[^.\s\[\]]+)*"),
}


def _checked(sets: dict[str, Any]) -> dict[str, Any]:
    if not sets:
        raise ValueError("name at least one path")
    for path in sets:
        place = _PLACES.get(path.split(".", 1)[0])
        if place is None:
            raise ValueError(f"`{path}`: a path starts with body, headers, params or query")
        if not place.fullmatch(path):
            raise ValueError(f"`{path}`: write it as in `body.a.b` or `headers.priority`; header names are lower_snake")
    return sets


class SetConfig(RootModel[Annotated[dict[str, Tree], AfterValidator(_checked)]]):
    """Paths and their new values. All expressions see the message as it was before the step."""

    model_config = ConfigDict(
        frozen=True, strict=True, json_schema_extra={"examples": [{"headers.priority": "'high'", "body.seen": True}]}
    )


class Set:
    """Changes parts of a message; objects on the way to a path are made where they are missing."""

    name: ClassVar[str] = "set"
    Config: ClassVar[type[BaseModel]] = SetConfig
    heavy: ClassVar[bool] = False

    def __init__(self, config: SetConfig) -> None:
        self._sets = [(path.split("."), _maker(tree, path)) for path, tree in config.root.items()]

    def apply(self, message: Message) -> Message:
        """The changed message. A null takes a header, parameter or query value away.

        Raises MappingFailed where a path leads through something that is no object, BadHeader for a header's value that
        is not plain text of one line.
        """
        changed = message
        for (root, *names), make in self._sets:
            value = make(message)
            if root == "body":
                changed = changed.but(body=_placed(changed.body, names, value, "body"))
            else:
                texts = _with_text(getattr(changed, root), names[0], value, f"{root}.{names[0]}")
                changed = changed.but(**{root: texts})
        return changed


def _placed(whole: Any, names: list[str], value: Any, path: str) -> Any:
    """A copy of `whole` with `value` at the end of the path; what is not on the path is shared."""
    if not names:
        return value
    if whole is not None and not isinstance(whole, Mapping):
        kind = "bytes: decode it first" if isinstance(whole, bytes) else "no object"
        raise MappingFailed(f"cannot set `{path}.{names[0]}`: `{path}` is {kind}", path=path)
    before = dict(whole or {})
    before[names[0]] = _placed(before.get(names[0]), names[1:], value, f"{path}.{names[0]}")
    return before


_NOT_IN_A_LINE = re.compile("[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")


def _with_text(texts: Mapping[str, str], name: str, value: Any, path: str) -> dict[str, str]:
    if value is None:
        return {key: text for key, text in texts.items() if key != name}
    text = scalar(value)
    if text is None:
        raise BadHeader(f"`{path}` takes one line of text, not a list or an object", path=path)
    if (found := _NOT_IN_A_LINE.search(text)) is not None:
        raise BadHeader(
            f"`{path}` takes one line of text; U+{ord(found[0]):04X} at sign {found.start() + 1} is not allowed",
            path=path,
        )
    return {**texts, name: text}
