"""Turns a piece of YAML into a pydantic model, and pydantic's complaints into findings with file, line and advice."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, RootModel, ValidationError
from pydantic_core import ErrorDetails

from pipe.config.files import Files
from pipe.config.findings import Finding, nearest
from pipe.config.models import ConnectionSpec, Defaults, Retention
from pipe.config.references import Reference, SecretStore, is_reference, substituted, unset
from pipe.config.yaml_source import Node
from pipe.contract import Adapter, FlowStep, Transformer

Model = TypeVar("Model", bound=BaseModel)

_TEXTS = {
    "string_type": "should be a text; put it in quotes",
    "int_type": "should be a whole number",
    "int_from_float": "should be a whole number",
    "float_type": "should be a number",
    "bool_type": "should be `true` or `false`",
    "model_type": "should be a map",
    "model_attributes_type": "should be a map",
    "dict_type": "should be a map",
    "list_type": "should be a list",
    "tuple_type": "should be a list",
    "path_type": "should be a text; put it in quotes",
}
_LENGTHS = {
    "string_too_short": "should have at least {min_length} sign(s)",
    "string_too_long": "should have at most {max_length} sign(s)",
    "too_short": "should have at least {min_length} entry(ies)",
}
_CODES = {"extra_forbidden": "unknown-key", "missing": "missing-key", "secret_in_clear": "secret-in-clear"}
_SECRET_INSIDE = re.compile(r"(?<!\$)\$\{(file|secret):[^}\s]")


@dataclass(slots=True)
class Reading:
    """What is known while a configuration is read, and what was found so far."""

    adapters: Mapping[str, type[Adapter]]
    transformers: Mapping[str, type[Transformer]]
    flows: Mapping[str, FlowStep]
    files: Files
    secrets: SecretStore | None = None
    defaults: Defaults = field(default_factory=Defaults)
    retention: Retention = field(default_factory=Retention)
    connection_types: dict[str, str | None] = field(default_factory=dict)
    """every connection that is named, with its type where that is known"""
    connections: dict[str, ConnectionSpec] = field(default_factory=dict)
    routes: dict[str, Node] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def note(self, node: Node, code: str, text: str, key: str | None = None) -> None:
        """Adds a mistake in that value, or in its key of that name."""
        self.findings.append(node.finding(code, text, key))

    def validated(
        self, model: type[Model], node: Node, name: str = "", *, references: bool = False, complete: bool = True
    ) -> Model | None:
        """The model made of `node`, or None where mistakes were noted. `name` is what the node is called.

        With `references` a value may be a secret by reference. What is not `complete` has mistakes noted already: then
        what is missing, or wrong with the whole, is not told.
        """
        pending: list[tuple[Node, Reference]] = []
        context = self._context(node)
        data = self.plain(node, pending if references else None)
        try:
            made = model.model_validate(data, context=context)
        except ValidationError as error:
            self.findings += _findings(error, model, node, name, complete=complete)
        except Exception as error:  # boundary: whatever an adapter's own validation raises is a mistake in the file
            self.note(node, "bad-value", f"{_called(name)}it cannot be read: {type(error).__name__}: {error}")
        else:
            self._check(pending, context["taken"])
            return made
        return None

    def _context(self, node: Node) -> dict[str, Any]:
        folder = posixpath.dirname(node.file)
        return {
            "base": self.files.root / folder,
            "secrets": self.secrets,
            "read": lambda path: self.files.read(self.files.name(folder, path)),
            "taken": set(),
        }

    def plain(self, node: Node, pending: list[tuple[Node, Reference]] | None = None) -> Any:
        """The node as plain values, the environment filled in; whole references go to `pending` to be judged later."""
        value = node.value
        if isinstance(value, dict):
            return {key: self.plain(child, pending) for key, child in value.items()}
        if isinstance(value, list):
            return [self.plain(child, pending) for child in value]
        if not isinstance(value, str) or "${" not in value:
            return value
        if pending is not None and is_reference(value):
            reference = Reference.at(value, str(node.place))
            pending.append((node, reference))
            return reference
        return self._filled(node, value)

    def _filled(self, node: Node, text: str) -> str:
        for name in unset(text):
            self.note(
                node, "env-missing", f"the environment has no `{name}`; set it, or write `${{env:{name}:-default}}`"
            )
        if _SECRET_INSIDE.search(text):
            text_of_finding = "`${file:…}` and `${secret:…}` may only stand alone, where a secret is read"
            self.note(node, "misplaced-reference", text_of_finding)
        return substituted(text)

    def _check(self, pending: list[tuple[Node, Reference]], taken: set[tuple[str, str]]) -> None:
        """What was not taken as a secret is an ordinary value, and must be there now."""
        for node, reference in pending:
            if (reference.place, reference.written) not in taken:
                self._filled(node, reference.written)


def _findings(
    error: ValidationError, model: type[BaseModel], node: Node, name: str, *, complete: bool
) -> list[Finding]:
    all_details = error.errors(include_url=False, include_input=False)
    told = [details for details in all_details if complete or (details["loc"] and details["type"] != "missing")]
    located = [_Located.of(details, node) for details in told]
    # That it is no ready-made object is no advice to somebody who writes YAML.
    located = [each for each in located if not _ready_made(each.details)] or located
    merged: dict[tuple[int, int, str], Finding] = {}
    for each in _best(located):
        finding = each.finding(model, name)
        at = (finding.line, finding.column, finding.code)
        known = merged.get(at)
        if known is not None and finding.text not in known.text:
            finding = Finding(finding.file, *at, f"{known.text}; or {finding.text}")
        merged[at] = finding if known is None or finding.text != known.text else known
    return list(merged.values())


def _ready_made(details: ErrorDetails) -> bool:
    """Whether it says that an object of a class would be taken; a Path is written as text, so that one is meant."""
    return details["type"] == "is_instance_of" and details.get("ctx", {}).get("class") != "Path"


@dataclass(slots=True)
class _Located:
    """One complaint of pydantic, laid over the YAML."""

    details: ErrorDetails
    node: Node
    parent: Node | None
    key: str
    """what the value is called, where it has a name"""
    path: tuple[tuple[bool, int | str], ...]
    """pydantic's way to it; True marks a step in the YAML, False the name of one of several allowed forms"""

    @classmethod
    def of(cls, details: ErrorDetails, node: Node) -> _Located:
        parent: Node | None = None
        key, path = "", []
        for part in details["loc"]:
            child = node.items.get(str(part))
            if child is None and isinstance(part, int) and part < len(node.entries):
                child = node.entries[part]
            path.append((child is not None, part))
            if child is not None:
                key = f"{key}[{part}]" if isinstance(part, int) else str(part)
                parent, node = node, child
        return cls(details, node, parent, key, tuple(path))

    def finding(self, model: type[BaseModel], name: str) -> Finding:
        kind, last = self.details["type"], str(self.details["loc"][-1]) if self.details["loc"] else ""
        code = _CODES.get(kind, "bad-value")
        called = self.key or name
        if kind == "extra_forbidden":
            known = known_keys(model, self.details["loc"][:-1])
            where = self.parent if self.parent is not None else self.node
            return where.finding(code, f"unknown key `{last}`{nearest(last, known)}", last)
        if kind == "missing":
            return self.node.finding(code, f"{_called(called)}`{last}:` is missing")
        node, key = (self.parent, self.key) if self.parent and self.node.value is None else (self.node, None)
        return node.finding(code, _called(called) + self._text(kind), key)

    def _text(self, kind: str) -> str:
        context: dict[str, Any] = self.details.get("ctx", {})
        if kind == "is_instance_of" and context.get("class") == "Path":
            kind = "path_type"
        if kind in _LENGTHS:
            return _LENGTHS[kind].format(**context)
        if kind in _TEXTS:
            return f"{_TEXTS[kind]}; it is {self.node.kind()}"
        if kind in {"literal_error", "enum"}:
            allowed = re.findall(r"'([^']*)'", str(context.get("expected", "")))
            return (
                f"`{self.node.value}` is not possible{nearest(str(self.node.value), allowed)}"
                if allowed
                else (f"should be {context.get('expected', 'another value').lower()}")
            )
        text = str(context["error"]) if kind == "value_error" and "error" in context else self.details["msg"]
        return text.replace("Input should be", "should be").replace("String should", "should")


def _best(errors: list[_Located]) -> list[_Located]:
    """Where a value may have one of several forms, only the complaints about the form it is nearest to."""
    for position in range(max((len(error.path) for error in errors), default=0)):
        forms: dict[Any, dict[Any, list[_Located]]] = {}
        for error in errors:
            last_missing = position == len(error.path) - 1 and error.details["type"] == "missing"
            if position < len(error.path) and not error.path[position][0] and not last_missing:
                branch = forms.setdefault(error.path[:position], {})
                branch.setdefault(error.path[position], []).append(error)
        for branches in forms.values():
            best = min(_distance(branch) for branch in branches.values())
            far = [error for branch in branches.values() if _distance(branch) != best for error in branch]
            errors = [error for error in errors if not any(error is dropped for dropped in far)]
    return errors


def _distance(branch: list[_Located]) -> tuple[int, int]:
    """Smaller is nearer: the form whose inside was reached, and then the one with fewer complaints."""
    return -max(len(error.path) for error in branch), len(branch)


def known_keys(model: type[BaseModel], way: tuple[int | str, ...]) -> set[str]:
    """The keys that the block at `way` inside of the model has."""
    candidates = {model}
    for part in way:
        narrowed = {each for each in candidates if each.__name__ == part}
        if narrowed:
            candidates = narrowed
            continue
        inside = {found for each in candidates for found in _fields_models(each, part)}
        candidates = inside or candidates
    return {key for each in candidates for key in keys_of(each)}


def keys_of(model: type[BaseModel]) -> set[str]:
    """The keys of a model as they are written."""
    return {info.alias or name for name, info in model.model_fields.items()}


def _fields_models(model: type[BaseModel], part: int | str) -> Iterator[type[BaseModel]]:
    for name, info in model.model_fields.items():
        if issubclass(model, RootModel) or part in {name, info.alias}:
            yield from _models_in(info.annotation)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)


def _called(name: str) -> str:
    return f"`{name}`: " if name else ""
