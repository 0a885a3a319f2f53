"""Simple types: text in XML, plain values here. What the type does not make a number or a yes/no stays text as sent."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

Kind = Literal["text", "token", "integer", "decimal", "float", "boolean", "base64", "qname", "list"]
_NO_NUMBERS = {"INF", "-INF", "NaN"}
_LARGEST = 1 << 63


class Wrong(ValueError):
    """A value that the schema has no place for; `path` grows on the way out."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path: list[str] = []

    @property
    def place(self) -> str:
        """The path, from the outside in."""
        return ".".join(["body", *reversed(self.path)]).replace(".[", "[")


@dataclass(frozen=True, slots=True)
class Text:
    """One simple type."""

    kind: Kind
    item: Text | None = None
    """of a list"""
    named: str = field(default="", compare=False)
    """the {namespace}name of the type; one that the schema gives no name has that of its element"""

    def read(self, text: str | None, spaces: Mapping[str | None, str]) -> Any:
        """The value of a text that fits the schema; `spaces` are the prefixes in scope, for QNames."""
        text = text or ""
        if self.kind == "text":
            return text
        text = text.strip()
        if self.kind == "list":
            assert self.item is not None
            return [self.item.read(each, spaces) for each in text.split()]
        return _READ[self.kind](text) if self.kind != "qname" else _clark(text, spaces)

    def write(self, value: Any) -> str:
        """The text for a value. Raises Wrong where it has none; whether it fits is the schema's to say."""
        if self.kind == "list":
            assert self.item is not None
            return " ".join(self.item.write(each) for each in (value if isinstance(value, list) else [value]))
        if self.kind == "base64" and isinstance(value, (bytes, bytearray)):
            return base64.b64encode(value).decode()
        if isinstance(value, (dict, list, bytes, bytearray)) or value is None:
            raise Wrong(f"it should be {_WORDS.get(self.kind, 'a text')}; it is {_kind_of(value)}")
        if isinstance(value, bool):
            return "true" if value else "false"
        if self.kind in {"integer", "decimal", "float"}:
            return _number(value, self.kind)
        return format(value, "f") if isinstance(value, Decimal) else str(value)


def _number(value: Any, kind: Kind) -> str:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, int):
        return str(value)
    number = value if isinstance(value, Decimal) else Decimal(repr(value))
    if kind == "integer":
        if number != number.to_integral_value():
            raise Wrong("it should be a whole number; it has a fraction")
        return format(number.to_integral_value(), "f")
    return format(number, "f") if kind == "decimal" else str(number)


def _integer(text: str) -> int | str:
    """Beyond 64 bits it stays text: no JSON reader would keep its digits."""
    if len(text) > 20:
        return text
    number = int(text)
    return number if -_LARGEST <= number < 2 * _LARGEST else text


def _float(text: str) -> Decimal | str:
    if text in _NO_NUMBERS:
        return text
    number = _decimal(text)
    return str(number) if isinstance(number, Decimal) and abs(number.adjusted()) > 300 else number


def _decimal(text: str) -> Decimal | str:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    return number if len(text) <= 100 else text


def _clark(text: str, spaces: Mapping[str | None, str]) -> str:
    prefix, colon, name = text.rpartition(":")
    uri = spaces.get(prefix if colon else None)
    return f"{{{uri}}}{name}" if uri else name


_READ: Mapping[str, Callable[[str], Any]] = {
    "token": lambda text: " ".join(text.split()),
    "integer": _integer,
    "decimal": _decimal,
    "float": _float,
    "boolean": lambda text: text in {"true", "1"},
    "base64": lambda text: "".join(text.split()),
}
_WORDS = {
    "integer": "a whole number",
    "decimal": "a number",
    "float": "a number",
    "boolean": "true or false",
    "base64": "Base64 text",
}


def _kind_of(value: Any) -> str:
    return {dict: "an object", list: "a list", type(None): "null", bytes: "bytes"}.get(
        type(value), type(value).__name__
    )
