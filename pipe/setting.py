"""Puts a value at a dotted path of plain values, without changing what was there."""

from __future__ import annotations

from typing import Any

from pipe.errors import MappingFailed


def put(body: Any, path: str, value: Any) -> Any:
    """A copy of `body` with `value` at `path`; missing objects are made. Raises MappingFailed at a non-object."""
    name, _, rest = path.partition(".")
    if body is None:
        body = {}
    if not isinstance(body, dict):
        raise MappingFailed(f"there is {type(body).__name__} where an object is needed for `{path}`", path=path)
    return {**body, name: put(body.get(name), rest, value) if rest else value}
