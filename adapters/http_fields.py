"""The fields of a request as a message has them."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

_PRIVATE = frozenset({"authorization", "cookie", "x_api_key", "proxy_authorization"})
OF_THE_HOP = frozenset({
    "connection", "content_encoding", "content_length", "expect", "keep_alive", "te", "trailer", "transfer_encoding",
    "upgrade",
})  # fmt: skip
_DROPPED = _PRIVATE | OF_THE_HOP


def headers_of(fields: Any) -> dict[str, str]:
    """Fields by lower_snake name, repeated ones joined; without credentials and what belongs to the hop."""
    headers: dict[str, str] = {}
    for field, value in fields.items():
        name = _name(field)
        if name:
            text = value if value.isascii() else _readable(value)
            headers[name] = f"{headers[name]}, {text}" if name in headers else text
    return headers


def public(fields: Mapping[str, str]) -> dict[str, str]:
    """The same of fields that have those names already."""
    return {name: value for name, value in fields.items() if name not in _DROPPED}


@functools.lru_cache(maxsize=1024)
def _name(field: str) -> str:
    """lower_snake, or nothing for what is dropped. A field with `_` could pose as the same one with `-`."""
    name = "" if "_" in field else field.lower().replace("-", "_")
    return "" if name in _DROPPED else name


def _readable(value: str) -> str:
    """Aiohttp hides bytes that are not UTF-8 in surrogates, which no JSON can hold: they are Latin-1."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogateescape").decode("latin-1")
    return value
