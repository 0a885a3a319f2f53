"""JSON, strictly: what two readers could understand differently is refused; what is read is written back unharmed.

Whole numbers become int, numbers with a fraction or an exponent Decimal with every digit as sent: 100.10 stays 100.10.
`strictly` reads with the standard library's C scanner and hooks. What json_quick proves to come to the same is read by
orjson, twice to forty times as fast; for writing it has no rival.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from sys import intern
from typing import Any

import orjson

from pipe.errors import PayloadError, TooDeep, Undecodable, Unencodable
from transformers import json_pieces, json_quick

MAX_DEPTH = 64
"""levels of lists and objects"""
MEDIA_TYPE = "application/json"


def decode(raw: bytes) -> Any:
    """The value of a JSON text in UTF-8.

    Raises Undecodable with the position for anything that is not exactly one JSON value, for a key that stands twice,
    for NaN and Infinity, lone surrogates and numbers that no partner could keep; TooDeep past 64 levels.
    """
    try:
        return json_quick.decode(raw, MAX_DEPTH)
    except json_quick.Unsure:
        return strictly(raw)


def decode_pieces(opened: Callable[[], Iterable[bytes]], *, window: int = json_pieces.WINDOW) -> Any:
    """What `decode` returns or raises, for a text that comes in pieces: no more of it lies in memory than a window."""
    try:
        value = json_pieces.decode(opened(), _SCAN, _refuse_lone_surrogates, MAX_DEPTH, window=window)
        if not _is_deep(value):
            return value
    except (json_pieces.Unsure, PayloadError):
        pass  # only the whole knows what is wrong first, and where
    return strictly(b"".join(opened()))


def strictly(raw: bytes) -> Any:
    """The same without the quick way: what `decode` does where that is not sure."""
    text = _as_text(raw)
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise Undecodable(f"the body is not JSON: {error.msg} at {place}", path=place) from error
    except RecursionError as error:
        raise _too_deep(text) from error
    if "\\u" in text:
        _refuse_lone_surrogates(text)
    if text.count("[") + text.count("{") > MAX_DEPTH and _is_deep(value):
        raise _too_deep(text)
    return value


def _as_text(raw: bytes) -> str:
    if raw.startswith(b"\xef\xbb\xbf"):
        raise Undecodable("the body starts with a byte order mark, which JSON does not have", path="byte 0")
    if b"\x00" in raw[:4]:
        raise Undecodable("the body looks like UTF-16 or UTF-32; JSON is UTF-8", path="byte 0")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        place = f"byte {error.start}"
        raise Undecodable(f"the body is not UTF-8: {raw[error.start]:#04x} at {place}", path=place) from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = {intern(name): value for name, value in pairs}
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)[:80]
        raise Undecodable(f"the key `{twice}` stands twice in one object", path=twice)
    return made


def _whole(digits: str) -> int:
    """Up to 64 bits: beyond, most readers round, and so would those who get it from us."""
    if len(digits) < 19:
        return int(digits)
    if len(digits) > 20 or not -(1 << 63) <= int(digits) < 1 << 64:
        raise Undecodable(
            f"a whole number of {len(digits)} signs does not fit 64 bits; send it as text", path=digits[:24]
        )
    return int(digits)


def _fraction(digits: str) -> Decimal:
    number = Decimal(digits)
    if len(digits) > 100 or abs(number.adjusted()) > 300:
        raise Undecodable(f"the number {digits[:24]} is longer or larger than numbers may be", path=digits[:24])
    return number


def _constant(word: str) -> Any:
    raise Undecodable(f"JSON has no {word}", path=word)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_whole, parse_float=_fraction, parse_constant=_constant
)
_SCAN: json_pieces.Scan = _DECODER.scan_once  # type: ignore[attr-defined]
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|.)", re.DOTALL)


def _refuse_lone_surrogates(text: str) -> None:
    """A surrogate without its other half cannot be written as UTF-8: it would break whoever gets it next."""
    high_ends = -1
    for escape in _ESCAPE.finditer(text):
        number = int(escape[1], 16) if escape[1] else 0
        is_low = 0xDC00 <= number < 0xE000
        if is_low != (high_ends == escape.start()):
            break
        high_ends = escape.end() if 0xD800 <= number < 0xDC00 else -1
    else:
        if high_ends < 0:
            return
    place = f"character {escape.start() if is_low else high_ends - 6}"
    raise Undecodable(f"half a character (a lone surrogate) at {place}", path=place)


def _is_deep(value: Any) -> bool:
    depth, level = 0, _containers([[value]])
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            return True
        level = _containers(level)
    return False


def _containers(level: list[Any]) -> list[Any]:
    """The objects and lists that stand directly in those of a level."""
    parts = (part.values() if type(part) is dict else part for part in level)
    return [inner for part in parts for inner in part if type(inner) is dict or type(inner) is list]


def _too_deep(text: str) -> TooDeep:
    depth = 0
    for token in re.finditer(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
        if depth > MAX_DEPTH:
            place = f"character {token.start()}"
            return TooDeep(f"the body has more than {MAX_DEPTH} levels at {place}", path=place)
    return TooDeep(f"the body has more than {MAX_DEPTH} levels", path="body")


def encode(value: Any) -> bytes:
    """Compact JSON in UTF-8, keys in their order, Decimals digit by digit.

    Raises Unencodable that names the field for NaN, bytes, lone surrogates and keys that are not text.
    """
    try:
        raw = orjson.dumps(value, default=_unusual)
    except (TypeError, RecursionError) as error:
        path, reason = _culprit(value)
        raise Unencodable(f"JSON cannot say {path}: {reason}", path=path) from error
    # orjson writes NaN as null, so only a body with a null in it can have lost one.
    if b"null" in raw and (found := _culprit(value))[0]:
        raise Unencodable(f"JSON cannot say {found[0]}: {found[1]}", path=found[0])
    return raw


def _unusual(value: Any) -> Any:
    """What orjson does not know of itself: exact numbers, and rows that are read as they are asked for."""
    if isinstance(value, Decimal) and value.is_finite():
        return orjson.Fragment(str(value))
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return list(value)
    raise TypeError


def _culprit(value: Any, path: str = "body", depth: int = 0) -> tuple[str, str]:
    """The first field that JSON cannot say, and why; two empty texts where there is none."""
    if depth > 250:
        return path, "it is nested too deep"
    if isinstance(value, Mapping):
        for name, part in value.items():
            if not isinstance(name, str) or not _is_text(name):
                return path, f"its key {name!r} is not text"
            if (found := _culprit(part, f"{path}.{name}", depth + 1))[0]:
                return found
        return "", ""
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray)):
        for index, part in enumerate(value):
            if (found := _culprit(part, f"{path}[{index}]", depth + 1))[0]:
                return found
        return "", ""
    reason = _trouble(value)
    return (path, reason) if reason else ("", "")


def _trouble(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return ""
    if isinstance(value, str):
        return "" if _is_text(value) else "it holds half a character (a lone surrogate)"
    if isinstance(value, int):
        return "" if -(1 << 63) <= value < 1 << 64 else "a whole number that does not fit 64 bits"
    if isinstance(value, (float, Decimal)):
        return "" if math.isfinite(value) else f"{value} is no number"
    return f"{type(value).__name__} has no form in JSON"


def _is_text(text: str) -> bool:
    return not any("\ud800" <= sign <= "\udfff" for sign in text)
