"""Writes Markdown: headings, tables, and the line that says where a page comes from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydantic import BaseModel

from pipe.reference.shapes import Key, blocks_in, keys_of, plain, summary

GENERATED = "<!-- Written by `pipe docs`; what it says is in the code. -->"


def page(title: str, *parts: str) -> str:
    """A whole page."""
    return "\n\n".join([GENERATED, f"# {title}", *(part.strip() for part in parts if part.strip())]) + "\n"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; columns that are empty in every row are left out. Nothing where there are no rows."""
    lines = [[_cell(cell) for cell in row] for row in rows]
    if not lines:
        return ""
    kept = [n for n in range(len(heads)) if n == 0 or any(line[n] for line in lines)]
    shown = [[heads[n] for n in kept], ["---"] * len(kept), *([line[n] for n in kept] for line in lines)]
    return "\n".join(f"| {' | '.join(line)} |" for line in shown)


def keys_table(keys: Iterable[Key]) -> str:
    """The keys of a block."""
    rows = [
        (f"`{key.name}`", key.kind, _default(key), key.unit, key.description, code(key.example) if key.example else "")
        for key in keys
    ]
    return table(("Key", "Type", "Default", "Unit", "Meaning", "Example"), rows)


def block(title: str, model: type[BaseModel], level: int = 2, *, without: Iterable[str] = ()) -> str:
    """A section about one block of the configuration, without the blocks inside of it."""
    hidden = set(without)
    examples = model.model_config.get("json_schema_extra")
    shown = examples.get("examples", []) if isinstance(examples, dict) else []
    written = [f"Examples: {', '.join(code(plain(example)) for example in shown)}"] if shown else []  # type: ignore[union-attr]
    own = [key for key in keys_of(model) if key.name not in hidden]
    return "\n\n".join([f"{'#' * level} {title}", summary(model), *written, keys_table(own)]).strip()


def inner_blocks(models: Iterable[type[BaseModel]], level: int = 3) -> list[str]:
    """A section for each block inside of the models, each once."""
    found = dict.fromkeys(inner for model in models for inner in blocks_in(model))
    return [block(inner.__name__, inner, level) for inner in found if keys_of(inner)]


def code(text: str) -> str:
    """Text in the type of code, whatever signs are in it."""
    if "`" in text:
        return f"`` {text} ``"
    return f"`{text}`" if text else ""


def _default(key: Key) -> str:
    return "**required**" if key.required else code(key.default)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
