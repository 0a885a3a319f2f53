"""Refusals that people read: each has a key, and its words in both languages stand in `pipe/texts/refusals.toml`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pipe import saying
from pipe.errors import PipeError

E = TypeVar("E", bound=PipeError)


class Term(str):
    """A value that is itself a word of `[refused.term]`, such as `unit`; one that is none stays as it is."""

    __slots__ = ()


def refused(error: type[E], key: str, /, *, hint: str = "", facts: Mapping[str, Any] | None = None, **values: Any) -> E:
    """The error with its English words; pages say it anew in the reader's language by `said`.

    `hint` stands in the place of the one in the file, for what pages need not tell.
    """
    known = saying.has(f"refused.hint.{key}")
    advice = hint or (_said(f"hint.{key}", values, "en") if known else None)
    made = error(_said(key, values, "en"), hint=advice, **(facts or {}))
    made.said = key, values
    return made


def in_language(error: PipeError, language: saying.Language) -> str:
    """What a refusal says, without what helps; the error's own words where it has no key."""
    key, values = error.said
    return _said(key, values, language) if key else error.text


def _said(key: str, values: Mapping[str, Any], language: saying.Language) -> str:
    return saying.say(f"refused.{key}", language, **{name: _word(value, language) for name, value in values.items()})


def _word(value: Any, language: saying.Language) -> str:
    term = f"refused.term.{value}"
    return saying.say(term, language) if isinstance(value, Term) and saying.has(term) else str(value)
