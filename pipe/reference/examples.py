"""Which written pages show a connection type at work: each of their configurations is loaded and tested."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

_BLOCK = re.compile(r"^```yaml[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_TYPE = re.compile(r"\btype: ([a-z_]+)")


def examples(root: Path) -> dict[str, list[tuple[str, str]]]:
    """Type of connection → (title, link from the page of that type), recipes first."""
    found: dict[str, list[tuple[str, str]]] = {}
    for page in _pages(root / "docs"):
        text = page.read_text(encoding="utf-8")
        title = text.partition("\n")[0].removeprefix("# ")
        types = {name for block in _BLOCK.findall(text) for name in _TYPE.findall(block)}
        for name in sorted(types):
            found.setdefault(name, []).append((title, f"../../{page.relative_to(root / 'docs').as_posix()}"))
    return found


def _pages(docs: Path) -> Iterator[Path]:
    for folder in ("cookbook", "howto"):
        yield from sorted((docs / folder).glob("*.md"))
