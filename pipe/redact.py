"""Masks what must not be seen: the sensitive values of a message wherever they turn up, and secrets by their shape."""

from __future__ import annotations

import re
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, NamedTuple

MASK = "***"
SHORT = 4
"""values of fewer signs are masked only where they stand alone, or every text would be full of holes"""

LONG = 8
"""values of so many signs are also looked for in Base64"""


class Shape(NamedTuple):
    """How secrets of one kind look."""

    pattern: re.Pattern[str]
    instead: str
    hints: tuple[str, ...]
    """a text without any of these, whatever their case, has none: to look for them costs next to nothing"""


Shapes = tuple[Shape, ...]
_SHAPES: Shapes = (
    Shape(
        re.compile(r"(?i)\b(bearer|basic|token)(\s+)[A-Za-z0-9._~+/=:-]{6,}"),
        rf"\1\2{MASK}",
        ("bearer", "basic", "token"),
    ),
    Shape(re.compile(r"\bpipe_[A-Za-z0-9_-]{20,}"), MASK, ("pipe_",)),
    Shape(re.compile(r"(?i)(\b[a-z][a-z0-9+.-]*://)[^\s/@:]+:[^\s/@]+@"), rf"\1{MASK}@", ("://",)),
    Shape(re.compile(r"\b(bot)?\d{6,12}:[A-Za-z0-9_-]{30,}"), MASK, (":",)),
    Shape(
        re.compile(
            r"(?i)(\"?(?:password|passwd|secret|api[_-]?key|access_token|refresh_token|client_secret)\"?\s*[:=]\s*\"?)[^\s\"&,;}]+"
        ),
        rf"\1{MASK}",
        ("passw", "secret", "api", "_token"),
    ),
    Shape(
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL),
        MASK,
        ("-----begin",),
    ),
)


def mask(value: Any, values: Iterable[str] = ()) -> Any:
    """The same text or plain values with `values`, and whatever looks like a secret, replaced by `***`.

    Objects, lists and bytes are gone through; a number that equals a value is masked too.
    """
    return _masked(value, _pattern(tuple(sorted({text for text in values if text}, key=len, reverse=True))))


def without(value: Any, values: Iterable[str]) -> Any:
    """As `mask`, but only `values`: for data that goes on, where what merely looks like a secret must stay."""
    return _masked(value, _pattern(tuple(sorted({text for text in values if text}, key=len, reverse=True))), ())


def _masked(value: Any, pattern: re.Pattern[str] | None, shapes: Shapes = _SHAPES) -> Any:
    if isinstance(value, str):
        return _text(value, pattern, shapes)
    if isinstance(value, Mapping):
        return {_masked(name, pattern, shapes): _masked(inner, pattern, shapes) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_masked(inner, pattern, shapes) for inner in value]
    if isinstance(value, bytes):
        return _text(value.decode("utf-8", "surrogateescape"), pattern, shapes).encode("utf-8", "surrogateescape")
    if value is None or isinstance(value, bool) or pattern is None:
        return value
    return MASK if pattern.fullmatch(str(value)) else value


def _text(text: str, pattern: re.Pattern[str] | None, shapes: Shapes) -> str:
    if pattern is not None:
        readable = _readable(text)
        masked = pattern.sub(MASK, readable)
        # Where nothing was found the text stays as it was written.
        text = masked if masked != readable else text
    if shapes:
        folded = _folded(text)
        for shape in shapes:
            if any(hint in folded for hint in shape.hints):
                text = shape.pattern.sub(shape.instead, text)
    return text


def _folded(text: str) -> str:
    """In small letters, also those that patterns without case take for `i` and `s`."""
    folded = text.lower()
    if not folded.isascii():
        folded = folded.replace("ı", "i").replace("ſ", "s").replace("\u0307", "")
    return folded


_ESCAPED = re.compile(
    r"\\+u(?P<high>[dD][89abAB][0-9a-fA-F]{2})\\+u(?P<low>[dD][c-fC-F][0-9a-fA-F]{2})|\\+u(?P<unit>[0-9a-fA-F]{4})"
    r"|&(?:amp;)*#(?:(?P<number>[0-9]{1,7})|[xX](?P<hex>[0-9a-fA-F]{1,6}));"
    r"|(?P<percent>(?:%(?:25)*[89a-fA-F][0-9a-fA-F])+)|(?P<bytes>(?:\\+x[89a-f][0-9a-f])+)"
)
"""how JSON, XML, addresses and Python write a sign that is not ASCII, however often one was put into another"""
_HARMLESS = frozenset("&<>'")
"""ASCII signs that may stand unescaped within a JSON text"""


def _readable(text: str) -> str:
    """The text with escaped signs as themselves, so that a value is found in whatever way it was written."""
    return _ESCAPED.sub(_unescaped, text) if "\\" in text or "%" in text or "&" in text else text


def _unescaped(found: re.Match[str]) -> str:
    part = found.groupdict()
    try:
        if part["percent"] or part["bytes"]:
            return bytes.fromhex(re.sub(r"%(?:25)*|\\+x", "", found[0])).decode()
        if part["high"]:
            sign = bytes.fromhex(part["high"] + part["low"]).decode("utf-16-be")
        else:
            sign = chr(int(part["number"]) if part["number"] else int(part["unit"] or part["hex"], 16))
    except (ValueError, OverflowError):
        return found[0]
    return sign if sign in _HARMLESS or (sign > "\x7f" and not "\ud800" <= sign <= "\udfff") else found[0]


@lru_cache(maxsize=256)
def _pattern(values: tuple[str, ...]) -> re.Pattern[str] | None:
    if not values:
        return None
    return re.compile("|".join(_alternative(text) for value in values for text in _spellings(value)))


_QUOTED = {
    '"': r"""(?:\\*"|&(?:amp;)*(?:quot|#34);|%(?:25)*22)""",
    "'": r"""(?:\\*'|&(?:amp;)*(?:apos|\#39|\#x27);|%(?:25)*27)""",
    "&": r"(?:&(?:amp;)*|%(?:25)*26)",
    "<": r"(?:<|&(?:amp;)*lt;|%(?:25)*3[cC])",
    ">": r"(?:>|&(?:amp;)*gt;|%(?:25)*3[eE])",
    "\\": r"(?:\\*|%(?:25)*5[cC])",  # none: what stood before an escaped sign was taken for part of it
    "/": r"(?:\\*/|%(?:25)*2[fF])",
    "+": r"(?:\+|%(?:25)*2[bB])",
    " ": r"(?:\ |\+|%(?:25)*20)",
    "\n": r"(?:\n|\\+n)",
    "\t": r"(?:\t|\\+t)",
}
"""the ways in which formats write the signs that mean something to them, in one another too"""


def _alternative(text: str) -> str:
    escaped = "".join(_QUOTED.get(sign) or re.escape(sign) for sign in text)
    return rf"(?<!\w){escaped}(?!\w)" if len(text) < SHORT else escaped


def _spellings(value: str) -> list[str]:
    """The value as it is and as Base64, the longest first; other ways of writing it are found by their signs."""
    base64 = b64encode(value.encode("utf-8", "surrogatepass")).decode()
    told = {value, _readable(value)} | ({base64.rstrip("=")} if len(value) >= LONG else set())
    return sorted(told, key=len, reverse=True)


class Shield:
    """The sensitive values of all messages in work, for what is masked without knowing whose it is: log lines."""

    def __init__(self) -> None:
        self._values: Counter[str] = Counter()

    @contextmanager
    def over(self, values: Iterable[str]) -> Iterator[None]:
        """Masks these values as long as the block lasts."""
        held = tuple(values)
        self._values.update(held)
        try:
            yield
        finally:
            for value in held:
                self._values[value] -= 1
                if self._values[value] <= 0:
                    del self._values[value]

    def mask(self, value: Any) -> Any:
        """The value without what is shielded now."""
        return mask(value, self._values)


shield = Shield()
"""the process's own: the log masks with it"""
