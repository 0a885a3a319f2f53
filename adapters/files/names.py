"""File names made from data: what a message says may fill a segment of a path, and never makes one."""

from __future__ import annotations

import re
from collections.abc import Container

from pipe.contract import Message, Template
from pipe.errors import BadHeader

OURS = frozenset({".work", ".refused"})
"""folders of the adapter itself"""
_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LONGEST = 255
"""bytes of one segment that every file system takes"""


def filled(template: Template, message: Message, ours: Container[str] = OURS) -> tuple[str, ...]:
    """The segments of the path for this message. Raises BadHeader where a value would leave its segment."""
    path = template.fill(message, _value)
    segments = tuple(path.split("/"))
    for segment in segments:
        problem = wrong(segment, ours)
        if problem is not None:
            raise BadHeader(f"the path made by `{template.text}` is not usable: {segment[:80]!r} {problem}")
    return segments


def wrong(segment: str, ours: Container[str] = OURS) -> str | None:
    """What is wrong with one segment of a path of ours; None if nothing is."""
    if not segment:
        return "is empty"
    if segment in {".", ".."} or segment in ours:
        return "leads elsewhere"
    if _CONTROL.search(segment) or any("\ud800" <= sign <= "\udfff" for sign in segment):
        return "holds a control character or a lone surrogate"
    if segment.endswith((" ", ".")) or _DEVICE.fullmatch(segment):
        return "is a name that some systems keep for devices or change silently"
    if len(segment.encode()) > _LONGEST:
        return f"is longer than {_LONGEST} bytes"
    return None


def named(name: str) -> bool:
    """Whether what a server lists is the name of something in that folder, and not a way out of it."""
    return name not in {"", ".", ".."} and "/" not in name and "\\" not in name and not _CONTROL.search(name)


def _value(value: str) -> str:
    if not value or "/" in value or "\\" in value or value in {".", ".."} or value.startswith("~"):
        raise BadHeader(f"a value for the file's path is {value[:80]!r}: it must be one segment, not empty and no path")
    return value
