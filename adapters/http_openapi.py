"""What an OpenAPI document means: operations, what they take and what they answer, field by field. 3.0 and 3.1."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, Field, PlainValidator, ValidationInfo, WithJsonSchema

from pipe.contract import Leaf, Outline, Strict, answer_of, read_beside, request_of
from pipe.errors import ReplyInvalid

MOST_FIELDS = 5000
"""of one message; what lies deeper is not compared"""
DEEPEST = 32
_METHODS = ("get", "put", "post", "delete", "patch")
_SAID = ("format", "pattern", "maxLength", "minLength", "maximum", "minimum", "const")
"""words of a schema that belong to the type of a value"""
_HOLE = re.compile(r"\$\{[^}]*\}|\{[^}]*\}")


@dataclass(frozen=True)
class Document:
    """A copy of a partner's document beside the configuration. Two of the same content are equal."""

    path: str = field(compare=False)
    text: str

    @cached_property
    def outline(self) -> Outline:
        """Its operations; its validator has seen that it has some."""
        return outline_of(self.text.encode(), self.path)


def _read(value: Any, info: ValidationInfo) -> Document:
    if isinstance(value, Document):
        return value
    if not isinstance(value, str):
        raise ValueError("`file:` names a document beside the configuration")
    document = Document(value, read_beside(info, value))
    try:
        outline_of(document.text.encode(), value)
    except ReplyInvalid as error:
        raise ValueError(error.text) from None
    return document


def _path(text: str) -> str:
    if not text.startswith("/"):
        raise ValueError(f"`{text}` is no path: it begins with `/`, below the path of `url`")
    return text


class Published(Strict):
    """A partner's OpenAPI document: where it is served, and which copy of it the mappings were made for."""

    get: Annotated[str, AfterValidator(_path)] = Field(
        description="Path below that of `url` where the partner serves it.", examples=["/openapi.json"]
    )
    file: Annotated[Document, PlainValidator(_read), WithJsonSchema({"type": "string"})] | None = Field(
        default=None, description="Our copy of it, JSON or YAML; without one, what is served first is the known one.",
        examples=["openapi/crm.json"],
    )  # fmt: skip


def outline_of(raw: bytes, where: str) -> Outline:
    """Its operations as `GET /persons/{id}`. Raises ReplyInvalid where it is no OpenAPI document."""
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        try:
            document = yaml.load(raw, yaml.CSafeLoader)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise ReplyInvalid(f"`{where}` is neither JSON nor YAML") from error
    if not isinstance(document, dict) or not str(document.get("openapi", "")).startswith("3."):
        raise ReplyInvalid(f"`{where}` is no OpenAPI 3 document")
    if not isinstance(document.get("paths"), dict):
        raise ReplyInvalid(f"`{where}` has no `paths`")
    return dict(_Outliner(document).parts())


def operation_at(method: str, path: str, known: Iterable[str]) -> str | None:
    """The operation that a target's method and path template ask for; `${…}` fits any `{…}`, a query says nothing.

    What stands before may differ, as `url` and the document's `servers` each have a part of the whole path.
    """
    asked = _segments(path.partition("?")[0])
    found: list[tuple[bool, int, str]] = []
    for operation in known:
        verb, _, template = operation.partition(" ")
        parts = _segments(template)
        shared = min(len(parts), len(asked))
        pairs = list(zip(parts[-shared:], asked[-shared:], strict=True))
        if verb == method.upper() and shared and all("{}" in pair or pair[0] == pair[1] for pair in pairs):
            said = sum("{}" not in pair for pair in pairs)
            if said or len(parts) == len(asked):
                found.append((len(parts) == len(asked), said, operation))
    return max(found)[2] if found else None


def _segments(path: str) -> list[str]:
    return _HOLE.sub("{}", path).strip("/").split("/")


class _Outliner:
    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document

    def parts(self) -> Iterator[tuple[str, dict[str, Leaf]]]:
        """Each operation's request and answer."""
        for path, written in self.document["paths"].items():
            item = self._there(written)
            for method in _METHODS:
                operation = item.get(method)
                if isinstance(operation, dict):
                    name = f"{method.upper()} {path}"
                    yield request_of(name), self._request(operation, item)
                    yield answer_of(name), self._answer(operation)

    def _request(self, operation: Mapping[str, Any], item: Mapping[str, Any]) -> dict[str, Leaf]:
        found: dict[str, Leaf] = {}
        for each in (*_list(item.get("parameters")), *_list(operation.get("parameters"))):
            parameter = self._there(each)
            name = f"({parameter.get('in')} {parameter.get('name')})"
            schema = parameter.get("schema", {})
            found[name] = Leaf(self._kind(self._there(schema)), bool(parameter.get("required")))
        body = self._there(operation.get("requestBody", {}))
        self._content(body, bool(body.get("required")), found)
        return found

    def _answer(self, operation: Mapping[str, Any]) -> dict[str, Leaf]:
        found: dict[str, Leaf] = {}
        responses = self._there(operation.get("responses", {}))
        good = sorted(str(code) for code in responses if str(code)[:1] == "2") or ["default"]
        by_code = {str(code): response for code, response in responses.items()}
        self._content(self._there(by_code.get(good[0], {})), True, found)
        return found

    def _content(self, holder: Mapping[str, Any], required: bool, found: dict[str, Leaf]) -> None:
        content = self._there(holder.get("content", {}))
        kind = next((each for each in content if "json" in each), next(iter(content), None))
        if kind is not None:
            self._schema(self._there(content[kind]).get("schema", {}), "body", found, required, ())

    def _schema(self, schema: Any, path: str, found: dict[str, Leaf], required: bool, trail: tuple[int, ...]) -> None:
        schema = self._there(schema)
        if len(found) >= MOST_FIELDS or len(trail) >= DEEPEST:
            return
        kind, many = self._kind(schema), False
        while "items" in schema and not schema.get("properties"):
            schema, many = self._there(schema["items"]), True
            kind = self._kind(schema)
        before = found.get(path)
        found[path] = (
            Leaf(kind, required, many) if before is None else before._replace(required=before.required or required)
        )
        if id(schema) in trail:
            return
        self._inside(schema, path, found, (*trail, id(schema)), sure=True)

    def _inside(
        self, schema: Mapping[str, Any], path: str, found: dict[str, Leaf], trail: tuple[int, ...], *, sure: bool
    ) -> None:
        """The properties of a schema, and of those that it is made of; of alternatives none is sure to be there."""
        needed = set(_list(schema.get("required")))
        for name, inner in self._there(schema.get("properties", {})).items():
            self._schema(inner, f"{path}.{name}", found, sure and name in needed, trail)
        if isinstance(schema.get("additionalProperties"), dict):
            self._schema(schema["additionalProperties"], f"{path}.*", found, False, trail)
        for word, is_sure in (("allOf", sure), ("anyOf", False), ("oneOf", False)):
            for each in _list(schema.get(word)):
                inner = self._there(each)
                if id(inner) not in trail and len(trail) < DEEPEST:
                    self._inside(inner, path, found, (*trail, id(inner)), sure=is_sure)

    def _kind(self, schema: Mapping[str, Any]) -> str:
        types = schema.get("type")
        words = [str(each) for each in types] if isinstance(types, list) else [str(types)] if types else []
        if not words:
            inner = [
                self._kind(self._there(each))
                for word in ("anyOf", "oneOf", "allOf")
                for each in _list(schema.get(word))
            ]
            words = [*inner] or ["object" if "properties" in schema else "anything"]
        if schema.get("nullable"):
            words.append("null")
        said = [f"{word} {schema[word]}" for word in _SAID if word in schema]
        if "enum" in schema:
            said.append("one of " + "|".join(sorted(str(each) for each in _list(schema["enum"]))))
        return ", ".join([" or ".join(sorted(set(words))), *said])

    def _there(self, value: Any) -> Mapping[str, Any]:
        """What a reference within the document leads to; something empty where it leads nowhere, or elsewhere."""
        for _ in range(DEEPEST):
            if not isinstance(value, dict):
                return {}
            reference = value.get("$ref")
            if not isinstance(reference, str):
                return value
            if not reference.startswith("#/"):
                return {"type": f"another document, {reference}"}
            value = self.document
            for part in reference[2:].split("/"):
                value = value.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(value, dict) else None
        return {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
