"""`python -m tests.promises`: every promise of docs/promises.md has tests that exist and mutants that still fit.

That the tests find the mutants is shown by tests/test_promises.py.
"""

from __future__ import annotations

import ast
import re
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests import mutants

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "promises.md"
_ROW = re.compile(r"^\| (?P<number>\d+) \| (?P<sentence>.+?) \| (?P<tests>.*?) \| (?P<mutants>.*?) \|$", re.MULTILINE)
_CODE = re.compile(r"`([^`]+)`")


@dataclass(frozen=True, slots=True)
class Promise:
    """One row of the page."""

    number: int
    sentence: str
    tests: tuple[str, ...]
    """`tests/…/test_x.py::test_y`"""
    mutants: tuple[str, ...]


def promises(page: Path = PAGE) -> list[Promise]:
    """The rows of the page, in order."""
    return [
        Promise(
            int(row["number"]),
            row["sentence"],
            tuple(_CODE.findall(row["tests"])),
            tuple(_CODE.findall(row["mutants"])),
        )
        for row in _ROW.finditer(page.read_text(encoding="utf-8"))
    ]


@cache
def _names(path: Path) -> frozenset[str]:
    """`test_x` and `TestY::test_z` of a file."""
    found: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            inner = (each for each in node.body if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef)))
            found.update(f"{node.name}::{each.name}" for each in inner)
    return frozenset(found)


def exists(test: str, root: Path = ROOT) -> bool:
    """Whether there is a test of this id; `[…]` at its end is not looked at."""
    path, _, name = test.partition("[")[0].partition("::")
    return (root / path).is_file() and name.rpartition("::")[2].startswith("test_") and name in _names(root / path)


def wrong(page: Path = PAGE, root: Path = ROOT) -> list[str]:
    """What is wrong with the page, one sentence each."""
    rows, known = promises(page), mutants.every()
    found = [] if rows else [f"{page.name} holds no promise"]
    numbers = [row.number for row in rows]
    if numbers != list(range(1, len(rows) + 1)):
        found.append(f"the promises are numbered {numbers}, not one after the other")
    for row in rows:
        found += _wrong(row, known, root)
    named = {name for row in rows for name in row.mutants}
    return found + [f"the mutant {name} belongs to no promise" for name in known if name not in named]


def _wrong(row: Promise, known: dict[str, mutants.Mutant], root: Path) -> list[str]:
    who = f"promise {row.number}"
    found = [] if row.tests else [f"{who} has no test"]
    found += [] if row.mutants else [f"{who} has no mutant"]
    found += [f"{who}: there is no test {test}" for test in row.tests if not exists(test, root)]
    found += [f"{who}: there is no mutant {name}" for name in row.mutants if name not in known]
    reasons = {name: known[name].fits(root) for name in row.mutants if name in known}
    return found + [f"{who}: the mutant {name} no longer fits: {reason}" for name, reason in reasons.items() if reason]


def main() -> int:
    """Says what is wrong; 0 where nothing is, else 1."""
    found = wrong()
    sys.stdout.write("".join(f"{each}\n" for each in found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
