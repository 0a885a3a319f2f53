"""The reference pages, written from the models, docstrings and tables themselves, so that they cannot go stale."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel

from pipe.config import hooks
from pipe.config.editor_schema import editor_schema
from pipe.contract import Adapter, FlowStep, Transformer
from pipe.reference import pages
from pipe.reference.examples import examples
from pipe.reference.limits import all_limits, limits_page
from pipe.reference.shapes import undescribed
from pipe.reference.soap_matrix import soap_page
from pipe.reference.tables import tables_page

__all__ = ["reference", "silent", "stale"]


def reference(
    adapters: Mapping[str, type[Adapter]],
    transformers: Mapping[str, type[Transformer]],
    flows: Mapping[str, FlowStep],
    command: Any,
    root: Path,
) -> dict[str, str]:
    """Every generated file by its path below `docs/`; `root` is the folder that holds the packages."""
    schema = editor_schema(adapters=adapters, transformers=transformers, flows=flows)
    files = {
        "errors.md": pages.errors_page(),
        "reference/keys.md": pages.keys_page(),
        "reference/steps.md": pages.steps_page(transformers, flows),
        "reference/functions.md": pages.functions_page(),
        "reference/commands.md": pages.commands_page(command),
        "reference/limits.md": limits_page(all_limits(adapters, transformers, root)),
        "reference/tables.md": tables_page(),
        "reference/connections.schema.json": orjson.dumps(schema, option=orjson.OPT_INDENT_2).decode() + "\n",
    }
    if (soap := soap_page(root)) is not None:
        files["reference/soap.md"] = soap
    shown = examples(root)
    for name, adapter in adapters.items():
        files[f"reference/connections/{name}.md"] = pages.connection_page(name, adapter, shown.get(name, ()))
    return files


def silent(adapters: Mapping[str, type[Adapter]], transformers: Mapping[str, type[Transformer]]) -> list[str]:
    """Keys that say nothing about themselves; there must be none."""
    return sorted({name for model in _models(adapters, transformers) for name in undescribed(model)})


def _models(
    adapters: Mapping[str, type[Adapter]], transformers: Mapping[str, type[Transformer]]
) -> Iterator[type[BaseModel]]:
    yield from pages.TOP.values()
    yield from (model for _, model in pages.ENGINE_STEPS.values() if model is not None)
    for adapter in adapters.values():
        own = (adapter.Config, hooks.subscription(adapter), hooks.target(adapter))
        yield from (model for model in own if model is not None)
    yield from (step.Config for step in transformers.values())


def stale(files: Mapping[str, str], docs: Path) -> list[str]:
    """The files below `docs` that differ from what they should be, are missing, or are no longer written."""
    wrong = [name for name, text in files.items() if not _is(docs / name, text)]
    folder = docs / "reference"
    there = (
        [path.relative_to(docs).as_posix() for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
    )
    return sorted({*wrong, *(name for name in there if name not in files)})


def _is(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text
