"""How Telegram reads a text: its length counts after the marks of formatting, and a mark out of place refuses it."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser

TAGS = {"b", "strong", "i", "em", "u", "ins", "s", "strike", "del", "code", "pre", "a", "blockquote", "span"}
_RESERVED = re.compile(r"\\.|([\[\]()~`>#+\-=|{}.!*_])", re.DOTALL)
_PAIRED = "*_~`|[]()"


class Malformed(ValueError):
    """The text cannot be read; the words are Telegram's."""


def plain(text: str, mode: str | None) -> str:
    """The text as it is shown. Raises Malformed."""
    if mode == "HTML":
        return _html(text)
    return _markdown(text) if mode == "MarkdownV2" else text


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.parts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in TAGS:
            raise Malformed(f'can\'t parse entities: Unsupported start tag "{tag}" at byte offset {self._at()}')
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            raise Malformed(f"can't parse entities: Unmatched end tag at byte offset {self._at()}")

    def handle_data(self, data: str) -> None:
        self.parts.append(data)

    def _at(self) -> int:
        return self.getpos()[1]


def _html(text: str) -> str:
    reader = _Reader()
    reader.feed(text)
    reader.close()
    if reader.open:
        raise Malformed(f"can't parse entities: Can't find end tag corresponding to start tag \"{reader.open[-1]}\"")
    return html.unescape("".join(reader.parts))


def _markdown(text: str) -> str:
    for found in _RESERVED.finditer(text):
        sign = found[1]
        if sign is not None and sign not in _PAIRED:
            raise Malformed(
                f"can't parse entities: Character '{sign}' is reserved and must be escaped with the preceding '\\'"
            )
    bare = re.sub(r"\\.", "", text)
    for sign in "*_~`":
        if bare.count(sign) % 2:
            raise Malformed(f"can't parse entities: Can't find end of the entity starting with '{sign}'")
    return re.sub(r"(?<!\\)[*_~`|]", "", text).replace("\\", "")
