"""Words of a text, cut the same way for every kind of store: what is indexed, and what people look for.

A word is a run of letters and digits (of any script, `_` counts as a letter); its case does not matter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from unicodedata import normalize

_WORD = re.compile(r"\w+")
_PART = re.compile(r'"([^"]*)"?|(\S+)')
LONGEST = 100
"""signs of a word that count: what is longer is no word, but a key or Base64"""


class Phrase(NamedTuple):
    """Words that must stand side by side; of an open one the last may go on."""

    words: tuple[str, ...]
    open: bool = False


def words_of(text: str) -> list[str]:
    """Its words, in their order."""
    return [word[:LONGEST] for word in _WORD.findall(normalize("NFC", text).casefold())]


def asked(text: str) -> list[Phrase]:
    """What a person looks for: all of it must be there; `"words in quotes"` side by side, `begin*` any ending."""
    found = []
    for quoted, plain in _PART.findall(text):
        words = words_of(quoted or plain)
        if words:
            found.append(Phrase(tuple(words), open=plain.endswith("*")))
    return found


def leaves(value: Any) -> Iterator[str]:
    """The texts and numbers of plain values, and the names of their fields."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield str(name)
            yield from leaves(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from leaves(inner)
    elif value is not None and not isinstance(value, (bool, bytes)):
        yield str(value)
