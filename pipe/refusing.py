"""Refusals that people read: each has a key, and its words in both languages stand in `pipe/texts/refusals.toml`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar

from pipe import saying
from pipe.errors import PipeError

E = TypeVar("E", bound=PipeError)
_NAME = re.compile(r"{(\w+)}")


class Term(str):
    """A value that is itself a word of `[refused.term]`, such as `unit`; one that is none stays as it is."""

    __slots__ = ()


def refused(error: type[E], key: str, /, *, hint: str = "", facts: Mapping[str, Any] | None = None, **values: Any) -> E:
    """The error with its English words; pages say it anew in the reader's language by `said`.

    `hint` stands in the place of the one in the file, for what pages need not tell.
    """
    texts = _texts()
    advice = hint or _filled(texts["hint"][key]["en"], values) if hint or key in texts["hint"] else None
    made = error(_filled(texts[key]["en"], values), hint=advice, **(facts or {}))
    made.said = key, values
    return made


def in_language(error: PipeError, language: saying.Language) -> str:
    """What a refusal says, without what helps; the error's own words where it has no key."""
    key, values = error.said
    return _filled(_texts()[key][language], values, language) if key else error.text


@cache
def _texts() -> Mapping[str, Any]:
    found: Mapping[str, Any] = tomllib.loads((saying.FOLDER / "refusals.toml").read_text(encoding="utf-8"))["refused"]
    return found


def _filled(text: str, values: Mapping[str, Any], language: saying.Language = "en") -> str:
    return _NAME.sub(lambda found: _word(values[found[1]], language), text)


def _word(value: Any, language: saying.Language) -> str:
    terms = _texts()["term"]
    return str(terms[value][language]) if isinstance(value, Term) and value in terms else str(value)
