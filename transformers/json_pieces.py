"""JSON of a large body, read in pieces: beside the values no more of the text lies in memory than a window.

The standard library's scanner reads each value that ends within the window, many at once where they are items of a
list; what is larger is an object or a list that is taken apart here, or a text, for which the window grows.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable
from typing import Any

WINDOW = 64 << 10
"""signs that lie ahead, at least, before a value is read"""
_BLANKS = re.compile(r"[ \t\n\r]*")
_ENDS = {"{": "},", "[": "],"}
"""what stands between two items of a list, by the sign that the first begins with"""

Scan = Callable[[str, int], tuple[Any, int]]
"""reads the value at a place; returns where it ends, raises StopIteration or ValueError where none ends in the text"""


class Unsure(Exception):
    """It is no JSON, or not one that this reader takes: a reader of the whole tells what is wrong."""


def decode(
    pieces: Iterable[bytes], scan: Scan, check: Callable[[str], None], depth: int, *, window: int = WINDOW
) -> Any:
    """The value of a JSON text of at most so many levels above what `scan` reads in one. Raises Unsure.

    `check` is shown each part of the text that has an escape in it, and raises where that is wrong.
    """
    try:
        reader = _Reader(pieces, scan, check, window)
        if reader.starts_oddly():
            raise Unsure
        value = reader.value(depth)
        if reader.sign():
            raise Unsure
    except (UnicodeDecodeError, RecursionError) as error:
        raise Unsure from error
    return value


class _Reader:
    def __init__(self, pieces: Iterable[bytes], scan: Scan, check: Callable[[str], None], window: int) -> None:
        self._pieces, self._scan, self._check, self._window = iter(pieces), scan, check, window
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._text, self._at = "", 0
        self._over = False
        """whether the text goes up to the end of the body"""

    def starts_oddly(self) -> bool:
        """Whether there is a byte order mark, or what looks like another charset."""
        self._ahead(4)
        return self._text.startswith("\ufeff") or "\x00" in self._text[:4]

    def sign(self) -> str:
        """The next sign that is no blank, still to be read; nothing at the end."""
        while True:
            self._at = _BLANKS.match(self._text, self._at).end()  # type: ignore[union-attr]
            if self._at < len(self._text) or not self._ahead(1):
                return self._text[self._at : self._at + 1]

    def value(self, depth: int) -> Any:
        """The value that comes next, of at most so many levels of what is taken apart."""
        sign, least = self.sign(), self._window
        self._ahead(least)
        while (ended := self._scanned(self._text, self._at)) is None or not (ended[1] < len(self._text) or self._over):
            # Also where it ends with the window: the number 1 may be the begin of 12.
            if sign == "{":
                return self._object(depth - 1)
            if sign == "[":
                return self._list(depth - 1)
            least = 2 * max(least, len(self._text) - self._at)
            if not self._ahead(least):
                raise Unsure
        value, self._at = ended
        return value

    def _scanned(self, text: str, start: int) -> tuple[Any, int] | None:
        """A value and where it ends; None where it does not end within the text."""
        try:
            value, end = self._scan(text, start)
        except (StopIteration, ValueError):
            return None
        if text.find("\\u", start, end) >= 0:
            self._check(text[start:end])
        return value, end

    def _object(self, depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        sign = self._inside(depth)
        while sign != "}":
            if sign != '"':
                raise Unsure
            key = self.value(depth)
            if self.sign() != ":" or key in made:
                raise Unsure
            self._at += 1
            made[key] = self.value(depth)
            sign = self._behind("}", '"')
        self._at += 1
        return made

    def _list(self, depth: int) -> list[Any]:
        made: list[Any] = []
        sign = self._inside(depth)
        while sign != "]":
            if not (self._ahead(self._window) and self._many(made, sign)):
                made.append(self.value(depth))
            sign = self._behind("]")
        self._at += 1
        return made

    def _many(self, made: list[Any], sign: str) -> bool:
        """Reads as many items as lie ahead, where their end is easily found."""
        mark = _ENDS.get(sign, ",")
        end = self._text.rfind(mark, self._at) + len(mark) - 1
        items = f"[{self._text[self._at : end]}]"
        ended = self._scanned(items, 0) if end > self._at else None
        if ended is None or ended[1] != len(items):
            return False
        made += ended[0]
        self._at = end
        return True

    def _inside(self, depth: int) -> str:
        """Steps over the sign that opens; what stands behind it."""
        if depth < 0:
            raise Unsure
        self._at += 1
        return self.sign()

    def _behind(self, closing: str, then: str = "") -> str:
        """What stands behind a part: the sign that closes, or behind a comma the one that begins the next part."""
        sign = self.sign()
        if sign == closing:
            return sign
        if sign != ",":
            raise Unsure
        self._at += 1
        sign = self.sign()
        if sign == closing or (then and sign != then):
            raise Unsure
        return sign

    def _ahead(self, least: int) -> bool:
        """Reads on until so many signs lie ahead, or all that there are; whether there was anything to read."""
        length = len(self._text) - self._at
        if self._over or length >= least:
            return False
        parts = [self._text[self._at :]]
        while length < least and not self._over:
            piece = next(self._pieces, None)
            self._over = piece is None
            parts.append(self._decoder.decode(piece or b"", final=self._over))
            length += len(parts[-1])
        self._text, self._at = "".join(parts), 0
        return True
