"""Messages and steps for the tests of this folder, and strategies of the values that formats carry."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from pipe.contract import Message, Transformer
from transformers import TRANSFORMERS

STEPS: dict[str, type[Transformer]] = {transformer.name: transformer for transformer in TRANSFORMERS}


def message(body: Any = None, **fields: Any) -> Message:
    """A message of route `appeals`, received at 2026-11-23 10:00 in Kyiv."""
    return Message(**{"id": "01hx", "route": "appeals", "body": body, "received_at": 1795420800.0, **fields})


def step(name: str, config: Any, **context: Any) -> Any:
    """A step as the configuration makes it: its YAML checked by its own model."""
    kind = STEPS[name]
    return kind(kind.Config.model_validate(config, context=context))


def run(name: str, config: Any, body: Any = None, **fields: Any) -> Any:
    """The body after a step."""
    after = step(name, config).apply(message(body, **fields))
    return after.body


JSON_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
XML_TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff") | st.sampled_from("\t\n<>&\"'")
)
XML_NAME = st.from_regex(r"[A-Za-z_А-Яа-яіїєґ][A-Za-z0-9_.\-]{0,8}", fullmatch=True)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**12), max_value=10**12)
    | JSON_TEXT
)
PLAIN = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(JSON_TEXT, inner, max_size=4), max_leaves=20
)
