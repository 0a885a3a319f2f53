"""Two bodies as lines, and what is different between them. Pure."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any, Literal

import orjson

MOST = 2000
"""lines that are shown"""
Op = Literal["", "add", "del"]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a difference."""

    number: int
    op: Op
    text: str


def text_of(body: Any) -> str:
    """A body, as operations tell it, as text that people read: values as indented JSON, JSON in text indented too."""
    if body is None:
        return ""
    value = body
    if isinstance(body, dict) and ("body" in body or "body_base64" in body):
        if body.get("body") is None and body.get("body_base64"):
            return str(body["body_base64"])
        value = body["body"]
    if isinstance(value, str):
        return _indented(value)
    return orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode()


def _indented(text: str) -> str:
    if text[:1] in "{[":
        try:
            return orjson.dumps(orjson.loads(text), option=orjson.OPT_INDENT_2).decode()
        except orjson.JSONDecodeError:
            return text
    return text


def difference(before: str, after: str) -> list[Line]:
    """The lines of both; those that are only in one of them say so. Nothing where they are equal."""
    if before == after:
        return []
    old, new = before.splitlines()[:MOST], after.splitlines()[:MOST]
    lines: list[Line] = []
    for op, begin, end, new_begin, new_end in difflib.SequenceMatcher(a=old, b=new, autojunk=False).get_opcodes():
        if op == "equal":
            lines += [Line(new_begin + at + 1, "", old[begin + at]) for at in range(end - begin)]
            continue
        lines += [Line(at + 1, "del", old[at]) for at in range(begin, end)]
        lines += [Line(at + 1, "add", new[at]) for at in range(new_begin, new_end)]
    return lines


def counted(lines: list[Line]) -> tuple[int, int]:
    """How many went, and how many came."""
    return sum(line.op == "del" for line in lines), sum(line.op == "add" for line in lines)


def around(text: str, line: int, more: int = 5) -> list[Line]:
    """The lines about one of a file."""
    lines = text.splitlines()
    first = max(0, line - 1 - more)
    return [Line(first + at + 1, "", each) for at, each in enumerate(lines[first : line + more])]


def hunks(lines: list[Line], more: int = 3) -> list[Line]:
    """Only what is different, with some lines about it."""
    near = {at + shift for at, line in enumerate(lines) if line.op for shift in range(-more, more + 1)}
    return [line for at, line in enumerate(lines) if at in near]
