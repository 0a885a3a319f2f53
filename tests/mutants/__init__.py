"""Defects planted on purpose: each breaks one promise of docs/promises.md, and a test must find it.

A `NAME.mutant` begins with a sentence; then, for each place, `@ PATH`, the lines to take out (`-`) and the lines that
come instead (`+`). What is taken out must stand in its file exactly once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Edit:
    """One replacement."""

    path: str
    old: str
    new: str

    def applied(self, text: str) -> str:
        """The text with the defect in it. Raises ValueError where the place is not found exactly once."""
        # Looked for without being eaten: two equal lines in a row are two places.
        found = len(re.findall(f"(?=\n{re.escape(self.old)}\n)", f"\n{text}"))
        if found != 1:
            raise ValueError(f"{self.path}: what it takes out stands there {found} times:\n{self.old}")
        return f"\n{text}".replace(f"\n{self.old}\n", f"\n{self.new}\n" if self.new else "\n")[1:]


@dataclass(frozen=True, slots=True)
class Mutant:
    """One planted defect."""

    name: str
    sentence: str
    edits: tuple[Edit, ...]

    def plant(self, root: Path) -> None:
        """Changes the files below `root`. Raises ValueError where it no longer fits, and changes nothing then."""
        for path, text in self._changed(root).items():
            (root / path).write_text(text, encoding="utf-8")

    def fits(self, root: Path) -> str:
        """Empty where it can be planted below `root`, else why it cannot."""
        try:
            self._changed(root)
        except (ValueError, OSError) as error:
            return str(error)
        return ""

    def _changed(self, root: Path) -> dict[str, str]:
        texts: dict[str, str] = {}
        for edit in self.edits:
            text = texts[edit.path] if edit.path in texts else (root / edit.path).read_text(encoding="utf-8")
            texts[edit.path] = edit.applied(text)
        return texts


def read(path: Path) -> Mutant:
    """The mutant of a file. Raises ValueError where it is not written as it should be."""
    sentence, *lines = path.read_text(encoding="utf-8").splitlines()
    edits: list[Edit] = []
    for line in lines:
        sign, rest = line[:1], line[1:]
        if sign == "@":
            edits.append(Edit(rest.strip(), "", ""))
        elif sign in "-+" and sign and edits:
            old, new = (
                (f"{edits[-1].old}\n{rest}", edits[-1].new)
                if sign == "-"
                else (edits[-1].old, f"{edits[-1].new}\n{rest}")
            )
            edits[-1] = Edit(edits[-1].path, old, new)
        elif line:
            raise ValueError(f"{path.name}: `{line}` begins with none of `@`, `-`, `+`")
    whole = tuple(Edit(edit.path, edit.old[1:], edit.new[1:]) for edit in edits)
    if not sentence or not whole or not all(edit.old for edit in whole):
        raise ValueError(f"{path.name}: a sentence, and at least one place with something to take out")
    return Mutant(path.stem, sentence, whole)


def every() -> dict[str, Mutant]:
    """All mutants by name."""
    return {path.stem: read(path) for path in sorted(FOLDER.glob("*.mutant"))}
