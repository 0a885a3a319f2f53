"""Masks sensitive values wherever they turn up: notes, replies, tracebacks, pages, captures."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, TypeVar

T = TypeVar("T", str, bytes)
MASK = "•••"
SHORTEST = 3
"""a value of one or two signs would mask half of every text"""


def mask(text: T, values: Iterable[str]) -> T:
    """The text without the values, in their JSON form neither; longer values go first."""
    if isinstance(text, bytes):
        return mask(text.decode("utf-8", "surrogateescape"), values).encode("utf-8", "surrogateescape")
    for form in _forms(values):
        text = text.replace(form, MASK)
    return text


def mask_values(value: Any, values: Iterable[str]) -> Any:
    """Plain values without the sensitive ones; keys stay as they are."""
    known = list(values)
    if isinstance(value, dict):
        return {name: mask_values(inner, known) for name, inner in value.items()}
    if isinstance(value, list):
        return [mask_values(inner, known) for inner in value]
    if isinstance(value, (str, bytes)):
        return mask(value, known)
    return MASK if not isinstance(value, bool) and value is not None and str(value) in known else value


def _forms(values: Iterable[str]) -> list[str]:
    forms: set[str] = set()
    for value in values:
        if len(value) >= SHORTEST:
            forms |= {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
            forms |= {json.dumps(json.dumps(value)[1:-1])[1:-1]}
    return sorted(forms, key=len, reverse=True)
