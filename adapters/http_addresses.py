"""Addresses and headers made from data: what a message says may fill a segment, and never makes one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from pipe.contract import Expression, Message, Template
from pipe.errors import BadHeader, MappingFailed

TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
"""what HTTP takes as the name of a header"""
OURS = {"host", "content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "te", "trailer", "expect"}
"""headers that frame a request: the gateway writes them itself"""
_UNRESERVED = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9_~-]*")
_EMPTY = "\x00"
_SIMPLE = re.compile(r"/?(?:[A-Za-z0-9_~%=,-][A-Za-z0-9._~%=,-]*/)*(?:[A-Za-z0-9_~%=,-][A-Za-z0-9._~%=,-]*)?")
"""paths that need neither encoding nor a second look: no segment starts with a dot, nothing is empty inside"""


def path_of(template: Template, message: Message) -> str:
    """The path (with a query, if the template has one) for this message, ready to be sent.

    Each value is percent-encoded and stays within its segment. Raises BadHeader where a value would climb (`..`), holds
    a control character, or leaves a segment empty: `DELETE /people/` is not `DELETE /people/7`.
    """
    filled = template.fill(message, _segment)
    if _SIMPLE.fullmatch(filled):
        return filled
    path, mark, query = filled.partition("?")
    for segment in path.split("/"):
        if segment and not segment.strip(_EMPTY):
            raise BadHeader(f"a value for `{template.text}` is empty, so the address would mean something else")
        if segment.replace(_EMPTY, "") in {".", ".."}:
            raise BadHeader(f"the address made by `{template.text}` would climb out of its path")
    # What stands in the configuration itself may be written plainly: `/заявки`, `/a b`.
    return quote(path.replace(_EMPTY, ""), safe="/:@!$&'()*+,;=-._~%") + (mark and f"?{_plain_query(query)}")


def _plain_query(query: str) -> str:
    return quote(query.replace(_EMPTY, ""), safe="/:@!$'()*,;=&-._~%?+")


def _segment(value: str) -> str:
    if _UNRESERVED.fullmatch(value):
        return value
    if any(sign < " " or sign == "\x7f" for sign in value):
        raise BadHeader("a value for the address holds a line break or another control character")
    if ".." in value.replace("\\", "/").split("/"):
        raise BadHeader(f"a value for the address climbs: `{value[:80]}`")
    try:
        return quote(value, safe="") or _EMPTY
    except UnicodeEncodeError:
        raise BadHeader("a value for the address holds a lone surrogate") from None


def query_of(expressions: Mapping[str, Expression], message: Message) -> str:
    """The query for this message, without `?`; null leaves a name out, a list repeats it.

    Raises MappingFailed for an object.
    """
    pairs: list[str] = []
    for name, expression in expressions.items():
        value = expression(message)
        values = value if isinstance(value, list) else [value]
        pairs += [f"{quote(name, safe='')}={quote(_text(name, one), safe='')}" for one in values if one is not None]
    return "&".join(pairs)


def _text(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list, bytes)):
        raise MappingFailed(f"the query's `{name}` is {type(value).__name__}; it takes text or a number", path=name)
    text = str(value)
    if any("\ud800" <= sign <= "\udfff" for sign in text):
        raise BadHeader(f"the query's `{name}` holds a lone surrogate")
    return text


def joined(base: str, path: str, query: str = "") -> str:
    """Path and query below `base`, the path of the connection's `url`."""
    if path and path[0] not in "/?":
        path = f"/{path}"
    target = f"{base.rstrip('/')}{path}"
    if not target.startswith("/"):
        target = f"/{target}"
    return f"{target}{'&' if '?' in target else '?'}{query}" if query else target


def header_name(name: str) -> str:
    """Checks the name of a header in the configuration. Raises ValueError."""
    if not TOKEN.fullmatch(name):
        raise ValueError(f"`{name}` cannot be the name of a header")
    if name.lower() in OURS or name.lower().startswith("proxy-"):
        raise ValueError(f"the gateway sets the header `{name}` itself")
    return name
