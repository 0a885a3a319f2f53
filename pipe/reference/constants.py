"""Finds the numbers that are fixed in the code, with what the code says about them."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Mult: operator.mul, ast.Add: operator.add, ast.Sub: operator.sub, ast.LShift: operator.lshift,
    ast.Div: operator.truediv, ast.Pow: operator.pow,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Constant:
    """One number of the code."""

    name: str
    value: float
    place: str
    meaning: str


def constants_in(folder: Path, root: Path) -> Iterator[Constant]:
    """Public constants of modules and fields of `…Limits` classes below a folder, in the order of files and lines."""
    for path in sorted(folder.rglob("*.py")):
        place = path.relative_to(root).as_posix()
        tree = ast.parse(path.read_text(encoding="utf-8"))
        yield from _in_body(tree.body, place, str.isupper)
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and node.name.endswith("Limits") and not node.bases:
                yield from _in_body(node.body, place, str.islower)


def _in_body(body: list[ast.stmt], place: str, wanted: Callable[[str], bool]) -> Iterator[Constant]:
    for number, node in enumerate(body):
        target = (
            node.targets[0]
            if isinstance(node, ast.Assign)
            else node.target
            if isinstance(node, ast.AnnAssign)
            else None
        )
        value = _number(node.value) if isinstance(node, (ast.Assign, ast.AnnAssign)) else None
        if isinstance(target, ast.Name) and value is not None and wanted(target.id) and not target.id.startswith("_"):
            yield Constant(target.id, value, place, _told(body, number))


def _told(body: list[ast.stmt], number: int) -> str:
    """The text right below a constant."""
    after = body[number + 1] if number + 1 < len(body) else None
    if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and isinstance(after.value.value, str):
        return after.value.value.strip()
    return ""


def _number(node: ast.expr | None) -> float | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)) and not isinstance(node.value, bool):
        return node.value
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        left, right = _number(node.left), _number(node.right)
        if left is not None and right is not None:
            value: float = _OPERATORS[type(node.op)](left, right)
            return value
    return None
