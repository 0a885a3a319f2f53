"""Path patterns of routes: `/persons/{id}`, `/files/{rest:path}`; matched by whole segments, decoded exactly once."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from urllib.parse import unquote

from pipe.errors import BadRequest

Endpoint = TypeVar("Endpoint")

_NAMED = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(:path)?\}")
_PLAIN = re.compile(r"[^{}?#\s\x00-\x1f]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A path pattern, taken apart."""

    segments: tuple[str, ...]
    """literal segments as they are; a named one as `{}`, one that takes the rest as `{*}`"""
    names: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Raises ValueError that says what is wrong with the pattern."""
        if not text.startswith("/"):
            raise ValueError(f"path `{text}` must begin with `/`")
        segments: list[str] = []
        names: list[str] = []
        for segment in text[1:].split("/") if text != "/" else []:
            if segments and segments[-1] == "{*}":
                raise ValueError(f"in path `{text}` nothing may follow `{{{names[-1]}:path}}`")
            if named := _NAMED.fullmatch(segment):
                names.append(named[1])
                segments.append("{*}" if named[2] else "{}")
            elif _PLAIN.fullmatch(segment) and segment not in {".", ".."}:
                segments.append(unquote(segment))
            else:
                raise ValueError(f"in path `{text}` the segment `{segment}` is neither a name nor `{{name}}`")
        if len(set(names)) < len(names):
            raise ValueError(f"path `{text}` names a segment twice")
        return cls(tuple(segments), tuple(names))


@dataclass(slots=True)
class _Node(Generic[Endpoint]):
    literal: dict[str, _Node[Endpoint]] = field(default_factory=dict)
    named: _Node[Endpoint] | None = None
    rest: _Node[Endpoint] | None = None
    methods: dict[str, tuple[Endpoint, tuple[str, ...]]] = field(default_factory=dict)

    def child(self, segment: str) -> _Node[Endpoint]:
        if segment == "{}":
            self.named = self.named or _Node()
            return self.named
        if segment == "{*}":
            self.rest = self.rest or _Node()
            return self.rest
        return self.literal.setdefault(segment, _Node())

    def find(self, segments: list[str], index: int) -> tuple[_Node[Endpoint], list[str]] | None:
        """The best leaf, with its values reversed: a literal segment before a named one, that before the rest."""
        if index == len(segments):
            return (self, []) if self.methods else None
        segment = segments[index]
        literal = self.literal.get(segment)
        if literal is not None and (found := literal.find(segments, index + 1)):
            return found
        if self.named is not None and (found := self.named.find(segments, index + 1)):
            found[1].append(segment)
            return found
        if self.rest is not None:
            return self.rest, ["/".join(segments[index:])]
        return None


@dataclass(frozen=True, slots=True)
class Match(Generic[Endpoint]):
    """What a path leads to: an endpoint for each method, and the values of its named segments."""

    methods: dict[str, tuple[Endpoint, tuple[str, ...]]]
    values: tuple[str, ...] = ()

    def params(self, names: tuple[str, ...]) -> dict[str, str]:
        """The values by the names that this method's route gives them."""
        return dict(zip(names, self.values, strict=True))


class PathTable(Generic[Endpoint]):
    """Endpoints by pattern and method. Built once, then only read."""

    def __init__(self) -> None:
        self._root: _Node[Endpoint] = _Node()
        self._literal: dict[str, Match[Endpoint]] = {}

    def add(self, pattern: Pattern, method: str, endpoint: Endpoint) -> bool:
        """False where another endpoint has this shape and method already."""
        node = self._root
        for segment in pattern.segments:
            node = node.child(segment)
        if method in node.methods:
            return False
        node.methods[method] = (endpoint, pattern.names)
        if not pattern.names:
            self._literal["/" + "/".join(pattern.segments)] = Match(node.methods)
        return True

    def find(self, path: str) -> Match[Endpoint] | None:
        """What the raw path leads to. Raises BadRequest for segments that could mean something else further on."""
        match = self._literal.get(path)
        if match is not None:
            return match
        found = self._root.find(decoded_segments(path), 0)
        return None if found is None else Match(found[0].methods, tuple(reversed(found[1])))


def decoded_segments(path: str) -> list[str]:
    """The path's segments, percent-decoded once.

    Raises BadRequest for empty, `.` and `..` segments, control signs, and what is not UTF-8.
    """
    if path in {"", "/"}:
        return []
    segments = []
    for raw in path[1:].split("/"):
        try:
            segment = unquote(raw, errors="strict")
        except UnicodeDecodeError:
            raise BadRequest("the path is not UTF-8") from None
        if not segment or segment in {".", ".."} or _CONTROL.search(segment) or not _well_formed(segment):
            raise BadRequest("the path holds an empty segment, a dot segment or control signs")
        segments.append(segment)
    return segments


def _well_formed(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= sign <= "\udfff" for sign in text)
