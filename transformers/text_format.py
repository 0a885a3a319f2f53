"""Text in any charset, and scalars as text."""

from __future__ import annotations

import codecs
import math
from decimal import Decimal
from typing import Any

from pipe.errors import Undecodable, Unencodable


def decode(raw: bytes, charset: str) -> str:
    """The text behind the bytes; a byte order mark is not part of it. Raises Undecodable that names the byte."""
    try:
        return raw.decode(without_mark(charset))
    except UnicodeDecodeError as error:
        place = f"byte {error.start}"
        text = f"the body is not {charset} text: {raw[error.start]:#04x} at {place} ({error.reason})"
        raise Undecodable(text, path=place) from error


def encode(value: Any, charset: str) -> bytes:
    """A text, number or truth value as bytes. Raises Unencodable for lists, objects, and signs the charset lacks."""
    text = scalar(value)
    if text is None:
        raise Unencodable(f"text cannot say {'null' if value is None else 'a list or an object'}", path="body")
    try:
        return text.encode(charset)
    except UnicodeEncodeError as error:
        place = f"body, character {error.start}"
        sign = f"{text[error.start]!r} (U+{ord(text[error.start]):04X})"
        raise Unencodable(f"{charset} cannot say {sign} at {place}", path=place) from error


def scalar(value: Any) -> str | None:
    """A scalar in its plain form, numbers in full digits; None for null, a list, an object, bytes and NaN."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f") if value.is_finite() and abs(value.adjusted()) <= 400 else None
    return str(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


def known_charset(name: str) -> str:
    """The charset's name as Python has it. Raises ValueError for what is none."""
    try:
        "".encode(name)
        return codecs.lookup(name).name
    except (LookupError, ValueError) as error:
        usual = "utf-8, utf-8-sig, windows-1251, koi8-u, utf-16"
        raise ValueError(f"there is no charset `{name}`; usual ones are {usual}") from error


def without_mark(charset: str) -> str:
    """The charset that also takes UTF-8 with a byte order mark, as spreadsheets write it."""
    return "utf-8-sig" if charset.lower().replace("_", "-") in ("utf-8", "utf8") else charset
