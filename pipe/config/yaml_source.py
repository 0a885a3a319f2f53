"""Strict YAML: plain data with the place of every value, and none of YAML's surprises.

`no`, `on`, `22:30`, `0671234567` and dates stay texts; only `true` and `false` are booleans. Duplicate keys, tags,
merge keys and several documents are mistakes; aliases are few and cannot blow up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from pipe.config.findings import Finding
from pipe.config.models import Place

MAX_BYTES = 1 << 20
MAX_DEPTH = 64
MAX_ALIASES = 50
MAX_NODES = 200_000

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INT = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,30})?([eE][-+]?[0-9]{1,2})?")
_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None, "~": None, "": None}

Scalar = str | int | float | bool | None


@dataclass(slots=True)
class Node:
    """One value of the file and where it stands; lines and columns count from 1."""

    file: str
    line: int
    column: int
    value: Scalar | list[Node] | dict[str, Node]
    keys: dict[str, tuple[int, int]] = field(default_factory=dict)
    """line and column of each key, where `value` is a map"""
    weight: int = 1
    """nodes in it, aliases unfolded"""

    @property
    def place(self) -> Place:
        """File and line."""
        return Place(self.file, self.line)

    @property
    def items(self) -> dict[str, Node]:
        """Its entries; none where it is not a map."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def entries(self) -> list[Node]:
        """Its elements; none where it is not a list."""
        return self.value if isinstance(self.value, list) else []

    def finding(self, code: str, text: str, key: str | None = None) -> Finding:
        """A mistake in this value, or in the key of that name."""
        line, column = self.keys.get(key, (self.line, self.column)) if key is not None else (self.line, self.column)
        return Finding(self.file, line, column, code, text)

    def without(self, *names: str) -> Node:
        """The same map without some keys."""
        return self._kept({name: node for name, node in self.items.items() if name not in names})

    def only(self, *names: str) -> Node:
        """The same map with these keys only."""
        return self._kept({name: node for name, node in self.items.items() if name in names})

    def _kept(self, value: dict[str, Node]) -> Node:
        if not isinstance(self.value, dict) and self.value is not None:
            return self  # a text where a map should be is told as that, not as a map that lacks keys
        return Node(self.file, self.line, self.column, value, self.keys, self.weight)

    def kind(self) -> str:
        """What it is, in a word."""
        if isinstance(self.value, dict):
            return "a map"
        if isinstance(self.value, list):
            return "a list"
        return "empty" if self.value is None else "a text" if isinstance(self.value, str) else "a number or a yes/no"


class _Stop(Exception):
    """The rest of the file cannot be read; the finding is noted."""


def read_yaml(text: str, file: str) -> tuple[Node, list[Finding]]:
    """The file's root and its mistakes. An empty file, or one that cannot be read, is an empty map."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        limit = f"the file is larger than {MAX_BYTES >> 20} MiB; split it by `include:`"
        return Node(file, 1, 1, {}), [Finding(file, 1, 1, "too-large", limit)]
    builder = _Builder(text, file)
    return builder.document(), builder.findings


class _Builder:
    """Builds nodes from the parser's events, so that nothing is resolved behind our back."""

    def __init__(self, text: str, file: str) -> None:
        self.file = file
        self.findings: list[Finding] = []
        self._lines = text.splitlines()
        self._text = text
        self._anchors: dict[str, Node] = {}
        self._aliases = 0
        self._events: Iterator[Any] = iter(())

    def document(self) -> Node:
        root = Node(self.file, 1, 1, {})
        try:
            self._events = iter(yaml.parse(self._text, Loader=_LOADER))
            for event in self._events:
                if isinstance(event, yaml.DocumentStartEvent):
                    root = self._node(next(self._events), 0)
                    break
            self._refuse_more()
        except _Stop:
            pass
        except yaml.MarkedYAMLError as error:
            self._syntax(error)
        except (yaml.YAMLError, UnicodeError) as error:
            self._note(1, 1, "syntax", f"not YAML: {_first_line(error)}")
        if root.value is None:
            root.value = {}
        return root

    def _refuse_more(self) -> None:
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                raise self._stopped(event, "not-allowed", "a second document: one file holds one; remove the `---`")

    def _node(self, event: Any, depth: int) -> Node:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if depth > MAX_DEPTH:
            raise self._stopped(event, "not-allowed", f"nested deeper than {MAX_DEPTH} levels")
        if event.tag is not None:
            self._at(event, "not-allowed", f"tags are not allowed: remove `{event.tag}`")
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        node = Node(self.file, line, column, None)
        if isinstance(event, yaml.ScalarEvent):
            node.value = _scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            node.value = self._sequence(depth)
            node.weight += sum(child.weight for child in node.value)
        else:
            node.value = self._mapping(node, depth)
            node.weight += sum(child.weight for child in node.value.values())
        if node.weight > MAX_NODES:
            raise self._stopped(event, "too-large", f"unfolds to more than {MAX_NODES} values")
        # Only a finished node may be meant by an alias: so no value can hold itself.
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _alias(self, event: Any) -> Node:
        self._aliases += 1
        if self._aliases > MAX_ALIASES:
            raise self._stopped(event, "not-allowed", f"more than {MAX_ALIASES} aliases")
        meant = self._anchors.get(event.anchor)
        if meant is None:
            raise self._stopped(event, "syntax", f"no finished anchor `&{event.anchor}` stands before this alias")
        return meant

    def _sequence(self, depth: int) -> list[Node]:
        children: list[Node] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            children.append(self._node(event, depth + 1))
        return children

    def _mapping(self, parent: Node, depth: int) -> dict[str, Node]:
        children: dict[str, Node] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event, depth)
            value = self._node(next(self._events), depth + 1)
            if key is None:
                continue
            if key in children:
                text = f"`{key}` stands here again; first on line {parent.keys[key][0]}"
                self._at(event, "duplicate-key", text)
                continue
            parent.keys[key] = event.start_mark.line + 1, event.start_mark.column + 1
            children[key] = value
        return children

    def _key(self, event: Any, depth: int) -> str | None:
        """The key as it is written; None where it cannot be one, and then that is noted."""
        if not isinstance(event, yaml.ScalarEvent):
            self._node(event, depth + 1)
            self._at(event, "not-allowed", "a key must be a plain word")
            return None
        if event.tag is not None:
            self._at(event, "not-allowed", f"tags are not allowed: remove `{event.tag}`")
        if event.value == "<<" and event.implicit[0]:
            self._at(event, "not-allowed", "merge keys `<<` are not allowed: write the keys out, or use `defaults:`")
            return None
        if event.value == "":
            self._at(event, "not-allowed", "a key must not be empty")
            return None
        return str(event.value)

    def _syntax(self, error: yaml.MarkedYAMLError) -> None:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        text = f"not YAML: {error.problem or error.context}"
        near = self._lines[max(0, line - 2) : line]
        if any(re.search(r"[{,\[].*[:,\[]\s*\$\{", written) for written in near):
            text += "; within `{ }` and `[ ]`, put texts with `${…}` in quotes"
        self._note(line, column, "syntax", text)

    def _at(self, event: Any, code: str, text: str) -> None:
        self._note(event.start_mark.line + 1, event.start_mark.column + 1, code, text)

    def _stopped(self, event: Any, code: str, text: str) -> _Stop:
        self._at(event, code, text)
        return _Stop()

    def _note(self, line: int, column: int, code: str, text: str) -> None:
        self.findings.append(Finding(self.file, line, column, code, text))


def _scalar(event: Any) -> Scalar:
    text = str(event.value)
    if not event.implicit[0]:
        return text
    if text in _WORDS:
        value: Scalar = _WORDS[text]
        return value
    if _INT.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
