"""Other values for some keys of a connection, so that it leads to a stand-in; whatever else it says stays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipe.config.yaml_source import Node

Redirects = Mapping[str, Mapping[str, Any]]
"""connection → dotted key → its value; None leaves the key out"""


def redirected(node: Node, changes: Mapping[str, Any]) -> Node:
    """The connection with these keys changed, each as if it stood where the old one did."""
    for key, value in changes.items():
        node = _changed(node, key.split("."), value)
    return node


def _changed(node: Node, way: list[str], value: Any) -> Node:
    items = dict(node.items)
    key = way[0]
    if len(way) > 1:
        if key in items and isinstance(items[key].value, dict):
            items[key] = _changed(items[key], way[1:], value)
    elif value is None:
        items.pop(key, None)
    else:
        old = items.get(key, node)
        items[key] = _written(value, old)
    return Node(node.file, node.line, node.column, items, node.keys, node.weight)


def _written(value: Any, at: Node) -> Node:
    """A value as if it stood there; lists are the only ones that hold others."""
    inner = [_written(each, at) for each in value] if isinstance(value, list) else value
    return Node(at.file, at.line, at.column, inner)
