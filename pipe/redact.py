"""Masks what must not be seen: the sensitive values of a message wherever they turn up, and secrets by their shape."""

from __future__ import annotations

import html
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any
from urllib.parse import quote, quote_plus

MASK = "***"
SHORT = 4
"""values of fewer signs are masked only where they stand alone, or every text would be full of holes"""

_SHAPES = (
    (re.compile(r"(?i)\b(bearer|basic|token)(\s+)[A-Za-z0-9._~+/=:-]{6,}"), rf"\1\2{MASK}"),
    (re.compile(r"\bpipe_[A-Za-z0-9_-]{20,}"), MASK),
    (re.compile(r"(?i)(\b[a-z][a-z0-9+.-]*://)[^\s/@:]+:[^\s/@]+@"), rf"\1{MASK}@"),
    (re.compile(r"\b(bot)?\d{6,12}:[A-Za-z0-9_-]{30,}"), MASK),
    (
        re.compile(r"(?i)(\"?(?:password|passwd|secret|api[_-]?key|access_token|refresh_token|client_secret)\"?\s*[:=]\s*\"?)[^\s\"&,;}]+"),
        rf"\1{MASK}",
    ),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL), MASK),
)


def mask(value: Any, values: Iterable[str] = ()) -> Any:
    """The same text or plain values with `values`, and whatever looks like a secret, replaced by `***`.

    Objects, lists and bytes are gone through; a number that equals a value is masked too.
    """
    return _masked(value, _pattern(tuple(sorted({text for text in values if text}, key=len, reverse=True))))


def _masked(value: Any, pattern: re.Pattern[str] | None) -> Any:
    if isinstance(value, str):
        return _text(value, pattern)
    if isinstance(value, Mapping):
        return {_masked(name, pattern): _masked(inner, pattern) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_masked(inner, pattern) for inner in value]
    if isinstance(value, bytes):
        return _text(value.decode("utf-8", "surrogateescape"), pattern).encode("utf-8", "surrogateescape")
    if value is None or isinstance(value, bool) or pattern is None:
        return value
    return MASK if pattern.fullmatch(str(value)) else value


def _text(text: str, pattern: re.Pattern[str] | None) -> str:
    if pattern is not None:
        text = pattern.sub(MASK, text)
    for shape, instead in _SHAPES:
        text = shape.sub(instead, text)
    return text


@lru_cache(maxsize=256)
def _pattern(values: tuple[str, ...]) -> re.Pattern[str] | None:
    if not values:
        return None
    return re.compile("|".join(_alternative(text) for value in values for text in _spellings(value)))


def _alternative(text: str) -> str:
    escaped = re.escape(text)
    return rf"(?<!\w){escaped}(?!\w)" if len(text) < SHORT else escaped


def _spellings(value: str) -> list[str]:
    """The value as JSON, XML and addresses write it, the longest first."""
    told = {
        value,
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        html.escape(value),
        html.escape(value, quote=False),
        quote(value),
        quote(value, safe=""),
        quote_plus(value),
    }
    return sorted(told, key=len, reverse=True)


class Shield:
    """The sensitive values of all messages in work, for what is masked without knowing whose it is: log lines."""

    def __init__(self) -> None:
        self._values: Counter[str] = Counter()

    @contextmanager
    def over(self, values: Iterable[str]) -> Iterator[None]:
        """Masks these values as long as the block lasts."""
        held = tuple(values)
        self._values.update(held)
        try:
            yield
        finally:
            for value in held:
                self._values[value] -= 1
                if self._values[value] <= 0:
                    del self._values[value]

    def mask(self, value: Any) -> Any:
        """The value without what is shielded now."""
        return mask(value, self._values)


shield = Shield()
"""the process's own: the log masks with it"""
