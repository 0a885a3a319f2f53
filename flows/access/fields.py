"""Which fields of an object a person sees: as they are, masked to their last two characters, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flows.access.model import FieldRule

KEPT = 2
"""characters of a masked value that are shown"""
DOTS = "•••"


def shown(rules: Mapping[str, FieldRule], kind: str, fields: Mapping[str, Any], level: int) -> dict[str, Any]:
    """The fields for somebody who has the object at this level; hidden ones are not among them."""
    seen: dict[str, Any] = {}
    for name, value in fields.items():
        rule = rules.get(f"{kind}/{name}")
        if rule is None or level >= rule.level:
            seen[name] = value
        elif rule.below == "mask":
            seen[name] = masked(value)
    return seen


def masked(value: Any) -> Any:
    """`•••67`; of what is short, or no text, only the dots. The length is not told."""
    if value is None:
        return None
    text = value if isinstance(value, str) else ""
    return DOTS + (text[-KEPT:] if len(text) >= 3 * KEPT else "")
