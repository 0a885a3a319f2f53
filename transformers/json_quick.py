"""JSON sooner: orjson reads it, and a walk proves that the strict reader would have made the same of it.

What orjson refuses the strict reader refuses too. What it lets pass, or makes different, is found here, and such a text
is left to the strict reader: a key that stands twice, fractions (they become Decimal) and whole numbers past 64 bits
(orjson makes floats of both), too many levels. Property tests hold both readers together, values and errors.
"""

from __future__ import annotations

from typing import Any

import orjson

MAX_LENGTH = 1 << 20
"""bytes; on longer texts orjson would hold the interpreter, and all other messages, for milliseconds"""


class Unsure(Exception):
    """Only the strict reader can tell."""


def decode(raw: bytes, depth: int) -> Any:
    """The value of a JSON text of at most so many levels. Raises Unsure where the strict reader is to be asked."""
    if len(raw) > MAX_LENGTH:
        raise Unsure
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Unsure from error
    keys = _keys(value, depth) if type(value) is dict or type(value) is list else _keys([value], 1)
    if not _is_unrepeated(raw, value, keys):
        raise Unsure
    return value


def _keys(value: Any, depth: int) -> int:
    """How many keys all objects of a list or object have. Raises Unsure for a float and for more levels."""
    if depth == 0:
        raise Unsure
    parts, found = (value.values(), len(value)) if type(value) is dict else (value, 0)
    for part in parts:
        kind = type(part)
        if kind is dict or kind is list:
            found += _keys(part, depth - 1)
        elif kind is float:
            raise Unsure
    return found


def _is_unrepeated(raw: bytes, value: Any, keys: int) -> bool:
    """Whether no key was lost because it stood twice: each brought a colon, and so may texts, but none goes missing."""
    colons = raw.count(b":")
    # Not even texts hold another colon; or all colons that there were are there again, none of them from an escape.
    return colons == keys or (b"\\u003" not in raw and colons == orjson.dumps(value).count(b":"))
