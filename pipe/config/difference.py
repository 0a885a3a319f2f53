"""What changes from one configuration to another: what `pipe plan` prints."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, RootModel

from pipe.config.models import Configuration, ConnectionSpec, Place, RouteConfig, StepConfig
from pipe.config.promise import promise_of
from pipe.contract import Adapter


@dataclass(frozen=True, slots=True)
class Changes:
    """What was added, removed and changed among things with names."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """the keys that differ, by name: `to[0].retry.attempts`"""

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)

    def as_json(self) -> dict[str, Any]:
        """The same as plain values."""
        changed = {name: list(keys) for name, keys in self.changed.items()}
        return {"added": list(self.added), "removed": list(self.removed), "changed": changed}


@dataclass(frozen=True, slots=True)
class Difference:
    """All that differs between two configurations."""

    old_revision: str
    new_revision: str
    connections: Changes
    routes: Changes
    listeners: Changes
    settings: tuple[str, ...]
    """keys of BLOCKS that differ"""
    files: Changes
    """files beside the YAML, schemas for example, whose content differs"""
    promises: Mapping[str, tuple[str, str]]
    """the old and the new promise of each route where it differs"""

    def __bool__(self) -> bool:
        parts = (self.connections, self.routes, self.listeners, self.settings, self.files, self.promises)
        return any(bool(part) for part in parts)

    def as_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            "old_revision": self.old_revision,
            "new_revision": self.new_revision,
            "connections": self.connections.as_json(),
            "routes": self.routes.as_json(),
            "listeners": self.listeners.as_json(),
            "settings": list(self.settings),
            "files": self.files.as_json(),
            "promises": {route: {"old": old, "new": new} for route, (old, new) in self.promises.items()},
        }


BLOCKS = ("defaults", "limits", "retention", "exchanges", "metrics", "sign_in", "alerts", "events", "traces")
"""what else a configuration has beside connections, routes and listeners"""


def difference(old: Configuration, new: Configuration, *, adapters: Mapping[str, type[Adapter]]) -> Difference:
    """What `new` changes; where something merely stands elsewhere in its file, nothing changed."""
    promises = {}
    for name in sorted(old.routes.keys() & new.routes.keys()):
        before = str(promise_of(old.routes[name], old, adapters))
        after = str(promise_of(new.routes[name], new, adapters))
        if before != after:
            promises[name] = (before, after)
    settings: list[str] = []
    for block in BLOCKS:
        settings += _differing(_values(getattr(old, block)), _values(getattr(new, block)), block)
    return Difference(
        old.revision,
        new.revision,
        _changes(old.connections, new.connections),
        _changes(old.routes, new.routes),
        _changes(old.listeners, new.listeners),
        tuple(settings),
        _changes(_beside(old), _beside(new)),
        promises,
    )


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Changes:
    changed = {}
    for name in sorted(old.keys() & new.keys()):
        keys = tuple(_differing(_values(old[name]), _values(new[name]), ""))
        if keys:
            changed[name] = keys
    return Changes(tuple(sorted(new.keys() - old.keys())), tuple(sorted(old.keys() - new.keys())), changed)


def _beside(configuration: Configuration) -> dict[str, str]:
    return {name: text for name, text in configuration.files.items() if not name.endswith((".yaml", ".yml"))}


def _values(value: Any) -> Any:
    """The value as maps and lists, without the places where things stand."""
    if isinstance(value, ConnectionSpec):
        return {"type": value.type, **_values(value.config)}
    if isinstance(value, RouteConfig):
        fields = _values(dict(_fields(value)))
        return {"from" if name == "source" else name: inner for name, inner in fields.items()}
    if isinstance(value, StepConfig):
        return {value.name: _values(value.config)}
    if isinstance(value, RootModel):
        return _values(value.root)
    if isinstance(value, BaseModel):
        return {name: _values(getattr(value, name)) for name in type(value).model_fields}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = _values(dict(_fields(value)))
        # In the YAML the adapter's keys stand beside the engine's.
        return fields | (fields.pop("options", None) or {})
    if isinstance(value, Mapping):
        return {str(key): _values(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_values(inner) for inner in value]
    return value


def _fields(value: Any) -> Iterator[tuple[str, Any]]:
    fields = {each.name: getattr(value, each.name) for each in dataclasses.fields(value) if each.compare}
    placed = any(isinstance(inner, Place) for inner in fields.values())
    for name, inner in fields.items():
        # Beside a place, `path` says where in the configuration it stands; elsewhere it is a value of its own.
        if not isinstance(inner, Place) and not (placed and name == "path"):
            yield name, inner


def _differing(old: Any, new: Any, path: str) -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted(old.keys() | new.keys())
        inside = [_differing(old.get(key, _ABSENT), new.get(key, _ABSENT), f"{path}.{key}".lstrip(".")) for key in keys]
        return [key for keys_of_one in inside for key in keys_of_one]
    if isinstance(old, list) and isinstance(new, list):
        longest = range(max(len(old), len(new)))
        inside = [_differing(_at(old, number), _at(new, number), f"{path}[{number}]") for number in longest]
        return [key for keys_of_one in inside for key in keys_of_one]
    return [] if type(old) is type(new) and old == new else [path]


_ABSENT = object()


def _at(values: list[Any], number: int) -> Any:
    return values[number] if number < len(values) else _ABSENT
