"""Plain requests, read without aiohttp: a small body of known length under an ordinary header, all of it there.

Reading them here costs a third of what a request costs through aiohttp's parser, request and response. Whatever is in
the least unusual is left alone, for aiohttp to take or to refuse: this module never refuses anything itself.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

LONGEST_HEAD = 8 << 10
LONGEST_BODY = 64 << 10
_METHODS = {"POST", "PUT", "PATCH"}
_PATH = re.compile(r"/[A-Za-z0-9_~.\-/]{0,1000}")
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^`|~-]+")
_MOST_FIELDS = 64
_UNUSUAL = {
    "content_encoding", "expect", "http2_settings", "proxy_connection", "te", "trailer", "transfer_encoding", "upgrade",
}  # fmt: skip
MORE: Final = "more"
"""a plain request of which a part of the body has not come yet"""


class Fields(dict[str, str]):
    """Header fields by lower_snake name, each there once; `get` and `in` take their names as HTTP writes them, too."""

    __slots__ = ()

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a field."""
        return dict.get(self, _key(name), default)

    def __contains__(self, name: object) -> bool:
        return dict.__contains__(self, _key(str(name)))

    def getall(self, name: str, default: Any = ()) -> Any:
        """The values of a field: one or none."""
        value = dict.get(self, _key(name))
        return default if value is None else [value]


class Plain:
    """One request, whole. It has of `web.Request` what deciding about it takes."""

    __slots__ = ("body", "headers", "method", "peer", "raw_path", "work")

    query: dict[str, str] = {}  # noqa: RUF012  never filled: a request with a query is not plain
    work: Callable[[], Awaitable[bytes]]
    """answers it: the bytes to send"""
    peer: Any
    """the connection it came over"""

    def __init__(self, method: str, path: str, headers: Fields, body: bytes) -> None:
        self.method, self.raw_path, self.headers, self.body = method, path, headers, body

    @property
    def remote(self) -> str:
        """The address it came from, as trusted proxies tell it."""
        address: str = self.peer.told_address(self.headers)
        return address

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What the transport knows, such as `peercert`."""
        transport = self.peer.transport
        return default if transport is None else transport.get_extra_info(name, default)

    def _cancel(self, error: BaseException) -> None:
        """As aiohttp tells a request that its peer is gone; nothing of this one is left to be read."""


def read(data: bytes) -> Plain | Literal["more"] | None:
    """The request that the bytes are, exactly; MORE where its body is not all there; None where it is not plain."""
    end = data.find(b"\r\n\r\n", 0, LONGEST_HEAD)
    if end < 0:
        return None
    try:
        first, *lines = data[:end].decode("ascii").split("\r\n")
    except UnicodeDecodeError:
        return None
    method, _, rest = first.partition(" ")
    path, _, version = rest.partition(" ")
    if version != "HTTP/1.1" or method not in _METHODS or len(lines) > _MOST_FIELDS:
        return None
    if _PATH.fullmatch(path) is None or "//" in path or "/." in path:
        return None
    fields = _fields(lines)
    if fields is None:
        return None
    length, connection = fields.pop("content_length", ""), fields.pop("connection", "keep-alive")
    if (
        not length.isdigit()
        or len(length) > 5
        or dict.get(fields, "host", "") == ""
        or connection.lower() != "keep-alive"
    ):
        return None
    size, here = int(length), len(data) - end - 4
    if size > LONGEST_BODY or here > size:
        return None
    return MORE if here < size else Plain(method, path, fields, data[end + 4 :])


def _fields(lines: list[str]) -> Fields | None:
    fields = Fields()
    for line in lines:
        name, _, value = line.partition(":")
        key, value = _usual(name), value.strip(" \t")
        if not key or not value.isprintable() or dict.__contains__(fields, key):
            return None
        fields[key] = value
    return fields


@functools.lru_cache(maxsize=1024)
def _usual(name: str) -> str:
    """The field's key; nothing for a name that is not well made, or that changes how a request is read."""
    key = name.lower().replace("-", "_") if _NAME.fullmatch(name) else ""
    return "" if key in _UNUSUAL else key


@functools.lru_cache(maxsize=1024)
def _key(name: str) -> str:
    return name.lower().replace("-", "_")
