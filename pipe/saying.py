"""Words of the gateway itself that people read in both languages: `pipe/texts/*.toml`. Pages have them, too."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

Language = Literal["uk", "en"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
FOLDER = Path(__file__).resolve().parent / "texts"
"""the pages' catalogue is made of it, too"""
_NAME = re.compile(r"{(\w+)}")


def say(key: str, language: Language, /, **values: Any) -> str:
    """The text of a key with its `{names}` filled in. Raises KeyError where there is none."""
    return _NAME.sub(lambda found: str(values[found[1]]), _texts()[key][language])


def has(key: str) -> bool:
    """Whether there is such a text."""
    return key in _texts()


def because(code: str | None, reason: str, language: Language) -> str:
    """Why something is not well, in the reader's words, with what exactly happened in brackets.

    English is said as it is: the exact words say it all.
    """
    if language == "en" or not code or not has(f"ops.cause.{code}"):
        return reason
    cause = say(f"ops.cause.{code}", language)
    first = cause if cause[1:2].isupper() or cause.startswith("Telegram") else cause[:1].lower() + cause[1:]
    return f"{first} ({reason})" if reason else first


def read(*folders: Path) -> dict[str, Mapping[str, Any]]:
    """All texts of their `*.toml` by key, `[a.b] uk = …` as `a.b`. Raises ValueError where two files have the same."""
    texts: dict[str, Mapping[str, Any]] = {}
    for path in sorted(path for folder in folders for path in folder.glob("*.toml")):
        for key, text in _flat(tomllib.loads(path.read_text(encoding="utf-8"))):
            if key in texts:
                raise ValueError(f"{path.name}: `{key}` stands in another file, too")
            texts[key] = text
    return texts


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, value in table.items():
        if set(value) & set(LANGUAGES):
            yield prefix + name, value
        else:
            yield from _flat(value, f"{prefix}{name}.")


@cache
def _texts() -> Mapping[str, Mapping[str, str]]:
    return read(FOLDER)
